"""The queue of what waits for the region, in the box's own database.

An event's allow-listed row is added inside the transaction that saves the fact,
so both are there or neither is. What a copied card brought along is set aside:
kept and counted, never sent. A row waits until ten learners look alike or a week
has passed (`sync/generalise`); whose it is stands beside it only until it is
sealed. This module alone writes the tables `outbox`, `batch` and `sync_state`.
Keeps out: names, texts, keys and the network.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync import boots, tally
from sync.anonymise import anonymise
from sync.batch import CLOCK_UNCONFIRMED, MAX_EVENTS, NO_PREVIOUS, Batch, pack_rows, read_batch
from sync.clock import Boot, Reading, put_right, true_time
from sync.database import translated_faults, write_transaction
from sync.disclosure import Disclosure, disclose
from sync.errors import EventOutsideTransaction
from sync.event import AllowedRow, Event, allowed_row
from sync.generalise import WaitingRow, generalise, keeps_its_days
from sync.receipt import Receipt

EPOCH_BYTES = 8  # enough that two databases of one box never share an epoch by chance
SEED_BYTES = 32  # decides the session numbers of the next batch; drawn anew for each
# A school too small for its days to be told is told by weeks.
LONGEST_WAIT = timedelta(days=7)

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


@migrations()
def m002_set_aside(db: Database) -> None:
    """What may not be sent is named by the epoch whose beginning set it aside; NULL: may be sent."""
    for table in ("outbox", "batch"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN set_aside_by BLOB")


@migrations()
def m003_lanes(db: Database) -> None:
    """Whose a row is, until it is sealed; the nation's numbers in clear, for `sync show`."""
    db.execute("ALTER TABLE outbox ADD COLUMN learner_id TEXT")
    db.execute("CREATE INDEX outbox_by_learner ON outbox (learner_id) WHERE learner_id IS NOT NULL")
    db.execute("ALTER TABLE batch ADD COLUMN nation BLOB")
    tally.create_tables(db)


@migrations()
def m004_clock(db: Database) -> None:
    """When a row was recorded by the machine's own clocks; its day is put right before it is sealed."""
    for column in ("boot TEXT", "boot_seconds REAL", "wall TEXT", "occurred_at TEXT"):
        db.execute(f"ALTER TABLE outbox ADD COLUMN {column}")


@migrations()
def m005_forgotten(db: Database) -> None:
    """How much was confirmed so long ago that its rows are gone."""
    for column in ("forgotten_batches", "forgotten_events"):
        db.execute(f"ALTER TABLE sync_state ADD COLUMN {column} INTEGER NOT NULL DEFAULT 0")


@dataclass(frozen=True)
class OutboxStatus:
    """How far the box is with telling the region."""

    waiting_events: int  # not yet in a batch
    sealed_batches: int  # sealed, no receipt yet
    sealed_events: int
    receipted_batches: int
    receipted_events: int
    last_receipt_at: datetime | None  # the region's own clock, as it signed it
    set_aside_events: int  # kept and never sent: the card they were recorded on was copied or moved


def add(db: Database, event: Event) -> None:
    """Queue what may leave of an event, inside the transaction that saves the fact."""
    if not db.conn.in_transaction:
        raise EventOutsideTransaction
    row = allowed_row(event)
    day = event.occurred_at.astimezone(UTC).date().isoformat()
    reading = boots.read()
    with translated_faults():
        boots.see(db, reading)
        db.execute(
            "INSERT INTO outbox (kind, day, session_id, fields, learner_id, boot, boot_seconds, wall,"
            " occurred_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(row.kind, day, row.session_id, json.dumps(dict(row.fields), sort_keys=True)),
                *(event.learner_id, reading.boot, reading.seconds, reading.wall.isoformat()),
                event.occurred_at.isoformat(),
            ],
        )
        tally.mark(db, event)


