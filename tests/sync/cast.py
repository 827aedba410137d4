"""The box of 7A: its pages are played by the tests, everything else is real."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sync import client, outbox
from sync.client import Enrolment, RunReport
from sync.database import write_transaction
from sync.event import Event
from sync.keys import SigningKey
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator

NOON = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)


@dataclass
class Box:
    """A box whose pages are played by the test."""

    settings: SyncSettings
    region: RegionSimulator
    enrolment: Enrolment
    device: SigningKey
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def record(self, *events: Event) -> None:
        db = client.open_outbox(self.settings)
        try:
            with write_transaction(db):
                for event in events:
                    outbox.add(db, event)
        finally:
            db.close()

    def ask(
        self, text: str = "What is a prime number?", *, by: str = "Aigerim", times: int = 1
    ) -> list[Event]:
        events = [
            Event(
                "question_asked",
                NOON,
                "session-of-7A",
                by,
                {
                    "question_id": f"q{next(self._numbers)}",
                    "learner_name": by,
                    "text": text,
                    "language": "kk",
                    "characters": len(text),
                },
            )
            for _ in range(times)
        ]
        self.record(*events)
        return events

    def sync(self) -> RunReport:
        db = client.open_outbox(self.settings)
        try:
            return client.send_all(db, self.device, self.enrolment, self.region.line(self.enrolment.token))
        finally:
            db.close()

    def cut(self) -> None:
        """Seal what waits and send nothing, as for a stick."""
        db = client.open_outbox(self.settings)
        try:
            client.seal_waiting(db, self.device, self.enrolment)
        finally:
            db.close()

    def copy(self, name: str) -> Box:
        """The same card in a second machine whose first boot noticed nothing."""
        settings = SyncSettings(home=self.settings.home.with_name(name))
        settings.home.mkdir()
        # The last connection is closed, so the log is folded in and the file is the whole database.
        shutil.copy(self.settings.database_path, settings.database_path)
        return Box(settings, self.region, self.enrolment, self.device)

    def status(self) -> outbox.OutboxStatus:
        db = client.open_outbox(self.settings)
        try:
            return outbox.status(db)
        finally:
            db.close()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        db = client.open_outbox(self.settings)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()
