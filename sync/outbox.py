"""The queue of what waits for the region, in the box's own database.

An event's allow-listed row is added inside the transaction that saves the fact,
so both are there or neither is. This module alone writes the tables `outbox`,
`batch` and `sync_state`. Keeps out: names, texts, keys and the network.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.database import translated_faults
from sync.errors import EventOutsideTransaction
from sync.event import Event, allowed_row

EPOCH_BYTES = 8  # enough that two databases of one box never share an epoch by chance
SEED_BYTES = 32  # decides the session numbers of the next batch; drawn anew for each

migrations = Migrations("sync.outbox")


@migrations()
def m001_outbox(db: Database) -> None:
    """Waiting rows, numbered batches, and the counters that number them."""
    for statement in (
        """
        CREATE TABLE batch (
            id INTEGER PRIMARY KEY,
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            lo INTEGER NOT NULL,
            hi INTEGER NOT NULL,
            events INTEGER NOT NULL,
            blob_id BLOB NOT NULL,
            sha256 BLOB NOT NULL,
            body BLOB,      -- in clear, for `sync show`; dropped with the receipt
            sealed BLOB,    -- the bytes that travel; never made again, dropped with the receipt
            receipt BLOB,
            receipted_at TEXT,
            UNIQUE (epoch, seq),
            CHECK ((sealed IS NULL) = (receipt IS NOT NULL))
        ) STRICT
        """,
        """
        CREATE TABLE outbox (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            kind TEXT NOT NULL,
            day TEXT NOT NULL,
            session_id TEXT NOT NULL,
            fields TEXT NOT NULL,
            batch_id INTEGER REFERENCES batch (id)
        ) STRICT
        """,
        "CREATE INDEX outbox_by_batch ON outbox (batch_id, id)",
        "CREATE INDEX batch_waiting ON batch (id) WHERE receipt IS NULL",
        """
        CREATE TABLE sync_state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            epoch BLOB NOT NULL,
            next_seq INTEGER NOT NULL,
            next_number INTEGER NOT NULL,
            previous_sha256 BLOB NOT NULL,
            seed BLOB NOT NULL
        ) STRICT
        """,
    ):
        db.execute(statement)
    db.execute(
        "INSERT INTO sync_state VALUES (1, ?, 1, 1, ?, ?)",
        [secrets.token_bytes(EPOCH_BYTES), bytes(32), secrets.token_bytes(SEED_BYTES)],
    )


@dataclass(frozen=True)
class OutboxStatus:
    """How far the box is with telling the region."""

    waiting_events: int  # not yet in a batch
    sealed_batches: int  # sealed, no receipt yet
    sealed_events: int
    receipted_batches: int
    receipted_events: int
    last_receipt_at: datetime | None  # the region's own clock, as it signed it


def add(db: Database, event: Event) -> None:
    """Queue what may leave of an event, inside the transaction that saves the fact."""
    if not db.conn.in_transaction:
        raise EventOutsideTransaction
    row = allowed_row(event)
    with translated_faults():
        db.execute(
            "INSERT INTO outbox (kind, day, session_id, fields) VALUES (?, ?, ?, ?)",
            [row.kind, row.day.isoformat(), row.session_id, json.dumps(dict(row.fields), sort_keys=True)],
        )


def status(db: Database) -> OutboxStatus:
    """Count what waits, what is on its way, and what the region has confirmed."""
    with translated_faults():
        waiting = db.execute("SELECT count(*) FROM outbox WHERE batch_id IS NULL").fetchone()[0]
        sealed = db.execute("SELECT count(*), total(events) FROM batch WHERE receipt IS NULL").fetchone()
        done = db.execute(
            "SELECT count(*), total(events), max(receipted_at) FROM batch WHERE receipt IS NOT NULL"
        ).fetchone()
    last = datetime.fromisoformat(done[2]).astimezone(UTC) if done[2] else None
    return OutboxStatus(waiting, sealed[0], int(sealed[1]), done[0], int(done[1]), last)