def put_days_right(db: Database, ceiling: datetime | None = None) -> None:
    """Give every row that waits the day on which it was really recorded; an unknown day is empty.

    `ceiling` is the time now, when that is certain: nothing was recorded after it.
    """
    known: dict[str, Boot | None] = {}
    with write_transaction(db):
        rows = db.execute(
            f"SELECT id, day, boot, boot_seconds, wall, occurred_at FROM outbox WHERE {_WAITS}"  # noqa: S608 - our own words
            " AND boot IS NOT NULL"
        ).fetchall()
        for row_id, day, boot, seconds, wall, occurred_at in rows:
            if boot not in known:
                known[boot] = boots.find(db, boot)
            reading = Reading(boot, seconds, datetime.fromisoformat(wall))
            moment = true_time(reading, known[boot], ceiling)
            right = put_right(datetime.fromisoformat(occurred_at), reading, moment)
            told = right.isoformat() if right else ""
            if told != day:
                db.execute("UPDATE outbox SET day = ? WHERE id = ?", [told, row_id])


def forget_learner(db: Database, learner_id: str) -> None:
    """Drop every row that waits and is this learner's, inside the caller's transaction.

    In a sealed batch nothing says whose a row is; it stands there among those of ten others.
    """
    if not db.conn.in_transaction:
        raise EventOutsideTransaction
    with translated_faults():
        db.execute("DELETE FROM outbox WHERE learner_id = ?", [learner_id])
        tally.forget_learner(db, learner_id)


def status(db: Database) -> OutboxStatus:
    """Count what waits, what is on its way, and what the region has confirmed."""
    with translated_faults():
        waiting = db.execute(
            "SELECT count(*) FROM outbox WHERE batch_id IS NULL AND set_aside_by IS NULL"
        ).fetchone()[0]
        sealed = db.execute(
            "SELECT count(*), total(events) FROM batch WHERE receipt IS NULL AND set_aside_by IS NULL"
        ).fetchone()
        done = db.execute(
            "SELECT count(*), total(events), max(receipted_at) FROM batch WHERE receipt IS NOT NULL"
        ).fetchone()
        aside = db.execute("SELECT count(*) FROM outbox WHERE set_aside_by IS NOT NULL").fetchone()[0]
        long_ago = db.execute("SELECT forgotten_batches, forgotten_events FROM sync_state").fetchone()
    last = datetime.fromisoformat(done[2]).astimezone(UTC) if done[2] else None
    receipted = (done[0] + long_ago[0], int(done[1]) + long_ago[1])
    return OutboxStatus(waiting, sealed[0], int(sealed[1]), *receipted, last, aside)


def begin_epoch(db: Database, epoch: bytes) -> None:
    """Number from 1 under this epoch, and set aside all that no receipt confirms.

    For a card found in another machine: the original may send the same events. The same epoch again
    changes nothing, so a caller that was cut short may repeat it without touching what came since.
    """
    with write_transaction(db):
        if db.execute("SELECT epoch FROM sync_state").fetchone()[0] == epoch:
            return
        # A row stays in the outbox until its receipt: those in sealed batches are set aside as well.
        db.execute("UPDATE outbox SET set_aside_by = ? WHERE set_aside_by IS NULL", [epoch])
        db.execute(
            "UPDATE batch SET set_aside_by = ? WHERE receipt IS NULL AND set_aside_by IS NULL", [epoch]
        )
        _number_anew(db, epoch)


def part_ways(db: Database, batch: SealedBatch) -> None:
    """Another machine has sent another batch under this number: what may be in both is set aside.

    The copy was made before this batch was cut, so this one, those after it and what still waits
    may all hold events that the other machine has sent as well.
    """
    with write_transaction(db):
        if not _is_under_way(db, batch.id):
            return
        fresh = secrets.token_bytes(EPOCH_BYTES)
        db.execute(
            "UPDATE outbox SET set_aside_by = ? WHERE set_aside_by IS NULL AND batch_id IN"
            " (SELECT id FROM batch WHERE epoch = ? AND seq >= ? AND receipt IS NULL)",
            [fresh, batch.epoch, batch.seq],
        )
        db.execute(
            "UPDATE batch SET set_aside_by = ? WHERE epoch = ? AND seq >= ? AND receipt IS NULL"
            " AND set_aside_by IS NULL",
            [fresh, batch.epoch, batch.seq],
        )
        if db.execute("SELECT epoch FROM sync_state").fetchone()[0] == batch.epoch:
            _set_waiting_aside(db, fresh)


