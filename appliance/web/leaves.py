"""What leaves this school: the next envelope in clear words and exact bytes, what was sent, what it cost.

No log-in: parents read it from the QR code. Everything comes from the bytes that are sealed
(`sync.disclosure`). Only finished days are shown, so nobody can watch a lesson here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path

from flask import Blueprint, Response, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.errors import N_, NotFound
from appliance.lesson import stored
from appliance.web.context import db, services
from appliance.web.teacher import class_link, qr
from sync import client, outbox, tally
from sync.batch import KID_BYTES, RULES
from sync.disclosure import Disclosure, Group, lanes
from sync.errors import KeyMissing
from sync.event import KINDS, Log2, OneOf
from sync.keys import get_device_key
from sync.nation import NO_GRADE
from sync.settings import SyncSettings

pages = Blueprint("leaves", __name__)

MOST_GROUPS = 25  # the sorts of rows a person reads; the file has all of them
MOST_BATCHES = 12
SHOWN_BYTES = 2048
BYTES_A_LINE = 16

# Words that leave as values, in the reader's language.
VALUES = {
    "answered": N_("answered"),
    "failed": N_("failed"),
    "stopped": N_("stopped"),
    "right": N_("right"),
    "wrong": N_("wrong"),
    "asked_for_person": N_("the learner asked for a person"),
    "third_hint": N_("three hints did not help"),
    "low_confidence": N_("the AI was not sure"),
    "good": N_("good"),
    "watch": N_("to be watched"),
    "bad": N_("bad"),
}
LANES = {
    "local": (N_("This box"), N_("Everything, with names and words. It stays in the school.")),
    "region": (
        N_("The region"),
        N_("A row for each event, without names, words, class or time of day. Ten learners look alike."),
    ),
    "nation": (
        N_("The country"),
        N_("How many learners did what in a week, with chance added. The region cannot read it."),
    ),
}
DAYS = {"day": N_("on %(day)s"), "week": N_("in the week of %(day)s"), "month": N_("in the month of %(day)s")}


@dataclass(frozen=True)
class Said:
    """Rows that say the same, ready for the template."""

    count: int
    kind: str | None
    when: tuple[str, str] | None  # a sentence and its day
    lessons: int  # how many lessons the rows are told apart by; 0 when by none
    fields: tuple[tuple[str, str], ...]


@pages.get("/leaves")
def show() -> ResponseReturnValue:
    disclosure = _disclosure()
    link = class_link(request.host, services().addresses, services().port, "").split("/class/")[0]
    page = link + url_for("leaves.show")
    said = _said(disclosure.groups)
    return render_template(
        "leaves.html",
        next=disclosure,
        groups=said[:MOST_GROUPS],
        more=max(0, len(said) - MOST_GROUPS),
        nation=_nation_weeks(disclosure),
        grades=range(NO_GRADE),
        lanes=[(LANES[lane.name], lane) for lane in lanes(_spent().weeks)],
        year=_spent().school_year,
        status=outbox.status(db()),
        batches=outbox.sent_batches(db(), MOST_BATCHES),
        is_enrolled=client.find_enrolment(_settings()) is not None,
        dump=_dump(disclosure.clear_bytes[:SHOWN_BYTES]),
        link=page,
        qr=qr(page),
    )


@pages.get("/leaves.json")
def as_json() -> ResponseReturnValue:
    """The same for programs, with every row and every byte."""
    disclosure = _disclosure()
    return jsonify(disclosure.as_record() | {"clear_bytes": disclosure.clear_bytes.hex()})


@pages.get("/leaves/envelope.sb1")
def envelope() -> ResponseReturnValue:
    """The sealed bytes as they travel. Whoever has them can read nothing but their size."""
    sealed = _disclosure().sealed
    if sealed is None:
        raise NotFound
    return Response(
        sealed,
        content_type="application/vnd.sandyq.sb1",
        headers={"Content-Disposition": 'attachment; filename="envelope.sb1"'},
    )


def _settings() -> SyncSettings:
    return SyncSettings(home=services().home)


def _disclosure() -> Disclosure:
    try:
        kid = get_device_key(services().home).kid
    except KeyMissing:  # before the first start is finished nothing can leave, and the page says so
        kid = bytes(KID_BYTES)
    return _look(services().database, kid, outbox.footprint(db()))


@lru_cache(maxsize=2)
def _look(_database: Path, kid: bytes, _footprint: outbox.Footprint) -> Disclosure:
    """A tenth of a second of work for a full envelope: done once, however often strangers reload."""
    return outbox.disclose_next(db(), kid)


def _spent() -> tally.Spent:
    return tally.spent(db(), datetime.now().astimezone().date())


def _said(groups: Iterable[Group]) -> list[Said]:
    """Put together what differs only in the lesson: its number means something in this envelope only."""
    together: dict[tuple[tuple[str, str | int], ...], list[Group]] = {}
    for group in groups:
        same = tuple((name, value) for name, value in group.told.items() if name != "session")
        together.setdefault((*same, ("lessons", "session" in group.told)), []).append(group)
    said = [_sentence(alike) for alike in together.values()]
    return sorted(said, key=lambda one: -one.count)


def _sentence(alike: list[Group]) -> Said:
    told = dict(alike[0].told)
    lessons = len(alike) if told.pop("session", None) is not None else 0
    kind = told.pop("kind", None)
    span = next((name for name in DAYS if name in told), None)
    when = (DAYS[span], _written(str(told.pop(span)))) if span else None
    fields = tuple((stored.FIELDS.get(name, name), _value(name, value)) for name, value in told.items())
    event = stored.EVENTS.get(str(kind), str(kind)) if kind else None
    return Said(sum(group.count for group in alike), event, when, lessons, fields)


def _value(name: str, value: str | int) -> str:
    """Return a value in words; a size class as the sizes it stands for."""
    rule = RULES[name]
    if isinstance(rule, Log2) and isinstance(value, int):
        lowest, highest = (1 << value) // 2, (1 << value) - 1
        if name == "duration_ms":
            return f"{lowest / 1000:.1f}-{highest / 1000:.1f} s"
        return f"{lowest}-{highest}"
    return VALUES.get(str(value), str(value))


def _written(day: str) -> str:
    return date.fromisoformat(day).strftime("%d.%m.%Y")


@dataclass(frozen=True)
class NationWeek:
    """One week's numbers: for each thing that is counted, those of all grades."""

    monday: date
    rows: tuple[tuple[str, str, tuple[int, ...]], ...]  # the kind, the word it is split by, the numbers


