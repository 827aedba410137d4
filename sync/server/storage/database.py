"""The seam between the region and its database: one way to speak SQL, two databases behind it.

SQL is written once, with `?` for parameters and with nothing that only one of the two knows:
`INSERT ... ON CONFLICT ... RETURNING`, `coalesce`, no arithmetic on dates. Times are TEXT in ISO
form and UTC, days TEXT as `YYYY-MM-DD`, bytes come back as `bytes`, whole numbers as `int`. A
comparison comes back as a bool or as 0 and 1: wrap it in `bool()`.

Each connection belongs to one thread at a time. Faults of the database become errors of this
room. Keeps out: tables, rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit, urlunsplit

from sync.region_errors import UnknownDatabase
from sync.server.storage.sqlite_database import SqliteDatabase

SQLITE_PREFIX = "sqlite:///"
POSTGRES_SCHEMES = ("postgresql", "postgres")

Row = tuple[Any, ...]


class RegionDatabase(Protocol):
    """A connection to the region's database."""

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]: ...

    @property
    def is_usable(self) -> bool:
        """Whether another request may use this connection: it is whole and in no transaction."""

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...

    def row(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        """Return the first row."""

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        """Change something; return how many rows. Outside a transaction it is one of its own."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, and nobody else is in one: what is read inside stays true until it is
        written. Inside another one it is a part that can be undone alone."""

    def snapshot(self) -> AbstractContextManager[None]:
        """All that is read inside is of one moment, and nobody who writes waits for it."""

    def copy_rows(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Add many rows, the quickest way the database has."""

    def define(self, statement: str) -> None:
        """Run a statement of a migration; the words in braces are filled in (`schema`)."""

    def columns(self, table: str) -> dict[str, str]:
        """Return the columns of a table with their types; nothing when there is no such table."""

    def each(self, sql: str, params: Sequence[object] = ()) -> Iterator[Row]:
        """Read many rows without holding them all, as they were at one moment."""

    def tables(self) -> list[str]:
        """Return our tables, those that others refer to first."""

    def keep_numbering(self) -> None:
        """After rows came with their numbers, let each self-numbering key go on behind them."""

    def refuse_changes(self, tables: Sequence[str]) -> None:
        """From now on each change of these tables fails as RegionMoved, whoever tries."""

    def allow_changes(self, tables: Sequence[str]) -> None:
        """Take that back."""

    def ensure_partition(self, table: str, day: str) -> None:
        """Make room for rows of a received day, where a table is kept in such parts."""

    def drop_partition(self, table: str, day: str) -> None:
        """Let go of all rows of a received day."""

    def close(self) -> None: ...


def open_region_database(address: str) -> RegionDatabase:
    """Open the region's database for the calling thread; the caller closes it."""
    if is_postgres(address):
        # The driver is an optional package: a region with one file needs none of it.
        from sync.server.storage.postgres_database import open_postgres

        return open_postgres(address)
    return SqliteDatabase.open(sqlite_path(address))


def is_postgres(address: str) -> bool:
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme in POSTGRES_SCHEMES


def sqlite_path(address: str) -> Path:
    """Return the file of a SQLite address, or raise."""
    path = address.removeprefix(SQLITE_PREFIX)
    if path == address or not path:
        raise UnknownDatabase
    return Path(path)


def absolute_address(address: str, default: Path) -> str:
    """Return the address as it is kept: the same wherever the program is started."""
    if is_postgres(address):
        return address
    return SQLITE_PREFIX + str((sqlite_path(address) if address else default).absolute())


def shown_address(address: str) -> str:
    """Return the address without its password."""
    parts = urlsplit(address)
    if not parts.password:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))
