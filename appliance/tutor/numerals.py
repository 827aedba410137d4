"""Read numbers out of words, digits, fractions and formulas, in any notation a model may choose. Pure.

`mentions` errs on the side of seeing too much: each way to read a passage is a mention of its own. That
is right for the gate. `value_of` reads a learner's answer, where only one reading may count.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, product
from math import isqrt

from appliance.tutor import number_words
from appliance.tutor.folding import BARE_LOOKALIKES, DIGIT_LOOKALIKES, Folded, fold

# A number in a lesson is shorter; a longer run of digits is noise and costs time.
MAX_DIGITS = 18
# So many numbers of one sum are calculated; a longer one is an exercise, not a disguise.
MAX_SUM_PARTS = 5
MAX_EXPONENT = 9
# The longest number word is "четырнадцатого"; with this bound cutting letters into words stays cheap.
LONGEST_WORD = 18
# Two number words in one have at least so many letters.
SHORTEST_GLUED = 5
# Numbers further apart are not read as one.
MAX_GAP = 40
MAX_LINES_IN_GAP = 3


@dataclass(frozen=True)
class Mention:
    """One number that somebody may read at this place of the folded text, and how it is written."""

    value: Fraction
    start: int
    end: int
    how: str  # digits, word, ordinal, fraction, spelled, sum, percent
    parts: tuple[Fraction, ...] = ()  # of a sum


@dataclass(frozen=True)
class Atom:
    """A number with nothing inside that could be another: one literal, or words that make one."""

    values: tuple[Fraction, ...]
    start: int
    end: int
    how: str
    role: str = "number"
    digits: str = ""


_GROUPED = r"\d{1,3}(?:(?:[ '_,.]|\\,|\{,\})\d{3})+(?!\d)"
_TOKEN = re.compile(
    rf"(?P<grouped>{_GROUPED}(?:[.,]\d+)?)(?![^\W\d_])"
    r"|(?P<power>\d+(?:[.,]\d+)?e[+-]?\d{1,2}(?![^\W_]))"
    r"|(?P<number>\d+(?:[.,]\d+)?(?![^\W_]|\|[^\W_]))"
    r"|(?P<command>\\[a-z]+)"
    r"|(?P<mixed>(?:[^\W_]|\|(?=[^\W_]))*\d(?:[^\W_]|\|)*(?:(?<=\d)[.,]\d+)?)"
    r"|(?P<word>[^\W\d_]+(?:'[^\W\d_]+)?)"
)
# Marks that a reader does not see or takes for decoration: between digits they hide a number.
_THIN = re.compile(r"\\(?:[a-z]+|[,;!: ])|</?[a-z]{1,6}>|[\s$`~_{}\\*\"'()\[\]]")
_TAG = re.compile(r"</?[a-z]{1,6}>")
_HYPHENED = re.compile(r"(?<![^\W_])([^\W\d_]{2,})-([^\W\d_]{2,})(?![^\W_])")
_LETTERS_APART = re.compile(r"(?<![^\W_])(?:[^\W\d_][\-\s.·*_,]{1,3}){2,}[^\W\d_](?![^\W_])")
_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "/", ":": "/", "^": "^"}
_OPERATOR_WORDS = {
    "plus": "+", "плюс": "+", "қосу": "+", "minus": "-", "минус": "-", "алу": "-", "times": "*",
    "умножить": "*", "көбейту": "*", "multiplied": "*", "divided": "/", "разделить": "/", "бөлу": "/",
    "тағы": "+", "еще": "+", "ещё": "+", "add": "+",
    "делить": "/", "деленное": "/", "бөлінген": "/", "over": "/", "\\times": "*", "\\cdot": "*", "\\div": "/",
}  # fmt: skip
_JOINTS = frozenset(
    (
        "and и мен және point целых целая целые целых запятая бүтін үтір с of на by of бен пен a "
        "an over on out из"
    ).split()
)
_POINTS = frozenset(["point", "целых", "целая", "целые", "запятая", "бүтін", "үтір"])
_PERCENT = re.compile(r"\s*\\?(?:%|percent|per cent|процент|пайыз|pct)")
_FRACTION_COMMAND = re.compile(r"\\[dtc]?frac\s*(?:\{([^{}]*)\}\s*\{([^{}]*)\}|(\d)(\d))")
_ROOT = re.compile(r"(?:√|\\sqrt)\s*[{(]?\s*(\d+(?:[.,]\d+)?)")
_ROMAN = re.compile(r"^(?=[ivxlc])(?:c{0,3})(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})$")
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}


def mentions(text: str | Folded, source: str = "", *, is_kazakh: bool = False) -> list[Mention]:
    """Return every number that can be read in a text, each reading a mention; places are folded ones."""
    folded = text if isinstance(text, Folded) else fold(text)
    source = text if isinstance(text, str) else source
    found: list[Mention] = []
    for run in runs(folded.text, is_kazakh=is_kazakh):
        found += _readings(folded.text, run)
    found += _latex_fractions(folded.text)
    found += _roots(folded.text)
    found += _roman(folded, source)
    return found


def value_of(text: str) -> tuple[Fraction, ...]:
    """Return how the one number of a learner's answer can be read; empty if there is none, or several.

    What stands before the last "=" is the way, what stands behind it is the answer.
    """
    answer = fold(text).text.rpartition("=")[2]
    kazakh = bool(re.search("[әғқңөұүһі]", answer)) or answer.strip() == "он"
    latex = _latex_fractions(answer)
    if len(latex) == 1 and not re.search(r"\d", _FRACTION_COMMAND.sub("", answer)):
        return (latex[0].value,)
    found = [run for run in runs(answer, is_kazakh=kazakh) if any(a.role != "ordinal" for a in run)]
    if len(found) != 1:
        return ()
    whole = _whole(answer, found[0])
    negative = re.search(r"(?:-|minus|минус)\s*\(?$", answer[: found[0][0].start]) is not None
    return tuple(-value if negative else value for value in whole)


def _whole(text: str, run: Sequence[Atom]) -> tuple[Fraction, ...]:
    """Return the readings that use up a whole run, without calculating a sum."""
    start, end = run[0].start, run[-1].end
    percent = _PERCENT.match(text, end)
    written = text[start:end]
    if len(run) == 1:
        # Pieces of "1 234" are readings for the gate only.
        is_literal = re.fullmatch(r"[\d.,' _\\{}]+", written) is not None
        values = _literal(written, pieces=False) if is_literal else run[0].values
    else:
        values = tuple(
            m.value for m in _readings(text, run) if m.how == "fraction" and (m.start, m.end) == (start, end)
        )
    return (*values, *(value / 100 for value in values)) if percent else values


def runs(text: str, *, is_kazakh: bool) -> Iterator[list[Atom]]:
    """Yield the numbers of a folded text, together where only marks and joining words are between them."""
    kazakh = is_kazakh or re.search("[әғқңөұүһі]", text) is not None
    text = _TAG.sub(lambda tag: "_" * len(tag[0]), text)
    text = _HYPHENED.sub(lambda parts: _mended(parts, is_kazakh=kazakh), text)
    text = _LETTERS_APART.sub(lambda letters: _gathered(letters[0], is_kazakh=kazakh), text)
    run: list[Atom] = []
    joins = True
    for token in _TOKEN.finditer(text):
        atom = _atom(token, is_kazakh=kazakh)
        if atom is not None:
            if run and not (joins and is_close(text[run[-1].end : atom.start])):
                yield run
                run = []
            run = _joined(text, run, atom)
            joins = True
        elif token.lastgroup in ("word", "mixed") and token[0] not in _JOINTS | set(_OPERATOR_WORDS):
            joins = False
    if run:
        yield run


def _gathered(letters: str, *, is_kazakh: bool) -> str:
    """Return "f-o-r-t-y" as "forty____", if the letters make number words; same length, so places stay."""
    words = _cut("".join(re.findall(r"[^\W\d_]", letters)), is_kazakh=is_kazakh)
    return " ".join(words).ljust(len(letters), "_") if words else letters


def _mended(parts: re.Match[str], *, is_kazakh: bool) -> str:
    """Return "for-ty" as "forty_", when only the whole is a number."""
    named = [
        number_words.find(part, is_kazakh=is_kazakh) for part in (parts[1], parts[2], parts[1] + parts[2])
    ]
    return parts[1] + parts[2] + "_" if named[2] and not (named[0] and named[1]) else parts[0]


def _cut(letters: str, *, is_kazakh: bool) -> list[str]:
    """Cut letters into number words without a rest, or return nothing."""
    for end in range(min(len(letters), LONGEST_WORD), 1, -1):
        if number_words.find(letters[:end], is_kazakh=is_kazakh, exact=True):
            rest = _cut(letters[end:], is_kazakh=is_kazakh)
            if rest or end == len(letters):
                return [letters[:end], *rest]
    return []


def is_close(gap: str) -> bool:
    """Return whether two numbers with this between them may be read as one."""
    return (len(gap) <= MAX_GAP and gap.count("\n") <= MAX_LINES_IN_GAP) or not gap.strip()


def _atom(token: re.Match[str], *, is_kazakh: bool) -> Atom | None:
    start, end = token.span()
    word = token[0]
    match token.lastgroup:
        case "number" | "power" | "grouped":
            return Atom(_literal(word), start, end, "digits", digits=word if word.isdigit() else "")
        case "mixed":
            named = number_words.find(word, is_kazakh=is_kazakh)
            if named is not None:
                return Atom((named.value,), start, end, "word", named.role, str(named.value))
            values = _mixed(word)
            digits = str(values[0]) if values and values[0].denominator == 1 else ""
            return Atom(values, start, end, "digits", digits=digits) if values else None
        case "word":
            named = number_words.find(word, is_kazakh=is_kazakh)
            if named is None and len(word) > 1 and set(word) <= BARE_LOOKALIKES:
                digits = "".join(DIGIT_LOOKALIKES[letter] for letter in word)
                return Atom((Fraction(int(digits)),), start, end, "digits", digits=digits)
            if named is None:
                return _glued(word, start, end, is_kazakh=is_kazakh)
            how = "ordinal" if named.role == "ordinal" else "word"
            digits = str(named.value) if named.value.denominator == 1 else ""
            return Atom((named.value,), start, end, how, named.role, digits)
    return None


def _glued(word: str, start: int, end: int, *, is_kazakh: bool) -> Atom | None:
    """Read "fortytwo"."""
    words = _cut(word, is_kazakh=is_kazakh) if len(word) > SHORTEST_GLUED else []
    found = [number_words.find(each, is_kazakh=is_kazakh) for each in words]
    atoms = [Atom((each.value,), start, end, "word", each.role, str(each.value)) for each in found if each]
    total = _added(atoms)
    return None if len(atoms) < 2 or total is None else Atom((total,), start, end, "word", digits=str(total))


def _added(atoms: Sequence[Atom]) -> Fraction | None:
    total: Fraction | None = atoms[0].values[0] if atoms else None
    for atom in atoms[1:]:
        total = None if total is None else _sum(total, atom)
    return total


def _literal(word: str, *, pieces: bool = True) -> tuple[Fraction, ...]:
    """Return the readings of a literal: "1,234" is a thousand and more, or one and something."""
    if "e" in word:
        return (Fraction(word.replace(",", ".")),)
    plain = re.sub(r"\\,|\{,\}| |'|_", lambda m: "," if "," in m[0] else "", word)
    if len(plain) > MAX_DIGITS:
        return (Fraction(-1),)
    readings = {_decimal(plain)}
    marks = re.findall(r"[.,]", plain)
    if marks and re.fullmatch(_GROUPED, plain):
        readings.add(Fraction(re.sub(r"[.,]", "", plain)))
    if pieces and " " in word:
        readings |= {Fraction(piece) for piece in re.findall(r"\d+", word)}
    return tuple(sorted(readings, reverse=True))


def _decimal(plain: str) -> Fraction:
    *whole, last = re.split(r"[.,]", plain)
    if not whole:
        return Fraction(last)
    return Fraction("".join(whole) + "." + last)


def _mixed(word: str) -> tuple[Fraction, ...]:
    """Read digits among letters: a unit or an ending behind them, or look-alikes in their place."""
    values: list[Fraction] = []
    if all(letter.isdigit() or letter in DIGIT_LOOKALIKES for letter in word):
        choices = [DIGIT_LOOKALIKES.get(letter, letter) for letter in word[:MAX_DIGITS]]
        values.append(Fraction(int("".join(choices))))
        if "b" in word or "g" in word:
            other = "".join(
                {"b": "8", "g": "6"}.get(c, DIGIT_LOOKALIKES.get(c, c)) for c in word[:MAX_DIGITS]
            )
            values.append(Fraction(int(other)))
    values += [_decimal(part[:MAX_DIGITS]) for part in re.findall(r"\d+(?:[.,]\d+)?", word)]
    return tuple(dict.fromkeys(values))


def _joined(text: str, run: list[Atom], atom: Atom) -> list[Atom]:
    """Add an atom to a run; number words that make one number become one atom."""
    if not run or (atom.how == "digits" and atom.role != "scale"):
        return [*run, atom]
    before = run[-1]
    gap = text[before.end : atom.start]
    if (
        not re.fullmatch(r"(?:[\s\-_]|\*\*)*(?:and|и)?(?:[\s\-_]|\*\*)*", gap)
        or "\n" in gap
        or before.role in ("ordinal", "of", "backwards")
    ):
        return [*run, atom]
    total = _sum(before.values[0], atom)
    if total is None or atom.role in ("half",) or (before.how == "digits" and atom.role != "scale"):
        return [*run, atom]
    digits = str(total) if total.denominator == 1 else ""
    how = "ordinal" if atom.role == "ordinal" else "word"
    # "5 min" may be five minutes or, in Latin Kazakh, five thousand.
    values = (total, before.values[0]) if atom.role == "scale" else (total,)
    made = Atom(values, before.start, atom.end, how, atom.role if atom.role != "scale" else "number", digits)
    return [*run[:-1], made]


def _sum(before: Fraction, atom: Atom) -> Fraction | None:
    """Return the number that "forty" and "two" make, or None for "four" and "two"."""
    value = atom.values[0]
    if before.denominator != 1 or value.denominator != 1:
        return before * value if atom.role == "scale" else None
    small = int(before) % 1000 if value == 100 else int(before) % int(value) if value > 0 else 0
    if atom.role == "scale" and 0 < small == before % value:
        return before - small + small * value
    zeros = 10 ** (len(str(before)) - len(str(before).rstrip("0")))
    return before + value if 0 < value < zeros else None


def _readings(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    """Yield every reading of a run."""
    for atom in run:
        for value in atom.values:
            yield Mention(value, atom.start, atom.end, atom.how)
            if _PERCENT.match(text, atom.end):
                yield Mention(value / 100, atom.start, atom.end, "percent")
    yield from _backwards(run)
    yield from _apart(text, run)
    yield from _fractions(text, run)
    yield from _points(text, run)
    yield from _spelled(text, run)
    yield from _sums(text, run)


def _apart(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    """Read "forty. two", "forty 2" and words on lines of their own as the number they make together."""
    for begin, first in enumerate(run):
        total: Fraction | None = first.values[0]
        for before, atom in pairwise(run[begin:]):
            gap = text[before.end : atom.start]
            total = None if re.search(r"[^\W\d_]{4}|[+*=]", gap) or total is None else _sum(total, atom)
            if total is None:
                break
            if first.how == "word":
                yield Mention(total, first.start, atom.end, "spelled")


def _backwards(run: Sequence[Atom]) -> Iterator[Mention]:
    """Read number words that were turned around letter by letter, the last one first."""
    turned = [atom for atom in reversed(run) if atom.role == "backwards"]
    if len(turned) < 2:
        return
    total = turned[0].values[0]
    for atom in turned[1:]:
        value = atom.values[0]
        scaled = replace(atom, role="scale" if value in number_words.SCALES else "number")
        total = _sum(total, scaled) or total + value
    yield Mention(total, run[0].start, run[-1].end, "word")


def _fractions(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    for index, (first, second) in enumerate(pairwise(run)):
        value = _fraction(text, first, second)
        if value is None:
            continue
        yield Mention(value, first.start, second.end, "fraction")
        if index and re.fullmatch(
            r"[\s\-]*(?:and|и|бүтін|целых|целая|целые|с|\s)*[\s\-]*", text[run[index - 1].end : first.start]
        ):
            before = run[index - 1]
            yield Mention(before.values[0] + value, before.start, second.end, "fraction")
    for first, second in pairwise(run):
        if second.role == "half" and second.values[0] < 1:
            yield Mention(first.values[0] + second.values[0], first.start, second.end, "fraction")


def _fraction(text: str, first: Atom, second: Atom) -> Fraction | None:
    gap = text[first.end : second.start]
    core = _THIN.sub("", gap)
    below, above = second.values[0], first.values[0]
    is_bar = core == "-" and gap.count("\n") > 1
    if below and (is_bar or core in ("/", ":", "over", "on", "outof", "из")):
        return above / below
    if core in ("", "-", "бүтін", "а", "a"):
        if first.role == "of" and first.values[0]:
            return below / above
        if second.role == "ordinal" and below > 1:
            return above / below
        if second.role == "half" and above > 1:
            return above * below
    return None


def _points(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    """Read "three point five" and "три целых пять десятых"."""
    for index, (first, second) in enumerate(pairwise(run)):
        if text[first.end : second.start].strip() in _POINTS and first.digits and second.digits:
            after = "".join(atom.digits for atom in run[index + 1 :])
            yield Mention(Fraction(f"{first.digits}.{second.digits}"), first.start, second.end, "fraction")
            yield Mention(Fraction(f"{first.digits}.{after}"), first.start, run[-1].end, "fraction")


def _spelled(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    """Read digits one after the other as one number: "4 2", "four-two", "nineteen eighty-four"."""
    for part in _alike(text, run):
        if len(part) > 1 and all(atom.digits for atom in part):
            together = "".join(atom.digits for atom in part)
            is_single = all(len(atom.digits) == 1 for atom in part)
            words = all(atom.how == "word" for atom in part) and len(part) == 2
            bare = all(not re.search(r"[,;.]", text[a.end : b.start]) for a, b in pairwise(part))
            # Nothing but markup between digits: they are shown side by side.
            is_markup = all(
                not re.sub(r"\\[a-z]+|[{}$*_`]", "", text[a.end : b.start]) for a, b in pairwise(part)
            )
            if len(together) <= MAX_DIGITS and (is_single or is_markup or (bare and words)):
                yield Mention(Fraction(int(together)), part[0].start, part[-1].end, "spelled")


def _alike(text: str, run: Sequence[Atom]) -> Iterator[list[Atom]]:
    """Cut a run where what is between its numbers changes: "4 2, 3" is "4 2" and "3"."""
    part = [run[0]]
    last: str | None = None
    for first, second in pairwise(run):
        gap = re.sub(r"\s+", " ", text[first.end : second.start])
        core = _THIN.sub("", gap) or gap.strip()[:1] or " "
        if len(gap) > 12 or (last is not None and core != last) or re.search(r"[=/:]", core):
            yield part
            part, last = [second], None
        else:
            part.append(second)
            last = core
    yield part


def _sums(text: str, run: Sequence[Atom]) -> Iterator[Mention]:
    """Calculate what is written as a sum: "40 + 2" is 42 for any reader."""
    signs = [_sign(text[first.end : second.start]) for first, second in pairwise(run)]
    for begin in range(len(run)):
        for end in range(begin + 1, min(len(run), begin + MAX_SUM_PARTS)):
            if signs[end - 1] is None:
                break
            parts = tuple(atom.values[0] for atom in run[begin : end + 1])
            value = _calculated(parts, [sign for sign in signs[begin:end] if sign])
            if value is not None:
                yield Mention(value, run[begin].start, run[end].end, "sum", parts)


def _sign(gap: str) -> str | None:
    for word, sign in _OPERATOR_WORDS.items():
        if word in gap:
            return sign
    stars = gap.count("*")
    core = _THIN.sub("", gap)
    if core == "" and stars == 1:
        return "*"
    return _OPERATORS.get(core)


def _calculated(parts: Sequence[Fraction], signs: Sequence[str]) -> Fraction | None:
    values, rest = [parts[0]], []
    for sign, part in zip(signs, parts[1:], strict=True):
        if sign == "^":
            if part.denominator != 1 or abs(part) > MAX_EXPONENT or abs(values[-1]) > 10**6 or not values[-1]:
                return None
            values[-1] = values[-1] ** int(part)
        elif sign == "*":
            values[-1] *= part
        elif sign == "/":
            if not part:
                return None
            values[-1] /= part
        else:
            rest.append(sign)
            values.append(part)
    total = values[0]
    for sign, part in zip(rest, values[1:], strict=True):
        total = total + part if sign == "+" else total - part
    return total


def _latex_fractions(text: str) -> list[Mention]:
    found = []
    for match in _FRACTION_COMMAND.finditer(text):
        above, below = (match[1], match[2]) if match[1] is not None else (match[3], match[4])
        tops, bottoms = (_inside(part) for part in (above, below))
        for top, bottom in product(tops, bottoms):
            if bottom:
                found.append(Mention(top / bottom, match.start(), match.end(), "fraction"))
                before = re.search(r"(\d+)\s*$", text[: match.start()])
                if before:
                    value = int(before[1][-MAX_DIGITS:]) + top / bottom
                    found.append(Mention(value, before.start(), match.end(), "fraction"))
    return found


def _roots(text: str) -> list[Mention]:
    found = []
    for match in _ROOT.finditer(text):
        number = _decimal(match[1][:MAX_DIGITS])
        root = Fraction(isqrt(number.numerator), isqrt(number.denominator) or 1)
        if root * root == number:
            found.append(Mention(root, match.start(), match.end(), "fraction"))
    return found


def _inside(part: str) -> list[Fraction]:
    return [value for run in runs(part, is_kazakh=True) for atom in run for value in atom.values] + [
        m.value for run in runs(part, is_kazakh=True) for m in _spelled(part, run)
    ]


def _roman(folded: Folded, source: str) -> list[Mention]:
    """Read Roman numbers, only where they stand in capitals."""
    found = []
    for token in re.finditer(r"[ivxlc]{2,}", folded.text) if source else ():
        start, end = token.span()
        written = source[folded.at[start] : folded.at[end]]
        around = folded.text[max(0, start - 1) : start] + folded.text[end : end + 1]
        if written.isupper() and not re.search(r"[^\W_]", around) and _ROMAN.match(token[0]):
            values = [_ROMAN_VALUES[letter] for letter in token[0]] + [0]
            value = sum(-v if v < after else v for v, after in pairwise(values))
            found.append(Mention(Fraction(value), start, end, "word"))
    return found


def joins(word: str) -> bool:
    """Return whether a word may stand inside a number or a sum."""
    return word in _JOINTS or word in _OPERATOR_WORDS
