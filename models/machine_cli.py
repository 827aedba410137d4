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
from models.errors import N_, EngineRunning
from models.measuring import Tell
from models.saying import json_option, say
from models.sentence import Sentence
from models.settings import EngineSettings
from models.store import Store

BENCH_SECONDS = 30.0  # somebody is watching: slow machines may be measured further than at a first start
ASK_SECONDS = 1.0

LOADING = N_("loading %(model)s")
MACHINE = N_("%(model)s on %(processor)s, %(cores)d cores")
# Heads of columns: ten and nine letters wide.
THREADS = N_("threads")
AT_ONCE = N_("at once")
PROMPT = N_("prompt")
STEP_MS = N_("step ms")
TOKENS_RATE = N_("tokens/s")
ROWS_RATE = N_("rows/s")
ANSWERS_AT_ONCE = N_("%(count)d answers at once")
OWN_SETTING = N_("set in the settings")
FEWEST_THREADS = N_("the fewest that are nearly the fastest")
CHOSEN_THREADS = N_("threads: %(count)d (%(why)s)")
CHOSEN_ANSWERS = N_("answers at once: %(count)d (%(why)s)")
CHOSEN_ROWS = N_("rows of a step: %(count)d")
NOT_QUIET = N_("Other programs were busy meanwhile: measure again when it is quiet.")
SPEED = N_("%(alone)s tokens/s alone, %(together)d together")
RUNS, RUNS_NOT = N_("yes"), N_("no")


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

    tell(Sentence(LOADING, {"model": card.name}))
    engine = open_for_bench(settings, store, card)
    try:
        return tuning.take_calibration(engine, settings, card, budget_seconds=BENCH_SECONDS, tell=tell)
    finally:
        engine.close()


def _to_stderr(line: Sentence) -> None:
    click.echo(_said(line), err=True)
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
    processor = tuning.processor_name()
    step, rate = say(STEP_MS), say(TOKENS_RATE)
    at_once = say(ANSWERS_AT_ONCE, {"count": timings.threads[0][1].rows})
    lines = [say(MACHINE, {"model": card.name, "processor": processor, "cores": timings.cores}), ""]
    lines += [f"{say(THREADS):>10} {rate:>9}   ({at_once})"]
    lines += [f"{count:>10} {each.rows_per_second:>9.1f}" for count, each in sorted(timings.threads)]
    lines += ["", f"{say(AT_ONCE):>10} {step:>9} {rate:>9}", *map(_row, timings.answers)]
    lines += ["", f"{say(PROMPT):>10} {step:>9} {say(ROWS_RATE):>9}", *map(_row, timings.prompts), ""]
    _, why = choose_answers(timings.answers)
    own = Sentence(OWN_SETTING)
    why_threads = own if settings.threads else Sentence(FEWEST_THREADS)
    why_answers = own if settings.has_own_sequences else why
    lines += [
        say(CHOSEN_THREADS, {"count": dials.threads, "why": _said(why_threads)}),
        say(CHOSEN_ANSWERS, {"count": dials.answers, "why": _said(why_answers)}),
        say(CHOSEN_ROWS, {"count": dials.step_rows}),
    ]
    if not timings.quiet:
        lines.append(say(NOT_QUIET))
    return lines


def _said(sentence: Sentence) -> str:
    return say(sentence.text, sentence.params)


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
    click.echo(_said(machine.source))
    for each in fits:
        card = store.catalogue.get(each.name)
        speeds = {"alone": f"{each.alone:.1f}", "together": round(each.together)}
        speed = say(SPEED, speeds) if each.runs else "-"
        click.echo(f"{each.name:<22} {say(RUNS if each.runs else RUNS_NOT):<4} {speed}  ({card.licence})")
        for line in each.why:
            click.echo(f"    {_said(line)}")
