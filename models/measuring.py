"""Time an engine's steps, within a budget.

Drives an empty `Engine`; whoever calls owns it. Each time is the median of a few, so that one interrupt
does not decide and a busy neighbour is not overlooked; whether there was one is told as well. What would not
fit the budget is not begun: a machine on which a single row takes half a second is measured with a few single
rows, and the careful dials follow from them. Nobody's first question waits minutes for a measurement.
"""

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.calibration import (
    LADDER,
    MOST_ROWS,
    STEP_SECONDS,
    THREAD_ROWS,
    StepTime,
    Timings,
    choose_threads,
    thread_candidates,
)
from models.errors import N_
from models.protocol import Engine, Span
from models.sentence import Sentence

# The first lesson waits for this once; a machine that is slower than that allows, for the ten rows or so that
# are taken in any case.
BUDGET_SECONDS = 5.0
# So much of it for the comparison of thread counts, so that the ladder is measured even on a slow machine.
THREADS_SHARE = 0.5
# So much of it for the speed of a whole prompt; where that would take longer, a few rows of one must do.
PROMPT_SHARE = 0.5
REPEATS = 5
LEAST_REPEATS = 2  # the first step of a shape pays for its plan in llama.cpp and is not counted
ENOUGH_SECONDS = 1.0  # in a step as long as this no plan and no interrupt counts: once is enough
# Every answer stands on a little text, the same for all, as in a lesson; of a row where that takes long.
PREFIX_ROWS = 16
FEW_ROWS = 4  # a prompt so short is taken everywhere; with one row it tells what others would cost
TOKEN = 11  # any ordinary one; what the text says does not change how long it takes
# So much of one core others may use meanwhile: pages and system at rest use less than a tenth of it.
OTHERS_SHARE = 0.15
LOOK_SECONDS = 0.3  # thirty ticks of the system's clock

Tell = Callable[[Sentence], None]

THREADS = N_("threads %(count)d: %(speed)d tokens/s")
AT_ONCE = N_("%(rows)d at once: %(ms)d ms a step")
PROMPT = N_("prompt: %(speed)d rows/s in steps of %(rows)d")


@dataclass(frozen=True)
class Clocks:
    """Wall clock, our own time on the processors, and everybody's; tests bring theirs."""

    wall: Callable[[], float] = time.perf_counter
    own: Callable[[], float] = time.process_time
    everybody: Callable[[], float] = lambda: _busy_seconds()


def measure(
    engine: Engine,
    cores: int,
    *,
    fixed_threads: int = 0,
    budget_seconds: float = BUDGET_SECONDS,
    tell: Tell = lambda _: None,
    clocks: Clocks | None = None,
) -> Timings:
    """Measure thread counts, then the ladder and prompts at the best; leaves the engine empty."""
    return _Measuring(engine, clocks or Clocks(), budget_seconds, tell).run(cores, fixed_threads)


