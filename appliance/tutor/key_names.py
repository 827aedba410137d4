"""The key's own name in three languages, found again when it is misspelt, shuffled, shifted or hidden. Pure.

A list of all misspelt number words would hold back half of a language. But the gate knows which number
must not be told, so it asks only: do words stand here that could pass for this number's name? Promises to
need several such words, or one behind a word like "answer"; keeps out what is written correctly (`numerals`).
"""

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

from appliance.tutor.folding import sound

# So far a short name and a long one may be misspelt and still be read.
SHORT_WORD, SHORT_EDITS, LONG_EDITS = 5, 1, 2
# A name of fewer letters is met by chance: "on to" for "one two".
LEAST_LETTERS = 5
# Names so short must have all their letters.
EXACT_LETTERS = 5
# Above this a number has no name in a lesson.
LARGEST_NAMED = 10**6
# Language games put letters in between: "сосоросок". What is longer than so many times hides nothing.
GAME_FACTOR = 3
GAME_LETTERS = 4
# "Fortyka twoka", "umforty umtwo".
LONGEST_AFFIX = 3
# Initial letters spell a word by chance only if it is short.
ACROSTIC_LETTERS = 4
# A shifted word of four letters is a word by chance once in a while; five are not.
SHIFTED_LETTERS = 5
ENCODED_LETTERS = 4

