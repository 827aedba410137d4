"""`sandyq region tables`: what was told, as files.

A door for a timer: counts first, so that the files are of today.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from sync.answer_words import as_json, say
from sync.errors import FileNotSaved
from sync.server.insight import exports, telling
from sync.server.insight.exports import SCHEMA_NAME, ToldRow
from sync.server.storage.opened import opened
from sync.settings import RegionSettings


@click.command("tables")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@as_json
@click.pass_obj
def tables_command(settings: RegionSettings, folder: Path, is_json: bool) -> None:
    """Write all that was told into FOLDER, month by month, as CSV, Parquet and xAPI."""
    with opened(settings) as (region, store):
        telling.update(store.db, datetime.now(UTC))
        tables = {
            month: [ToldRow(*row) for row in telling.told_rows(store.db, month)]
            for month in telling.told_months(store.db)
        }
    _save(folder / SCHEMA_NAME, json.dumps(exports.schema(), indent=1).encode())
    for month, rows in tables.items():
        _save(folder / f"told-{month}.csv", exports.as_csv(rows).encode())
        _save(folder / f"told-{month}.parquet", exports.as_parquet(rows))
        lines = "".join(json.dumps(statement) + "\n" for statement in exports.statements(region.id, rows))
        _save(folder / f"xapi-{month}.jsonl", lines.encode())
    answer = {"months": {month: len(rows) for month, rows in tables.items()}, "schema": SCHEMA_NAME}
    say(answer, is_json, f"{len(tables)} months are in {folder}.")


def _save(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as fault:
        raise FileNotSaved(name=path.name) from fault
