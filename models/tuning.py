"""The engine's dials: found in the note, measured when it has none, watched while the engine works.

Owns `models/calibration.json`. What a school has set (`engine.threads`, `engine.sequences`) is kept and
never measured away.
"""

import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from models.calibration import MOST_ANSWERS, VERSION, Calibration, Dials, calibrate, from_note, machine_key
from models.card import ModelCard
from models.drift import Drift
from models.measuring import BUDGET_SECONDS, Tell, machine_is_quiet, measure
from models.notes import keep_note, read_note
from models.probe import library_version
from models.protocol import Engine
from models.settings import EngineSettings

logger = logging.getLogger(__name__)

NOTE_NAME = "calibration.json"
HEAT_LOOK_SECONDS = 10.0  # a heat sink warms up in a minute

Heat = Callable[[], bool]  # is the processor too hot, or slowed down by its own protection?


class Tuner:
    """The worker tells it each step and turns the dials it is given."""

    def __init__(self, calibration: Calibration, heat: Heat | None = None) -> None:
        self._drift = Drift(calibration)
        self._heat = heat
        self._until_look = HEAT_LOOK_SECONDS
        self.dials = calibration.dials
        timings = calibration.timings
        # For the watchdog: a step of a slow machine is long and no hang.
        self.slowest_row_seconds = max(
            step.seconds / step.rows for step in (*timings.answers, *timings.prompts)
        )

    @property
    def factor(self) -> float:
        """How many times longer than measured the steps take now; for the metrics."""
        return self._drift.factor

    def note_step(self, rows: int, seconds: float, past: float, cells: int) -> Dials | None:
        self._until_look -= seconds
        if self._heat is not None and self._until_look <= 0:
            self._until_look = HEAT_LOOK_SECONDS
            self._drift.note_heat(hot=self._heat())
        factor = self.factor  # a change begins a new count
        dials = self._drift.note_step(rows, seconds, past, cells)
        if dials is not None:
            self.dials = dials
            logger.warning("steps take %.1f times as long as measured: %s", factor, dials)
        return dials


def most_answers(settings: EngineSettings) -> int:
    """How many seats the engine is made with: what was set, or all that the measurement may choose from."""
    return settings.sequences if settings.has_own_sequences else MOST_ANSWERS


def key_of(settings: EngineSettings, card: ModelCard) -> str:
    """All that a measurement depends on; when one of it changes, it is taken again."""
    facts = {
        "cells": settings.context_cells,
        "cores": count_cores(),
        "library": library_version(),
        "model": card.sha256,
        "processor": processor_name(),
        "rules": VERSION,
        "seats": most_answers(settings),
        "threads": settings.threads,
    }
    return machine_key(facts)


def find_calibration(settings: EngineSettings, card: ModelCard) -> Calibration | None:
    """What was measured for just this model, machine and setting."""
    note = read_note(settings.home / "models" / NOTE_NAME)
    found = from_note(note.get(card.sha256), key_of(settings, card))
    return None if found is None else _with_settings(found, settings)


def take_calibration(
    engine: Engine,
    settings: EngineSettings,
    card: ModelCard,
    *,
    budget_seconds: float = BUDGET_SECONDS,
    tell: Tell = logger.info,
) -> Calibration:
    """Measure and keep it. What was measured beside other work is replaced at the next quiet start."""
    began = time.monotonic()
    timings = measure(
        engine, count_cores(), fixed_threads=settings.threads, budget_seconds=budget_seconds, tell=tell
    )
    today = datetime.now(UTC).date().isoformat()
    calibration = calibrate(key_of(settings, card), timings, today)
    _keep(settings, card, calibration)
    if not timings.quiet:
        logger.warning("other programs were busy while we measured; the next quiet start measures again")
    chosen = _with_settings(calibration, settings)
    logger.info("measured in %.1fs: %s", time.monotonic() - began, chosen.dials)
    return chosen


def _keep(settings: EngineSettings, card: ModelCard, calibration: Calibration) -> None:
    path = settings.home / "models" / NOTE_NAME
    note = read_note(path)
    before = from_note(note.get(card.sha256), calibration.key)
    if before is None or calibration.timings.quiet or not before.timings.quiet:
        keep_note(path, note | {card.sha256: calibration.to_note()})


def is_worth_measuring(known: Calibration | None) -> bool:
    """Nothing is known, or what is known was measured beside other work that is over now."""
    return known is None or (not known.timings.quiet and machine_is_quiet())


def _with_settings(calibration: Calibration, settings: EngineSettings) -> Calibration:
    dials = calibration.dials
    if settings.threads:
        dials = replace(dials, threads=settings.threads)
    if settings.has_own_sequences:
        dials = replace(dials, answers=settings.sequences)
    return replace(calibration, dials=dials)


def count_cores() -> int:
    """Those this process may use: a container or a unit may have fewer than the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name(files: Mapping[str, str] | None = None) -> str:
    """The processor's own name; a small board gives the board's, which says more."""
    for path, mark in (files or {"/proc/device-tree/model": "", "/proc/cpuinfo": "model name"}).items():
        try:
            text = Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "")
        except OSError:
            continue
        if not mark:
            return text.strip()
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name.strip() == mark:
                return value.strip()
    return os.uname().machine
