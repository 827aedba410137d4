"""Is an answer of the model good enough to stand alone? Pure.

The engine tells no probabilities, so confidence is read off the text: nothing said, the same said again and
again, or another language than the learner's. Two in a row, and a person is asked.
"""

import re
from collections import Counter

EMPTY, REPEATING, WRONG_LANGUAGE = "empty", "repeating", "wrong_language"

# Four words in a row, so many times, is a loop and no style.
RUN_OF_WORDS = 4
MOST_REPEATS = 3
# A shorter text says too little about its language: a formula, a name, a "yes".
LEAST_LETTERS = 60
# A Kazakh text of this length has a letter that Russian lacks; one in seven of its letters is such a one.
LEAST_KAZAKH_SHARE = 0.03
LEAST_SCRIPT_SHARE = 0.5
_KAZAKH = re.compile("[әғқңөұүһі]", re.IGNORECASE)


def find_doubt(text: str, language: str, *, speaks: bool) -> str | None:
    """Return why this answer is doubtful, or None. `speaks`: the model was made for this language."""
    if not re.search(r"\w", text):
        return EMPTY
    if _repeats(text):
        return REPEATING
    return WRONG_LANGUAGE if speaks and not _is_in(text, language) else None


def _repeats(text: str) -> bool:
    words = re.findall(r"\w+", text.casefold())
    runs = Counter(
        tuple(words[place : place + RUN_OF_WORDS]) for place in range(len(words) - RUN_OF_WORDS + 1)
    )
    return any(count > MOST_REPEATS for count in runs.values())


def _is_in(text: str, language: str) -> bool:
    letters = re.findall(r"[^\W\d_]", text)
    if len(letters) < LEAST_LETTERS:
        return True
    cyrillic: float = sum("\u0400" <= letter <= "\u04ff" for letter in letters) / len(letters)
    if language == "en":
        return cyrillic < LEAST_SCRIPT_SHARE
    kazakh = len(_KAZAKH.findall(text)) / len(letters)
    is_kazakh: bool = kazakh >= LEAST_KAZAKH_SHARE
    return cyrillic >= LEAST_SCRIPT_SHARE and is_kazakh is (language == "kk")
