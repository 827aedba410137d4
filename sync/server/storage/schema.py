"""The region's tables, in the order in which they came to be: written once for both databases.

A migration goes forward, and back by one version. Its statements may use `{id}` (a primary key
that numbers itself), `{bytes}`, `{strict}` (behind the closing bracket of a table), and for the
one large table `{by_received_day}` and `{brin}`; INTEGER, TEXT and REAL mean the same in both.
A migration that was in a release is never edited: append the next one. A table that has `box_id`
has it in every unique key, so that the tables can be spread over machines by box (decision 0035).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sync.batch import RULES
from sync.event import HexPrefix, OneOf
from sync.server.storage import (
    desk_tables,
    move_tables,
    nation_tables,
    people_tables,
    rollup_tables,
    takeover,
)
from sync.server.storage.database import RegionDatabase
from sync.server.storage.event_rows import EVENT_FIELDS
from sync.server.storage.sqlite_database import SqliteDatabase


@dataclass(frozen=True)
class Migration:
    """One step of the schema; `back` undoes it and may lose what only the new form can hold."""

    name: str
    forward: tuple[str, ...]
    back: tuple[str, ...]


_REGION = Migration(
    "r001_region",
    (
        """
        CREATE TABLE code (
            secret_sha256 {bytes} PRIMARY KEY,
            expires_at TEXT NOT NULL,
            device_key {bytes}  -- of the box that used it; only that box may use it again
        ) {strict}
        """,
        """
        CREATE TABLE box (
            id {id},
            label TEXT NOT NULL UNIQUE,
            kid {bytes} NOT NULL UNIQUE,
            device_key {bytes} NOT NULL,
            token_sha256 {bytes} NOT NULL,
            software TEXT NOT NULL,
            enrolled_at TEXT NOT NULL,
            last_contact_at TEXT NOT NULL,
            revoked_at TEXT
        ) {strict}
        """,
        """
        CREATE TABLE ledger (
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch {bytes} NOT NULL,
            seq INTEGER NOT NULL,
            lo INTEGER NOT NULL,
            hi INTEGER NOT NULL,
            blob_id {bytes} NOT NULL,
            sha256 {bytes} NOT NULL,
            previous_sha256 {bytes} NOT NULL,
            clock_quality INTEGER NOT NULL,
            contiguous_high INTEGER NOT NULL,
            received_at TEXT NOT NULL,
            received_day TEXT NOT NULL,  -- in UTC
            number INTEGER NOT NULL,  -- 1, 2, 3, ... in the order of arrival, over all boxes, no gap
            PRIMARY KEY (box_id, epoch, seq)
        ) {strict}
        """,
        "CREATE INDEX ledger_by_sha256 ON ledger (box_id, sha256)",
        "CREATE INDEX ledger_by_number ON ledger (number)",
        "CREATE INDEX ledger_by_high ON ledger (box_id, epoch, contiguous_high)",
        # No foreign key: ledger row and events are written by one method in one transaction, and old
        # days of events go while the ledger stays.
        """
        CREATE TABLE event (
            box_id INTEGER NOT NULL,
            epoch {bytes} NOT NULL,
            seq INTEGER NOT NULL,
            number INTEGER NOT NULL,  -- of its ledger row
            received_day TEXT NOT NULL,
            kind TEXT,
            session INTEGER,
            day TEXT,
            span INTEGER NOT NULL DEFAULT 0,  -- 0: the day, 1: the week it begins, 2: the month
            answer_tokens INTEGER,
            characters INTEGER,
            duration_ms INTEGER,
            grade INTEGER,
            language TEXT,
            model_sha256 TEXT,
            outcome TEXT,
            reason TEXT,
            result TEXT,
            rung INTEGER
        ) {by_received_day}
        """,
        # What came since a number lies together on the disk: a few pages, however large the table.
        "CREATE INDEX event_by_number ON event {brin} (number) {brin_options}",
        """
        CREATE TABLE remark (
            box_id INTEGER NOT NULL REFERENCES box (id),
            epoch {bytes} NOT NULL,
            seq INTEGER NOT NULL,
            remark TEXT NOT NULL,
            sha256 {bytes} NOT NULL,
            noted_at TEXT NOT NULL,
            PRIMARY KEY (box_id, epoch, seq, remark, sha256)
        ) {strict}
        """,
        """
        CREATE TABLE nation_letter (
            box_id INTEGER NOT NULL,
            epoch {bytes} NOT NULL,
            seq INTEGER NOT NULL,
            letter {bytes} NOT NULL,
            PRIMARY KEY (box_id, epoch, seq),
            FOREIGN KEY (box_id, epoch, seq) REFERENCES ledger (box_id, epoch, seq)
        ) {strict}
        """,
        "CREATE TABLE policy (version INTEGER PRIMARY KEY, document {bytes} NOT NULL) {strict}",
        "CREATE TABLE key_list (number INTEGER PRIMARY KEY, document {bytes} NOT NULL) {strict}",
    ),
    tuple(
        f"DROP TABLE {table}"
        for table in ("key_list", "policy", "nation_letter", "remark", "event", "ledger", "box", "code")
    ),
)

# Append; never insert, never edit what was released.
MIGRATIONS: tuple[Migration, ...] = (
    _REGION,
    Migration("r002_rollups", rollup_tables.FORWARD, rollup_tables.BACK),
    Migration("r003_places", nation_tables.PLACES_FORWARD, nation_tables.PLACES_BACK),
    Migration("r004_nation", nation_tables.NATION_FORWARD, nation_tables.NATION_BACK),
    Migration("r005_people", people_tables.FORWARD, people_tables.BACK),
    Migration("r006_move", move_tables.FORWARD, move_tables.BACK),
    Migration("r007_desk", desk_tables.FORWARD, desk_tables.BACK),
    Migration("r008_national_days", nation_tables.DAYS_FORWARD, nation_tables.DAYS_BACK),
    Migration("r009_national_sums", nation_tables.SUMS_FORWARD, nation_tables.SUMS_BACK),
    Migration("r010_audit_checkpoint", people_tables.CHECKPOINT_FORWARD, people_tables.CHECKPOINT_BACK),
    # Whose an epoch is, one step down an index. Not unique: an epoch is many batches, and all of one box.
    Migration(
        "r011_whose_epoch",
        ("CREATE INDEX ledger_by_epoch ON ledger (epoch, number)",),
        ("DROP INDEX ledger_by_epoch",),
    ),
)

_RECORD = "CREATE TABLE region_migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL) {strict}"


def migrate(db: RegionDatabase, migrations: tuple[Migration, ...] | None = None) -> None:
    """Bring the tables to this program's form: all or nothing, even when two processes start at once."""
    wanted = MIGRATIONS if migrations is None else migrations
    if not _pending(db, wanted) and not _missing_fields(db):
        return
    with db.transaction():
        if not db.columns("region_migration"):
            db.define(_RECORD)
        old = takeover.put_aside(db) if isinstance(db, SqliteDatabase) else None
        for migration in _pending(db, wanted):
            _define(db, migration.forward)
            db.execute(
                "INSERT INTO region_migration VALUES (?, ?)", (migration.name, datetime.now(UTC).isoformat())
            )
            if old is not None and migration is _REGION and isinstance(db, SqliteDatabase):
                takeover.fill(db, old)
        for name in _missing_fields(db):
            column_type = "TEXT" if isinstance(RULES[name], OneOf | HexPrefix) else "INTEGER"
            db.define(f"ALTER TABLE event ADD COLUMN {name} {column_type}")


