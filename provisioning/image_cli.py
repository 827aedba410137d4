"""`sandyq image …`: build an image, and see whether a file is one.

Keeps out: everything but the words on the terminal.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from models.saying import json_option
from provisioning.boards import BOARDS, PC, RPI
from provisioning.image import MEGABYTE, STEPS, build_image
from provisioning.image_verify import verify_image
from provisioning.progress import Progress
from provisioning.settings_cli import settings_command

DEFAULT_MODEL = "smollm2-135m-instruct"


@click.group("image")
def image_group() -> None:
    """Images for boxes: build one, check one, write the settings of many."""


image_group.add_command(settings_command)


@image_group.command("build")
@click.option(
    "--board",
    type=click.Choice(list(BOARDS)),
    required=True,
    help=f"{PC.name}: {PC.title}; {RPI.name}: {RPI.title}; vm: for trials in a virtual machine.",
)
@click.option(
    "--output", type=click.Path(path_type=Path), default=Path("image"), help="Folder for the files."
)
@click.option("--model", default=DEFAULT_MODEL, help="The model that is on the box from the beginning.")
@json_option
def build_command(board: str, output: Path, model: str, as_json: bool) -> None:
    """Build the image of a box: Debian, Sandyq, engine and model, ready to flash."""
    built = build_image(BOARDS[board], output.absolute(), model, Progress(STEPS, quiet=as_json))
    if as_json:
        click.echo(json.dumps(asdict(built)))
        return
    click.echo(
        f"{built.image}: {built.packed_bytes // MEGABYTE} MB, on the card {built.image_bytes // MEGABYTE} MB"
    )
    click.echo(f"Tree: sha256:{built.tree_sha256}")
    click.echo("→ Flash it as docs/flash.md shows; its digests are in the .sha256 file beside it.")


@image_group.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def verify_command(file: Path, as_json: bool) -> None:
    """Read a whole image, packed or not, and say whether it is one and has not changed."""
    found = verify_image(file)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    compared = (
        "and its SHA-256 is the one beside it" if found.compared else "but no .sha256 file lies beside it"
    )
    click.echo(f"{file} is a whole image for the board {found.board}, {compared}.")
