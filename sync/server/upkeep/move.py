"""Move a living region from one database to another: from one file to PostgreSQL, or back.

While boxes go on sending, ledger and events are copied in the order of arrival; each step and how far
it came is one transaction, so a move that was killed goes on where it was. Then the old database
refuses every change (boxes hear 503 and keep what they have), the rest follows, everything is counted,
and the region's identity names the new address. Promises: no batch is lost or doubled, and until the
last step the old database is whole. Keeps out: terminals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sync.region_errors import MoveIncomplete, TargetNotEmpty
from sync.server.storage.database import RegionDatabase, shown_address
from sync.server.storage.schema import migrate

# Ledger rows in one step: up to 400,000 events, a few seconds, and little to repeat after a kill.
STEP_BATCHES = 200
ROWS_AT_ONCE = 5_000
# What each side has of its own.
_OWN = ("region_migration", "region_move")
_BY_NUMBER = ("ledger", "event")

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Moved:
    """What is in the new database."""

    batches: int
    events: int
    rows: int  # of all other tables


def move(source: RegionDatabase, target: RegionDatabase, name: str, tell: Told) -> Moved:
    """Copy everything and leave the old database closed; `name` is the source's address. A second
    call goes on, or finds the work done."""
    for db in (source, target):
        migrate(db)
    name = shown_address(name)
    _begin(target, name)
    if not _is_done(target, name):
        while _follow(source, target, name, tell) >= STEP_BATCHES:
            pass
        source.refuse_changes(source.tables())
        _finish(source, target, name, tell)
    return _counted(target)


def give_up(source: RegionDatabase) -> None:
    """Let the old database be changed again; what was copied stays behind."""
    source.allow_changes(source.tables())


def _begin(target: RegionDatabase, name: str) -> None:
    with target.transaction():
        begun = target.rows("SELECT source FROM region_move")
        if begun == [(name,)]:
            return
        if begun or target.row("SELECT 1 FROM ledger LIMIT 1") or target.row("SELECT 1 FROM box LIMIT 1"):
            raise TargetNotEmpty
        target.execute("INSERT INTO region_move (source, number) VALUES (?, 0)", (name,))


def _is_done(target: RegionDatabase, name: str) -> bool:
    row = target.row("SELECT is_done FROM region_move WHERE source = ?", (name,))
    return row == (1,)


def _follow(source: RegionDatabase, target: RegionDatabase, name: str, tell: Told) -> int:
    """Copy the next ledger rows with their events; return how many there were."""
    with target.transaction():
        first = int(_one(target, "SELECT number FROM region_move WHERE source = ?", name))
        last = min(first + STEP_BATCHES, int(_one(source, "SELECT coalesce(max(number), 0) FROM ledger")))
        if last > first:
            # A batch refers to its box.
            _copy_boxes(source, target)
            days = source.rows(
                "SELECT DISTINCT received_day FROM ledger WHERE number > ? AND number <= ?", (first, last)
            )
            for (day,) in days:
                target.ensure_partition("event", day)
            for table in _BY_NUMBER:
                _copy(
                    source, target, table, "WHERE number > ? AND number <= ? ORDER BY number", (first, last)
                )
            target.execute("UPDATE region_move SET number = ? WHERE source = ?", (last, name))
    tell(last, int(_one(source, "SELECT coalesce(max(number), 0) FROM ledger")))
    return last - first


def _finish(source: RegionDatabase, target: RegionDatabase, name: str, tell: Told) -> None:
    """Copy what came until the old database closed, and every other table, and compare."""
    while _follow(source, target, name, tell):
        pass
    others = [table for table in source.tables() if table not in (*_OWN, *_BY_NUMBER, "box")]
    with target.transaction():
        _copy_boxes(source, target)
        for table in reversed(others):
            if _one(target, f"SELECT count(*) FROM {table}"):  # noqa: S608 - what the schema began with
                target.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
        for table in others:
            _copy(source, target, table)
        target.keep_numbering()
        for table in ("box", *_BY_NUMBER, *others):
            if _one(source, f"SELECT count(*) FROM {table}") != _one(target, f"SELECT count(*) FROM {table}"):  # noqa: S608
                raise MoveIncomplete(table=table)
        target.execute("UPDATE region_move SET is_done = 1 WHERE source = ?", (name,))


def _copy_boxes(source: RegionDatabase, target: RegionDatabase) -> None:
    """Boxes change while they are copied: the newest state replaces the one before."""
    columns = list(source.columns("box"))
    changes = ", ".join(f"{column} = excluded.{column}" for column in columns if column != "id")
    target.execute_many(
        f"INSERT INTO box ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own words
        f" ON CONFLICT (id) DO UPDATE SET {changes}",
        source.rows(f"SELECT {', '.join(columns)} FROM box ORDER BY id"),  # noqa: S608 - our own words
    )


def _copy(
    source: RegionDatabase, target: RegionDatabase, table: str, which: str = "", params: tuple[Any, ...] = ()
) -> None:
    columns = list(source.columns(table))
    missing = source.columns(table).keys() - target.columns(table).keys()
    for column in sorted(missing):
        # A field of an older program, kept since: its column comes along.
        kind = "TEXT" if source.columns(table)[column].upper() == "TEXT" else "INTEGER"
        target.define(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    rows = source.each(f"SELECT {', '.join(columns)} FROM {table} {which}", params)  # noqa: S608 - our own words
    for part in _parts(rows):
        target.copy_rows(table, columns, part)


def _parts(rows: Iterable[tuple[Any, ...]]) -> Iterable[list[tuple[Any, ...]]]:
    left = iter(rows)
    while part := list(islice(left, ROWS_AT_ONCE)):
        yield part


def _counted(target: RegionDatabase) -> Moved:
    others = [table for table in target.tables() if table not in (*_OWN, *_BY_NUMBER)]
    return Moved(
        int(_one(target, "SELECT count(*) FROM ledger")),
        int(_one(target, "SELECT count(*) FROM event")),
        sum(int(_one(target, f"SELECT count(*) FROM {table}")) for table in others),  # noqa: S608 - our own words
    )


def _one(db: RegionDatabase, sql: str, *params: object) -> Any:
    row = db.row(sql, params)
    return row[0] if row else 0
