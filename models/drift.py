"""When the machine is slower than it was measured to be: other work, or heat.

Pure. Every step is compared with what it took at calibration. Slow for some time, and fewer answers are
written at once, so that each step stays fluent; fewer threads only when the processor is hot or nothing
else is left, because threads that sleep while they wait lose nothing to a busy neighbour (decision
0013). It goes back up only after a longer good time, and waits longer each time that was too early.
Time is the engine's own busy time: an idle engine learns nothing about the machine.
"""

import statistics
from collections import deque

from models.calibration import (
    ROW_GROUP,
    STEP_SECONDS,
    Calibration,
    Dials,
    choose_rows,
    expected_seconds,
    thread_slowdown,
)

# A long conversation makes a step slower by itself, up to about twice at 8,192 cells; that is no drift.
SLOW_FACTOR = 2.5
GOOD_FACTOR = 1.5
SLOW_SECONDS = 5.0  # shorter disturbances, such as a page full of pictures, are waited out
GOOD_SECONDS = 30.0
MOST_GOOD_SECONDS = 600.0  # after so long everyone gets another chance
SAMPLES = 15  # the middle one of so many steps speaks; one slow step says nothing
LEAST_ANSWERS = 2


class Drift:
    def __init__(self, calibration: Calibration) -> None:
        self._calibration = calibration
        self._threads = _halves(calibration.dials.threads, 1)
        self._answers = [
            answers if answers < ROW_GROUP else answers // ROW_GROUP * ROW_GROUP
            for answers in _halves(calibration.dials.answers, LEAST_ANSWERS)
        ]
        self._answers[0] = calibration.dials.answers
        self._thread_level = self._answer_level = 0
        self._hot = False
        self._patience = GOOD_SECONDS
        self._rose = False  # the last change was upwards
        self._since_change = 0.0
        self._factors: deque[float] = deque(maxlen=SAMPLES)
        self._steps: deque[float] = deque(maxlen=SAMPLES)
        self._slow_seconds = self._good_seconds = 0.0

    @property
    def dials(self) -> Dials:
        answers = self._answers[self._answer_level]
        mixed, prefill = choose_rows(self._calibration.timings.prompts, answers)
        return Dials(self._threads[self._thread_level], answers, mixed, prefill)

    @property
    def factor(self) -> float:
        """How many times longer than at calibration the steps take now."""
        return statistics.median(self._factors) if self._factors else 1.0

    def note_heat(self, *, hot: bool) -> None:
        """A hot processor throttles itself in jumps; taking less from it before keeps the text even."""
        self._hot = hot

    def note_step(self, rows: int, seconds: float) -> Dials | None:
        """Remember one step; the new dials when they change."""
        self._factors.append(seconds / self._expected(rows))
        self._steps.append(seconds)
        self._since_change += seconds
        if len(self._factors) < SAMPLES:
            return None
        if self._is_slow() or self._is_too_hot():
            self._slow_seconds, self._good_seconds = self._slow_seconds + seconds, 0.0
        elif self.factor <= GOOD_FACTOR and not self._hot:
            self._slow_seconds, self._good_seconds = 0.0, self._good_seconds + seconds
        else:
            self._slow_seconds = 0.0
        if self._slow_seconds >= SLOW_SECONDS:
            return self._step_down()
        if self._good_seconds >= self._patience and (self._answer_level or self._thread_level):
            return self._step_up()
        return None

    def _expected(self, rows: int) -> float:
        timings, chosen = self._calibration.timings, self._calibration.dials.threads
        slowdown = thread_slowdown(timings, self._threads[self._thread_level], chosen)
        return expected_seconds(timings, rows) * max(1.0, slowdown)

    def _is_slow(self) -> bool:
        can_lower = self._answer_level + 1 < len(self._answers) or self._can_lower_threads()
        return can_lower and self.factor >= SLOW_FACTOR and statistics.median(self._steps) > STEP_SECONDS

    def _is_too_hot(self) -> bool:
        return self._hot and self._can_lower_threads()

    def _can_lower_threads(self) -> bool:
        return self._thread_level + 1 < len(self._threads)

    def _step_down(self) -> Dials:
        # Down again soon after going up: the way up was too early, so the next one takes longer.
        if self._rose and self._since_change < self._patience:
            self._patience = min(2 * self._patience, MOST_GOOD_SECONDS)
        elif self._since_change > MOST_GOOD_SECONDS:
            self._patience = GOOD_SECONDS
        if self._is_too_hot() or self._answer_level + 1 == len(self._answers):
            self._thread_level += 1
        else:
            self._answer_level += 1
        return self._changed(rose=False)

    def _step_up(self) -> Dials:
        if self._answer_level:
            self._answer_level -= 1
        else:
            self._thread_level -= 1
        return self._changed(rose=True)

    def _changed(self, *, rose: bool) -> Dials:
        self._rose = rose
        self._factors.clear()
        self._steps.clear()
        self._slow_seconds = self._good_seconds = self._since_change = 0.0
        return self.dials


def _halves(most: int, least: int) -> list[int]:
    steps = [most]
    while steps[-1] > least:
        steps.append(max(least, steps[-1] // 2))
    return steps
