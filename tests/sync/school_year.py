"""A school for attacks: invented learners with habits, and what left of what they did.

The lessons are played by a generator with a seed. `play` is the real box: recording, waiting, making coarser,
noise, sealing and opening are the product's. `live` is the same year without database and envelopes: the
product's rules for each field, its batches and its `generalise`; `test_attacks` holds the two equal row by
row. Beside each row that left stands whose it was, which only the judge of an attack sees.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from sync import client, generalise, outbox
from sync.batch import Batch, unpack_rows
from sync.database import write_transaction
from sync.envelope import Recipient, open_envelope, open_nation_letter, seal, verify_sender
from sync.event import KINDS, AllowedRow, Event, allowed_row, leaving_value
from sync.generalise import WaitingRow
from sync.keys import OpeningKey, SigningKey
from sync.nation import NationSection, is_school_week, read_section
from sync.settings import SyncSettings

DEVICE = SigningKey.from_seed(bytes(range(32)))
REGION = OpeningKey.from_seed(bytes(range(100, 196)))
NATION = OpeningKey.from_seed(bytes(range(150, 246)))
TO = Recipient(bytes(16), REGION.public, NATION.public)
FIRST_MONDAY = date(2026, 8, 31)

SMALL = (("1-2", 1, 5), ("3-4", 3, 6), ("5-7", 6, 5), ("8-9", 8, 8))  # the research's school of 24
MIDDLE = (("5A", 5, 12), ("6A", 6, 9), ("7A", 7, 7), ("8A", 8, 15))  # and its school of 43
LARGE = tuple((f"{grade}A", grade, 25) for grade in range(1, 12))  # 275


@dataclass(frozen=True)
class Pupil:
    """Habits that make a child recognisable."""

    id: str
    school_class: str
    grade: int
    language: str
    eagerness: float  # questions in a lesson, on average
    length: float  # of a question, in binary digits
    ability: float
    attendance: float


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that happened in a lesson, as the pages would record it."""

    kind: str
    at: datetime
    session: str
    learner: str | None
    school_class: str
    told: Mapping[str, str | int]

    def event(self) -> Event:
        return Event(
            self.kind,
            self.at,
            self.session,
            self.learner,
            dict.fromkeys(KINDS[self.kind].fields) | dict(self.told),
        )

    def row(self) -> AllowedRow:
        """What the box would queue of it, by the product's own rules; equal values are worked out once."""
        left = tuple((name, _leaving(self.kind, name, value)) for name, value in self.told.items())
        return AllowedRow(self.kind, self.at.date(), self.session, _fields(left))


@cache
def _leaving(kind: str, name: str, value: str | int) -> str | int | None:
    return leaving_value(KINDS[kind].fields[name], value)


@cache
def _fields(left: tuple[tuple[str, str | int | None], ...]) -> Mapping[str, str | int]:
    return MappingProxyType({name: value for name, value in left if value is not None})


@dataclass(frozen=True, slots=True)
class Fact:
    """What really happened, as an attacker may know it."""

    row: AllowedRow
    learner: str | None
    school_class: str


@dataclass(frozen=True, slots=True)
class Left:
    """A row that left, in its batch; `owner` is for the judge alone."""

    batch: int
    row: AllowedRow
    owner: str | None


@dataclass
class Release:
    """All that left a school."""

    pupils: list[Pupil]
    facts: list[Fact] = field(default_factory=list)
    rows: list[Left] = field(default_factory=list)
    nation: list[NationSection] = field(default_factory=list)
    envelopes: list[tuple[date, bytes]] = field(default_factory=list)
    batch_days: list[tuple[date, date]] = field(default_factory=list)


def pupils_of(classes: Sequence[tuple[str, int, int]], chance: random.Random) -> list[Pupil]:
    return [
        Pupil(
            f"{name}/{number}",
            name,
            grade,
            chance.choices(("kk", "ru", "en"), (85, 13, 2))[0],
            chance.uniform(0.2, 2.5),
            chance.uniform(3.5, 7.5),
            chance.uniform(0.3, 0.9),
            chance.uniform(0.85, 1.0),
        )
        for name, grade, size in classes
        for number in range(size)
    ]


