"""A region made before there were two databases is taken over, without losing a row.

Such a region is one SQLite file whose form sqlite-utils recorded, at any of the six steps below.
They are kept as they were: each old file first comes to the last of them, then its rows move into
the tables of `sync/server/storage/schema`. The whole is one transaction of `schema.migrate`.
"""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync.server.storage.sqlite_database import SqliteDatabase

migrations = Migrations("sync.server.storage.store")

_TABLES = ("code", "box", "ledger", "event", "remark", "nation_letter", "policy", "key_list")
_CHILDREN_FIRST = ("nation_letter", "remark", "event", "ledger", "box", "code", "policy", "key_list")
_INDEXES = ("ledger_by_sha256",)  # an index keeps its name when its table is renamed


def put_aside(db: SqliteDatabase) -> tuple[str, ...] | None:
    """Rename the tables of an old region; nothing when this is none."""
    if not db.columns("_sqlite_migrations") or not migrations.applied(db.sqlite):
        return None
    migrations.apply(db.sqlite)
    for index in _INDEXES:
        db.define(f"DROP INDEX {index}")
    for table in _TABLES:
        db.define(f"ALTER TABLE {table} RENAME TO old_{table}")
    return _TABLES


def fill(db: SqliteDatabase, tables: tuple[str, ...]) -> None:
    """Move the rows into the new tables and drop the old ones."""
    for table in tables:
        _move(db, table)
    for table in _CHILDREN_FIRST:
        db.define(f"DROP TABLE old_{table}")
    db.execute("DELETE FROM _sqlite_migrations WHERE migration_set = ?", (migrations.name,))


def _move(db: SqliteDatabase, table: str) -> None:
    columns = db.columns(f"old_{table}")
    for name in columns.keys() - db.columns(table).keys():
        # A field that is not declared any more keeps what was told.
        db.define(f"ALTER TABLE {table} ADD COLUMN {name} {columns[name]}")
    kept = ", ".join(columns)
    rows = ", ".join(f"old_{table}.{name}" for name in columns)
    more, source = _MORE.get(table, ("", f"FROM old_{table}"))
    into = f"{kept}{', received_day, number' if more else ''}"
    db.execute(f"INSERT INTO {table} ({into}) SELECT {rows}{more} {source} ORDER BY old_{table}.rowid")


# The old tables were only ever added to: their rows lie in the order of arrival.
_MORE = {
    "ledger": (
        ", substr(old_ledger.received_at, 1, 10), row_number() OVER (ORDER BY old_ledger.rowid)",
        "FROM old_ledger",
    ),
    "event": (", received_day, number", "FROM old_event JOIN ledger USING (box_id, epoch, seq)"),
}


# The six steps, as they were -----------------------------------------------------------------


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
        if name not in _EVENT_BEGAN:
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


_EVENT_BEGAN = ("box_id", "epoch", "seq", "kind", "session", "day", "span")


@migrations()
def m006_key_life(db: Database) -> None:
    """Every list of keys as it was signed, and boxes whose keys are not to be believed any more."""
    db.execute("CREATE TABLE key_list (number INTEGER PRIMARY KEY, document BLOB NOT NULL) STRICT")
    db.execute("ALTER TABLE box ADD COLUMN revoked_at TEXT")
