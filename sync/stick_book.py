"""What the box remembers of sticks: which files are its own, which replies it waits for, the last visit.

On a stick nothing says whose a file is; only the box that wrote it can tell. This module alone
writes the tables `stick_call`, `stick_file` and `stick_visit`. Keeps out: the stick itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.database import translated_faults, write_transaction

# Replies that come back after so many later calls bring nothing the later ones do not.
MAX_CALLS = 64

migrations = Migrations("sync.stick_book")


@migrations()
def m001_sticks(db: Database) -> None:
    """Calls that wait for a reply, files on sticks somewhere, the last visit."""
    for statement in (
        """
        CREATE TABLE stick_call (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            reply_key BLOB NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE stick_file (
            name TEXT PRIMARY KEY,
            batch_id INTEGER NOT NULL REFERENCES batch (id) ON DELETE CASCADE
        ) STRICT
        """,
        """
        CREATE TABLE stick_visit (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            at TEXT NOT NULL,
            written INTEGER NOT NULL,
            confirmed INTEGER NOT NULL,
            damaged INTEGER NOT NULL,
            fault TEXT
        ) STRICT
        """,
    ):
        db.execute(statement)


@dataclass(frozen=True)
class StickVisit:
    """What the last stick brought and took; `fault` is the key of an error that ended it."""

    at: datetime  # the box's own clock
    written: int  # envelopes put on it
    confirmed: int  # batches its receipts let go
    damaged: int  # files of ours that could not be read
    fault: str | None = None


def find_last_visit(db: Database) -> StickVisit | None:
    """Return the last visit, None before the first stick."""
    with translated_faults():
        row = db.execute("SELECT at, written, confirmed, damaged, fault FROM stick_visit").fetchone()
    return StickVisit(datetime.fromisoformat(row[0]).astimezone(UTC), *row[1:]) if row else None


def note_visit(db: Database, visit: StickVisit) -> None:
    with write_transaction(db):
        db.execute(
            "INSERT OR REPLACE INTO stick_visit VALUES (1, ?, ?, ?, ?, ?)",
            [visit.at.isoformat(), visit.written, visit.confirmed, visit.damaged, visit.fault],
        )


@dataclass(frozen=True)
class WaitingCall:
    """A call that may still be answered."""

    id: int
    name: str
    reply_key: bytes

    def __repr__(self) -> str:
        return f"WaitingCall({self.id})"


def note_call(db: Database, name: str, reply_key: bytes) -> None:
    """Remember a call; of very many the oldest are forgotten."""
    with write_transaction(db):
        db.execute("INSERT INTO stick_call (name, reply_key) VALUES (?, ?)", [name, reply_key])
        db.execute(
            "DELETE FROM stick_call WHERE id NOT IN (SELECT id FROM stick_call ORDER BY id DESC LIMIT ?)",
            [MAX_CALLS],
        )


def waiting_calls(db: Database) -> list[WaitingCall]:
    with translated_faults():
        rows = db.execute("SELECT id, name, reply_key FROM stick_call ORDER BY id DESC").fetchall()
    return [WaitingCall(*row) for row in rows]


def forget_call(db: Database, call: WaitingCall) -> None:
    with write_transaction(db):
        db.execute("DELETE FROM stick_call WHERE id = ?", [call.id])


def note_file(db: Database, name: str, batch_id: int) -> None:
    with write_transaction(db):
        db.execute("INSERT INTO stick_file VALUES (?, ?)", [name, batch_id])


def forget_file(db: Database, name: str) -> None:
    with write_transaction(db):
        db.execute("DELETE FROM stick_file WHERE name = ?", [name])


def files_of(db: Database, batch_id: int) -> set[str]:
    """Return the names under which this batch lies on sticks."""
    with translated_faults():
        rows = db.execute("SELECT name FROM stick_file WHERE batch_id = ?", [batch_id]).fetchall()
    return {name for (name,) in rows}


def finished_files(db: Database) -> set[str]:
    """Return the names of copies nobody needs any more: their batches are confirmed or set aside."""
    with translated_faults():
        rows = db.execute(
            "SELECT name FROM stick_file JOIN batch ON batch.id = batch_id"
            " WHERE receipt IS NOT NULL OR set_aside_by IS NOT NULL"
        ).fetchall()
    return {name for (name,) in rows}
