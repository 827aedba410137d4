"""`sandyq image settings`: the file `sandyq.toml` for each of many boxes, out of one table.

Keeps out: what a setting may be (settings_card). The files hold codes, so they are this account's alone.
"""

import json
import os
from pathlib import Path

import click

from models.saying import json_option
from provisioning.errors import N_, StateFolderUnusable
from provisioning.settings_card import CARD_FILE, read_table, write_card

WRITTEN = N_(
    "%(number)d files are written, one folder for each box. Copy each onto its card's small partition."
)
KEEP = N_("They hold enrolment codes: delete the folder %(folder)s when the cards are done.")


@click.command("settings")
@click.option(
    "--csv",
    "table",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The table: a column `box`, and any of the settings.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write."
)
@json_option
@click.pass_context
def settings_command(ctx: click.Context, table: Path, out: Path, as_json: bool) -> None:
    """Write sandyq.toml for every box of a table, all of them or none."""
    boxes = read_table(table.read_bytes())
    try:
        files = [_write(out / name / CARD_FILE, write_card(settings)) for name, settings in boxes.items()]
    except OSError as error:
        raise StateFolderUnusable(path=out, reason=error.strerror or str(error)) from error
    if as_json:
        click.echo(
            json.dumps({"boxes": list(boxes), "files": [str(file) for file in files]}, ensure_ascii=False)
        )
        return
    say = ctx.meta.get("sandyq.say", lambda text, params: text % params)
    click.echo(say(WRITTEN, {"number": len(files)}))
    if any(settings.enrolment_code for settings in boxes.values()):
        click.echo("→ " + say(KEEP, {"folder": out}))


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return path
