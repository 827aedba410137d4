"""Does a free question tell an open task, shortened or in other words? Pure.

Then it is answered on the page of the task, where no model writes freely. Words are compared by how they
sound and by their beginning, so that endings and alphabets do not part them; numbers by their value, in
digits or in words. Who asks how a kind of task is solved is free to ask: a task with numbers is told only
with some of them. Keeps out what is then said (`tutoring`), and facts asked in another language than the
task's, for which there is no rule here.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from appliance.tutor import numerals
from appliance.tutor.folding import fold, sound
from appliance.tutor.gate import TINY

# Of a question's own words so many are the task's, and of its numbers: it asks for little else.
SHARE_OF_WORDS = 0.5
SHARE_OF_NUMBERS = 0.5
LEAST_WORDS = 2
LEAST_NUMBERS = 2
# Beside a large number of the task fewer words of it will do.
SHARE_BESIDE_NUMBER = 1 / 3
# Word beginnings by which inflected forms meet.
STEM_CHARACTERS = 5
# One and two stand in every second question.
COMMON_NUMBER = 2

# Words of asking, not of a subject: they say nothing of which task is meant.
_COMMON = """
    what which who whom when where why how many much does did was were are the and for with from that this
    there they have has had you your can could would will give get got make makes all each every one two
    find tell say please answer number numbers total altogether called name names solve work out need want
    что чего чем какой какая какое какие каком какую кто кого чей чья где когда зачем почему как сколько
    это этот эта эти все всего всех она они оно его или для при над под без если будет есть быть был была
    было были надо нужно можно дай скажи найди найти реши сосчитай помоги пожалуйста ответ число числа
    числу называется называют называться получится выйдет каждый каждом каждой один два две мне
    қай қандай қанша неше кім кімнің қалай неге қашан қайда қайсы қайсысы бұл сол осы бар жоқ болады болса
    болып және мен пен бен әр барлығы жалпы жиыны айтшы айт бер тап табу тапшы шеш шешші керек жауабы жауап
    сан саны саннан санын деп атайды аталады атауы екен ғой маған бір екі болған
"""


@dataclass(frozen=True)
class Told:
    """What of a text tells a task: its words by their beginnings, and its numbers."""

    words: frozenset[str]
    numbers: frozenset[Fraction]


# The tasks of a class are compared with each free question.
@lru_cache(maxsize=512)
def read(text: str) -> Told:
    words = frozenset(_stem(word) for word in re.findall(r"[^\W\d_]{3,}", fold(text).text))
    numbers = frozenset(
        mention.value
        for mention in numerals.mentions(text, is_kazakh=True)
        if mention.how in ("digits", "word", "fraction") and mention.value.numerator > 1
    )
    return Told(words - _common(), numbers)


def tells(question: Told, task: Told) -> bool:
    """Return whether a question says enough of a task to be one about it."""
    words = question.words & task.words
    numbers = {value for value in question.numbers & task.numbers if _is_telling(value)}
    if len(numbers) < SHARE_OF_NUMBERS * len(question.numbers):
        return False
    has_words = len(words) >= max(LEAST_WORDS, SHARE_OF_WORDS * len(question.words))
    if has_words and (numbers or len(task.numbers) < LEAST_NUMBERS):
        return True
    if not any(value > TINY or value.denominator > 1 for value in numbers):
        return False
    return (
        len(numbers) >= LEAST_NUMBERS
        or not question.words
        or (bool(words) and len(words) >= SHARE_BESIDE_NUMBER * len(question.words))
    )


def _is_telling(value: Fraction) -> bool:
    return value > COMMON_NUMBER or value.denominator > 1


@cache
def _common() -> frozenset[str]:
    return frozenset(_stem(word) for word in _COMMON.split())


def _stem(word: str) -> str:
    return sound(fold(word).text)[:STEM_CHARACTERS]
