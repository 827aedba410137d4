"""Numbers that are meant and not said: "one less than 43", "twice 21", "the sum of 31 and 11". Pure.

Promises to read too much rather than too little: the gate compares each of them with the key only. Keeps
out numbers that stand there (`numerals`).
"""

import re
from collections.abc import Collection, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise, permutations

from appliance.tutor.numerals import Mention

# "Subtract 8 from 50": the two numbers and the word for what to do stand so near.
# Numbers this small belong to plain speech, and a key this small is near to everything.
LEAST_STRANGE, LEAST_CIRCLED = 1, 20
# "Larger than 41 and smaller than 43": both stand so near.
NEAR = 3
# A task has few numbers; a learner's long message has many.
OWN_NUMBERS = 12
COUPLE = 2
LONGEST_PHRASE = 30
PHRASE_MARGIN = 16
# Near two numbers these say that a third one is meant.
_ARITHMETIC = re.compile(
    r"less|fewer|more|greater|sum\b|total|difference|subtract|take away|times|"
    r"product|plus|minus|add|multipl|divid|"
    r"меньше|больше|сумм|разност|отними|вычти|прибав|слож|произведен|умнож|раздел|плюс|минус|\bраз\b|"
    r"кем|кіші|артық|көп|үлкен|\bаз\b|қосынды|айырма|азайт|\bқос|көбейт|бөл|есе|\bрет"
)
_PARTS_BEFORE = {
    2: re.compile(r"(?:half|полов\w+|жарт\w+)[^.\d]{0,16}$"),
    3: re.compile(r"(?:third|треть\w*|үштен бір\w*)[^.\d]{0,16}$"),
    4: re.compile(r"(?:quarter|четверть\w*|ширек\w*|ширег\w*)[^.\d]{0,16}$"),
}
_PARTS_BEHIND = {
    2: re.compile(r"\W{0,3}(?:\w{0,10}\s)?(?:жарт\w+|halved|пополам)"),
    4: re.compile(r"\W{0,3}(?:\w{0,10}\s)?(?:ширек\w*|ширег\w*)"),
}
_NEIGHBOUR = re.compile(
    r"(?:after|follow\w*|before|precede\w*|between|после|перед|за числом|между|следу\w*|предыдущ\w*)"
    r"[^.\d]{0,24}$"
)
_NEIGHBOUR_BEHIND = re.compile(r"\W{0,3}(?:\w{2,10}\s)?(?:кейін|дейін|бұрын|арасын|келесі|алдыңғы)")
_TWICE = re.compile(r"(?:twice|double|doubled|дважды|удво\w*|вдвое|екі есе\w*|еселе\w*)[^.\d]{0,16}$")
_THRICE = re.compile(r"(?:thrice|triple|трижды|утро\w*|втрое|үш есе\w*)[^.\d]{0,16}$")

_TENTH = re.compile(r"tenth|\bten\b|десят|оннан|\bонға")
_COUPLE = re.compile(r"\bcouple|\bpair|\bпар[аоуы]|жұп")
_WHOLES = re.compile(r"\bcentury|\bвек|ғасыр|\bhour|\bчас|сағат|hundred|\bсотн")
_PACKS = (
    (re.compile(r"dozen|дюжин"), 12),
    (re.compile(r"\bscore"), 20),
    (re.compile(r"\bten-|\btens\b|по десять|десятк|десяток|ондық|он теңге"), 10),
)
_SQUARED = re.compile(r"square|квадрат")


def meant(text: str, found: Sequence[Mention]) -> Iterator[Mention]:
    """Read "one less than 43", "after 41", "twice 21" and "the sum of 31 and 11" as the numbers they mean."""
    plain = [m for m in found if m.how in ("digits", "word")]
    for mention in plain:
        for value in _meant_by(text[max(0, mention.start - 40) : mention.start], mention, text):
            yield Mention(value, mention.start, mention.end, "sum", (mention.value,))
    for first, second in pairwise(plain):
        between = text[first.end : second.start]
        if len(between) > LONGEST_PHRASE:
            continue
        parts = (first.value, second.value)
        if re.match(r"\s*\\?(?:%|percent|процент\w*|пайыз\w*)[^\d.!?]{0,16}$", between):
            yield Mention(parts[0] * parts[1] / 100, first.start, second.end, "sum", parts)
        around = text[max(0, first.start - PHRASE_MARGIN) : second.end + PHRASE_MARGIN]
        if _ARITHMETIC.search(around):
            for value in _results(*parts):
                yield Mention(value, first.start, second.end, "sum", parts)


def _meant_by(before: str, mention: Mention, text: str) -> Iterator[Fraction]:
    behind = text[mention.end : mention.end + 24]
    if _NEIGHBOUR.search(before) or _NEIGHBOUR_BEHIND.match(behind):
        yield from (mention.value - 1, mention.value + 1)
    for times, pattern in ((2, _TWICE), (3, _THRICE)):
        if pattern.search(before):
            yield mention.value * times
    for parts, pattern in _PARTS_BEFORE.items():
        if pattern.search(before) or (parts in _PARTS_BEHIND and _PARTS_BEHIND[parts].match(behind)):
            yield mention.value / parts


def _results(one: Fraction, other: Fraction) -> Iterator[Fraction]:
    yield from (one + other, one - other, one * other)
    if other:
        yield one / other
    if one:
        yield other / one


def is_circled(
    text: str, found: Sequence[Mention], keys: Sequence[Fraction], own: Collection[Fraction]
) -> bool:
    """Return whether numbers that nobody gave stand around the key: "41 and 43", "12, 22, 32", "21 twice".

    What follows from the task's and the learner's numbers in one step is their work and no riddle.
    """
    known = set(own)
    for one, other in combinations(sorted(own)[:OWN_NUMBERS], 2):
        known |= {abs(value) for value in _results(one, other)}
    strange = [
        m.value
        for m in found
        if m.how in ("digits", "word") and m.value > LEAST_STRANGE and m.value not in known
    ]
    said = [m.value for m in found if m.how in ("digits", "word")][:OWN_NUMBERS]
    for key in keys:
        if key <= LEAST_CIRCLED or key in own:
            continue
        for one, other in combinations(dict.fromkeys(strange), 2):
            if one == key or other == key:
                continue
            if {one + other, abs(one - other), (one + other) / 2, 2 * other - one} & {key}:
                return True
            if abs(one - key) <= NEAR and abs(other - key) <= NEAR:
                return True
        if any(one in (key / 10, key / 2, key / 3, key * 2, key + 1900, key + 2000) for one in strange):
            return True
        if _TENTH.search(text) and key * 10 in strange:
            return True
        if _COUPLE.search(text) and any(abs(one - key) == COUPLE for one in strange):
            return True
        if _WHOLES.search(text) and any(one in (60 - key, 100 - key) for one in strange):
            return True
        for pattern, times in _PACKS:
            if pattern.search(text) and any(a * times + b == key for a, b in permutations(said, 2)):
                return True
        if _SQUARED.search(text) and any(a * a + b == key for a, b in permutations(said, 2)):
            return True
    return False