def compare_standing(db: Database, epoch: bytes, high: int) -> bool:
    """Begin anew when the region has more of this history than this database has made.

    Then the database was restored, or the card copied: what waits may have been sent already. Sealed
    batches stay: the region knows their very bytes, or tells that another machine used their number.
    """
    with write_transaction(db):
        own, next_seq = db.execute("SELECT epoch, next_seq FROM sync_state").fetchone()
        if epoch != own or high < next_seq:
            return False
        _set_waiting_aside(db, secrets.token_bytes(EPOCH_BYTES))
    return True


def standing(db: Database) -> tuple[bytes, int, int]:
    """Return the epoch, the number of the next batch, and of the oldest without a receipt."""
    with translated_faults():
        epoch, next_seq, oldest = db.execute(
            "SELECT epoch, next_seq, (SELECT min(seq) FROM batch WHERE batch.epoch = sync_state.epoch"
            " AND receipt IS NULL AND set_aside_by IS NULL) FROM sync_state"
        ).fetchone()
    return epoch, next_seq, oldest or next_seq


def _set_waiting_aside(db: Database, fresh: bytes) -> None:
    db.execute("UPDATE outbox SET set_aside_by = ? WHERE batch_id IS NULL AND set_aside_by IS NULL", [fresh])
    _number_anew(db, fresh)


def _number_anew(db: Database, epoch: bytes) -> None:
    db.execute(
        "UPDATE sync_state SET epoch = ?, next_seq = 1, next_number = 1, previous_sha256 = ?, seed = ?",
        [epoch, NO_PREVIOUS, secrets.token_bytes(SEED_BYTES)],
    )
    tally.forget_all(db)


def _is_under_way(db: Database, batch_id: int) -> bool:
    return (
        db.execute(
            "SELECT 1 FROM batch WHERE id = ? AND receipt IS NULL AND set_aside_by IS NULL", [batch_id]
        ).fetchone()
        is not None
    )


# Batches ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SealedBatch:
    """A batch on its way: the bytes that are sent, again and again, until a receipt comes."""

    id: int
    epoch: bytes
    seq: int
    events: int
    blob_id: bytes
    sha256: bytes
    sealed: bytes


Seal = Callable[[Batch, bytes], bytes]  # the batch and a fresh blob id; returns the envelope


def cut_batch(
    db: Database,
    box_kid: bytes,
    seal: Seal,
    *,
    now: datetime | None = None,
    is_early: bool = False,
    with_nation: bool = False,
    clock_quality: int = CLOCK_UNCONFIRMED,
) -> bool:
    """Number, seal and store the oldest events that may leave, in one transaction; False when none may.

    A crash before the commit leaves the events waiting; after it the same bytes are sent for ever.
    `is_early` does not wait for a week to pass: less can be told of each event then, never more.
    """
    today = _today(now)
    with write_transaction(db):
        draft = _draft_batch(db, box_kid, today, with_today=is_early)
        if draft is None or not (draft.is_ready or is_early):
            return False
        batch = draft.batch
        batch = replace(batch, clock_quality=clock_quality)
        if with_nation:
            batch = replace(batch, nation=tally.take(db, today))
        else:
            tally.forget_old(db, today)
        blob_id = secrets.token_bytes(16)
        sealed = seal(batch, blob_id)
        sha256 = hashlib.sha256(sealed).digest()
        cursor = db.execute(
            "INSERT INTO batch (epoch, seq, lo, hi, events, blob_id, sha256, body, nation, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                *(batch.epoch, batch.seq, batch.lo, batch.hi, batch.events),
                *(blob_id, sha256, batch.to_bytes(), batch.nation or None, sealed),
            ],
        )
        # Sealed, a row needs no learner and no time any more.
        db.conn.executemany(
            "UPDATE outbox SET batch_id = ?, learner_id = NULL, boot = NULL, boot_seconds = NULL,"
            " wall = NULL, occurred_at = NULL WHERE id = ?",
            ((cursor.lastrowid, row_id) for row_id in draft.ids),
        )
        # A fresh seed: what numbered these sessions is forgotten with this commit.
        db.execute(
            "UPDATE sync_state SET next_seq = ?, next_number = ?, previous_sha256 = ?, seed = ?",
            [batch.seq + 1, batch.hi + 1, sha256, secrets.token_bytes(SEED_BYTES)],
        )
        return True


