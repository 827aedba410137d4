"""One plain form of a text for all its disguises, letter for letter. Pure.

Full-width, circled and foreign digits, invisible characters, accents, HTML entities and look-alike
letters of three alphabets come out alike; each folded letter knows where it stood in the source.
"""

import html
import re
import unicodedata
from dataclasses import dataclass

# What no name of a character tells. Emoji keycaps are digits with invisible marks and need no entry.
_SPECIAL = {
    "\U0001f51f": "10",
    "\U0001f4af": "100",
    "×": "*",
    "·": "*",
    "⋅": "*",
    "∙": "*",
    "÷": "/",
    "∕": "/",
    "⁄": "/",
    "٫": ".",
    "٬": ",",
    "،": ",",
    "。": ".",
    "、": ",",
}
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8});", re.IGNORECASE)
# й and ё are letters of their own here, not accented и and е.
_KEPT_COMPOSED = frozenset("йё")


@dataclass(frozen=True)
class Folded:
    """`at[i]` is where the folded letter `text[i]` stood in the source; one more entry for its end."""

    text: str
    at: tuple[int, ...]


def fold(source: str) -> Folded:
    """Return the lower-case plain form of a text."""
    letters: list[str] = []
    places: list[int] = []
    raised = False
    index = 0
    while index < len(source):
        entity = _ENTITY.match(source, index) if source[index] == "&" else None
        length = len(entity[0]) if entity else 1
        for character in html.unescape(entity[0]) if entity else source[index]:
            plain, raised = _plain(character, letters, raised=raised)
            letters += plain
            places += [index] * len(plain)
        index += length
    return Folded("".join(letters), (*places, len(source)))


def _plain(character: str, before: list[str], *, raised: bool) -> tuple[str, bool]:
    """Return the plain form of one character, and whether it stood above the line."""
    if character in _SPECIAL:
        return _SPECIAL[character], False
    category = unicodedata.category(character)
    if category in ("Cf", "Mn", "Me", "Cc") and character not in "\n\t\r":
        if before:
            composed = unicodedata.normalize("NFC", before[-1] + character)
            before[-1] = composed if composed in _KEPT_COMPOSED else before[-1]
        return "", raised
    if character.isspace():
        return (" " if character != "\n" else "\n"), False
    if category == "Pd" or character == "−":
        return "-", False
    decomposition = unicodedata.decomposition(character)
    is_raised = decomposition.startswith("<super>") and unicodedata.digit(character, None) is not None
    if is_raised:
        digit = str(unicodedata.digit(character))
        # 10² is a power, ⁴² alone is a disguise.
        is_power = not raised and bool(before) and (before[-1].isalnum() or before[-1] == ")")
        return ("^" if is_power else "") + digit, True
    if decomposition.startswith("<fraction>"):
        return " " + unicodedata.normalize("NFKC", character).replace("⁄", "/"), False
    decimal = unicodedata.decimal(character, None)
    if decimal is not None:
        return str(decimal), False
    return _without_accents(unicodedata.normalize("NFKC", character).casefold()), False


def _without_accents(text: str) -> str:
    if text.isascii() or text in _KEPT_COMPOSED or "а" <= text <= "ӿ":
        return text
    return "".join(
        letter for letter in unicodedata.normalize("NFD", text) if unicodedata.category(letter) != "Mn"
    )


# How a word sounds, in Latin letters: Cyrillic, Kazakh Latin and the ways of typing on a foreign
# keyboard meet.
_SOUND = str.maketrans(
    {
        **dict(zip("абвгдезиклмнопрстуфх", "abvgdeziklmnoprstufh", strict=True)),
        "ә": "a",
        "ғ": "g",
        "ё": "e",
        "ж": "j",
        "й": "i",
        "қ": "k",
        "ң": "n",
        "ө": "o",
        "ұ": "u",
        "ү": "u",
        "һ": "h",
        "ц": "c",
        "ч": "ch",
        "ш": "sh",
        "щ": "sh",
        "ъ": "",
        "ы": "i",
        "і": "i",
        "ь": "",
        "э": "e",
        "ю": "iu",
        "я": "ia",
        "q": "k",
        "y": "i",
        "w": "u",
        "x": "h",
        "ı": "i",
        "ə": "a",
        "'": "",
        "ʼ": "",
    }
)
_DOUBLED = re.compile(r"(.)\1+")
_SPELLINGS = (("zh", "j"), ("kh", "h"), ("gh", "g"), ("ts", "c"), ("shch", "sh"))

# How a letter looks, in Latin letters; digits that stand for letters are read as letters.
_LOOK = str.maketrans(
    {
        **dict(zip("авекмнорстухіѕјһԛԝ", "abekmhopctyxisjhqw", strict=True)),
        **dict(zip("αβεηικνορτυχ", "abenikvoptux", strict=True)),
        **dict(zip("03457@$", "oeastas", strict=True)),
        "1": "i",
        "!": "i",
        "|": "i",
        "l": "i",
        "ı": "i",
        "ӏ": "i",
        "з": "e",
        "6": "b",
        "8": "b",
        "9": "g",
    }
)

# Letters that pass for a digit beside real digits; some pass for two.
DIGIT_LOOKALIKES = {
    **dict.fromkeys("oоοөѳ", "0"),
    **dict.fromkeys("liіι|ıӏ!", "1"),
    **dict.fromkeys("z", "2"),
    **dict.fromkeys("зєɜэ", "3"),
    **dict.fromkeys("чaа", "4"),
    **dict.fromkeys("sѕ$", "5"),
    **dict.fromkeys("бb", "6"),
    **dict.fromkeys("tт", "7"),
    **dict.fromkeys("вʙ", "8"),
    **dict.fromkeys("gqԛ", "9"),
}
# These pass for 0 and 1 even without a digit beside them: "lO" is read as ten.
BARE_LOOKALIKES = frozenset("oоοliі|ıӏ")


def sound(word: str) -> str:
    """Return how a folded word sounds, the same in each alphabet."""
    heard = word.translate(_SOUND)
    for spelled, letter in _SPELLINGS:
        heard = heard.replace(spelled, letter)
    # A doubled letter is heard once: "fiffty" passes for fifty.
    return _DOUBLED.sub(r"\1", heard)


def look(word: str) -> str:
    """Return how a folded word looks, with look-alike letters and digits as one."""
    return word.translate(_LOOK)


def is_one_off(word: str, other: str) -> bool:
    """Return whether two words differ by one letter put in, left out, changed, or swapped with the next."""
    if word == other or abs(len(word) - len(other)) > 1:
        return word == other
    start = next(
        (i for i, (a, b) in enumerate(zip(word, other, strict=False)) if a != b), min(len(word), len(other))
    )
    rest, others = word[start:], other[start:]
    return (
        rest[1:] == others[1:]
        or rest[1:] == others
        or rest == others[1:]
        or (rest[:2] == others[1::-1] and rest[2:] == others[2:])
    )


def is_mixed(word: str) -> bool:
    """Return whether a word has letters of two alphabets, or digits among its letters: a disguise."""
    kinds = {"d" if c.isdigit() else "l" if c < "\u0370" else "g" if c < "\u0400" else "c" for c in word}
    return len(kinds) > 1
