"""`sandyq region migrate`, `schema`, `retain`: the care of a region's database.

A door: opens databases, shows progress, prints.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from sync.answer_words import as_json, say
from sync.server.storage import schema
from sync.server.storage.database import absolute_address, open_region_database, shown_address
from sync.server.storage.identity import get_region, name_database
from sync.server.storage.opened import opened
from sync.server.upkeep.move import give_up, move
from sync.server.upkeep.retention import ARCHIVE_FOLDER, RAW_DAYS, retain
from sync.settings import RegionSettings


@click.command("migrate")
@click.argument("source")
@click.argument("target")
@click.option("--give-up", "is_given_up", is_flag=True, help="Stay: let SOURCE be changed again.")
@as_json
@click.pass_obj
def migrate_command(
    settings: RegionSettings, source: str, target: str, *, is_given_up: bool, is_json: bool
) -> None:
    """Move the region from the database SOURCE to the empty database TARGET, while it serves."""
    region = get_region(settings)
    source, target = (absolute_address(address, settings.folder) for address in (source, target))
    if is_given_up:
        with closing(open_region_database(source)) as old:
            give_up(old)
        say({"database": shown_address(source)}, is_json, "The region stays where it was.")
        return
    # Not by `opened`: which database is the region's own is what changes here, and `move` sees to its form.
    with ExitStack() as stack:
        old, new = (stack.enter_context(closing(open_region_database(at))) for at in (source, target))
        moved = move(old, new, source, _progress)
    if region.database == source:
        name_database(settings, target)
    answer = asdict(moved) | {"database": shown_address(target)}
    words = f"{moved.batches} batches with {moved.events} events are in {shown_address(target)}."
    say(
        answer,
        is_json,
        f"{words}\nNext: restart the region's service; {shown_address(source)} stays, closed.",
    )


@click.command("schema")
@click.option("--back", "is_back", is_flag=True, help="Undo the newest step, for the version before.")
@as_json
@click.pass_obj
def schema_command(settings: RegionSettings, *, is_back: bool, is_json: bool) -> None:
    """Show which steps the region's tables have taken; stop the region before going back."""
    region = get_region(settings)
    # As it is: to bring it to this program's form first would undo what `--back` is for.
    with closing(open_region_database(region.database)) as db:
        undone = schema.step_back(db) if is_back else None
        taken = schema.steps(db)
    answer = {"taken": taken, "undone": undone, "known": [step.name for step in schema.MIGRATIONS]}
    words = f"Undone: {undone}\n" if undone else ""
    say(answer, is_json, words + "\n".join(taken))


@click.command("retain")
@click.option("--days", type=click.IntRange(1, 36_500), default=RAW_DAYS, show_default=True)
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where the files go.")
@as_json
@click.pass_obj
def retain_command(settings: RegionSettings, *, days: int, folder: Path | None, is_json: bool) -> None:
    """Write raw events older than so many days to Parquet files and take them out of the database."""
    with opened(settings) as (region, store):
        done = retain(store.db, folder or region.folder / ARCHIVE_FOLDER, datetime.now(UTC).date(), days)
    words = f"{done.events} events of {len(done.days)} days are in files now."
    if done.waiting:
        words += f" {len(done.waiting)} days wait until they are counted."
    say(asdict(done), is_json, words)


def _progress(done: int, known: int) -> None:
    click.echo(f"{done} of {known} batches", err=True)