@dataclass(frozen=True)
class NextEnvelope:
    """What leaves next, as far as it is known."""

    batch: Batch | None  # its numbers and rows; None when nothing of a finished day waits
    sealed: bytes | None = None  # the bytes that travel; before that nothing is final
    is_ready: bool = False  # sealed, or to be sealed with the next run
    leaves_on: date | None = None  # when it is not ready: the day its week has passed
    nation_weeks: tuple[
        date, ...
    ] = ()  # the weeks whose counts go along; their noise is drawn by the sealing


def find_next_envelope(db: Database, box_kid: bytes, *, now: datetime | None = None) -> NextEnvelope:
    """Return exactly what the next envelope holds: the oldest batch under way, else the next to cut."""
    today = _today(now)
    with translated_faults(), db.atomic():
        row = db.execute(
            "SELECT body, nation, sealed FROM batch"
            " WHERE receipt IS NULL AND set_aside_by IS NULL ORDER BY id LIMIT 1"
        ).fetchone()
        if row is not None:
            return NextEnvelope(replace(read_batch(row[0]), nation=row[1] or b""), row[2], is_ready=True)
        weeks = tally.weeks_due(db, today)
        draft = _draft_batch(db, box_kid, today)
        if draft is not None and draft.is_ready:
            return NextEnvelope(draft.batch, is_ready=True, nation_weeks=weeks)
        waiting = draft.batch if draft else None
        oldest = db.execute(
            f"SELECT min(day) FROM outbox WHERE day <> '' AND {_WAITS}"  # noqa: S608 - our own words
        ).fetchone()[0]
        leaves_on = date.fromisoformat(oldest) + LONGEST_WAIT if oldest else None
        return NextEnvelope(waiting, leaves_on=leaves_on, nation_weeks=weeks)


Footprint = tuple[object, ...]


def footprint(db: Database, *, now: datetime | None = None) -> Footprint:
    """Return what changes whenever the next envelope may: looking at it again is then worth the work."""
    today = _today(now).isoformat()
    with translated_faults():
        rows = db.execute(
            f"SELECT count(*), max(id), total(id), total(julianday(day)) FROM outbox WHERE {_WAITS}"  # noqa: S608 - our own words
            " AND day <> ?",
            [today],
        ).fetchone()
        batches = db.execute(
            "SELECT count(*), max(id), count(receipt), count(set_aside_by) FROM batch"
        ).fetchone()
        state = db.execute("SELECT epoch, next_seq, seed FROM sync_state").fetchone()
        told = db.execute("SELECT count(*) FROM privacy_spend").fetchone()
    return (today, *rows, *batches, *state, *told)


def disclose_next(db: Database, box_kid: bytes, *, now: datetime | None = None) -> Disclosure:
    """Return the next envelope as people may read it."""
    found = find_next_envelope(db, box_kid, now=now)
    return disclose(
        found.batch,
        found.sealed,
        is_ready=found.is_ready,
        leaves_on=found.leaves_on,
        nation_weeks=found.nation_weeks,
    )


@dataclass(frozen=True)
class SentBatch:
    """A batch that was sealed, as the page shows it."""

    seq: int
    events: int
    sha256: bytes
    receipted_at: datetime | None  # the region's own clock; None while no receipt has come


def sent_batches(db: Database, most: int) -> list[SentBatch]:
    """Return the latest batches, newest first. What was set aside was never sent."""
    with translated_faults():
        rows = db.execute(
            "SELECT seq, events, sha256, receipted_at FROM batch WHERE set_aside_by IS NULL"
            " ORDER BY id DESC LIMIT ?",
            [most],
        ).fetchall()
    return [
        SentBatch(seq, events, sha256, datetime.fromisoformat(at).astimezone(UTC) if at else None)
        for seq, events, sha256, at in rows
    ]


def find_next_batch(db: Database, box_kid: bytes, *, now: datetime | None = None) -> Batch | None:
    """Return what the next envelope holds, when there is one."""
    return find_next_envelope(db, box_kid, now=now).batch


def find_oldest_sealed(db: Database) -> SealedBatch | None:
    """Return the batch to send next."""
    return next(sealed_batches(db), None)


def sealed_batches(db: Database) -> Iterator[SealedBatch]:
    """Return every batch without a receipt, the oldest first; no transaction is open in between."""
    last = 0
    while True:
        with translated_faults():
            row = db.execute(
                "SELECT id, epoch, seq, events, blob_id, sha256, sealed FROM batch"
                " WHERE id > ? AND receipt IS NULL AND set_aside_by IS NULL ORDER BY id LIMIT 1",
                [last],
            ).fetchone()
        if row is None:
            return
        yield SealedBatch(*row)
        last = row[0]


