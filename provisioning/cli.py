"""The commands of this room.

Promises: `sandyq first-boot` may be run at every start, by the unit and by hand. Keeps out: reading
settings (the parent command hands over the home) and the translation of errors (the outermost door).
"""

import json
import os
from pathlib import Path
from typing import Protocol

import click

from models.saying import json_option
from provisioning.card import join_region, take_card, write_result
from provisioning.first_boot import FirstBoot, prepare_box
from provisioning.hardware import look_at_machine
from sync.settings import SyncSettings


class HasHome(Protocol):
    """What this room needs of the settings."""

    @property
    def home(self) -> Path:
        """The one state folder."""
        ...

    @property
    def sync(self) -> SyncSettings: ...


@click.command("first-boot")
@json_option
@click.pass_context
def first_boot_command(ctx: click.Context, as_json: bool) -> None:
    """Give this box its own keys and name; do nothing if it has them."""
    settings: HasHome = ctx.obj
    done = prepare_box(settings.home, look_at_machine())
    take_card(settings.home, _handed_over("card"))
    # Without the door, as in a test of this room alone, the words stay English.
    write_result(settings.sync, ctx.meta.get("sandyq.render", lambda _code, text, params: text % params))
    click.echo(json.dumps(_as_record(done)) if as_json else _as_text(done))


@click.command("join-region")
@click.pass_context
def join_region_command(ctx: click.Context) -> None:
    """Join the region that the card's settings name, if it has not answered yet."""
    settings: HasHome = ctx.obj
    render = ctx.meta.get("sandyq.render", lambda _code, text, params: text % params)
    try:
        sentence, params = join_region(settings.sync)
    finally:
        write_result(settings.sync, render)
    say = ctx.meta.get("sandyq.say", lambda text, params: text % params)
    click.echo(say(sentence, params))


def _handed_over(name: str) -> bytes | None:
    """Return what systemd hands to this process (LoadCredential), or None when there is nothing."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / name if folder else None
    return path.read_bytes() if path and path.exists() else None


def _as_record(done: FirstBoot) -> dict[str, object]:
    return {
        "name": done.box.name,
        "device_id": done.box.device_id,
        "steps_taken": list(done.steps_taken),
        "moved_aside": str(done.moved_aside) if done.moved_aside else None,
    }


def _as_text(done: FirstBoot) -> str:
    lines = []
    if done.moved_aside:
        lines += [
            "The keys on this card were made on another machine: the card was copied or moved.",
            f"They are kept aside in {done.moved_aside} and are no longer used.",
            "Events that waited for the region are set aside too, not sent: sandyq sync status counts them.",
            "This box has new keys and a new name. Next step: enrol it at the region with a new code.",
        ]
    lines += [f"Made: {step}" for step in done.steps_taken]
    lines.append(f"This box is {done.box.name}.")
    return "\n".join(lines)
