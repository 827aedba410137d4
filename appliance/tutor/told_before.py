"""Is an answer told in pieces, one in each answer of a conversation? Pure.

Only a short answer with one number that nobody gave ("it begins with 4") leaves a piece: honest hints speak
of the task's numbers. Keeps out whole answers (`gate`).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from appliance.tutor import numerals
from appliance.tutor.folding import fold
from appliance.tutor.numerals import Mention

# A longer answer explains something, and its numbers are part of that.
PIECE_WORDS = 16
# So many words of an answer can hold a piece of a word.
LEAST_PIECE = 2
LEAST_WHOLE = 6
# A number of one digit is told at once or not at all.
LEAST_KEY = 10
# Letters told one by one are noticed from the third on.
LETTERS = 3


@dataclass(frozen=True)
class Piece:
    """What one short answer left behind."""

    number: Fraction | None
    words: tuple[str, ...]


def read(answer: str, own: Collection[Fraction], task_words: Collection[str], *, is_kazakh: bool) -> Piece:
    """Return the piece of a key that an earlier answer may hold."""
    text = fold(answer).text
    words = re.findall(r"[^\W_]+", text)
    if len(words) > PIECE_WORDS:
        return Piece(None, ())
    values = {
        m.value
        for m in numerals.mentions(text, is_kazakh=is_kazakh)
        if m.how in ("digits", "word", "ordinal", "spelled") and m.value not in own
    }
    number = values.pop() if len(values) == 1 else None
    return Piece(number, tuple(word for word in words if word not in task_words))


def completes(
    before: Sequence[Piece], found: Iterable[Mention], keys: Iterable[Fraction], own: Collection[Fraction]
) -> bool:
    """Return whether a number said now makes the key together with those of the answers before."""
    told = [piece.number for piece in before if piece.number is not None and piece.number.denominator == 1]
    wanted = {str(key) for key in keys if key.denominator == 1 and key >= LEAST_KEY}
    if not told or not wanted:
        return False
    for mention in found:
        if mention.how == "sum" or mention.value.denominator != 1 or mention.value in own:
            continue
        for first in range(len(told)):
            row = [*told[first:], mention.value]
            digits = "".join(map(str, row))
            if {digits, digits[::-1]} & wanted or (_is_place_value(row) and str(sum(row)) in wanted):
                return True
    return False


def _is_place_value(row: Sequence[Fraction]) -> bool:
    """Return whether numbers are the parts of one as it is said: 700, 70 and 4."""
    ordered = sorted(row, reverse=True)
    return all(
        int(small) < 10 ** (len(str(big)) - len(str(big).rstrip("0"))) for big, small in pairwise(ordered)
    )


def completes_word(before: Sequence[Piece], now: Sequence[str], keys: Iterable[str]) -> bool:
    """Return whether a word is told in two parts, or letter by letter, over several answers."""
    earlier = [word for piece in before for word in piece.words]
    letters = "".join(word for word in [*earlier, *now] if len(word) == 1)
    for key in keys:
        if len(key) < LEAST_WHOLE or not earlier:
            continue
        if any(key[:cut] in earlier and key[cut:] in now for cut in range(LEAST_PIECE, len(key) - 1)):
            return True
        if key[:LETTERS] in letters:
            return True
    return False
