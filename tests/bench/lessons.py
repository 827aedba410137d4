"""What the class of the benchmark reads and asks: texts made by rule, the same on every machine.

Promises: pure; a lesson has exactly the words asked for, and two lessons differ from their first word on,
so that nothing but the chat template's own head can be shared between them.
"""

import random

ANSWER_TOKENS = 48

TOPICS = (
    "Rivers", "Bridges", "Honey bees", "Salt", "Steppe winds", "Fractions", "Iron", "Clouds", "Camels",
    "Bread", "Maps", "Glass", "Tides", "Seeds", "Paper", "Wolves", "Copper", "Echoes", "Deserts", "Clocks",
    "Magnets", "Glaciers", "Wool", "Coal", "Eagles", "Apples", "Mirrors", "Roads", "Volcanoes", "Numbers",
)  # fmt: skip

_PEOPLE = ("a teacher", "a farmer", "an engineer", "a shepherd", "a traveller", "a doctor", "a builder")
_PLACES = ("in the mountains", "near Almaty", "on the coast", "in a village", "by the lake", "in the north")
_SENTENCES = (
    "{topic} were described {place} about {number} years ago by {person} who wrote down every detail.",
    "When we measure {topic} carefully we find that {number} small parts can add up to one large whole.",
    "{person} {place} once counted {number} different kinds and drew a picture of each of them.",
    "It is easy to think that {topic} never change, but after {number} days the difference can be seen.",
    "Warm weather makes the process faster, and {place} it takes only {number} hours instead of a week.",
    "The first reason is simple: {person} needs {topic} in order to work, and nothing else can replace them.",
    "The second reason is harder to see, because it happens {place} and lasts less than {number} seconds.",
    "Children who study {topic} often ask why there are {number} steps and not fewer.",
    "A good experiment needs water, a ruler, {number} grams of sand and some patience.",
    "If the result is larger than {number}, repeat the measurement and compare both values.",
    "Long ago {person} believed the opposite, and it took {number} years until the mistake was found.",
    "Today most of the work is done {place}, where {number} people look after {topic} the whole year.",
    "Remember the rule: what goes in must come out, even when {number} things happen at the same time.",
    "{topic} can be dangerous, so {person} always keeps a distance of {number} metres.",
    "The name comes from an old word that {person} {place} still uses for a thing with {number} corners.",
)

QUESTIONS = (
    "What is the most important idea of the lesson?",
    "Why does warm weather make it faster?",
    "Who described it first, and when?",
    "Can you explain the first reason again?",
    "What does one need for the experiment?",
    "Why did people believe the opposite long ago?",
    "How far away should we stand, and why?",
    "Where is most of the work done today?",
    "What does the old name mean?",
    "How can I check my result?",
    "Please give me an example from daily life.",
    "Which step is the hardest one?",
    "What happens if we use too much sand?",
    "Is the second reason always true?",
    "How long does it take in winter?",
    "What did the traveller count?",
    "Why must the measurement be repeated?",
    "Could a machine do this work?",
    "How many people look after it?",
    "What is the rule that we should remember?",
    "Does it change during one day?",
    "Who needs this knowledge in a job?",
    "What would happen without it?",
    "How do we know that this is right?",
    "What should I write in my notebook?",
    "Is it dangerous for small children?",
    "What is different in the mountains?",
    "Can you say it in one sentence?",
    "Which part will be in the test?",
    "What can I read to learn more?",
)


def lesson(number: int, words: int) -> str:
    """The text of one lesson; another number is another lesson, another length a longer one."""
    topic = TOPICS[number % len(TOPICS)]
    source = random.Random(number)
    text = (
        f"{topic} are the subject of lesson {number}. Answer the class in short and plain sentences.".split()
    )
    while len(text) < words:
        text += _sentence(source, topic.lower()).split()
    return " ".join(text[:words])


def long_question(number: int, words: int) -> str:
    """What a learner pastes who wants the box to do the homework."""
    source = random.Random(-1 - number)
    text = f"Question {number}, please answer all of it:".split()
    while len(text) < words:
        text += _sentence(source, source.choice(TOPICS).lower()).split()
    return " ".join(text[:words])


def messages(lesson_text: str, question: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": lesson_text}, {"role": "user", "content": question}]


def _sentence(source: random.Random, topic: str) -> str:
    sentence = source.choice(_SENTENCES).format(
        topic=topic,
        place=source.choice(_PLACES),
        person=source.choice(_PEOPLE),
        number=source.randint(3, 9_000),
    )
    return sentence[0].upper() + sentence[1:]