def _nation_weeks(disclosure: Disclosure) -> list[NationWeek]:
    section = disclosure.nation
    if section is None:
        return []
    size = len(section.cells)
    return [
        NationWeek(
            week.monday,
            tuple((*_cell(cell), week.counts[at::size]) for at, cell in enumerate(section.cells)),
        )
        for week in section.weeks
    ]


def _cell(cell: str) -> tuple[str, str]:
    kind, _, word = cell.partition(":")
    return stored.EVENTS.get(kind, kind), VALUES.get(word, word)


def _dump(clear: bytes) -> str:
    """Return bytes as people look at them: where, in hexadecimal, and as letters."""
    lines = []
    for at in range(0, len(clear), BYTES_A_LINE):
        piece = clear[at : at + BYTES_A_LINE]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
        lines.append(f"{at:05x}  {piece.hex(' '):<{3 * BYTES_A_LINE}} {letters}")
    return "\n".join(lines)


# Every word that may leave has its sentence; a test fails on one without.
def words_that_leave() -> set[str]:
    """Return the words of all closed lists but the languages, which name themselves."""
    rules = [rule for kind in KINDS.values() for rule in kind.fields.values()]
    words = {word for rule in rules if isinstance(rule, OneOf) for word in rule.words}
    return words - {"kk", "ru", "en"}
