"""The number words of Kazakh, Russian and English with their forms, by sound and by look. Pure.

Russian forms are listed, because a prefix would take "семья" for seven; Kazakh and English endings
are few enough for a rule. Written for a box that must notice a number, not for one that must say it.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple

from appliance.tutor.folding import is_mixed, is_one_off, look, sound


@dataclass(frozen=True)
class NumberWord:
    """`role` says how it joins others: number, ordinal, half (adds itself), scale (multiplies), of (a
    Kazakh denominator, "төрттен"), backwards."""

    value: Fraction
    role: str = "number"


_KK = {
    "нөл": 0, "бір": 1, "екі": 2, "үш": 3, "төрт": 4, "бес": 5, "алты": 6, "жеті": 7, "сегіз": 8, "тоғыз": 9,
    "он": 10, "жиырма": 20, "отыз": 30, "қырық": 40, "елу": 50, "алпыс": 60, "жетпіс": 70, "сексен": 80,
    "тоқсан": 90, "жүз": 100, "мың": 1000, "миллион": 10**6, "миллиард": 10**9,
}  # fmt: skip
# Collective forms change the stem: екеу, алтау, жетеу.
_KK_STEMS = {"біреу": 1, "екеу": 2, "үшеу": 3, "төртеу": 4, "бесеу": 5, "алтау": 6, "жетеу": 7, "жиырмас": 20}
# These begin like a number and are none: for, together, same, several, someone's.
_KK_NO_NUMBERS = frozenset(
    (
        "үшін ушин ушін ондық бірлік жүздік мыңдық бірге бирге бірдей бирдей бірнеше бирнеше "
        "бірде бірден алтын алтыны"
    ).split()
)
# Endings as they sound, for Kazakh typed in Latin letters.
_KK_HEARD_ENDING = re.compile(r"^(?:[kg][ae]|[dtn](?:i|in|a|e)|[mbp]en|i?nshi\w{0,4}|s?in?|[ea]u\w{0,3}|)$")
_KK_ENDING = re.compile(
    r"^(?:[ыі]?нш[ыі]|[ыі]?нш[ыі][а-яәіңғүұқөһ]{1,5}|с?[ыі](?:н[а-яәіңғүұқөһ]{0,4})?|[дтн]?[ыі]ң|[дтн]?[ыі]|[ғқкг][ае]|[ае]|[дт][ае]|"
    r"[ндт][ае]н|[мбп]ен|[дтл][ае]р[а-яәіңғүұқөһ]{0,4}|д[ае]й|[дт]ік|[дтл][ыі]қ?|ге|ке|лар|лер|у|еу|ау|"
    r"[ауе]у?[ыі]?(?:н[а-яәіңғүұқөһ]{0,4})?|[мңд][ыі][зр]?)$"
)
_EN = {
    "zero": 0, "nought": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40,
    "fourty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
    "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12,
}  # fmt: skip
_EN_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8,
    "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14,
    "fifteenth": 15, "sixteenth": 16, "seventeenth": 17, "eighteenth": 18, "nineteenth": 19, "twentieth": 20,
    "thirtieth": 30, "fortieth": 40, "fiftieth": 50, "sixtieth": 60, "seventieth": 70, "eightieth": 80,
    "ninetieth": 90, "hundredth": 100, "thousandth": 1000, "quarter": 4,
}  # fmt: skip
# nominative / other cases, by value; ordinals are stems with the adjective's endings.
_RU = {
    0: "ноль нуль ноля нуля нолю нулю нолем нулем ноле нуле",
    1: "один одна одно одну одного одной одним одному одном одни одних единица единицу единицы",
    2: "два две двух двум двумя двое двоих двойка двойку",
    3: "три трех трем тремя трое троих тройка тройку",
    4: "четыре четырех четырем четырьмя четверо четверых четверка",
    5: "пять пяти пятью пятеро пятерка", 6: "шесть шести шестью шестеро шестерка",
    7: "семь семи семью семеро семерка", 8: "восемь восьми восьмью восемью восьмерка",
    9: "девять девяти девятью девятка", 10: "десять десяти десятью десяток десятка",
    11: "одиннадцать одиннадцати одиннадцатью", 12: "двенадцать двенадцати двенадцатью дюжина дюжину",
    13: "тринадцать тринадцати тринадцатью", 14: "четырнадцать четырнадцати четырнадцатью",
    15: "пятнадцать пятнадцати пятнадцатью", 16: "шестнадцать шестнадцати шестнадцатью",
    17: "семнадцать семнадцати семнадцатью", 18: "восемнадцать восемнадцати восемнадцатью",
    19: "девятнадцать девятнадцати девятнадцатью", 20: "двадцать двадцати двадцатью",
    30: "тридцать тридцати тридцатью", 40: "сорок сорока", 50: "пятьдесят пятидесяти пятьюдесятью",
    60: "шестьдесят шестидесяти шестьюдесятью", 70: "семьдесят семидесяти семьюдесятью",
    80: "восемьдесят восьмидесяти восемьюдесятью", 90: "девяносто девяноста",
    100: "сто ста сотня сотни сотню", 200: "двести двухсот двумстам двумястами двухстах",
    300: "триста трехсот тремстам тремястами трехстах", 400: "четыреста четырехсот четырехстах",
    500: "пятьсот пятисот пятистам", 600: "шестьсот шестисот", 700: "семьсот семисот",
    800: "восемьсот восьмисот", 900: "девятьсот девятисот",
    1000: "тысяча тысячи тысяч тысячу тысячей тысячам тысячами", 10**6: "миллион миллиона миллионов миллиону",
    10**9: "миллиард миллиарда миллиардов",
}  # fmt: skip
_RU_ORDINALS = {
    1: "перв", 2: "втор", 3: "трет", 4: "четверт", 5: "пят", 6: "шест", 7: "седьм", 8: "восьм", 9: "девят",
    10: "десят", 11: "одиннадцат", 12: "двенадцат", 13: "тринадцат", 14: "четырнадцат", 15: "пятнадцат",
    16: "шестнадцат", 17: "семнадцат", 18: "восемнадцат", 19: "девятнадцат", 20: "двадцат", 30: "тридцат",
    40: "сороков", 50: "пятидесят", 60: "шестидесят", 70: "семидесят", 80: "восьмидесят", 90: "девяност",
    100: "сот", 1000: "тысячн",
}  # fmt: skip
_RU_ADJECTIVE = "ый ой ий ая ое ье ого ой ому ым им ом ую ью ые ых ыми ьи ьих ья ьего ьей ьему ьим".split()
_PARTS = {
    Fraction(1, 2): "half halves жарты жартысы жартысын жарым половина половины половину половиной",
    Fraction(1, 4): "ширек ширегі ширегін четверть четверти четвертью",
    Fraction(1, 3): "треть трети третью",
    Fraction(3, 2): "полтора полторы полутора",
}
# Shorter words are too near to others: "there" and "three", "срок" and "сорок".
SHORTEST_MISSPELT = 6
_NO_MISSPELLINGS = frozenset(
    sound(word) for word in "weighty thirsty sixteenth seventies хорошо шестерня".split()
)
SCALES = {100, 1000, 10**6, 10**9}


# Lessons repeat their words, and each piece of an answer is read again.
@lru_cache(maxsize=4096)
def find(word: str, *, is_kazakh: bool, exact: bool = False) -> NumberWord | None:
    """Return what number a folded word names, in any of the three languages, or None.

    `exact` takes no misspelling. "он" is ten in Kazakh and "he" in Russian, so alone it counts only in a
    Kazakh text.
    """
    tables = _tables()
    squeezed = re.sub(r"(.)\1{2,}", r"\1", word)
    for tried in {word, squeezed}:
        found = tables.by_word.get(tried) or _kazakh(tried)
        if found is None:
            found = tables.by_sound.get(sound(tried))
        if found is None and is_mixed(tried):
            found = tables.by_look.get(look(tried))
        if found is None and len(tried) > 2 and tried != "net":
            turned = tables.by_word.get(tried[::-1]) or _kazakh(tried[::-1])
            found = NumberWord(turned.value, "backwards") if turned else None
        if found is None and not exact and len(tried) >= SHORTEST_MISSPELT:
            found = _misspelt(sound(tried))
        if found is not None:
            return None if word == "он" and not is_kazakh else found
    return None


def _misspelt(heard: str) -> NumberWord | None:
    """Find a long number word with one letter wrong: a model that is asked to misspell does."""
    if heard in _NO_MISSPELLINGS:
        return None
    by_gap = _tables().by_gap
    for place in range(len(heard) + 1):
        found = by_gap.get(heard[:place] + heard[place + 1 :])
        if found is not None and is_one_off(heard, found[0]):
            return found[1]
    return None


def _kazakh(word: str) -> NumberWord | None:
    """Read a Kazakh number with its endings, also written without the Kazakh letters or in Latin ones."""
    if word in _KK_NO_NUMBERS:
        return None
    if word.isascii():
        return _kazakh_heard(sound(word))
    for stem, value in _tables().kazakh.items():
        if not word.startswith(stem):
            continue
        ending = word[len(stem) :]
        if re.fullmatch(r"[ндт][ае]н", ending):
            return NumberWord(Fraction(value), "of")
        if _KK_ENDING.match(ending) and not (value in (1, 10) and len(ending) < 3 and len(stem) < 3):
            return _declined(value, is_ordinal="нш" in ending)
    return None


def _kazakh_heard(heard: str) -> NumberWord | None:
    for stem, value in _tables().kazakh_by_sound.items():
        if heard.startswith(stem):
            ending = heard[len(stem) :]
            if re.fullmatch(r"[ndt][ae]n", ending):
                return NumberWord(Fraction(value), "of")
            if _KK_HEARD_ENDING.match(ending):
                return _declined(value, is_ordinal="nsh" in ending)
    return None


def _declined(value: int, *, is_ordinal: bool) -> NumberWord:
    return NumberWord(Fraction(value), "scale" if value in SCALES else "ordinal" if is_ordinal else "number")


def _forms() -> dict[str, NumberWord]:
    forms: dict[str, NumberWord] = {}
    for word, value in {**_KK, **_EN}.items():
        forms[word] = NumberWord(Fraction(value), "scale" if value in SCALES else "number")
    for value, stem in _RU_ORDINALS.items():
        forms |= {stem + ending: NumberWord(Fraction(value), "ordinal") for ending in _RU_ADJECTIVE}
    for value, words in _RU.items():
        role = "scale" if value >= 1000 else "number"
        forms |= {word: NumberWord(Fraction(value), role) for word in words.split()}
        forms |= {
            word.replace("е", "ё"): forms[word]
            for word in words.split()
            if "трех" in word or "четырех" in word
        }
    for word, value in _EN_ORDINALS.items():
        forms |= {
            word: NumberWord(Fraction(value), "ordinal"),
            word + "s": NumberWord(Fraction(value), "ordinal"),
        }
    for part, words in _PARTS.items():
        forms |= {word: NumberWord(part, "half") for word in words.split()}
    # The plural of an English number is heard too: "forties", "twos".
    forms |= {re.sub("y$", "ie", word) + "s": forms[word] for word in _EN}
    return forms


class _Tables(NamedTuple):
    """All forms, as they are written, sound and look."""

    by_word: dict[str, NumberWord]
    by_sound: dict[str, NumberWord]
    by_look: dict[str, NumberWord]
    by_gap: dict[str, tuple[str, NumberWord]]
    kazakh: dict[str, int]
    kazakh_by_sound: dict[str, int]


# Made when the first number is looked for, not when the box starts.
@cache
def _tables() -> _Tables:
    by_word = _forms()
    # Two letters are too few to be heard ("on", "us"), and "sta" is no word anybody says alone.
    by_sound = {
        sound(word): found for word, found in by_word.items() if len(sound(word)) > 2 and word != "ста"
    }
    return _Tables(
        by_word=by_word,
        by_sound=by_sound,
        by_look={look(word): found for word, found in by_word.items()},
        # Each long word under all its forms with one letter left out.
        by_gap={
            gap: (heard, found)
            for heard, found in by_sound.items()
            if len(heard) >= SHORTEST_MISSPELT - 1 and found.role in ("number", "scale")
            for gap in (heard, *(heard[:place] + heard[place + 1 :] for place in range(len(heard))))
        },
        kazakh={
            **_KK,
            **_KK_STEMS,
            **{w.translate(str.maketrans("әғқңөұүһі", "агкноуухи")): v for w, v in _KK.items()},
        },
        # Short stems would hear numbers in English words: "on", "bes-t", "us-e".
        kazakh_by_sound={sound(word): value for word, value in _KK.items() if len(word) > 3},
    )
