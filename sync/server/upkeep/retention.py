"""Old days of raw events leave the database for files: Parquet, one for each day they were received.

A day leaves when it is old enough and all of it is counted in the rollups. Its file is on the disk and
was read again before a row goes; a kill at any moment leaves rows, or file and rows, or the file, never
neither. The ledger stays: what came is known for ever. On PostgreSQL a day is a part of the table, so
it goes without a trace of work. Keeps out: what is counted.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sync.errors import DiskFull
from sync.keys import sync_folder
from sync.region_errors import ArchiveIncomplete
from sync.server.insight import rollups
from sync.server.storage import parquet
from sync.server.storage.database import RegionDatabase

# A term has nine weeks: what happened in the last one can still be looked up row by row, and a wrong
# rollup counted again. Later only sums are asked for, and those are kept.
RAW_DAYS = 90
ARCHIVE_FOLDER = "archive"
_NO_SPACE = 28  # ENOSPC


@dataclass(frozen=True)
class Retained:
    """What one run did."""

    days: tuple[str, ...]
    events: int
    waiting: tuple[str, ...]  # old enough, but not counted yet


def retain(db: RegionDatabase, folder: Path, today: date, raw_days: int = RAW_DAYS) -> Retained:
    """Write old days to files in `folder` and take their rows out of the database."""
    before = (today - timedelta(days=raw_days)).isoformat()
    counted = rollups.counted_to(db)
    left: list[str] = []
    waiting: list[str] = []
    events = 0
    for day, last in list(_old_days(db, before)):
        if last > counted:
            waiting.append(day)
            continue
        events += _archive(db, folder, day)
        left.append(day)
    return Retained(tuple(left), events, tuple(waiting))


def archive_path(folder: Path, day: str) -> Path:
    return folder / f"event-{day}.parquet"


def _old_days(db: RegionDatabase, before: str) -> Iterator[tuple[str, int]]:
    """Return days that still have events, with the number of their last batch."""
    days = db.rows(
        "SELECT received_day, min(number), max(number) FROM ledger WHERE received_day < ?"
        " GROUP BY received_day ORDER BY received_day",
        (before,),
    )
    for day, first, last in days:
        if db.row(
            "SELECT 1 FROM event WHERE received_day = ? AND number >= ? AND number <= ? LIMIT 1",
            (day, first, last),
        ):
            yield day, last


def _archive(db: RegionDatabase, folder: Path, day: str) -> int:
    """Write a day's file, prove it, then let its rows go."""
    row = db.row("SELECT count(*) FROM event WHERE received_day = ?", (day,))
    count = int(row[0]) if row else 0
    path = archive_path(folder, day)
    # A run that was killed may have left the whole file; a part of one never has this name.
    if not path.exists() or parquet.count_rows(path) != count:
        _write(db, path, day, count)
    db.drop_partition("event", day)
    return count


def _write(db: RegionDatabase, path: Path, day: str, count: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    table, made = path.with_suffix(".csv.part"), path.with_suffix(".parquet.part")
    columns = db.columns("event")
    try:
        descriptor = os.open(table, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            names = ", ".join(columns)
            for row in db.each(f"SELECT {names} FROM event WHERE received_day = ? ORDER BY number", (day,)):  # noqa: S608
                writer.writerow([value.hex() if isinstance(value, bytes) else value for value in row])
        if parquet.from_csv(table, {name: _kind(kind) for name, kind in columns.items()}, made) != count:
            raise ArchiveIncomplete(day=day)
        _on_disk(made)
        made.replace(path)
        sync_folder(path.parent)
    except OSError as fault:
        if fault.errno == _NO_SPACE:
            raise DiskFull from fault
        raise
    finally:
        table.unlink(missing_ok=True)
        made.unlink(missing_ok=True)


def _kind(column_type: str) -> str:
    """Bytes are written in hexadecimal digits."""
    return "BIGINT" if column_type.upper() in {"INTEGER", "BIGINT"} else "VARCHAR"


def _on_disk(path: Path) -> None:
    path.chmod(0o600)
    with path.open("rb") as file:
        os.fsync(file.fileno())
