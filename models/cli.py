"""`sandyq models …` and `sandyq engine serve`.

Light to import: the command line must answer `--help` without loading llama.cpp.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Protocol

import click

from models.card import ModelCard
from models.catalogue_cli import catalogue_group
from models.errors import N_, ModelsError, ModelUnverified
from models.fetch import Progress, choose_source, silent
from models.machine_cli import bench_command, fit_command
from models.saying import json_option, say
from models.settings import EngineSettings
from models.store import MEGABYTE, Store

PLAIN_STEP_PERCENT = 10  # a log file wants a few lines, not a bar

STATES = {"here": N_("fetched"), "damaged": N_("damaged"), "absent": N_("absent")}
TRUSTS = (N_("verified"), N_("unverified"))
SIZE = N_("%(size)s MB")
DONE_OF = N_("%(done)d of %(total)d MB")
UNVERIFIED_HERE = N_("%(model)s is here. Nobody has verified it: trust it as far as its source.")
NOTED = N_("Noted for later: sha256 %(sha256)s")
FETCHED = N_("%(model)s is here and verified.")
WAS_HERE = N_("%(model)s was already here and is intact.")
INTACT = N_("%(model)s is intact.")
NO_MODEL = N_("No model is on this box yet.")
CHOSEN = N_("%(model)s is the current model. The engine loads it at its next start.")


class Settings(Protocol):
    """What the assembled command line hands down."""

    @property
    def engine(self) -> EngineSettings: ...


@click.group("models")
@click.pass_context
def models_group(context: click.Context) -> None:
    """Fetch, check and choose language models."""
    settings: Settings = context.obj
    context.obj = settings.engine


@models_group.command("list")
@json_option
@click.pass_obj
def list_models(settings: EngineSettings, as_json: bool) -> None:
    """Show the catalogue and what is on this box."""
    store = Store(settings.home)
    current = store.find_current()
    rows = [_describe(store, card, current) for card in store.catalogue]
    if as_json:
        click.echo(json.dumps({"models": rows}, ensure_ascii=False))
        return
    states = {state: say(word) for state, word in STATES.items()}
    trusts = [say(word) for word in TRUSTS]
    wide, wider = max(map(len, [*states.values(), " " * 8])), max(map(len, [*trusts, " " * 10]))
    for row in rows:
        mark = "*" if row["current"] else " "
        languages = ",".join(row["languages"])
        size = f"{row['bytes'] // MEGABYTE}" if row["bytes"] else f"~{row['about_bytes'] // MEGABYTE or '?'}"
        click.echo(
            f"{mark} {row['name']:<22} {states[row['state']]:<{wide}} {say(SIZE, {'size': f'{size:>6}'})}"
            f"  {trusts[row['unverified']]:<{wider}}"
            f"  {languages:<9} {row['licence']}"
        )
    for error in store.catalogue.refused:
        click.echo(say(error.message, error.params), err=True)


def _describe(store: Store, card: ModelCard, current: ModelCard | None) -> dict[str, Any]:
    present = store.path_of(card).exists()
    return {
        "name": card.name,
        "title": card.title,
        "licence": card.licence,
        "languages": list(card.languages),
        "parameters": card.parameters,
        "licence_note": card.licence_note,
        "quantisation": card.quantisation,
        "bytes": card.bytes,
        "about_bytes": card.bytes or card.about_bytes,
        "sha256": card.sha256,
        # Nobody could check the digest for the person; a pinned one was noted here at first sight.
        "unverified": card.unverified,
        "pinned": card.is_pinned,
        "state": "here" if store.holds(card) else "damaged" if present else "absent",
        "current": card == current,
    }


@models_group.command("pull")
@click.argument("name")
@click.option(
    "--from",
    "source",
    metavar="SOURCE",
    help="A .gguf or .whl file, a folder or USB stick, or an https address.",
)
@click.option(
    "--accept-unverified",
    "accepts",
    is_flag=True,
    help="Take a file whose SHA-256 nobody could check; this box notes it and accepts only the same later.",
)
@json_option
@click.pass_obj
def pull(settings: EngineSettings, name: str, source: str | None, accepts: bool, as_json: bool) -> None:
    """Fetch a model, verify it and keep it. The first one becomes current."""
    store = Store(settings.home)
    card = store.catalogue.get(name)
    if not as_json:
        _say_terms(card)
    fetched_from = choose_source(card, source)
    if not card.sha256 and not accepts:
        raise ModelUnverified(name=name)
    with _progress(quiet=as_json) as progress:
        if card.unverified and accepts:
            card = store.receive_unverified(card, fetched_from, progress)
            fetched = True
        else:
            fetched = store.receive(card, fetched_from, progress)
    if store.chosen_name() is None:
        store.use(card)
    row = _describe(store, card, store.find_current())
    if as_json:
        click.echo(json.dumps({**row, "fetched": fetched, "path": str(store.path_of(card))}))
        return
    if card.unverified and accepts:
        click.echo(say(UNVERIFIED_HERE, {"model": card.name}))
        click.echo(say(NOTED, {"sha256": card.sha256}))
        return
    click.echo(say(FETCHED if fetched else WAS_HERE, {"model": card.name}))


def _say_terms(card: ModelCard) -> None:
    click.echo(f"{card.title}: {card.licence}. {card.licence_note}".rstrip(), err=True)


@models_group.command("verify")
@click.argument("name", required=False)
@json_option
@click.pass_obj
def verify(settings: EngineSettings, name: str | None, as_json: bool) -> None:
    """Read every byte of a model (or of all that are here) and compare it with its card."""
    store = Store(settings.home)
    if name is not None:
        cards = [store.catalogue.get(name)]
    else:
        cards = [card for card in store.catalogue if store.path_of(card).exists()]
    damage: list[ModelsError] = []
    rows = []
    for card in cards:
        try:
            with _progress(quiet=as_json) as progress:
                store.verify(card, progress)
        except ModelsError as error:
            damage.append(error)
            rows.append({"name": card.name, "intact": False, "code": error.key, "message": str(error)})
        else:
            rows.append({"name": card.name, "intact": True})
            if not as_json:
                click.echo(say(INTACT, {"model": card.name}))
    if as_json:
        click.echo(json.dumps({"models": rows}, ensure_ascii=False))
    elif not cards:
        click.echo(say(NO_MODEL))
    if damage:
        raise damage[0]  # the door prints it and exits 1


@models_group.command("use")
@click.argument("name")
@json_option
@click.pass_obj
def use(settings: EngineSettings, name: str, as_json: bool) -> None:
    """Choose the model that the engine loads at its next start."""
    store = Store(settings.home)
    card = store.catalogue.get(name)
    store.use(card)
    if as_json:
        click.echo(json.dumps({"name": card.name, "sha256": card.sha256}))
    else:
        click.echo(say(CHOSEN, {"model": card.name}))


models_group.add_command(bench_command)
models_group.add_command(fit_command)
models_group.add_command(catalogue_group)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """A bar on a terminal, a few plain lines elsewhere. Both go to stderr: stdout is the result."""
    if quiet:
        yield silent
        return
    shown: dict[str, int] = {}
    terminal = sys.stderr.isatty()

    def show(what: str, done: int, total: int) -> None:
        percent = done * 100 // max(total, 1)
        step = 1 if terminal else PLAIN_STEP_PERCENT
        if percent // step <= shown.get(what, -1):
            return
        shown[what] = percent // step
        sizes = say(DONE_OF, {"done": done // MEGABYTE, "total": total // MEGABYTE})
        word = say(what)
        if terminal:
            bar = "#" * (percent // 4)
            click.echo(f"\r{word:<12} [{bar:<25}] {percent:>3} %  {sizes} ", nl=percent == 100, err=True)
        else:
            click.echo(f"{word} {percent} % ({sizes})", err=True)

    yield show


@click.group("engine")
@click.pass_context
def engine_group(context: click.Context) -> None:
    """Run the language model as a server on this machine."""
    settings: Settings = context.obj
    context.obj = settings.engine


@engine_group.command("serve")
@click.option("--port", type=click.IntRange(0, 65_535), help="Listen here instead of where the settings say.")
@click.pass_obj
def serve_engine(settings: EngineSettings, port: int | None) -> None:
    """Serve the current model over the OpenAI chat API until stopped."""
    # The one lazy import of this room: llama.cpp takes a second to load, and no other command needs it.
    from models.server import serve

    if port is not None:
        settings = replace(settings, port=port)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    serve(settings, lambda address: click.echo(f"The engine listens on {address}"))
