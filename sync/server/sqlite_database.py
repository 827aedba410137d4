"""The region's database as one SQLite file: what a pilot or a small region needs.

How SQLite is opened and how writers queue belongs to `sync/database`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Self

from sqlite_utils import Database

from sync.database import open_database, translated_faults, write_transaction

WORDS: Mapping[str, str] = {
    "id": "INTEGER PRIMARY KEY",
    "bytes": "BLOB",
    "strict": "STRICT",
    # A record that is only appended to (`sync/server/audit`).
    "refusal": "BEGIN SELECT RAISE(ABORT, 'this record is only appended to'); END",
    "define_refusal": "SELECT 1",
    "refuse_truncate": "SELECT 1",
    "by_received_day": "STRICT",  # one file has no parts
    "brin": "",
    "brin_options": "",
}
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

    def ensure_partition(self, table: str, day: str) -> None:
        """One file has no parts."""

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
