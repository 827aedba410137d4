"""`sandyq models catalogue …`: which cards this box believes, and how newer ones come to it."""

import json
from pathlib import Path

import click

from models.catalogue import Catalogue, find_bundle
from models.errors import N_, ModelsError
from models.saying import json_option, say
from models.settings import EngineSettings
from models.store import Store

VERSION = N_("Catalogue of models, version %(version)d of %(date)s, models: %(count)d")
SHIPPED = N_("It came with this version of Sandyq.")
BROUGHT = N_("It was brought to this box.")
IMPORTED = N_("Its signature is genuine, every card is the signed one: the box uses it from now on.")
KNOWN = N_("The box has this catalogue already; nothing was changed.")


@click.group("catalogue")
def catalogue_group() -> None:
    """The signed list of models this box knows."""


@catalogue_group.command("show")
@json_option
@click.pass_obj
def show(settings: EngineSettings, as_json: bool) -> None:
    """Show the catalogue in use, where it came from, and what was refused."""
    catalogue = Store(settings.home).catalogue
    if as_json:
        origin = "brought" if catalogue.is_brought else "shipped"
        refused = [_refusal(error) for error in catalogue.refused]
        click.echo(
            json.dumps({**_facts(catalogue), "origin": origin, "refused": refused}, ensure_ascii=False)
        )
    else:
        _say_version(catalogue)
        click.echo(say(BROUGHT if catalogue.is_brought else SHIPPED))
        for error in catalogue.refused[1:]:
            click.echo(say(error.message, error.params), err=True)
    if catalogue.refused:
        raise catalogue.refused[0]  # the door prints it and exits 1


@catalogue_group.command("import")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
@click.pass_obj
def import_(settings: EngineSettings, path: Path, as_json: bool) -> None:
    """Take a newer catalogue from PATH: a folder, a USB stick or a .zip file."""
    store = Store(settings.home)
    imported = store.import_catalogue(find_bundle(path))
    if as_json:
        click.echo(json.dumps({**_facts(store.catalogue), "imported": imported}, ensure_ascii=False))
        return
    _say_version(store.catalogue)
    click.echo(say(IMPORTED if imported else KNOWN))


def _facts(catalogue: Catalogue) -> dict[str, object]:
    names = [card.name for card in catalogue]
    return {"version": catalogue.index.version, "date": catalogue.index.date, "models": names}


def _refusal(error: ModelsError) -> dict[str, object]:
    return {"code": error.key, "name": error.params.get("name"), "message": str(error)}


def _say_version(catalogue: Catalogue) -> None:
    params = {"version": catalogue.index.version, "date": catalogue.index.date, "count": len(list(catalogue))}
    click.echo(say(VERSION, params))
