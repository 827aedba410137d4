"""Read Moodle's GIFT text format: questions with their key. Pure.

The whole text is read or nothing: the first fault is named with its line, and so is a text that is some
other format. Follows Moodle's own documentation; what has no single key a box could check (an essay, a
matching) is refused by name, because a task without a key would have no ladder.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

from appliance.errors import N_, GiftUnreadable
from appliance.tutor.answers import Accepted

# A school year of tasks; a larger file is a question bank, and the page would not be of use to anybody.
MAX_ITEMS = 300
MAX_CHOICES = 12


@dataclass(frozen=True)
class Item:
    """One question; `kind` is number, words or choice."""

    line: int
    title: str
    text: str
    kind: str
    accepted: tuple[Accepted, ...]
    choices: tuple[str, ...] = ()
    feedback: str = ""


_OTHER_FORMATS = (
    (re.compile(r"^ANSWER:\s*[A-Z]\s*$"), N_("this is the Aiken format, not GIFT")),
    (
        re.compile(r"\{\d*:(?:SHORTANSWER|SA|MULTICHOICE|MC|NUMERICAL|NM|MULTIRESPONSE)"),
        N_("this is a Cloze question, not GIFT"),
    ),
)
_OTHER_BEGINNINGS = (
    (
        re.compile(r"^\s*<(?:\?xml|quiz|questestinterop|assessment)", re.IGNORECASE),
        N_("this is XML, not GIFT"),
    ),
    (re.compile(r"^\s*[\[{]\s*(?:$|[\"{])"), N_("this is JSON, not GIFT")),
    (re.compile(r"^\s*\\(?:documentclass|begin)\b"), N_("this is LaTeX, not GIFT")),
)
_TRUE, _FALSE = ("t", "true"), ("f", "false")
_ESCAPED = re.compile(r"\\([~=#{}:\\n])")
# Escaped signs stand aside while the text is cut, in a range that no keyboard types.
_ASIDE = {sign: chr(0xE000 + place) for place, sign in enumerate("~=#{}:\\n")}
_BACK = {aside: "\n" if sign == "n" else sign for sign, aside in _ASIDE.items()}
_FORMAT = re.compile(r"^\[(?:html|markdown|plain|moodle)\]\s*")
_MARKUP = re.compile(r"</?(?:p|b|i|em|strong|span|div|br|sub|sup|u)\b[^>]*>", re.IGNORECASE)
_WEIGHT = re.compile(r"^%(-?\d+(?:\.\d+)?)%")


def parse(text: str) -> list[Item]:
    """Return every question of a GIFT text.

    Raises:
        GiftUnreadable: the line and what is wrong there; nothing is returned then.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    first = next((number for number, line in enumerate(lines, 1) if line.strip()), 1)
    for number, line in enumerate(lines, 1):
        for pattern, reason in (*_OTHER_FORMATS, *(_OTHER_BEGINNINGS if number == first else ())):
            if pattern.search(line):
                raise GiftUnreadable(line=number, reason=reason)
    items = [_item(number, block) for number, block in _blocks(lines)]
    if not items:
        raise GiftUnreadable(line=1, reason=N_("there is no question in it"))
    if len(items) > MAX_ITEMS:
        raise GiftUnreadable(
            line=items[MAX_ITEMS].line, reason=N_("there are too many questions in one file")
        )
    return items


def _blocks(lines: list[str]) -> list[tuple[int, str]]:
    """Cut the lines into questions: an empty line outside of braces ends one."""
    blocks: list[tuple[int, list[str]]] = []
    depth, is_open, started = 0, False, 0
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("//") or (depth == 0 and line.startswith("$CATEGORY:")):
            continue
        if not line.strip() and depth == 0:
            is_open = False
            continue
        if not is_open:
            blocks.append((number, []))
            is_open = True
        plain = _ESCAPED.sub("", line)
        started = number if depth == 0 and "{" in plain else started
        depth += plain.count("{") - plain.count("}")
        if depth not in (0, 1):
            raise GiftUnreadable(line=number, reason=N_("a brace is open or closed twice"))
        blocks[-1][1].append(line)
    if depth:
        raise GiftUnreadable(line=started, reason=N_("a brace { is never closed"))
    return [(number, "\n".join(block)) for number, block in blocks]


def _item(line: int, block: str) -> Item:
    text = _ESCAPED.sub(lambda sign: _ASIDE[sign[1]], block)
    title = ""
    if text.lstrip().startswith("::"):
        parts = text.lstrip()[2:].split("::", 1)
        if len(parts) != 2:
            raise GiftUnreadable(line=line, reason=N_("the title has no end ::"))
        title, text = parts
    found = re.search(r"\{(.*?)\}", text, re.DOTALL)
    if found is None:
        raise GiftUnreadable(line=line, reason=N_("the question has no answer in { }"))
    if "{" in text[found.end() :]:
        raise GiftUnreadable(line=line, reason=N_("the question has two answers in { }"))
    # Behind the answers the sentence goes on: a gap to fill in.
    gap = " _____ " if text[found.end() :].strip() else " "
    asked = _clean(text[: found.start()] + gap + text[found.end() :])
    if not asked:
        raise GiftUnreadable(line=line, reason=N_("the question has no text"))
    return _with_answers(line, _clean(title), asked, found[1].strip())


