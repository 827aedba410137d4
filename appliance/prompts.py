"""The words that go to the model before the learner's. Pure.

Short on purpose: each of these tokens is decoded for every learner until the prefix is shared, and
small models follow few rules. The version travels with each answer, so that it can be replayed.
"""

PROMPT_VERSION = "spine-2"

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

# About 110 words in any of the three languages: what a child reads on a phone without much scrolling,
# and a bounded wait for the next one. Counted in letters, because a Kazakh word costs four times the
# tokens of an English one (5.3 against 1.2 in the Qwen vocabulary).
MAX_ANSWER_CHARACTERS = 750
# So many tokens hold that text in Kazakh; a server that cannot count letters is bounded by them.
MAX_ANSWER_TOKENS = 480


def messages(question: str, language: str) -> list[dict[str, str]]:
    """Return the chat for one question, in the shape of the OpenAI API."""
    return [{"role": "system", "content": SYSTEM[language]}, {"role": "user", "content": question}]