_EN = """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
    sixteen seventeen eighteen nineteen
""".split()
_EN_TENS = ["-", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_RU = """
    ноль один два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать
    четырнадцать пятнадцать шестнадцать семнадцать восемнадцать девятнадцать
""".split()
_RU_TENS = """
    - десять двадцать тридцать сорок пятьдесят шестьдесят семьдесят восемьдесят девяносто
""".split()
_RU_HUNDREDS = """
    - сто двести триста четыреста пятьсот шестьсот семьсот восемьсот девятьсот
""".split()
_KK = ["нөл", "бір", "екі", "үш", "төрт", "бес", "алты", "жеті", "сегіз", "тоғыз"]
_KK_TENS = ["-", "он", "жиырма", "отыз", "қырық", "елу", "алпыс", "жетпіс", "сексен", "тоқсан"]
_POINTS = {"en": ("point",), "ru": ("целых", "запятая"), "kk": ("бүтін", "үтір")}

# Ordinary words that are one letter away from a number's name.
_ORDINARY = frozenset(
    """
    right light night sight height weight fight might tight give live fire line fine dive file find none
    mine nice your hour our sour pour found there tree these those even seen event hero fort forth
    forty's sixth then than tan ton fits fifth seventh thirsty weighty nifty dirty опять взять путь
    знать есть честь шест семья срок сорт порок пара пора дома два-три четыре-пять при раз нет совсем
    девать стать стол село того одни только негіз негізі негізгі тоғыс алтын артық алты-жеті жету жетті
    жетіп бірге бірі біреу жүр жүк бос бас көбі елде елу-алпыс отыр отырып оның отын еді сексер қырқа
    жеткен алпауыт
""".split()
)
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_JOINTS = frozenset(["and", "и", "мен", "және", "а", "a", "of"])
_VOWELS = re.compile(r"[aeiou]")
_ALPHABETS = (
    "abcdefghijklmnopqrstuvwxyz",
    "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
    "аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя",
)
_CUE_BEFORE = re.compile(
    r"(?:answer|result|equals?|get|ответ\w*|получ\w*|итог\w*|равн\w*|жауа[пб]\w*|нәтиже\w*|тең\w*|secret|is|это|=)\W{1,4}$"
)
_CUE_BEHIND = re.compile(r"\W{1,3}(?:болады|шығады|керек|в ответе|получ\w*)")
# Between letters these stand for a letter or cut a word.
_JOINERS = re.compile(r"(?<=[^\W\d])[._\-…*?](?=[^\W\d])|_")
_ENCODED = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{3,}={0,2}(?![\w+/=])")


def of_number(number: Fraction) -> tuple[tuple[str, ...], ...]:
    """Return the names of a number, each a row of words: three languages, also digit by digit."""
    whole = number.numerator // number.denominator
    if whole >= LARGEST_NAMED or number < 0:
        return ()
    rest = number - whole
    names: list[tuple[str, ...]] = []
    digits = f"{float(rest):.4f}".rstrip("0")[2:] if rest else ""
    for language, one, ones in (("en", _english, _EN), ("ru", _russian, _RU), ("kk", _kazakh, _KK)):
        for name in _shorter(one(whole)):
            if not rest:
                names.append(name)
            names += [(*name, point, *(ones[int(d)] for d in digits)) for point in _POINTS[language] if rest]
        if whole > 99 and not rest:
            names.append(tuple(ones[int(d)] for d in str(whole)))
    return tuple(dict.fromkeys(names))


def _english(number: int) -> tuple[str, ...]:
    if number >= 1000:
        rest = _english(number % 1000) if number % 1000 else ()
        return (*_english(number // 1000), "thousand", *rest)
    if number >= 100:
        rest = _english(number % 100) if number % 100 else ()
        return (_EN[number // 100], "hundred", *rest)
    if number < 20:
        return (_EN[number],)
    return (_EN_TENS[number // 10], *([_EN[number % 10]] if number % 10 else []))


def _russian(number: int) -> tuple[str, ...]:
    if number >= 1000:
        thousands = tuple({"один": "одна", "два": "две"}.get(word, word) for word in _russian(number // 1000))
        return (*thousands, "тысяч", *(_russian(number % 1000) if number % 1000 else ()))
    if number >= 100:
        return (_RU_HUNDREDS[number // 100], *(_russian(number % 100) if number % 100 else ()))
    if number < 20:
        return (_RU[number],)
    return (_RU_TENS[number // 10], *([_RU[number % 10]] if number % 10 else []))


def _kazakh(number: int) -> tuple[str, ...]:
    if number >= 1000:
        return (*_kazakh(number // 1000), "мың", *(_kazakh(number % 1000) if number % 1000 else ()))
    if number >= 100:
        return (_KK[number // 100], "жүз", *(_kazakh(number % 100) if number % 100 else ()))
    if number < 10:
        return (_KK[number],)
    return (_KK_TENS[number // 10], *([_KK[number % 10]] if number % 10 else []))


def _shorter(name: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yield a name, and without its leading one: "жүз елу" beside "бір жүз елу"."""
    yield name
    if len(name) > 1 and name[0] in ("one", "одна", "бір"):
        yield name[1:]


def find(text: str, names: Sequence[tuple[str, ...]], *, is_small: bool) -> tuple[bool, int]:
    """Return whether one of these names stands in a folded text, and from where one may have begun."""
    tokens = [token for token in _WORD.finditer(text) if token[0] not in _JOINTS]
    words = [token[0] for token in tokens]
    begun = len(text)
    for name in names:
        if len(name) == 1:
            if any(_is_alone(token, name[0], text, is_small=is_small) for token in tokens):
                return True, begun
            continue
        if sum(map(len, name)) < LEAST_LETTERS:
            continue
        for row in (name, name[::-1]):
            for start in range(len(words)):
                count = _matched(words, start, row)
                if count == len(row):
                    if _is_disguised(words[start : start + count], row, is_turned=row != name):
                        return True, begun
                elif count and start + count == len(words):
                    begun = min(begun, tokens[start].start())
    return False, begun


def _is_disguised(said: Sequence[str], row: Sequence[str], *, is_turned: bool) -> bool:
    """Return whether these words pass for a name without being it, and not by chance."""
    pairs = list(zip(said, row, strict=True))
    if all(word == name for word, name in pairs):
        return is_turned
    if sum(map(len, row)) <= EXACT_LETTERS:
        return all(sorted(word) == sorted(name) for word, name in pairs)
    # Ordinary words side by side pass for names only beside a real one.
    is_beside_one = any(word == name and len(name) > GAME_LETTERS for word, name in pairs)
    return is_beside_one or not any(word in _ORDINARY for word in said)


def without_hyphens(text: str) -> str:
    """Return a text whose words are not cut by hyphens ("fo-rty tw-o"), or nothing if none were."""
    closed = re.sub(r"(?<=[^\W\d_])-(?=[^\W\d_])", "", text)
    return closed if closed != text else ""


def _matched(words: Sequence[str], start: int, row: Sequence[str]) -> int:
    """Return how many words of a name are met one after the other from here."""
    for count, name in enumerate(row):
        if start + count >= len(words) or not passes_for(words[start + count], name):
            return count
    return len(row)


def _is_alone(token: re.Match[str], name: str, text: str, *, is_small: bool) -> bool:
    word = token[0]
    if word == name or word in _ORDINARY or min(len(word), len(name)) < GAME_LETTERS:
        return False
    is_cued = _CUE_BEFORE.search(text[max(0, token.start() - 24) : token.start()]) or _CUE_BEHIND.match(
        text, token.end()
    )
    if not is_cued:
        return not is_small and len(name) > SHORT_WORD and sorted(word) == sorted(name)
    return edits(sound(word), sound(name)) <= 1 or sorted(word) == sorted(name) or is_shifted(word, name)


@lru_cache(maxsize=16384)
def passes_for(word: str, name: str) -> bool:
    """Return whether a word can be read as a number's name by somebody who expects disguises."""
    heard, wanted = sound(word), sound(name)
    if heard == wanted or word in (name, name[::-1]):
        return True
    if len(wanted) < 3 or len(word) < 2:
        return False
    allowed = SHORT_EDITS if len(wanted) <= SHORT_WORD else LONG_EDITS
    if edits(heard, wanted) <= allowed or edits(heard, wanted[::-1]) <= min(allowed, len(wanted) - 3):
        return True
    if sorted(word) == sorted(name) or sorted(re.sub(r"[wy]?ay$", "", word)) == sorted(name):
        return True
    return _is_game(heard, wanted) or is_shifted(word, name)


def _is_game(heard: str, wanted: str) -> bool:
    """Letters put in ("fofortyfy"), or all vowels left out ("frt")."""
    bones = _VOWELS.sub("", wanted)
    if len(bones) > 1 and _VOWELS.sub("", heard) == bones:
        return True
    if heard.startswith(wanted) or heard.endswith(wanted):
        return len(heard) <= len(wanted) + LONGEST_AFFIX
    if len(wanted) < GAME_LETTERS or not len(wanted) < len(heard) <= GAME_FACTOR * len(wanted):
        return False
    return is_within(wanted, heard)


def is_within(short: str, long: str) -> bool:
    """Return whether the letters of one word stand in another, in their order."""
    rest = iter(long)
    return all(letter in rest for letter in short)


def is_shifted(word: str, name: str) -> bool:
    """Return whether one word is another with every letter moved on in the alphabet, or mirrored in it."""
    if len(word) != len(name) or len(name) < 3 or word == name:
        return False
    for alphabet in _ALPHABETS:
        if set(word) | set(name) <= set(alphabet):
            places = [(alphabet.index(a), alphabet.index(b)) for a, b in zip(word, name, strict=True)]
            size = len(alphabet)
            if len({(a - b) % size for a, b in places}) == 1 or len({(a + b) % size for a, b in places}) == 1:
                return True
    return False


def edits(one: str, other: str) -> int:
    """Return how many letters must be put in, left out, changed or swapped with the next."""
    if abs(len(one) - len(other)) > LONG_EDITS:
        return LONG_EDITS + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row, older = row, [i], before
        for j, b in enumerate(other, 1):
            cost = min(row[-1] + 1, last[j] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        before = last
    return row[-1]


def is_word_hidden(text: str, word: str) -> bool:
    """Return whether an answer in one word stands here misspelt, shuffled, doubled, stretched or shifted."""
    if len(word) < SHORT_WORD:
        return False
    closed = _JOINERS.sub("", text)
    return any(_hides(token[0], word) for part in (text, closed) for token in _WORD.finditer(part))


@lru_cache(maxsize=8192)
def _hides(token: str, word: str) -> bool:
    if word in token or word[::-1] in token or is_shifted(token, word):
        return True
    if sorted(re.sub(r"[wy]?ay$", "", token)) == sorted(word) or sorted(token) == sorted(word):
        return True
    heard, wanted = sound(token), sound(word)
    allowed = LONG_EDITS if len(word) > SHORT_WORD + 1 else SHORT_EDITS
    if len(token) >= SHORT_WORD and (
        edits(token, word) <= allowed
        or edits(heard, wanted) <= allowed
        or edits(heard, wanted[::-1]) <= allowed
    ):
        return True
    bones = _VOWELS.sub("", wanted)
    if token[::2] == word or token[1::2] == word:
        return True
    if len(bones) >= GAME_LETTERS - 1 and _VOWELS.sub("", heard) == bones:
        return True
    is_long = len(wanted) > SHORT_WORD and len(wanted) < len(heard) <= GAME_FACTOR * len(wanted)
    return is_long and is_within(wanted, heard)


def is_acrostic(text: str, names: Sequence[str]) -> bool:
    """Return whether first or last letters of the words, lines or sentences spell a name, or nearly do."""
    wanted = {name[: max(ACROSTIC_LETTERS, len(name) - 1)] for name in names if len(name) > ACROSTIC_LETTERS}
    wanted |= {name for name in names if len(name) == ACROSTIC_LETTERS}
    if not wanted:
        return False
    for parts in (
        re.split(r"\n+", text),
        re.split(r"(?<=[.!?;\n])\s+", text),
        _WORD.findall(text),
        re.split(r",\s*", text),
    ):
        trimmed = [part for part in (re.sub(r"[\W\d_]", "", one) for one in parts) if part]
        rows = ("".join(part[0] for part in trimmed), "".join(part[-1] for part in trimmed))
        if any(name in row or name in row[::-1] for row in rows for name in wanted):
            return True
    return False


def is_encoded(text: str, names: Sequence[str]) -> bool:
    """Return whether a name stands here as numbers of the alphabet: 6, 15, 18, 20, 25."""
    wanted = [name for name in names if len(name) >= ENCODED_LETTERS]
    values = [int(number) for number in re.findall(r"(?<!\d)\d{1,2}(?!\d)", text)]
    if len(values) < ENCODED_LETTERS:
        return False
    for alphabet in _ALPHABETS:
        letters = "".join(alphabet[v - 1] if 0 < v <= len(alphabet) else " " for v in values)
        if any(name in letters for name in wanted):
            return True
    return False


def is_mailed(source: str, names: Sequence[str]) -> bool:
    """Return whether a name stands here in the code of mails (base64), or digits as capitals ("DB")."""
    capitals = set(re.findall(r"(?<![^\W_])[^\W\d_]{2,9}(?![^\W_])", source))
    for digits in (name for name in names if name.isdigit()):
        for alphabet in _ALPHABETS:
            if "".join(alphabet[(int(digit) - 1) % 10] for digit in digits).upper() in capitals:
                return True
    for token in _ENCODED.finditer(source):
        try:
            padded = token[0].rstrip("=") + "=" * (-len(token[0].rstrip("=")) % 4)
            decoded = base64.b64decode(padded, validate=True).decode().casefold().strip()
        except (binascii.Error, UnicodeDecodeError):
            continue
        if any(name in decoded for name in names):
            return True
    return False