def step_back(db: RegionDatabase, migrations: tuple[Migration, ...] | None = None) -> str | None:
    """Undo the newest migration, for the program of one version before; return its name."""
    wanted = MIGRATIONS if migrations is None else migrations
    with db.transaction():
        applied = _applied(db)
        newest = next((step for step in reversed(wanted) if step.name in applied), None)
        if newest is None or newest is _REGION:  # before the first there is nothing to go back to
            return None
        _define(db, newest.back)
        db.execute("DELETE FROM region_migration WHERE name = ?", (newest.name,))
    return newest.name


def steps(db: RegionDatabase) -> list[str]:
    """Return the migrations that were applied, in their order."""
    applied = _applied(db)
    return [migration.name for migration in MIGRATIONS if migration.name in applied]


def _applied(db: RegionDatabase) -> set[str]:
    if not db.columns("region_migration"):
        return set()
    return {name for (name,) in db.rows("SELECT name FROM region_migration")}


def _pending(db: RegionDatabase, wanted: tuple[Migration, ...]) -> list[Migration]:
    applied = _applied(db)
    return [migration for migration in wanted if migration.name not in applied]


def _missing_fields(db: RegionDatabase) -> list[str]:
    """A field declared since the last start gets its column: nobody says twice what may leave."""
    there = db.columns("event")
    return [name for name in EVENT_FIELDS if name not in there]


def _define(db: RegionDatabase, statements: Iterable[str]) -> None:
    for statement in statements:
        db.define(statement)
