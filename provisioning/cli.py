"""The commands of this room.

Promises: `sandyq first-boot` may be run at every start, by the unit and by hand. Keeps out: reading
settings (the parent command hands over the home) and the translation of errors (the outermost door).
"""

import json
from pathlib import Path
from typing import Protocol

import click

from provisioning.first_boot import FirstBoot, prepare_box
from provisioning.hardware import look_at_machine


class HasHome(Protocol):
    """What this room needs of the settings."""

    @property
    def home(self) -> Path:
        """The one state folder."""
        ...


@click.command("first-boot")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def first_boot_command(settings: HasHome, as_json: bool) -> None:
    """Give this box its own keys and name; do nothing if it has them."""
    done = prepare_box(settings.home, look_at_machine())
    click.echo(json.dumps(_as_record(done)) if as_json else _as_text(done))


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
