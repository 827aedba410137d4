"""The one command `sandyq`: each room brings its own group, errors are said in the reader's language.

Groups are imported when they are used: the web process must not carry the model's or the region's
libraries in its memory.
"""

import gc
import importlib
import logging
import os
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import click

from appliance import languages
from appliance.errors import ApplianceError
from appliance.settings import Settings, read_settings
from models.errors import ModelsError
from provisioning.errors import ProvisioningError
from sync.errors import SyncError

COMMANDS = {
    "backup": ("appliance.care.backup_cli", "backup_group"),
    "console": ("appliance.box.console", "console_command"),
    "demo": ("appliance.demo", "demo_command"),
    "doctor": ("appliance.care.care_cli", "doctor_command"),
    "engine": ("models.cli", "engine_group"),
    "exam": ("appliance.permission.exam_cli", "exam_group"),
    "first-boot": ("provisioning.cli", "first_boot_command"),
    "image": ("provisioning.image_cli", "image_group"),
    "join-region": ("provisioning.cli", "join_region_command"),
    "models": ("models.cli", "models_group"),
    "region": ("sync.server.cli", "region_group"),
    "sync": ("sync.cli", "sync_group"),
}


class _Rooms(click.Group):
    """Finds a room's command by importing the room."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            module, name = COMMANDS[cmd_name]
            command: click.Command = getattr(importlib.import_module(module), name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("sandyq"), prog_name="sandyq")
@click.pass_context
def sandyq(ctx: click.Context) -> None:
    """A classroom box: a language model without internet, under the teacher's control."""
    ctx.obj = ctx.obj or read_settings()
    # Rooms below hand out sentences as they stand in the code; this door says them in the reader's language.
    ctx.meta["sandyq.say"] = partial(languages.render, languages.of_terminal(os.environ))
    # And what is read on another machine, as on the card of a box, in every language.
    ctx.meta["sandyq.render"] = languages.render


@sandyq.group()
def web() -> None:
    """The classroom's pages."""


@web.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on.")
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None) -> None:
    """Serve the pages until stopped."""
    _leave_out(settings)
    # What is imported stays; looking through it for rubbish again and again takes a twelfth of the start.
    gc.disable()
    from appliance.serve import serve_web  # Flask and the rest, only for the process that serves

    chosen = settings.web
    chosen = replace(chosen, host=host or chosen.host, port=chosen.port if port is None else port)
    serve_web(replace(settings, web=chosen))


def _leave_out(settings: Settings) -> None:
    """Keep out of the pages' process what libraries import where they find it and no page uses."""
    # sqlite-utils imports NumPy, which the engine brings: 15 MB.
    unused = ["numpy"]
    if not settings.engine.url.startswith("https:"):
        # A second OpenSSL beside the one in `cryptography`: 4.5 MB. The pages speak HTTP, also to the engine;
        # it is the sync process that goes out. hashlib has its own SHA without it.
        unused += ["ssl", "_hashlib"]
    for name in unused:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # Python's own way to say "not there"


def main() -> None:
    """Run the command line; any error of a room ends here with what to do next and exit code 1."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        sandyq()
    except (ApplianceError, ModelsError, SyncError, ProvisioningError) as error:
        code = languages.of_terminal(os.environ)
        click.echo(languages.render(code, error.message, error.params), err=True)
        click.echo("→ " + languages.render(code, error.hint, error.params), err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
