"""The words that go to the model before the learner's. Pure.

Short on purpose: each of these tokens is decoded for every learner until the prefix is shared, and
small models follow few rules. The version travels with each answer, so that it can be replayed.
"""

PROMPT_VERSION = "spine-1"

# Told in the learner's language, because a small model answers in the language it is addressed in.
SYSTEM = {
    "kk": (
        "Сен мектеп оқушысына көмектесетін тәлімгерсің. Қысқа әрі түсінікті жаз. "
        "Дайын жауапты бірден берме: алдымен ойлануға бағыт бер, соңында бір сұрақ қой. "
        "Қазақ тілінде жауап бер."
    ),
    "ru": (
        "Ты наставник школьника. Пиши коротко и понятно. "
        "Не давай сразу готовый ответ: сначала подскажи, как думать, и в конце задай один вопрос. "
        "Отвечай по-русски."
    ),
    "en": (
        "You are a tutor for a school learner. Write briefly and simply. "
        "Do not give the ready answer at once: first show how to think, and end with one question. "
        "Answer in English."
    ),
}

# About 120 words: what a child reads on a phone without scrolling, and a bounded wait for the next one.
MAX_ANSWER_TOKENS = 200


def messages(question: str, language: str) -> list[dict[str, str]]:
    """Return the chat for one question, in the shape of the OpenAI API."""
    return [{"role": "system", "content": SYSTEM[language]}, {"role": "user", "content": question}]