def _with_answers(line: int, title: str, asked: str, inside: str) -> Item:
    inside, _, general = inside.partition("####")
    feedback = _clean(general)
    plain, _, _ = inside.partition("#")
    word = plain.strip().casefold()
    if not inside.strip():
        raise GiftUnreadable(line=line, reason=N_("an essay has no key that the box could check"))
    if word in (*_TRUE, *_FALSE):
        key = (Accepted("TRUE" if word in _TRUE else "FALSE"),)
        return Item(line, title, asked, "choice", key, ("TRUE", "FALSE"), feedback)
    if inside.lstrip().startswith("#"):
        return Item(line, title, asked, "number", _numbers(line, inside.lstrip()[1:]), (), feedback)
    answers = _answers(line, inside)
    if any("->" in text for _, _, text in answers):
        raise GiftUnreadable(line=line, reason=N_("a matching question has no single key"))
    right = tuple(Accepted(text) for sign, weight, text in answers if _is_full(sign, weight))
    if not right:
        raise GiftUnreadable(line=line, reason=N_("no answer is marked as right"))
    if any(sign == "~" for sign, _, _ in answers):
        return _choice(line, title, asked, answers, right, feedback)
    is_number = all(re.fullmatch(r"-?\d+(?:[.,]\d+)?", each.text) for each in right)
    return Item(line, title, asked, "number" if is_number else "words", right, (), feedback)


def _choice(
    line: int,
    title: str,
    asked: str,
    answers: list[tuple[str, str, str]],
    right: tuple[Accepted, ...],
    feedback: str,
) -> Item:
    choices = tuple(text for _, _, text in answers)
    if len(right) > 1:
        raise GiftUnreadable(line=line, reason=N_("only one choice may be right"))
    if len(choices) < 2:
        raise GiftUnreadable(line=line, reason=N_("one choice alone is no choice"))
    if len(set(choices)) < len(choices):
        raise GiftUnreadable(line=line, reason=N_("two choices are the same"))
    if len(choices) > MAX_CHOICES:
        raise GiftUnreadable(line=line, reason=N_("there are too many choices"))
    return Item(line, title, asked, "choice", right, choices, feedback)


def _answers(line: int, inside: str) -> list[tuple[str, str, str]]:
    """Return sign, weight and text of each answer; feedback behind # is for a page that tells answers."""
    parts = re.split(r"([=~])", inside)
    if parts[0].strip():
        raise GiftUnreadable(line=line, reason=N_("an answer begins with neither = nor ~"))
    answers = []
    for sign, content in zip(parts[1::2], parts[2::2], strict=True):
        body = content.strip()
        weight = _WEIGHT.match(body)
        text = _clean((body[weight.end() :] if weight else body).split("#")[0])
        if not text:
            raise GiftUnreadable(line=line, reason=N_("an answer is empty"))
        answers.append((sign, weight[1] if weight else "", text))
    return answers


def _is_full(sign: str, weight: str) -> bool:
    return float(weight) == 100 if weight else sign == "="


def _numbers(line: int, inside: str) -> tuple[Accepted, ...]:
    """Read "3:0.1", "1..5" and "=3:0.1 =%50%3:2"; what gives only a part of the marks is not right."""
    parts = [part for part in re.split(r"=", inside) if part.strip()]
    accepted = []
    for part in parts:
        body = part.strip()
        weight = _WEIGHT.match(body)
        if weight and float(weight[1]) != 100:
            continue
        value = (body[weight.end() :] if weight else body).split("#")[0].strip()
        accepted.append(_number(line, value))
    if not accepted:
        raise GiftUnreadable(line=line, reason=N_("no answer is marked as right"))
    return tuple(accepted)


def _number(line: int, value: str) -> Accepted:
    try:
        if ".." in value:
            low, high = (Fraction(side.strip()) for side in value.split("..", 1))
            return Accepted(_decimal((low + high) / 2), abs(high - low) / 2)
        middle, _, tolerance = value.partition(":")
        return Accepted(_decimal(Fraction(middle.strip())), abs(Fraction(tolerance.strip() or "0")))
    except (ValueError, ZeroDivisionError) as error:
        raise GiftUnreadable(line=line, reason=N_("a number cannot be read")) from error


def _decimal(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):g}"


def _clean(text: str) -> str:
    """Put escaped signs back, and take the format and simple markup away."""
    plain = _MARKUP.sub(" ", _FORMAT.sub("", text.strip()))
    for aside, sign in _BACK.items():
        plain = plain.replace(aside, sign)
    return re.sub(r"[ \t]*\n[ \t]*", "\n", re.sub(r"[ \t]+", " ", plain)).strip()
