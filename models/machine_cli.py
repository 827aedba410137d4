"""`sandyq models bench` and `sandyq models fit`: what this machine can do, for people and as JSON."""

import dataclasses
import json
import sys
from typing import Any

import click
import urllib3

from models import tuning
from models.calibration import Calibration, StepTime, choose_answers
from models.card import ModelCard
from models.errors import EngineRunning
from models.measuring import Tell
from models.saying import json_option, say
from models.settings import EngineSettings
from models.store import Store

BENCH_SECONDS = 30.0  # somebody is watching: slow machines may be measured further than at a first start
ASK_SECONDS = 1.0


@click.command("bench")
@json_option
@click.pass_obj
def bench_command(settings: EngineSettings, as_json: bool) -> None:
    """Measure the current model on this machine and choose the engine's dials anew."""
    store = Store(settings.home)
    card = store.get_current()
    _refuse_beside_engine(settings)
    tell = _to_stderr if not as_json else lambda _: None
    calibration = _measure(settings, store, card, tell)
    if as_json:
        click.echo(json.dumps(_as_json(card, calibration), ensure_ascii=False))
        return
    for line in _table(card, calibration, settings):
        click.echo(line)


def _refuse_beside_engine(settings: EngineSettings) -> None:
    """Whatever answers at the engine's address would share the processor with the measurement."""
    address = f"http://{settings.host}:{settings.port}"
    with urllib3.PoolManager(timeout=ASK_SECONDS, retries=False) as http:
        try:
            http.request("GET", f"{address}/health")
        except urllib3.exceptions.HTTPError:
            return
    raise EngineRunning(address=address)


def _measure(settings: EngineSettings, store: Store, card: ModelCard, tell: Tell) -> Calibration:
    # Loads llama.cpp, which no other command of this module needs.
    from models.loading import open_for_bench

    tell(f"loading {card.name}")
    engine = open_for_bench(settings, store, card)
    try:
        return tuning.take_calibration(engine, settings, card, budget_seconds=BENCH_SECONDS, tell=tell)
    finally:
        engine.close()


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)
    sys.stderr.flush()


def _as_json(card: ModelCard, calibration: Calibration) -> dict[str, Any]:
    note = calibration.to_note()
    return {
        "model": card.name,
        "sha256": card.sha256,
        "machine": calibration.key,
        "measured_on": calibration.measured_on,
        "quiet": calibration.timings.quiet,
        "dials": note["dials"],
        "timings": note["timings"],
    }


def _table(card: ModelCard, calibration: Calibration, settings: EngineSettings) -> list[str]:
    timings, dials = calibration.timings, calibration.dials
    lines = [f"{card.name} on {tuning.processor_name()}, {timings.cores} cores", ""]
    lines += [f"{'threads':>10} {'tokens/s':>9}   ({timings.threads[0][1].rows} answers at once)"]
    lines += [f"{count:>10} {step.rows_per_second:>9.1f}" for count, step in sorted(timings.threads)]
    lines += ["", f"{'at once':>10} {'step ms':>9} {'tokens/s':>9}", *map(_row, timings.answers)]
    lines += ["", f"{'prompt':>10} {'step ms':>9} {'rows/s':>9}", *map(_row, timings.prompts), ""]
    _, why = choose_answers(timings.answers)
    own = "set in the settings"
    lines += [
        f"threads: {dials.threads} ({own if settings.threads else 'the fewest that are nearly the fastest'})",
        f"answers at once: {dials.answers} ({own if settings.has_own_sequences else why})",
        f"rows of a step: {dials.step_rows}",
    ]
    if not timings.quiet:
        lines.append("Other programs were busy meanwhile: measure again when it is quiet.")
    return lines


def _row(step: StepTime) -> str:
    return f"{step.rows:>10} {step.seconds * 1000:>9.1f} {step.rows_per_second:>9.1f}"


@click.command("fit")
@json_option
@click.pass_obj
def fit_command(settings: EngineSettings, as_json: bool) -> None:
    """Say which models this machine can run, for how many learners, and why."""
    # psutil and numpy, which no other command needs.
    from models import fit

    store = Store(settings.home)
    machine = fit.look_at_machine(settings, store)
    fits = [fit.judge(card, machine, settings.context_cells) for card in store.catalogue]
    fits.sort(key=lambda each: (not each.runs, -each.learners))
    if as_json:
        rows = [dataclasses.asdict(each) | {"why": [str(line) for line in each.why]} for each in fits]
        told = dataclasses.asdict(machine) | {"source": str(machine.source)}
        click.echo(json.dumps({"machine": told, "models": rows}, ensure_ascii=False))
        return
    click.echo(say(machine.source.text, machine.source.params))
    for each in fits:
        card = store.catalogue.get(each.name)
        speed = f"{each.alone:.1f} tokens/s alone, {each.together:.0f} together" if each.runs else "-"
        click.echo(f"{each.name:<22} {'yes' if each.runs else 'no':<4} {speed}  ({card.licence})")
        for line in each.why:
            click.echo(f"    {say(line.text, line.params)}")
