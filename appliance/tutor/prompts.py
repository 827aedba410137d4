"""The words that go to the model before the learner's. Pure.

Short on purpose: each of these tokens is decoded for every learner until the prefix is shared, and
small models follow few rules. The version travels with each answer, so that it can be replayed.
"""

from collections.abc import Sequence

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


TASK_VERSION = "task-1"
HINTS_VERSION = "hints-1"
CHOICE_VERSION = "choice-1"
CONCEPT_VERSION = "concept-1"
RUNG_NAMES = ("attempt", "step", "nudge", "principle", "twin", "solution")

# The key is never among these words: what the model was not told it can only have calculated.
HINTS_ONLY = {
    "kk": "Нәтижені айтпа, есептеме. Тек келесі қадамды нұсқа.",
    "ru": "Не называй результат и не вычисляй его. Подскажи только следующий шаг.",
    "en": "Do not say the result and do not calculate it. Hint only at the next step.",
}
RUNG = {
    "kk": {
        "attempt": "Оқушы әлі жауап бермеді. Неден бастау керегін сұра.",
        "step": "Оқушының қадамы туралы бір сұрақ қой.",
        "nudge": "Шартта неге назар аудару керегін нұсқа.",
        "principle": "Қай ереже керегін айт, бірақ қолданба.",
        "twin": "Басқа сандармен ұқсас есепті шешіп көрсет.",
        "solution": "Шешімін қадамдап түсіндір.",
    },
    "ru": {
        "attempt": "Ученик ещё не пробовал. Спроси, с чего он начнёт.",
        "step": "Задай один вопрос о шаге ученика.",
        "nudge": "Подскажи, на что в условии обратить внимание.",
        "principle": "Назови нужное правило, но не применяй его.",
        "twin": "Покажи решение похожей задачи с другими числами.",
        "solution": "Объясни решение по шагам.",
    },
    "en": {
        "attempt": "The learner has not tried yet. Ask how they would begin.",
        "step": "Ask one question about the learner's step.",
        "nudge": "Say what in the task to look at.",
        "principle": "Name the rule that is needed, but do not use it.",
        "twin": "Show how a similar task with other numbers is solved.",
        "solution": "Explain the solution step by step.",
    },
}
TASK_WORDS = {
    "kk": "Тапсырма: {task}\nОқушының соңғы жауабы: {step}",
    "ru": "Задача: {task}\nПоследний ответ ученика: {step}",
    "en": "Task: {task}\nThe learner's last answer: {step}",
}


def messages(question: str, language: str, *, hints_only: bool = False) -> list[dict[str, str]]:
    """Return the chat for one question, in the shape of the OpenAI API."""
    system = SYSTEM[language] + (" " + HINTS_ONLY[language] if hints_only else "")
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def about_task(question: str, language: str, task: str, step: str, rung: str) -> list[dict[str, str]]:
    """Return the chat for a question about a task, on a rung of the ladder."""
    told = TASK_WORDS[language].format(task=task, step=step or "-")
    limits = "" if rung == "solution" else " " + HINTS_ONLY[language]
    system = f"{SYSTEM[language]}{limits} {RUNG[language][rung]}\n{told}"
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


# What people wrote is offered by letters; the answer is one of them, and nothing else of it is seen.
CHOICE = {
    "kk": "Сен мұғалімнің көмекшісісің. Оқушыға қазір төмендегі кеңестердің қайсысы көбірек көмектеседі? Тек әрпін таңда.",
    "ru": "Ты помощник учителя. Какая из подсказок ниже сейчас больше поможет ученику? Выбери только букву.",
    "en": "You help a teacher. Which of the hints below helps the learner most right now? Choose only its letter.",
}
# No word of the task goes with it: whoever does not know the task cannot tell its answer.
CONCEPT = {
    "kk": "Сөздің немесе ереженің мағынасын жалпы түрде, екі-үш сөйлеммен түсіндір. Ешқандай сан жазба, есеп шығарма.",
    "ru": "Объясни слово или правило вообще, в двух-трёх предложениях. Не пиши чисел и ничего не решай.",
    "en": "Explain the word or the rule in general, in two or three sentences. Write no numbers and solve nothing.",
}


def choose(
    question: str, language: str, task: str, step: str, sentences: Sequence[str]
) -> list[dict[str, str]]:
    """Return the chat in which a model chooses one of people's hints by its letter."""
    told = TASK_WORDS[language].format(task=task, step=step or "-")
    # The quoted step stands above already, so the place for it stays a mark.
    offered = "\n".join(
        f"{letter}) {sentence.replace('%(step)s', '…').replace('%%', '%')}"
        for letter, sentence in zip("abcd", sentences, strict=False)
    )
    system = f'{CHOICE[language]} JSON: {{"move": "a"}}\n{offered}\n{told}'
    return [{"role": "system", "content": system}, {"role": "user", "content": question}]


def concept(question: str, language: str) -> list[dict[str, str]]:
    """Return the chat in which a model explains a word, without the task that the word stands in."""
    return [
        {"role": "system", "content": f"{SYSTEM[language]} {CONCEPT[language]}"},
        {"role": "user", "content": question},
    ]