class _Measuring:
    def __init__(self, engine: Engine, clocks: Clocks, budget_seconds: float, tell: Tell) -> None:
        self._engine = engine
        self._clocks = clocks
        self._began = clocks.wall()
        self._others_began = clocks.everybody() - clocks.own()
        self._budget = budget_seconds
        self._tell = tell
        self._step_seconds = self._row_seconds = 0.0  # a step takes the first, and the second for each row

    def run(self, cores: int, fixed_threads: int) -> Timings:
        candidates = (fixed_threads,) if fixed_threads else thread_candidates(cores)
        self._engine.set_threads(candidates[0])
        few = self._look()
        rows = min(THREAD_ROWS, self._engine.answers)
        rows = rows if self._expected(rows) * (LEAST_REPEATS + 1) <= self._budget else 1
        threads: list[tuple[int, StepTime]] = []
        for count in candidates:
            if threads and self._spent() > self._budget * THREADS_SHARE:
                break
            self._engine.set_threads(count)
            threads.append((count, self._answers(rows)))
            speed = round(threads[-1][1].rows_per_second)
            self._tell(Sentence(THREADS, {"count": count, "speed": speed}))
        self._engine.set_threads(choose_threads(cores, threads, quiet=self._is_quiet()))
        answers = self._ladder()
        most = min(MOST_ROWS, self._engine.step_rows, self._engine.context_tokens)
        prompt = self._prompt(most) if self._expected(most) <= self._budget * PROMPT_SHARE else few
        return Timings(cores, tuple(threads), tuple(answers), (prompt,), self._is_quiet())

    def _look(self) -> StepTime:
        """Learn from one row and from a few what more would cost; return the time of the few."""
        self._time_prompt(1)  # the weights come out of the card
        one = self._time_prompt(1)
        few = self._time_prompt(min(FEW_ROWS, self._engine.step_rows, self._engine.context_tokens))
        self._row_seconds = max(0.0, few.seconds - one.seconds) / max(1, few.rows - 1)
        self._step_seconds = max(0.0, one.seconds - self._row_seconds)
        return few

    def _expected(self, rows: int) -> float:
        return self._step_seconds + self._row_seconds * rows

    def _ladder(self) -> list[StepTime]:
        steps: list[StepTime] = []
        for rows in LADDER:
            if rows > self._engine.answers:
                break
            # One rung above the limit is enough to know; on a slow machine the next would take seconds.
            if steps and (steps[-1].seconds > STEP_SECONDS or self._spent() > self._budget):
                break
            steps.append(self._answers(rows))
            self._tell(Sentence(AT_ONCE, {"rows": rows, "ms": round(steps[-1].seconds * 1000)}))
        return steps

    def _answers(self, rows: int) -> StepTime:
        """One step of `rows` answers, each standing on a little text."""
        engine = self._engine
        length = max(1, min(self._prefix_rows(), engine.cells // (2 * rows) - REPEATS - 1))
        engine.decode([Span(0, 0, (TOKEN,) * length, wants_token=False)])
        for sequence in range(1, rows):
            engine.share(0, sequence, length)
        place = length

        def step() -> None:
            nonlocal place
            engine.decode([Span(sequence, place, (TOKEN,), wants_token=True) for sequence in range(rows)])
            for sequence in range(rows):
                engine.sample(sequence)
            place += 1

        try:
            return StepTime(rows, self._time(step))
        finally:
            for sequence in range(rows):
                engine.free(sequence)

    def _prefix_rows(self) -> int:
        return PREFIX_ROWS if self._expected(PREFIX_ROWS) <= ENOUGH_SECONDS else 1

    def _prompt(self, rows: int) -> StepTime:
        step_time = self._time_prompt(rows)
        self._tell(Sentence(PROMPT, {"speed": round(step_time.rows_per_second), "rows": rows}))
        return step_time

    def _time_prompt(self, rows: int) -> StepTime:
        def step() -> None:
            self._engine.decode([Span(0, 0, (TOKEN,) * rows, wants_token=True)])
            self._engine.free(0)

        return StepTime(rows, self._time(step))

    def _time(self, step: Callable[[], None]) -> float:
        taken: list[float] = []
        began = self._clocks.wall()
        for turn in range(REPEATS + 1):
            start = self._clocks.wall()
            step()
            seconds = self._clocks.wall() - start
            if seconds > ENOUGH_SECONDS:
                return seconds
            if turn:
                taken.append(seconds)
            if turn >= LEAST_REPEATS and self._clocks.wall() - began > STEP_SECONDS:
                break
        return max(statistics.median(taken), 1e-6)

    def _spent(self) -> float:
        return self._clocks.wall() - self._began

    def _is_quiet(self) -> bool:
        others = self._clocks.everybody() - self._clocks.own() - self._others_began
        return others <= OTHERS_SHARE * self._spent()


def machine_is_quiet() -> bool:
    """Does anybody else work right now? A short look, before a longer measurement is worth its time."""
    before = _busy_seconds() - time.process_time()
    time.sleep(LOOK_SECONDS)
    return _busy_seconds() - time.process_time() - before <= OTHERS_SHARE * LOOK_SECONDS


def _busy_seconds() -> float:
    """What all programs together have had of all processors; our own share where the system does not tell."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            user, nice, system, _idle, _wait, *rest = map(int, file.readline().split()[1:9])
    except (OSError, ValueError):
        return time.process_time()
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