def settle(db: Database, receipt: Receipt, signed: bytes) -> int | None:
    """Let go of the batch a verified receipt confirms and return it; its ledger row stays. None: the
    receipt is of a batch this database never made, perhaps of another card with the same name.

    `contiguous_high` is not trusted to confirm other batches: a copied card may share this epoch.
    """
    with write_transaction(db):
        found = db.execute(
            "SELECT id FROM batch WHERE epoch = ? AND seq = ? AND events = ? AND blob_id = ? AND sha256 = ?",
            [receipt.epoch, receipt.seq, receipt.events, receipt.blob_id, receipt.sha256],
        ).fetchone()
        if found is None:
            return None
        batch_id: int = found[0]
        db.execute(
            "UPDATE batch SET body = NULL, nation = NULL, sealed = NULL, receipt = ?, receipted_at = ?"
            " WHERE id = ? AND receipt IS NULL",
            [signed, receipt.server_time.isoformat(), batch_id],
        )
        db.execute("DELETE FROM outbox WHERE batch_id = ?", [batch_id])
        return batch_id


def forget_receipted(db: Database, before: datetime) -> int:
    """Drop the rows of batches that were confirmed long ago; only how many there were is kept.

    A receipt's time is the region's own, so that no wrong clock here forgets anything too early.
    """
    with write_transaction(db):
        old = db.execute(
            "SELECT id, events FROM batch WHERE receipt IS NOT NULL AND receipted_at < ?",
            [before.isoformat()],
        ).fetchall()
        db.conn.executemany("DELETE FROM batch WHERE id = ?", ((row[0],) for row in old))
        db.execute(
            "UPDATE sync_state SET forgotten_batches = forgotten_batches + ?,"
            " forgotten_events = forgotten_events + ?",
            [len(old), sum(row[1] for row in old)],
        )
        return len(old)


_WAITS = "batch_id IS NULL AND set_aside_by IS NULL"


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def _today(now: datetime | None) -> date:
    return (now or datetime.now(UTC)).astimezone(UTC).date()


@dataclass(frozen=True)
class _Draft:
    """The batch that the waiting rows would make now, and whether it need not wait any longer."""

    ids: list[int]
    batch: Batch
    is_ready: bool


_NO_DAY_AT_ALL = "-"  # equal to no day, not even to the unknown one


def _draft_batch(db: Database, box_kid: bytes, today: date, *, with_today: bool = False) -> _Draft | None:
    """Build the batch that comes next; the stored seed makes it repeatable.

    Only finished days leave: the hour in which an envelope comes would tell the lesson. A day that
    is not today's but later is a clock that was wrong, and is over as well.
    """
    rows = db.execute(
        f"SELECT id, kind, day, session_id, fields, learner_id FROM outbox WHERE {_WAITS}"  # noqa: S608 - our own words
        " AND day <> ? ORDER BY id LIMIT ?",
        [_NO_DAY_AT_ALL if with_today else today.isoformat(), MAX_EVENTS],
    ).fetchall()
    if not rows:
        return None
    # Few rows are different from all others: each text is read once.
    read = {text: json.loads(text) for text in {row[4] for row in rows}}
    days = {text: _day(text) for text in {row[2] for row in rows}}
    waiting = [
        WaitingRow(AllowedRow(kind, days[day], session_id, read[fields]), learner_id)
        for _, kind, day, session_id, fields, learner_id in rows
    ]
    coarse = generalise(waiting)
    # A row whose day nobody knows has nothing to wait for.
    is_old = any(day is None or abs(today - day) >= LONGEST_WAIT for day in days.values())
    epoch, seq, number, previous, seed = db.execute(
        "SELECT epoch, next_seq, next_number, previous_sha256, seed FROM sync_state"
    ).fetchone()
    payload = pack_rows(anonymise(coarse, seed))
    last = number + len(rows) - 1
    batch = Batch(box_kid, epoch, seq, previous, number, last, CLOCK_UNCONFIRMED, payload)
    return _Draft([row[0] for row in rows], batch, is_old or keeps_its_days(coarse))
