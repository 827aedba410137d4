"""Bring the current model up: verified, tried, loaded, measured.

Slow and done once a process, on the engine's own thread; nothing is served before it returns.
"""

import logging
import time
from pathlib import Path

from models import fit, tuning
from models.card import ModelCard
from models.engine import LlamaEngine
from models.heat import Heat
from models.probe import ensure_loadable
from models.seats import READING_ROWS
from models.settings import EngineSettings
from models.store import Store
from models.tuning import Tuner

logger = logging.getLogger("models.engine")


def load_engine(
    settings: EngineSettings, store: Store, card: ModelCard, *, spare: int, step_rows: int
) -> tuple[LlamaEngine, Tuner]:
    """The engine with its dials set, and the tuner that watches them; raises ModelUnloadable.

    `spare`: sequences that only hold tokens; `step_rows`: the most the scheduler will ever ask for.
    """
    path = _check(settings, store, card)
    started = time.monotonic()
    known = tuning.find_calibration(settings, card)
    if tuning.is_worth_measuring(known):
        known = None
    engine = open_engine(
        settings,
        path,
        card,
        answers=known.dials.answers if known else tuning.most_answers(settings),
        threads=known.dials.threads if known else settings.choose_threads(),
        spare=spare,
        step_rows=step_rows,
    )
    logger.info("loaded %s in %.1fs, cells=%d", card.name, time.monotonic() - started, engine.cells)
    calibration = known or tuning.take_calibration(engine, settings, card)
    engine.set_threads(calibration.dials.threads)
    engine.answers = min(engine.answers, calibration.dials.answers)
    logger.info("dials of %s: %s", card.name, calibration.dials)
    return engine, Tuner(calibration, Heat(fit.processor_temperatures))


def open_for_bench(settings: EngineSettings, store: Store, card: ModelCard) -> LlamaEngine:
    """The engine with all seats, to be measured anew."""
    path = _check(settings, store, card)
    seats, threads = tuning.most_answers(settings), settings.choose_threads()
    return open_engine(settings, path, card, answers=seats, threads=threads, spare=0, step_rows=READING_ROWS)


def _check(settings: EngineSettings, store: Store, card: ModelCard) -> Path:
    path = store.verify(card)  # a memory card rots in silence; reading it also warms the file cache
    ensure_loadable(path, settings.home / "models", name=card.name, sha256=card.sha256)
    return path


def open_engine(
    settings: EngineSettings,
    path: Path,
    card: ModelCard,
    *,
    answers: int,
    threads: int,
    spare: int,
    step_rows: int,
) -> LlamaEngine:
    return LlamaEngine(
        path,
        name=card.name,
        sequences=answers,
        cells=settings.context_cells,
        step_rows=step_rows,
        threads=threads,
        spare=spare,
    )