def play(
    home: Path,
    classes: Sequence[tuple[str, int, int]],
    *,
    weeks: int,
    lessons: int = 2,
    seed: int = 1,
    days: int = 0,
) -> Release:
    """Live through the first weeks of a school year (or only its first days); every night the box sends
    what may leave."""
    chance = random.Random(seed)
    release = Release(pupils_of(classes, chance))
    db = client.open_outbox(SyncSettings(home=home))
    with pytest.MonkeyPatch.context() as patch:
        watch = _Watch()
        patch.setattr(outbox, "generalise", watch)
        try:
            for day in list(school_days(weeks))[: days or None]:
                with write_transaction(db):
                    for deed in _day(release.pupils, day, lessons, chance):
                        event = deed.event()
                        outbox.add(db, event)
                        release.facts.append(Fact(allowed_row(event), deed.learner, deed.school_class))
                _send(db, release, watch, day + timedelta(days=1))
            _send(db, release, watch, day + timedelta(days=8))
        finally:
            db.close()
    return release


def live(
    classes: Sequence[tuple[str, int, int]], *, weeks: int, lessons: int = 2, seed: int = 1, days: int = 0
) -> Release:
    """The same as `play` in a tenth of the time: no database, no envelope, no counts for the nation."""
    chance = random.Random(seed)
    release = Release(pupils_of(classes, chance))
    first = 0
    for day in list(school_days(weeks))[: days or None]:
        release.facts += [
            Fact(deed.row(), deed.learner, deed.school_class)
            for deed in _day(release.pupils, day, lessons, chance)
        ]
        first = _leave(release, first, day + timedelta(days=1))
    _leave(release, first, day + timedelta(days=8))
    return release


def _leave(release: Release, first: int, today: date) -> int:
    """Cut batches as `sync/outbox` does while one may leave; return the first row that still waits."""
    while waiting := release.facts[first : first + outbox.MAX_EVENTS]:
        coarse = generalise.generalise([WaitingRow(fact.row, fact.learner) for fact in waiting])
        days = [fact.row.day for fact in waiting if fact.row.day]
        if today - min(days) < outbox.LONGEST_WAIT and not generalise.keeps_its_days(coarse):
            break
        number = len(release.batch_days)
        release.batch_days.append((min(days), max(days)))
        release.rows += [Left(number, row, fact.learner) for fact, row in zip(waiting, coarse, strict=True)]
        first += len(waiting)
    return first


