"""Write a table as Parquet: the one module that knows the library for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sync.region_errors import ParquetMissing

# A large day must not push the region out of memory.
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": "512MB"}


def from_csv(table: Path, columns: Mapping[str, str], parquet: Path, *, select: str = "*") -> int:
    """Write a CSV with a header as Parquet; return how many rows the written file holds."""
    try:
        import duckdb  # of the group `region`; an ordinary start does without it
    except ImportError as fault:
        raise ParquetMissing from fault
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in columns.items())
    with duckdb.connect(config=_SETTINGS) as memory:
        memory.execute(
            f"COPY (SELECT {select} FROM read_csv(?, header = true, columns = {{{types}}}))"  # noqa: S608 - our own words
            f" TO '{_quoted(parquet)}' (FORMAT parquet, COMPRESSION zstd)",
            [str(table)],
        )
        found = memory.execute("SELECT count(*) FROM read_parquet(?)", [str(parquet)]).fetchone()
    return int(found[0]) if found else 0


def count_rows(parquet: Path) -> int:
    """Read how many rows a file holds."""
    try:
        import duckdb
    except ImportError as fault:
        raise ParquetMissing from fault
    with duckdb.connect(config=_SETTINGS) as memory:
        found = memory.execute("SELECT count(*) FROM read_parquet(?)", [str(parquet)]).fetchone()
    return int(found[0]) if found else 0


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
