"""Schools that send to a region's store: their rows are made coarse by the box's own code.

What a test knows beside it: who did what. Sealing and the line are left out; other tests hold those.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from sync.anonymise import anonymise
from sync.event import KINDS, Event, allowed_row
from sync.generalise import WaitingRow, generalise
from sync.server.insight import telling
from sync.server.storage.store import Box, LedgerRow, Store, open_store
from tests.region_simulator import RegionSimulator


@dataclass(frozen=True)
class Deed:
    """One thing a learner did."""

    learner: str
    kind: str
    language: str = "kk"
    outcome: str | None = None
    result: str | None = None
    reason: str | None = None
    duration_ms: int | None = None


@dataclass
class Schools:
    """The schools of a region, by name."""

    store: Store
    boxes: dict[str, Box] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, stratum: str = "", size_class: str = "") -> None:
        key = hashlib.sha256(name.encode()).digest()
        self.store.add_box(name, key[:8], key, key, "0.1.0", datetime(2026, 9, 1, tzinfo=UTC))
        box = self.store.find_box_by_label(name)
        if box is None:
            raise ValueError(name)
        self.boxes[name] = box
        self.store.db.execute(
            "UPDATE box SET stratum = ?, size_class = ? WHERE id = ?", (stratum, size_class, box.id)
        )

    def send(
        self, name: str, day: date, received: date, deeds: Sequence[Deed], *, is_raw: bool = False
    ) -> None:
        """Seal a lesson of a day and store it at the region on another; raw as no honest box does it."""
        waiting = [WaitingRow(allowed_row(_event(one, day)), f"{name}/{one.learner}") for one in deeds]
        coarse = [one.row for one in waiting] if is_raw else generalise(waiting)
        rows = anonymise(coarse, b"seed")
        seq = self._numbers[name] = self._numbers.get(name, 0) + 1
        self.store.add_batch(self.boxes[name], _ledger_row(name, seq, len(rows), received), rows)


def _event(deed: Deed, day: date) -> Event:
    fields = {name: getattr(deed, name, None) for name in KINDS[deed.kind].fields}
    return Event(deed.kind, datetime.combine(day, time(5), UTC), "lesson", deed.learner, fields)


def _ledger_row(name: str, seq: int, events: int, received: date) -> LedgerRow:
    digest = hashlib.sha256(f"{name} {seq}".encode()).digest()
    at = datetime.combine(received, time(20), UTC)
    return LedgerRow(b"epoch---", seq, seq, seq + events - 1, digest[:16], digest, digest, 2, seq, at)


def tries(learners: int, right: int, wrong: int, language: str = "kk") -> list[Deed]:
    """So many learners share these tries evenly."""
    results = ["right"] * right + ["wrong"] * wrong
    return [
        Deed(f"{language} {at % learners}", "attempt_checked", language, result=result)
        for at, result in enumerate(results)
    ]


MONDAY = date(2026, 9, 7)


def play_autumn(region: RegionSimulator, now: datetime) -> None:
    """Twenty-four schools in September; in the rural ones answers take long. Some boxes need somebody."""
    store = open_store(region.region.database)
    schools = Schools(store)
    for number in range(24):
        schools.add(
            f"B-{number:05}", "rural" if number % 2 else "urban", "small" if number % 4 < 2 else "large"
        )
    for number, name in enumerate(schools.boxes):
        slow = 80 if number % 2 else 20
        waits = [60_000] * (slow + number % 3) + [5_000] * 30 + [14_000] * (70 - slow // 2)
        languages = ("kk", "ru") if number % 4 else ("kk",)
        answers = [
            Deed(f"{language} {at % 14}", "answer_finished", language, "answered", duration_ms=wait)
            for language in languages
            for at, wait in enumerate(waits)
        ]
        schools.send(name, MONDAY, MONDAY, [*answers, *_questions(60), *tries(12, 30, 20)])
        for week in range(5, 9):
            day = MONDAY + timedelta(weeks=week, days=week % 3)
            schools.send(name, day, day, _questions(30 + 5 * week))
    # Three learners of one school handed to a person, and one school where many are stuck.
    schools.send(
        "B-00003", MONDAY, MONDAY, [Deed(f"kk {at}", "hand_back", reason="third_hint") for at in "abc"]
    )
    schools.send("B-00004", date(2026, 11, 9), date(2026, 11, 9), tries(14, 20, 90))
    store.db.execute(
        "UPDATE box SET last_contact_at = ?, school = 'Абай ауылы, № ' || id || ' орта мектеп'",
        (now.isoformat(),),
    )
    long_ago = (now - timedelta(days=40)).isoformat()
    store.db.execute("UPDATE box SET last_contact_at = ? WHERE label = 'B-00007'", (long_ago,))
    telling.update(store.db, now)
    for label, change in (
        ("B-00009", "disk = 'bad'"),
        ("B-00011", "heat = 'watch'"),
        ("B-00002", "missing = 3"),
    ):
        store.db.execute(
            f"UPDATE rollup_state SET {change} WHERE box_id = (SELECT id FROM box WHERE label = ?)",
            (label,),
        )
    store.close()
    region.time = now


def _questions(count: int) -> list[Deed]:
    return [Deed(f"kk {at % 14}", "question_asked") for at in range(count)]
