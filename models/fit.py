"""What this machine can run: memory first, then speed.

`judge` is pure. A step reads every weight once, whoever waits for it, and computes each answer's row;
so the speed of another model follows from two numbers of this machine: bytes read and parameters
computed in a second. They come from the measurement of the current model when there is one, otherwise
from a quick look at the memory, which is only a guess, and said to be one.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import psutil

from models.calibration import LADDER, STEP_SECONDS, Timings, expected_seconds
from models.card import ModelCard
from models.errors import N_
from models.sentence import Sentence
from models.settings import EngineSettings
from models.store import Store
from models.tuning import find_calibration

# The engine's unit may take so much; the rest is for pages, database and system.
MEMORY_SHARE = 0.75
ENGINE_BYTES = 300_000_000  # Python, llama.cpp and its working memory, measured with a small model
# Where a card does not know: 4.5 bits a weight and a tenth for what is kept in finer steps.
BYTES_PER_PARAMETER = 0.62
# A heavy conversation of a model with 8 key-value heads and 32 layers.
KV_BYTES_UNKNOWN = 131_072
# "How many learners" means: all ask in the same minute, and each has such an answer at its end.
ANSWER_TOKENS = 100
ANSWER_SECONDS = 60
# Slower than this for one learner alone is slower than anyone reads.
LEAST_TOKENS_PER_SECOND = 2.0
# Parameters computed for each byte read in the same time, where it was not measured: a Raspberry Pi 5 has 8
# (80 G against 10 GB/s), an N100 3.5. The lower end promises less.
GUESSED_PARAMETERS_PER_BYTE = 4.0
PROBE_BYTES = 128 << 20  # larger than the caches of any machine we mean
PROBE_REPEATS = 5
# Names of the processor's own sensors; a hot disk is no reason to answer more slowly.
SENSORS = ("cpu", "coretemp", "k10temp", "soc", "zenpower")

FITS = N_("It fits: when %(learners)d learners ask, each has %(tokens)d tokens of answer within a minute.")
TOO_LARGE = N_(
    "It does not fit: it needs %(needed_mb)d MB of memory, and the engine may take %(given_mb)d MB here."
)
TOO_SLOW = N_("It is too slow here: one learner alone waits %(seconds)d seconds for %(tokens)d tokens.")
MEASURED = N_("The speed is worked out from the measurement of %(model)s on this machine.")
GUESSED = N_("The speed is a guess from the speed of the memory; after sandyq models bench it is better.")
SIZE_UNKNOWN = N_("The size of its file is not known; it was worked out from the number of parameters.")
TALK_UNKNOWN = N_("How much memory a conversation takes is not known; a heavy one was assumed.")
SMALL_MEMORY = N_("Its conversations fill the memory: fewer cells make room (engine.context_cells).")


@dataclass(frozen=True)
class Machine:
    memory_bytes: int
    bytes_per_second: float
    parameters_per_second: float
    measured_with: str = ""  # the model that told the speeds; "" = guessed

    @property
    def source(self) -> Sentence:
        if self.measured_with:
            return Sentence(MEASURED, {"model": self.measured_with})
        return Sentence(GUESSED)


@dataclass(frozen=True)
class Fit:
    name: str
    runs: bool
    learners: int  # 0 when it does not run
    answers: int  # written at the same time
    alone: float  # tokens a second for one learner
    together: float  # tokens a second of the class
    memory_bytes: int
    why: tuple[Sentence, ...]


def judge(card: ModelCard, machine: Machine, cells: int) -> Fit:
    """Can this machine run the model, for how many learners, and why (not)?"""
    weights = card.bytes or card.about_bytes or int(card.parameters * BYTES_PER_PARAMETER)
    talk = cells * (card.kv_bytes_per_token or KV_BYTES_UNKNOWN)
    needed, given = weights + talk + ENGINE_BYTES, int(machine.memory_bytes * MEMORY_SHARE)
    # Of a file with parts that a token does not pass through, only the others are read in a step.
    read = min(weights, int(card.parameters * BYTES_PER_PARAMETER * 2))
    answers = _fluent_answers(read, card.parameters, machine)
    alone = 1 / _step_seconds(1, read, card.parameters, machine)
    together = answers / _step_seconds(answers, read, card.parameters, machine)
    learners = int(together * ANSWER_SECONDS / ANSWER_TOKENS)
    why: list[Sentence] = []
    if needed > given:
        megabytes = {"needed_mb": needed // 1_000_000, "given_mb": given // 1_000_000}
        why.append(Sentence(TOO_LARGE, megabytes))
        if needed - talk < given:
            why.append(Sentence(SMALL_MEMORY))
    elif alone < LEAST_TOKENS_PER_SECOND or not learners:
        seconds = {"seconds": round(ANSWER_TOKENS / alone), "tokens": ANSWER_TOKENS}
        why.append(Sentence(TOO_SLOW, seconds))
    else:
        why.append(Sentence(FITS, {"learners": learners, "tokens": ANSWER_TOKENS}))
    runs = why[0].text == FITS
    why += _reservations(card)
    return Fit(card.name, runs, learners if runs else 0, answers, alone, together, needed, tuple(why))


def _reservations(card: ModelCard) -> Iterable[Sentence]:
    if not card.bytes and not card.about_bytes:
        yield Sentence(SIZE_UNKNOWN)
    if not card.kv_bytes_per_token:
        yield Sentence(TALK_UNKNOWN)


def _step_seconds(rows: int, read: int, parameters: int, machine: Machine) -> float:
    return read / machine.bytes_per_second + rows * parameters / machine.parameters_per_second


def _fluent_answers(read: int, parameters: int, machine: Machine) -> int:
    fluent = [rows for rows in LADDER if _step_seconds(rows, read, parameters, machine) <= STEP_SECONDS]
    return fluent[-1] if fluent else 1


def speeds_from(timings: Timings, card: ModelCard, memory_bytes: int) -> Machine:
    """The two numbers of the machine behind the measured steps of one model."""
    one, many = timings.answers[0], timings.answers[-1]
    if many.rows == one.rows:
        many = timings.prompts[0]
    # Two points of a line: what a step costs at all, and what each row adds.
    each_row = max((many.seconds - one.seconds) / (many.rows - one.rows), 1e-9)
    reading = max(expected_seconds(timings, 1) - each_row, 1e-9)
    return Machine(memory_bytes, card.bytes / reading, card.parameters / each_row, measured_with=card.name)


# --- looking at this machine ---


def memory_bytes() -> int:
    return int(psutil.virtual_memory().total)


def look_at_machine(settings: EngineSettings, store: Store) -> Machine:
    """What was measured with the current model, or else a guess."""
    card = store.find_current()
    known = find_calibration(settings, card) if card is not None and card.sha256 else None
    if card is None or known is None:
        return guess_machine()
    return speeds_from(known.timings, card, memory_bytes())


def guess_machine() -> Machine:
    """Read a block of memory a few times: the best of them is what the memory can give one core."""
    block = np.ones(PROBE_BYTES // 8)
    best = 0.0
    for _ in range(PROBE_REPEATS):
        began = time.perf_counter()
        block.sum()
        best = max(best, block.nbytes / (time.perf_counter() - began))
    return Machine(memory_bytes(), best, best * GUESSED_PARAMETERS_PER_BYTE)


def processor_temperatures() -> list[tuple[float, float | None]]:
    """Each sensor of the processor in degrees Celsius, and what it calls high; none where nothing tells."""
    read = getattr(psutil, "sensors_temperatures", None)  # Linux and FreeBSD have it
    if read is None:
        return []
    found = read().items()
    return [
        (each.current, each.high) for name, all_of in found for each in all_of if name.startswith(SENSORS)
    ]
