"""Is a text written as a tutor writes to a child? Pure.

Nobody can list every disguise of an answer. But whoever explains something honestly writes whole words in
one alphabet and numbers in one piece; a text that does not is held back whatever it says. That is what
still works against a disguise that nobody thought of.
"""

import re
import unicodedata
from collections.abc import Collection

# Letters, digits and marks of school texts in the three languages; everything else is odd. Emoji are allowed
# (category So), because small models love them and a child reads nothing in them.
_MARKS = frozenset(
    " \n\t\r.,;:!?-‐‑–—()[]\"'`«»“”„’‘…/+−×÷·=<>≤≥≠≈%°№$€₸₽*_#~^{}\\|&@√πΔ∠△²³½¼¾⅓⅔\u00a0\u2009\u202f"
)
_ODD_CATEGORIES = frozenset(("Nd", "Nl", "No", "Mn", "Me", "Cf", "Cc", "Lo", "Lm"))
# Emoji are drawn with these two; between letters or digits they hide something.
_EMOJI_JOINERS = frozenset("\ufe0f\u200d")

_ODD = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[a-z][а-яёәғқңөұүһі]|[а-яёәғқңөұүһі][a-z]",  # two alphabets in one word
        r"(?<![^\W_])[^\W\d_]+\d+[^\W\d_]+",  # digits for letters
        r"[а-яёәғқңөұүһі]{2}[01345@]|[а-яёәғқңөұүһі][@$|][а-яёәғқңөұүһі]|[a-z][@$|][a-z]",
        r"(?<![^\W_])\d[^\W\d_]+\d",
        r"([^\W\d_])\1\1",  # stretched words
        # letters set apart
        r"(?<![^\W_])(?:[^\W\d_](?:[\-.·*_,:;~/|\u00a0\u2009]{1,3}\s?|\s)){3,}[^\W\d_](?![^\W_])",
        r"[^\W\d_](?:\*{1,3}|_|`|~~|<[^>\s]{1,9}>)[^\W\d_]+",  # marks inside a word
        # digits set apart
        r"(?<![\d.,/])\d(?:(?:[ \n_|~;→*`]|\*\*|\. |\n- | \| | \.\.\. | … | → |; |: ?)+\d(?![\d/]|[.,]\d))+",
        r"\d(?:[./,]?[\[\]{}_|~`\"'«»][\[\]{}_|~`\"'«»./,]*|\*\*+|\)\()\d",
        r"(?<![\d.,])\d(?:(?:[.,]+\d){2,}|(?:=\d)+)(?!\d|[.,]\d)",
        # digits numbered one by one
        r"[^\W\d_]_?\d\s*[=:]\s*\d(?!\d)\W{1,4}[^\W\d_]_?\d\s*[=:]\s*\d(?!\d)",
        r"</?[a-z]{1,6}>|&#?\w{1,8};",
        r"(?<![\w^])\d+_(?!\w)|(?<!\w)_\d+(?![\w_])",  # a gap to be filled
        r"\d[,;]\s?/|/[,;]\s?\d",  # a fraction taken apart
        r"(?<!\S)[.\-–—·•_]{1,5}(?:[ /|]{1,3}[.\-–—·•_]{1,5}){2,}(?!\S)",  # dots and dashes
        r"(?<![^\W_])([^\W\d_]{1,8})(?:[\s,.!\-]{1,3}\1(?![^\W_])){3,}",  # to be counted
        r"(?:[|•●○■□▪▫★☆✓✔](?:\s?)){4,}(?![^\W_])",
        r"(?<![^\W_])0[xb][0-9a-f]+",
        r"\\(?:text|mathbf|mathrm|mathit|bf|rm|it|overline|underline|phantom|hspace|kern|char)\b",
        r"[^\W\d_]{2}(?:-[^\W\d_]{1,3}){3,}",  # a word in small pieces
    )
)
# What the patterns would take for odd and is not: a proportion, a numbered list, Roman numbers.
_PLAIN = re.compile(r"\d: \d(?!\d)|(?<=\n)\d+[.)] \d|(?:www|iii|III)")


def find_oddity(text: str) -> int | None:
    """Return where a text first stops being plainly written, or None."""
    for index, character in enumerate(text):
        if not _is_plain(character, text, index):
            return index
    starts = [
        match.start()
        for pattern in _ODD
        for match in pattern.finditer(text)
        if not _PLAIN.match(text, match.start())
    ]
    return min(starts, default=None)


# A reply in Cyrillic may name these in Latin letters; single letters are unknowns.
_LATIN_WORDS = frozenset(
    """
    sin cos tan tg ctg log ln lim min max mod www kz com ms cm mm km kg ml ok pdf
""".split()
)
_LATIN_RUN = re.compile(r"(?<![\\a-z])[a-z]{2,}")
_CYRILLIC_RUN = re.compile(r"[а-яёәғқңөұүһі]{2,}")


def find_foreign(text: str, language: str, known: Collection[str]) -> int | None:
    """Return where a folded text leaves the script of its language, or None.

    Words of the task and of the learner are `known`. A number named in another alphabet ("kyryk eki") is how
    a model obliges who asks for it; a hint about a number has no need of another alphabet.
    """
    pattern = _CYRILLIC_RUN if language == "en" else _LATIN_RUN
    for word in pattern.finditer(text):
        if word[0] not in known and word[0] not in _LATIN_WORDS:
            return word.start()
    return None


def _is_plain(character: str, text: str, index: int) -> bool:
    if character in _MARKS or "а" <= character.lower() <= "я":
        return True
    if character.isascii():
        return character.isprintable()
    if character.lower() in "ёәғқңөұүһі":
        return True
    around = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
    if character in _EMOJI_JOINERS:
        return not any(c.isalnum() for c in around)
    return unicodedata.category(character) not in _ODD_CATEGORIES and not _is_disguised(character)


def _is_disguised(character: str) -> bool:
    """Full-width, circled and mathematical letters stand for plain ones; so does the keycap 10."""
    plain = unicodedata.normalize("NFKC", character)
    is_foreign_letter = character.isalpha() and not "\u0370" <= character <= "\u03ff"
    is_foreign_mark = plain != character and not plain.isspace() and "\uff00" <= character <= "\uffef"
    return (
        is_foreign_letter
        or is_foreign_mark
        or (plain != character and any(c.isalnum() for c in plain))
        or character in "🔟💯"
    )
