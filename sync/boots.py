"""The machine's clocks, and what is known of each of its starts.

A row of the outbox remembers at which second of which start it was recorded; once the region has told
the time in that start, the row's day is put right, before it is sealed. This module alone writes the
tables `boot` and `clock_floor`. Keeps out: the rules, which are in `sync/clock`.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.clock import BUILT, Boot, Moment, Quality, Reading, may_anchor, may_hint, raised, true_time
from sync.database import translated_faults, write_transaction

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

migrations = Migrations("sync.boots")


@migrations()
def m001_boots(db: Database) -> None:
    """Starts of the machine that something was recorded in, and the latest time that is surely past."""
    db.execute(
        """
        CREATE TABLE boot (
            boot TEXT PRIMARY KEY,
            floor TEXT NOT NULL,
            signed_at TEXT,
            signed_seconds REAL
        ) STRICT
        """
    )
    db.execute("CREATE TABLE clock_floor (id INTEGER PRIMARY KEY CHECK (id = 1), at TEXT NOT NULL) STRICT")


@migrations()
def m002_hint(db: Database) -> None:
    """What a teacher's browser showed in a start that nobody has signed a time for."""
    for column in ("hinted_at TEXT", "hinted_seconds REAL"):
        db.execute(f"ALTER TABLE boot ADD COLUMN {column}")


def read() -> Reading:
    """Read the machine's clocks."""
    return Reading(_boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))


def floor(db: Database) -> datetime:
    """Return the latest time that is surely past."""
    with translated_faults():
        row = db.execute("SELECT at FROM clock_floor").fetchone()
    return raised(datetime.fromisoformat(row[0]) if row else BUILT)


def raise_floor(db: Database, signed_at: datetime) -> None:
    """Take note of a time the region signed, however long it was under way."""
    with write_transaction(db):
        if signed_at > floor(db):
            db.execute("INSERT OR REPLACE INTO clock_floor VALUES (1, ?)", [signed_at.isoformat()])


def see(db: Database, reading: Reading) -> None:
    """Note a start of the machine at its first record, with what was certain then."""
    with translated_faults():
        db.execute(
            "INSERT OR IGNORE INTO boot (boot, floor) VALUES (?, ?)", [reading.boot, floor(db).isoformat()]
        )


def anchor(db: Database, reading: Reading, signed_at: datetime) -> None:
    """The region told this time just now, in answer to this box's own question."""
    with write_transaction(db):
        if not may_anchor(floor(db), signed_at):
            return
        see(db, reading)
        db.execute(
            "UPDATE boot SET signed_at = ?, signed_seconds = ? WHERE boot = ?",
            [signed_at.isoformat(), reading.seconds, reading.boot],
        )
        raise_floor(db, signed_at)


def hint(db: Database, hinted_at: datetime, reading: Reading | None = None) -> bool:
    """A teacher's browser shows this time: take it while the box doubts its own."""
    reading = reading or read()
    with write_transaction(db):
        if not may_hint(floor(db), find(db, reading.boot), reading, hinted_at):
            return False
        see(db, reading)
        db.execute(
            "UPDATE boot SET hinted_at = ?, hinted_seconds = ? WHERE boot = ?",
            [hinted_at.isoformat(), reading.seconds, reading.boot],
        )
    return True


def find(db: Database, boot: str) -> Boot | None:
    with translated_faults():
        row = db.execute(
            "SELECT floor, signed_at, signed_seconds, hinted_at, hinted_seconds FROM boot WHERE boot = ?",
            [boot],
        ).fetchone()
    if row is None:
        return None
    signed_at, hinted_at = (datetime.fromisoformat(text) if text else None for text in (row[1], row[3]))
    return Boot(datetime.fromisoformat(row[0]), signed_at, row[2] or 0.0, hinted_at, row[4] or 0.0)


def now(db: Database, reading: Reading | None = None) -> Moment:
    """Return the time as well as this box knows it; when it knows none, the latest that is surely past."""
    reading = reading or read()
    known = find(db, reading.boot)
    # A start that nothing was recorded in yet is no older than what is certain now.
    moment = true_time(reading, known or Boot(floor(db)))
    return moment if moment.at is not None else Moment(floor(db), Quality.UNKNOWN)


@cache
def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:
        # A machine that does not tell: each process is a start of its own, and nothing is put right wrongly.
        return secrets.token_hex(16)
