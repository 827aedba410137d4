"""The region's database as one SQLite file: what a pilot or a small region needs.

How SQLite is opened and how writers queue belongs to `sync/database`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from sqlite_utils import Database

from sync.database import open_database
from sync.database import translated_faults as faults_of_sqlite
from sync.database import write_transaction as write_transaction_of_sqlite
from sync.region_errors import RegionMoved
from sync.server.storage.table_order import in_order

WORDS: Mapping[str, str] = {
    "id": "INTEGER PRIMARY KEY",
    "bytes": "BLOB",
    "strict": "STRICT",
    # A record that is only appended to (`sync/server/people/audit`).
    "refusal": "BEGIN SELECT RAISE(ABORT, 'this record is only appended to'); END",
    "define_refusal": "SELECT 1",
    "refuse_truncate": "SELECT 1",
    "by_received_day": "STRICT",  # one file has no parts
    "brin": "",
    "brin_options": "",
}
MOVED = "sandyq: this region moved to another database"
_CHANGES = ("INSERT", "UPDATE", "DELETE")
_READS = ("SELECT", "WITH", "PRAGMA", "EXPLAIN")


class SqliteDatabase:
    """A connection to the file."""

    dialect: Literal["sqlite", "postgresql"] = "sqlite"

    def __init__(self, db: Database) -> None:
        self.sqlite = db

    @classmethod
    def open(cls, path: Path) -> Self:
        return cls(open_database(path))

    @property
    def is_usable(self) -> bool:
        return False  # SQLite's connections stay with their thread; opening one is quick

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        if sql.lstrip().upper().startswith(_READS):
            with translated_faults():
                return self.sqlite.execute(sql, tuple(params)).fetchall()
        with write_transaction(self.sqlite):
            return self.sqlite.execute(sql, tuple(params)).fetchall()

    def row(self, sql: str, params: Sequence[object] = ()) -> tuple[Any, ...] | None:
        return next(iter(self.rows(sql, params)), None)

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        with self._own_transaction():
            return self.sqlite.execute(sql, tuple(params)).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        with self._own_transaction():
            self.sqlite.conn.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with write_transaction(self.sqlite):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        with translated_faults():
            self.sqlite.conn.execute("BEGIN")
            try:
                # The moment is that of the first read.
                self.sqlite.conn.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
                yield
            finally:
                self.sqlite.conn.execute("ROLLBACK")

    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        places = ", ".join("?" * len(columns))
        self.execute_many(
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})",  # noqa: S608 - our own words
            rows,
        )

    def define(self, statement: str) -> None:
        with self._own_transaction():
            self.sqlite.execute(statement.format_map(WORDS))

    def columns(self, table: str) -> dict[str, str]:
        with translated_faults():
            rows = self.sqlite.execute("SELECT name, type FROM pragma_table_info(?)", (table,)).fetchall()
        return dict(rows)

    def each(self, sql: str, params: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        with translated_faults():
            yield from self.sqlite.execute(sql, tuple(params))

    def tables(self) -> list[str]:
        found = [name for (name,) in self.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        references = self.rows(
            'SELECT t.name, f."table" FROM sqlite_schema t, pragma_foreign_key_list(t.name) f'
            " WHERE t.type = 'table'"
        )
        return in_order(found, [(table, referred) for table, referred in references])

    def keep_numbering(self) -> None:
        """SQLite numbers behind the highest by itself."""

    def refuse_changes(self, tables: Sequence[str]) -> None:
        with self.transaction():
            for table in tables:
                for change in _CHANGES:
                    self.sqlite.execute(
                        f"CREATE TRIGGER IF NOT EXISTS moved_{table}_{change} BEFORE {change} ON {table}"
                        f" BEGIN SELECT RAISE(ABORT, '{MOVED}'); END"
                    )

    def allow_changes(self, tables: Sequence[str]) -> None:
        with self.transaction():
            for table in tables:
                for change in _CHANGES:
                    self.sqlite.execute(f"DROP TRIGGER IF EXISTS moved_{table}_{change}")

    def ensure_partition(self, table: str, day: str) -> None:
        """One file has no parts."""

    def drop_partition(self, table: str, day: str) -> None:
        # By the number of the batches: there is no index on the day.
        self.execute(
            f"DELETE FROM {table} WHERE received_day = ? AND number IN"  # noqa: S608 - our own words
            " (SELECT number FROM ledger WHERE received_day = ?)",
            (day, day),
        )

    def close(self) -> None:
        self.sqlite.close()

    @contextmanager
    def _own_transaction(self) -> Iterator[None]:
        """A statement inside a transaction needs no part of its own: when it fails, all fails."""
        if self.sqlite.conn.in_transaction:
            with translated_faults():
                yield
        else:
            with write_transaction(self.sqlite):
                yield


@contextmanager
def translated_faults() -> Iterator[None]:
    try:
        with faults_of_sqlite():
            yield
    except sqlite3.IntegrityError as fault:
        if MOVED in str(fault):
            raise RegionMoved from fault
        raise


@contextmanager
def write_transaction(db: Database) -> Iterator[None]:
    with translated_faults(), write_transaction_of_sqlite(db):
        yield
