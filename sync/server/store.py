"""Where a region keeps what it was told: the only module that speaks to its database.

SQLite today. Another database is another class with the same methods, chosen by
its address in `open_store`; nothing else in the room knows SQL. Keeps out:
rules, keys, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.anonymise import LeavingRow
from sync.batch import RULES
from sync.database import migrate, open_database, translated_faults, write_transaction
from sync.errors import UnknownDatabase
from sync.event import HexPrefix, OneOf

SQLITE_PREFIX = "sqlite:///"

migrations = Migrations("sync.server.store")

# One column for every field that may leave a box. A field declared since the last start gets its
# column when the store is migrated: nobody has to say twice what may leave.
EVENT_FIELDS = tuple(sorted(RULES))


@migrations()
def m001_region(db: Database) -> None:
    """Codes, boxes, the ledger of batches, their events, and what looked wrong."""
    for statement in (
        """
        CREATE TABLE code (
            secret_sha256 BLOB PRIMARY KEY,
            expires_at TEXT NOT NULL,
            device_key BLOB  -- of the box that used it; only that box may use it again
        ) STRICT
        """,
        """
        CREATE TABLE box (
            id INTEGER PRIMARY KEY,
            label TEXT NOT NULL UNIQUE,
            kid BLOB NOT NULL UNIQUE,
            device_key BLOB NOT NULL,
            token_sha256 BLOB NOT NULL,
            software TEXT NOT NULL,
            enrolled_at TEXT NOT NULL,
            last_contact_at TEXT NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE ledger (
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            lo INTEGER NOT NULL,
            hi INTEGER NOT NULL,
            blob_id BLOB NOT NULL,
            sha256 BLOB NOT NULL,
            previous_sha256 BLOB NOT NULL,
            clock_quality INTEGER NOT NULL,
            contiguous_high INTEGER NOT NULL,
            received_at TEXT NOT NULL,
            PRIMARY KEY (box_id, epoch, seq)
        ) STRICT
        """,
        """
        CREATE TABLE event (
            box_id INTEGER NOT NULL,
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,
            session INTEGER NOT NULL,
            day TEXT NOT NULL,
            answer_tokens INTEGER,
            characters INTEGER,
            duration_ms INTEGER,
            grade INTEGER,
            language TEXT,
            model_sha256 TEXT,
            outcome TEXT,
            FOREIGN KEY (box_id, epoch, seq) REFERENCES ledger (box_id, epoch, seq)
        ) STRICT
        """,
        """
        CREATE TABLE remark (
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            remark TEXT NOT NULL,
            sha256 BLOB NOT NULL,
            noted_at TEXT NOT NULL,
            PRIMARY KEY (box_id, epoch, seq, remark, sha256)
        ) STRICT
        """,
    ):
        db.execute(statement)


@migrations()
def m002_tasks_and_hand_backs(db: Database) -> None:
    """What a box says of checked attempts and of learners who were handed back to a person."""
    for column in ("reason TEXT", "result TEXT", "rung INTEGER"):
        db.execute(f"ALTER TABLE event ADD COLUMN {column}")


@migrations()
def m003_policy(db: Database) -> None:
    """Every order the region ever gave, as it was signed."""
    db.execute("CREATE TABLE policy (version INTEGER PRIMARY KEY, document BLOB NOT NULL) STRICT")


@migrations()
def m004_ledger_by_bytes(db: Database) -> None:
    """A box that lost its receipt asks by the bytes it sent."""
    db.execute("CREATE INDEX ledger_by_sha256 ON ledger (sha256)")


@migrations()
def m005_coarse_rows(db: Database) -> None:
    """A row may have nothing for kind, session and day; the nation's letters wait to be sent on."""
    columns = {row[1]: row[2] for row in db.execute("PRAGMA table_info(event)").fetchall()}
    kept = ", ".join(columns)
    db.execute("ALTER TABLE event RENAME TO old_event")
    db.execute(
        """
        CREATE TABLE event (
            box_id INTEGER NOT NULL,
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            kind TEXT,
            session INTEGER,
            day TEXT,
            span INTEGER NOT NULL DEFAULT 0,  -- 0: the day, 1: the week it begins, 2: the month
            FOREIGN KEY (box_id, epoch, seq) REFERENCES ledger (box_id, epoch, seq)
        ) STRICT
        """
    )
    for name, column_type in columns.items():
        if name not in _EVENT_BEGINS:
            db.execute(f"ALTER TABLE event ADD COLUMN {name} {column_type}")
    db.execute(f"INSERT INTO event ({kept}) SELECT {kept} FROM old_event")  # noqa: S608 - our own words
    db.execute("DROP TABLE old_event")
    db.execute(
        """
        CREATE TABLE nation_letter (
            box_id INTEGER NOT NULL,
            epoch BLOB NOT NULL,
            seq INTEGER NOT NULL,
            letter BLOB NOT NULL,
            PRIMARY KEY (box_id, epoch, seq),
            FOREIGN KEY (box_id, epoch, seq) REFERENCES ledger (box_id, epoch, seq)
        ) STRICT
        """
    )


_EVENT_BEGINS = ("box_id", "epoch", "seq", "kind", "session", "day", "span")


def _add_columns(db: Database, names: Iterable[str]) -> None:
    for name in names:
        column_type = "TEXT" if isinstance(RULES[name], OneOf | HexPrefix) else "INTEGER"
        db.execute(f"ALTER TABLE event ADD COLUMN {name} {column_type}")


@migrations()
def m006_key_life(db: Database) -> None:
    """Every list of keys as it was signed, and boxes whose keys are not to be believed any more."""
    db.execute("CREATE TABLE key_list (number INTEGER PRIMARY KEY, document BLOB NOT NULL) STRICT")
    db.execute("ALTER TABLE box ADD COLUMN revoked_at TEXT")


@dataclass(frozen=True)
class Code:
    secret_sha256: bytes
    expires_at: datetime
    device_key: bytes | None


@dataclass(frozen=True)
class Box:
    id: int
    label: str
    kid: bytes
    device_key: bytes
    token_sha256: bytes
    is_revoked: bool = False


@dataclass(frozen=True)
class LedgerRow:
    """One stored batch: enough to sign its receipt again, byte for byte."""

    epoch: bytes
    seq: int
    lo: int
    hi: int
    blob_id: bytes
    sha256: bytes
    previous_sha256: bytes
    clock_quality: int
    contiguous_high: int
    received_at: datetime


@dataclass(frozen=True)
class BoxLine:
    """One box as the region's page shows it."""

    label: str
    enrolled_at: datetime
    last_contact_at: datetime
    batches: int
    events: int
    missing: int  # batches the numbers say exist but that have not come
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Everything stored, counted."""

    by_kind: dict[str, int]
    by_language: dict[str, int]
    by_day: dict[date, int]


def open_store(address: str) -> Store:
    """Open the region's database for the calling thread; the caller closes it."""
    return Store(open_database(sqlite_path(address)))


def sqlite_path(address: str) -> Path:
    """Return the file of a SQLite address, or raise."""
    path = address.removeprefix(SQLITE_PREFIX)
    if path == address or not path:
        raise UnknownDatabase
    return Path(path)


class Store:
    """The region's database. Read-then-write work goes inside `transaction()`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def close(self) -> None:
        self._db.close()

    def migrate(self) -> None:
        migrate(self._db, migrations)
        there = {row[1] for row in self._db.execute("PRAGMA table_info(event)").fetchall()}
        if not there >= set(EVENT_FIELDS):
            with self.transaction():
                _add_columns(self._db, [name for name in EVENT_FIELDS if name not in there])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with write_transaction(self._db):
            yield

    # Enrolment

    def add_code(self, code: Code) -> None:
        with self.transaction():
            self._db.execute(
                "INSERT INTO code VALUES (?, ?, ?)",
                [code.secret_sha256, code.expires_at.isoformat(), code.device_key],
            )

    def live_codes(self, now: datetime) -> list[Code]:
        """Return the codes that still open, and drop those whose time is over."""
        with self.transaction():
            self._db.execute("DELETE FROM code WHERE expires_at <= ?", [now.isoformat()])
            rows = self._db.execute("SELECT secret_sha256, expires_at, device_key FROM code").fetchall()
        return [Code(row[0], datetime.fromisoformat(row[1]), row[2]) for row in rows]

    def bind_code(self, code: Code, device_key: bytes) -> None:
        with self.transaction():
            self._db.execute(
                "UPDATE code SET device_key = ? WHERE secret_sha256 = ?", [device_key, code.secret_sha256]
            )

    def find_box_by_kid(self, kid: bytes) -> Box | None:
        return self._find_box("kid = ?", kid)

    def find_box_by_label(self, label: str) -> Box | None:
        return self._find_box("label = ?", label)

    def add_box(
        self, label: str, kid: bytes, device_key: bytes, token_sha256: bytes, software: str, now: datetime
    ) -> None:
        with self.transaction():
            self._db.execute(
                "INSERT INTO box (label, kid, device_key, token_sha256, software, enrolled_at,"
                " last_contact_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [label, kid, device_key, token_sha256, software, now.isoformat(), now.isoformat()],
            )

    def renew_box(self, box: Box, token_sha256: bytes, software: str, now: datetime) -> None:
        with self.transaction():
            self._db.execute(
                "UPDATE box SET token_sha256 = ?, software = ?, last_contact_at = ? WHERE id = ?",
                [token_sha256, software, now.isoformat(), box.id],
            )

    def _find_box(self, condition: str, value: bytes | str) -> Box | None:
        with translated_faults():
            row = self._db.execute(
                "SELECT id, label, kid, device_key, token_sha256, revoked_at IS NOT NULL"  # noqa: S608 - our own words
                f" FROM box WHERE {condition}",
                [value],
            ).fetchone()
        return replace(Box(*row), is_revoked=bool(row[-1])) if row else None

    # Batches

    def touch_box(self, box: Box, now: datetime) -> None:
        with self.transaction():
            self._db.execute("UPDATE box SET last_contact_at = ? WHERE id = ?", [now.isoformat(), box.id])

    def find_ledger_row(self, box: Box, epoch: bytes, seq: int) -> LedgerRow | None:
        with translated_faults():
            row = self._db.execute(
                f"SELECT {_LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND epoch = ? AND seq = ?",  # noqa: S608 - our own words
                [box.id, epoch, seq],
            ).fetchone()
        return _read_ledger_row(row) if row else None

    def contiguous_high(self, box: Box, epoch: bytes, coming: int) -> int:
        """Return the number up to which every batch of the epoch is stored once `coming` is."""
        with translated_faults():
            high: int = self._db.execute(
                "SELECT coalesce(max(contiguous_high), 0) FROM ledger WHERE box_id = ? AND epoch = ?",
                [box.id, epoch],
            ).fetchone()[0]
        while high + 1 == coming or self.find_ledger_row(box, epoch, high + 1) is not None:
            high += 1
        return high

    def has_other_epoch(self, box: Box, epoch: bytes) -> bool:
        with translated_faults():
            return (
                self._db.execute(
                    "SELECT 1 FROM ledger WHERE box_id = ? AND epoch <> ? LIMIT 1", [box.id, epoch]
                ).fetchone()
                is not None
            )

    def count_batches(self) -> int:
        with translated_faults():
            count: int = self._db.execute("SELECT count(*) FROM ledger").fetchone()[0]
        return count

    def highest_seq(self, box: Box, epoch: bytes) -> int:
        with translated_faults():
            high: int = self._db.execute(
                "SELECT coalesce(max(seq), 0) FROM ledger WHERE box_id = ? AND epoch = ?", [box.id, epoch]
            ).fetchone()[0]
        return high

    def ledger_rows(self, box: Box, epoch: bytes, first: int, end: int, limit: int) -> list[LedgerRow]:
        """Return the oldest stored batches of an epoch with `first <= seq < end`."""
        with translated_faults():
            rows = self._db.execute(
                f"SELECT {_LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND epoch = ?"  # noqa: S608 - our own words
                " AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
                [box.id, epoch, first, end, limit],
            ).fetchall()
        return [_read_ledger_row(row) for row in rows]

    def find_stored(self, box: Box, sha256: bytes) -> LedgerRow | None:
        """Return the stored batch with these sealed bytes."""
        with translated_faults():
            row = self._db.execute(
                f"SELECT {_LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND sha256 = ?",  # noqa: S608 - our own words
                [box.id, sha256],
            ).fetchone()
        return _read_ledger_row(row) if row else None

    def add_batch(self, box: Box, row: LedgerRow, events: Iterable[LeavingRow]) -> None:
        """Store the ledger row and its events together or not at all."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    *(box.id, row.epoch, row.seq, row.lo, row.hi, row.blob_id, row.sha256),
                    *(row.previous_sha256, row.clock_quality, row.contiguous_high),
                    row.received_at.isoformat(),
                ],
            )
            self._db.conn.executemany(
                f"INSERT INTO event ({', '.join((*_EVENT_BEGINS, *EVENT_FIELDS))})"  # noqa: S608 - our own words
                f" VALUES ({', '.join('?' * (len(_EVENT_BEGINS) + len(EVENT_FIELDS)))})",
                (
                    [
                        *(box.id, row.epoch, row.seq, event.kind, event.session),
                        *(event.day.isoformat() if event.day else None, int(event.span)),
                        *(event.fields.get(name) for name in EVENT_FIELDS),
                    ]
                    for event in events
                ),
            )

    def add_nation_letter(self, box: Box, epoch: bytes, seq: int, letter: bytes) -> None:
        """Keep the nation's section as it came, unopened, to be sent on."""
        with self.transaction():
            self._db.execute("INSERT INTO nation_letter VALUES (?, ?, ?, ?)", [box.id, epoch, seq, letter])

    def nation_letters(self) -> list[bytes]:
        """Return what waits for the nation, oldest first."""
        with translated_faults():
            rows = self._db.execute("SELECT letter FROM nation_letter ORDER BY rowid").fetchall()
        return [row[0] for row in rows]

    def add_remark(self, box: Box, epoch: bytes, seq: int, remark: str, sha256: bytes, now: datetime) -> None:
        """Note once what looked wrong; the same again changes nothing."""
        with self.transaction():
            self._db.execute(
                "INSERT INTO remark VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [box.id, epoch, seq, remark, sha256, now.isoformat()],
            )

    # Orders

    def find_policy(self) -> bytes | None:
        """Return the newest order as it was signed."""
        with translated_faults():
            row = self._db.execute("SELECT document FROM policy ORDER BY version DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def add_policy(self, version: int, document: bytes) -> None:
        with self.transaction():
            self._db.execute("INSERT INTO policy VALUES (?, ?)", [version, document])

    def find_key_list(self) -> bytes | None:
        """Return the newest list of keys as it was signed."""
        with translated_faults():
            row = self._db.execute("SELECT document FROM key_list ORDER BY number DESC LIMIT 1").fetchone()
        return row[0] if row else None

    def key_list_number(self) -> int:
        with translated_faults():
            number: int = self._db.execute("SELECT coalesce(max(number), 0) FROM key_list").fetchone()[0]
        return number

    def add_key_list(self, number: int, document: bytes) -> None:
        with self.transaction():
            self._db.execute("INSERT INTO key_list VALUES (?, ?)", [number, document])

    def revoke_box(self, box: Box, now: datetime) -> None:
        with self.transaction():
            self._db.execute("UPDATE box SET revoked_at = ? WHERE id = ?", [now.isoformat(), box.id])

    # What is shown

    def box_lines(self) -> list[BoxLine]:
        with translated_faults():
            rows = self._db.execute(_BOX_LINES).fetchall()
            remarks: dict[int, list[str]] = {}
            for box_id, remark in self._db.execute("SELECT DISTINCT box_id, remark FROM remark ORDER BY 2"):
                remarks.setdefault(box_id, []).append(remark)
        return [
            BoxLine(
                label,
                datetime.fromisoformat(enrolled).astimezone(UTC),
                datetime.fromisoformat(contact).astimezone(UTC),
                *(batches, events, missing),
                tuple(remarks.get(box_id, ())),
            )
            for box_id, label, enrolled, contact, batches, events, missing in rows
        ]

    def counts(self) -> Counts:
        return Counts(
            self._count_by("coalesce(kind, '')"),
            self._count_by("coalesce(language, '')"),
            {date.fromisoformat(day): count for day, count in self._count_by("day", _TELLS_ITS_DAY).items()},
        )

    def _count_by(self, column: str, condition: str = "true") -> dict[str, int]:
        with translated_faults():
            rows = self._db.execute(
                f"SELECT {column}, count(*) FROM event WHERE {condition} GROUP BY 1 ORDER BY 1"  # noqa: S608 - our own words
            ).fetchall()
        return dict(rows)


_LEDGER_COLUMNS = (
    "epoch, seq, lo, hi, blob_id, sha256, previous_sha256, clock_quality, contiguous_high, received_at"
)


def _read_ledger_row(row: tuple[Any, ...]) -> LedgerRow:
    fields = list(row)
    fields[-1] = datetime.fromisoformat(fields[-1])
    return LedgerRow(*fields)


_TELLS_ITS_DAY = "day IS NOT NULL AND span = 0"  # a week's Monday is not that Monday

_BOX_LINES = """
SELECT box.id, label, enrolled_at, last_contact_at,
       coalesce(sum(epochs.batches), 0), coalesce(sum(epochs.events), 0), coalesce(sum(epochs.missing), 0)
FROM box LEFT JOIN (
    SELECT box_id, count(*) AS batches, sum(hi - lo + 1) AS events, max(seq) - count(*) AS missing
    FROM ledger GROUP BY box_id, epoch
) AS epochs ON epochs.box_id = box.id
GROUP BY box.id ORDER BY last_contact_at DESC, label
"""
