"""`sandyq region backup-key`, `backup`, `restore`: the region in a file, and back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from sync.answer_words import as_json, say
from sync.server.storage.identity import get_region
from sync.server.upkeep.region_backup import new_backup_key, restore_backup, write_backup
from sync.settings import RegionSettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_THERE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command("backup-key")
@click.argument("file", type=_FILE)
@as_json
def backup_key_command(file: Path, is_json: bool) -> None:
    """Make the key that opens backups in FILE, away from the region's server; print its public half."""
    public = new_backup_key(file)
    say({"public": public}, is_json, f"{public}\nFor: sandyq region backup FILE --to {public}")


@click.command("backup")
@click.argument("file", type=_FILE)
@click.option("--to", "recipients", multiple=True, required=True, help="Whose key opens it: age1...")
@as_json
@click.pass_obj
def backup_command(settings: RegionSettings, file: Path, recipients: tuple[str, ...], is_json: bool) -> None:
    """Write the whole region into FILE, encrypted; boxes go on sending meanwhile."""
    written = write_backup(get_region(settings), file, recipients, datetime.now(UTC))
    rows = sum(written.rows.values())
    say({"file": str(file), "rows": written.rows}, is_json, f"{file} holds {rows} rows of {written.name}.")


@click.command("restore")
@click.argument("file", type=_THERE)
@click.option("--identity", type=_THERE, required=True, help="The file with the key that opens it.")
@click.option("--database", default="", help="An empty database; default: a file in the state folder.")
@as_json
@click.pass_obj
def restore_command(
    settings: RegionSettings, file: Path, identity: Path, database: str, is_json: bool
) -> None:
    """Make the region of a backup on this machine."""

    def tell(table: str) -> None:
        click.echo(f"  {table}", err=True)

    found = restore_backup(settings, file, identity, database, datetime.now(UTC), tell)
    answer = {"region": found.name, "region_id": found.region_id, "made_at": found.made_at.isoformat()}
    rows = sum(found.rows.values())
    said = f"{found.name} is here as it was on {found.made_at:%Y-%m-%d %H:%M} UTC: {rows} rows."
    say(answer | {"rows": found.rows}, is_json, f"{said} Next: sandyq region audit verify, region serve")


BACKUP_COMMANDS = (backup_key_command, backup_command, restore_command)
