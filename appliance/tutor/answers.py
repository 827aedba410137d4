"""Is a learner's answer right? Checked against the key, in whatever notation it is written. Pure.

Numbers count by their value, with their unit where one is given; words without regard to case, to the
spelling of Kazakh letters, or to the alphabet.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from appliance.tutor import numerals
from appliance.tutor.folding import fold, sound

# Rounding of 1/3 to two places is right where the key says no more.
REPEATING_WITHIN = Fraction(6, 1000)

_UNITS: dict[str, tuple[str, Fraction]] = {}
for _kind, _table in {
    "length": {
        "mm мм": "1/1000", "cm см": "1/100", "dm дм": "1/10", "m м метр metre meter": "1", "km км": "1000",
    },
    "mass": {"mg мг": "1/1000", "g г гр грамм": "1", "kg кг": "1000", "ц": "100000", "t т тонна": "1000000"},
    "volume": {"ml мл": "1/1000", "l л литр": "1"},
    "time": {"s sec сек с секунд": "1", "min мин минут": "60", "h ч сағ час сағат": "3600"},
}.items():  # fmt: skip
    for _names, _factor in _table.items():
        _UNITS.update({_name: (_kind, Fraction(_factor)) for _name in _names.split()})
_UNIT_AT_END = re.compile(r"([^\W\d_]+)\.?\s*$")


@dataclass(frozen=True)
class Accepted:
    """One answer of the key; numbers may be this far off."""

    text: str
    tolerance: Fraction = Fraction(0)


def is_right(kind: str, accepted: tuple[Accepted, ...], answer: str) -> bool:
    """Return whether an answer matches one that the key accepts."""
    if not answer.strip():
        return False
    if any(_plain(answer) == _plain(each.text) for each in accepted):
        return True
    if kind == "choice":
        return False
    return any(_is_same(each, answer, is_number=kind == "number") for each in accepted)


def _is_same(key: Accepted, answer: str, *, is_number: bool) -> bool:
    values = numerals.value_of(key.text)
    if is_number and values:
        return _is_same_number(key, values, answer)
    heard = [sound(word) for word in re.findall(r"[^\W_]+", fold(key.text).text)]
    return heard == [sound(word) for word in re.findall(r"[^\W_]+", fold(answer).text)] != []


def _is_same_number(key: Accepted, values: tuple[Fraction, ...], answer: str) -> bool:
    asked, given = _unit(key.text), _unit(answer)
    factor = Fraction(1)
    if asked and given:
        if asked[0] != given[0]:
            return False
        factor = given[1] / asked[1]
    # Of "1,234" only the reading that the key has too is meant; a learner's 0,25 is no 25 %.
    return any(
        _is_near(said * factor, value, key.tolerance)
        for said in numerals.value_of(answer)
        for value in values
    )


def _is_near(said: Fraction, value: Fraction, tolerance: Fraction) -> bool:
    if abs(said - value) <= tolerance:
        return True
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1 and abs(said - value) < REPEATING_WITHIN


def _unit(text: str) -> tuple[str, Fraction] | None:
    found = _UNIT_AT_END.search(fold(text).text)
    return _UNITS.get(found[1]) if found else None


def _plain(text: str) -> str:
    return " ".join(fold(text).text.strip(" .!").split())
