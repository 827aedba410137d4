"""What passed over the line, and how the last tries went.

Waiting after a failure is counted by the seconds since the machine's start, which no wrong clock can
stretch; a new start or a link that comes back begins anew. This module alone writes the tables
`line_usage` and `line_state`. Keeps out: the rules, which are in `sync/budget`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.budget import Usage
from sync.clock import Reading
from sync.database import translated_faults, write_transaction

migrations = Migrations("sync.line_book")


@migrations()
def m001_line(db: Database) -> None:
    """One row each: how much passed, and how the last tries went."""
    for statement in (
        """
        CREATE TABLE line_usage (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            day TEXT NOT NULL,
            day_up INTEGER NOT NULL,
            day_down INTEGER NOT NULL,
            month_up INTEGER NOT NULL,
            month_down INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE line_state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            failures INTEGER NOT NULL DEFAULT 0,
            boot TEXT NOT NULL DEFAULT '',
            try_after_seconds REAL NOT NULL DEFAULT 0,
            was_down INTEGER NOT NULL DEFAULT 0,
            last_success TEXT
        ) STRICT
        """,
        "INSERT INTO line_state (id) VALUES (1)",
    ):
        db.execute(statement)


@dataclass(frozen=True)
class LineState:
    """How the last tries went."""

    failures: int = 0
    boot: str = ""
    try_after_seconds: float = 0.0  # of that start of the machine
    was_down: bool = False
    last_success: datetime | None = None

    def must_wait(self, reading: Reading) -> bool:
        return self.failures > 0 and self.boot == reading.boot and reading.seconds < self.try_after_seconds


def usage(db: Database, today: date) -> Usage:
    """Return what passed today and this month."""
    with translated_faults():
        row = db.execute("SELECT day, day_up, day_down, month_up, month_down FROM line_usage").fetchone()
    return (Usage(date.fromisoformat(row[0]), *row[1:]) if row else Usage(today)).on(today)


def note_passed(db: Database, today: date, *, up: int, down: int) -> None:
    with write_transaction(db):
        now = usage(db, today).plus(up=up, down=down)
        db.execute(
            "INSERT OR REPLACE INTO line_usage VALUES (1, ?, ?, ?, ?, ?)",
            [now.day.isoformat(), now.day_up, now.day_down, now.month_up, now.month_down],
        )


def state(db: Database) -> LineState:
    with translated_faults():
        failures, boot, after, was_down, success = db.execute(
            "SELECT failures, boot, try_after_seconds, was_down, last_success FROM line_state"
        ).fetchone()
    return LineState(
        failures, boot, after, bool(was_down), datetime.fromisoformat(success) if success else None
    )


def note_down(db: Database) -> None:
    with write_transaction(db):
        db.execute("UPDATE line_state SET was_down = 1")


def note_up(db: Database) -> None:
    """The link came back: what failed before tells nothing of it."""
    with write_transaction(db):
        db.execute("UPDATE line_state SET failures = 0, was_down = 0 WHERE was_down = 1")


def note_failure(db: Database, reading: Reading, wait_seconds: float) -> None:
    with write_transaction(db):
        db.execute(
            "UPDATE line_state SET failures = failures + 1, boot = ?, try_after_seconds = ?",
            [reading.boot, reading.seconds + wait_seconds],
        )


def note_success(db: Database, now: datetime) -> None:
    with write_transaction(db):
        db.execute("UPDATE line_state SET failures = 0, was_down = 0, last_success = ?", [now.isoformat()])
