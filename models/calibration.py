"""Which dials suit this model on this machine.

Pure: step times come in (`measuring` takes them), dials and their reasons go out. The rules:

- Threads: the fewest that are nearly the fastest. All cores only for a real gain, because the pages
  live on the same machine.
- Answers at once: as many as a step can hold that a reader still takes for fluent, unless the class as a
  whole would get clearly slower: whoever has a row has a first word.
- Rows a step: as many prompt rows as fit the same limit, so that a long prompt never holds up the text
  of the others.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from models.errors import N_
from models.sentence import Sentence

TOO_SLOW = N_("%(rows)d at once take %(ms)d ms a step")
NO_MORE = N_("no more were tried")
CLASS_SLOWER = N_("more make the class slower by over %(percent)d percent")

# A word every 0.3 s is still read as flowing text; beyond that, a class sees its answers stutter.
STEP_SECONDS = 0.3
# What is measured stands on a few words; a row on a lesson of 500 tokens takes about so much longer.
LESSON_FACTOR, LESSON_TOKENS = 1.3, 500
# And so much longer in a memory with so many cells in use, whose ever they are (decision 0062).
CROWD_FACTOR, CROWD_CELLS = 1.23, 2560
# More answers at once give more children a first word; so much of the class's speed that may cost.
WORTH_SPEED = 0.75
# A thread that brings less than this costs more warmth and disturbance than it is worth.
THREAD_GAIN = 1.15
# The last core is taken from the pages and the system; it must bring a lot.
LAST_CORE_GAIN = 1.30
# From 64 rows on, an answer would depend on who else asks (decision 0012).
MOST_ROWS = 60
# Packed kernels work on 4 rows at a time and do the remainder one by one.
ROW_GROUP = 4
# A prompt must get on even where every step is slow: this many rows of it beside the answers.
LEAST_PROMPT_ROWS = 8
# The ladder that is measured, as far as the engine's seats go.
LADDER = (1, 2, 4, 8, 12, 16, 24, 30)  # a school class
MOST_ANSWERS = LADDER[-1]
THREAD_ROWS = 8  # threads are compared at a full table, not at one reader

VERSION = 2  # of the stored form and of the rules; another one is measured anew


@dataclass(frozen=True, slots=True)
class Dials:
    """What the engine is set to."""

    threads: int
    answers: int
    step_rows: int = MOST_ROWS  # in all: one for each answer, the rest for prompts


@dataclass(frozen=True, slots=True)
class StepTime:
    rows: int
    seconds: float

    @property
    def rows_per_second(self) -> float:
        return self.rows / self.seconds


@dataclass(frozen=True)
class Timings:
    """What was measured: `threads` compares counts at the same rows, the rest is at the chosen count."""

    cores: int
    threads: tuple[tuple[int, StepTime], ...]
    answers: tuple[StepTime, ...]  # one row of each of so many answers
    prompts: tuple[StepTime, ...]  # rows of one prompt
    quiet: bool = True  # nothing else took the processor meanwhile


@dataclass(frozen=True)
class Calibration:
    key: str
    timings: Timings
    dials: Dials
    measured_on: str = ""  # a date, for people

    def to_note(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def choose_threads(cores: int, times: Iterable[tuple[int, StepTime]], *, quiet: bool = True) -> int:
    """The fewest threads that are nearly the fastest."""
    measured = sorted(times, key=lambda entry: entry[0])
    if not quiet and len(measured) > 1:
        # A box measured while it boots must not work with one thread all day; drift takes them back.
        return unmeasured_threads(cores)
    chosen, best = 0, 0.0
    for threads, step in measured:
        needed = LAST_CORE_GAIN if threads >= cores > 1 else THREAD_GAIN
        if not chosen or step.rows_per_second >= best * needed:
            chosen, best = threads, step.rows_per_second
    return chosen


def unmeasured_threads(cores: int) -> int:
    """All but one; of two cores both, which gain most and lose little beside others (decision 0013)."""
    return cores if cores <= 2 else cores - 1


def choose_answers(steps: Iterable[StepTime]) -> tuple[int, Sentence]:
    """The most answers at once that are still fluent and cost the class little; and why not more."""
    ladder = sorted(steps, key=lambda step: step.rows)
    chosen, best = ladder[0], 0.0
    for step in ladder:
        best = max(best, step.rows_per_second)
        if step is not chosen and step.seconds * LESSON_FACTOR > STEP_SECONDS:
            return chosen.rows, Sentence(TOO_SLOW, {"rows": step.rows, "ms": round(step.seconds * 1000)})
        # One rung that was disturbed does not decide against those after it.
        if step.rows_per_second >= best * WORTH_SPEED:
            chosen = step
    if chosen is ladder[-1]:
        return chosen.rows, Sentence(NO_MORE)
    return chosen.rows, Sentence(CLASS_SLOWER, {"percent": round((1 - WORTH_SPEED) * 100)})


def choose_rows(prompts: Iterable[StepTime], answers: int) -> int:
    """Rows of a step: as many as are fluent, and always some for prompts."""
    rate = max((step.rows_per_second for step in prompts), default=MOST_ROWS / STEP_SECONDS)
    fluent = min(MOST_ROWS, int(rate * STEP_SECONDS))
    return max(fluent // ROW_GROUP, -(-(answers + LEAST_PROMPT_ROWS) // ROW_GROUP)) * ROW_GROUP


def calibrate(key: str, timings: Timings, measured_on: str = "") -> Calibration:
    """Choose all dials; the measurements stay with them, for `drift` and for people."""
    threads = choose_threads(timings.cores, timings.threads, quiet=timings.quiet)
    answers, _ = choose_answers(timings.answers)
    rows = choose_rows(timings.prompts, answers)
    return Calibration(key, timings, Dials(threads, answers, rows), measured_on)


def thread_candidates(cores: int) -> tuple[int, ...]:
    """Which thread counts are worth measuring, the likely best first: time may run out."""
    if cores <= 1:
        return (1,)
    return tuple(dict.fromkeys((unmeasured_threads(cores), cores, max(1, cores // 2), 1)))


def expected_seconds(timings: Timings, rows: int) -> float:
    """How long a step of so many rows took when the machine was measured, between the known ones."""
    known = sorted((*timings.answers, *timings.prompts), key=lambda step: step.rows)
    below = [step for step in known if step.rows <= rows]
    above = [step for step in known if step.rows > rows]
    if not below:
        return above[0].seconds
    if not above:
        return below[-1].seconds * rows / below[-1].rows
    low, high = below[-1], above[0]
    share = (rows - low.rows) / (high.rows - low.rows)
    return low.seconds + share * (high.seconds - low.seconds)


def memory_factor(past: float, cells: int) -> float:
    """How many times longer a row takes behind so many tokens of its own, with so many cells in use.

    Measured with the smallest model; in larger ones memory is a smaller part of a step.
    """
    lesson = (LESSON_FACTOR - 1) * past / LESSON_TOKENS
    return 1 + lesson + (CROWD_FACTOR - 1) * cells / CROWD_CELLS


def thread_slowdown(timings: Timings, threads: int, chosen: int) -> float:
    """How many times longer a step takes with `threads` than with the chosen count."""
    known = {count: step.seconds for count, step in timings.threads}
    if threads in known and chosen in known:
        return known[threads] / known[chosen]
    return chosen / threads  # not measured: as if every thread did its share


def machine_key(facts: Mapping[str, object]) -> str:
    """One line for all that a measurement depends on; another machine or setting has another line."""
    return "; ".join(f"{name}={facts[name]}" for name in sorted(facts))


def from_note(note: object, key: str) -> Calibration | None:
    """A stored calibration, or None when it is not one of this form and for this key."""
    try:
        if not isinstance(note, dict) or note["key"] != key:
            return None
        times = note["timings"]
        timings = Timings(
            cores=int(times["cores"]),
            threads=tuple((int(count), _step(step)) for count, step in times["threads"]),
            answers=tuple(map(_step, times["answers"])),
            prompts=tuple(map(_step, times["prompts"])),
            quiet=bool(times["quiet"]),
        )
        calibration = calibrate(key, timings, str(note["measured_on"]))
    except (KeyError, TypeError, ValueError, IndexError, ZeroDivisionError):
        return None  # it is measured again
    return calibration


def _step(note: Mapping[str, Any]) -> StepTime:
    step = StepTime(int(note["rows"]), float(note["seconds"]))
    if step.rows < 1 or not 0 < step.seconds < 3600:
        raise ValueError(f"a step of {step.rows} rows and {step.seconds} s")
    return step