@contextmanager
def unprotected() -> Iterator[None]:
    """One learner is company enough: what leaves is what happened. Every attack must hit here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generalise, "K", 1)
        patch.setattr(generalise, "MOST_OF_ONE", 1.0)
        patch.setattr(generalise, "TELLING_CIRCLE", 1)
        yield


def school_days(weeks: int) -> Iterator[date]:
    monday, told = FIRST_MONDAY, 0
    while told < weeks:
        if is_school_week(monday):
            told += 1
            yield from (monday + timedelta(days=at) for at in range(5))
        monday += timedelta(days=7)


class _Watch:
    """Runs the real `generalise` and remembers whose each row was."""

    def __init__(self) -> None:
        self.last: tuple[Sequence[WaitingRow], tuple[AllowedRow, ...]] = ((), ())
        self._real = outbox.generalise

    def __call__(self, waiting: Sequence[WaitingRow]) -> tuple[AllowedRow, ...]:
        self.last = (waiting, self._real(waiting))
        return self.last[1]


def _send(db: Any, release: Release, watch: _Watch, night: date) -> None:
    def sealed(batch: Batch, blob_id: bytes) -> bytes:
        keys = {"content_key": bytes([7]) * 32, "nation_key": bytes([8]) * 32}
        return seal(batch, DEVICE, TO, blob_id=blob_id, **keys)

    now = datetime.combine(night, time(1), UTC)
    while outbox.cut_batch(db, DEVICE.kid, sealed, now=now, with_nation=True):
        ((batch_id, blob),) = db.execute("SELECT id, sealed FROM batch ORDER BY id DESC LIMIT 1").fetchall()
        db.execute("DELETE FROM outbox WHERE batch_id = ?", [batch_id])
        opened = open_envelope(blob, REGION, TO.region_id)
        if opened.nation is not None:
            release.nation.append(read_section(open_nation_letter(opened.nation.to_bytes(), NATION)))
        rows = unpack_rows(verify_sender(opened, DEVICE.public).payload)
        waiting, coarse = watch.last
        if sorted(_told(row) for row in rows) != sorted(_told(row) for row in coarse):
            raise ValueError("what was opened is not what was made coarse")
        number = len(release.envelopes)
        release.envelopes.append((night, blob))
        days = [one.row.day for one in waiting if one.row.day]
        release.batch_days.append((min(days), max(days)))
        release.rows += [Left(number, row, one.learner_id) for one, row in zip(waiting, coarse, strict=True)]


def _told(row: Any) -> str:
    return f"{row.kind} {row.day} {row.span} {sorted(row.fields.items())}"


def _day(pupils: Sequence[Pupil], day: date, lessons: int, chance: random.Random) -> Iterator[Deed]:
    """All lessons of a day; now and then a few learners make one up among themselves."""
    by_class: dict[str, list[Pupil]] = {}
    for pupil in pupils:
        if chance.random() < pupil.attendance:
            by_class.setdefault(pupil.school_class, []).append(pupil)
    for name, present in by_class.items():
        for lesson in range(lessons):
            yield from _lesson(name, present, f"{name} {day} {lesson}", day, 4 + lesson, chance)
        if chance.random() < 0.05:
            few = chance.sample(present, min(len(present), chance.randint(1, 3)))
            yield from _lesson(name, few, f"{name} {day} extra", day, 9, chance)


def _lesson(
    name: str, present: Sequence[Pupil], session: str, day: date, hour: int, chance: random.Random
) -> Iterator[Deed]:
    at = datetime.combine(day, time(hour), UTC)
    hardness = chance.uniform(-0.15, 0.15)

    def event(kind: str, learner: str | None = None, **told: str | int) -> Deed:
        return Deed(kind, at, session, learner, name, told)

    grade = present[0].grade if present else 0
    yield event("session_opened", grade=grade, language="kk")
    if hour == 4:
        yield event("box_health", software=1000, disk="good", heat="watch")
    for pupil in present:
        yield event("learner_joined", pupil.id, language=pupil.language)
        for _ in range(min(6, int(chance.expovariate(1 / pupil.eagerness)))):
            characters = int(2 ** chance.gauss(pupil.length, 0.7))
            yield event("question_asked", pupil.id, language=pupil.language, characters=characters)
            outcome = chance.choices(("answered", "failed", "stopped"), (93, 4, 3))[0]
            yield event(
                "answer_finished",
                pupil.id,
                language=pupil.language,
                outcome=outcome,
                model_sha256="0123abcd" * 8,
                duration_ms=int(chance.lognormvariate(9, 0.8)),
                answer_tokens=int(chance.lognormvariate(4.5, 0.5)),
            )
        for _ in range(chance.choice((0, 0, 1, 2))):
            is_right = chance.random() < pupil.ability - hardness
            yield event(
                "attempt_checked",
                pupil.id,
                language=pupil.language,
                rung=chance.choice((0, 0, 1, 2)),
                result="right" if is_right else "wrong",
            )
        if chance.random() < 0.01:
            yield event("hand_back", pupil.id, reason="third_hint", language=pupil.language)
        if chance.random() < 0.02:
            yield event("question_refused", pupil.id, language=pupil.language)
    yield event("session_closed")
