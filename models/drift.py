"""When the machine is slower than it was measured to be: other work, or heat.

Pure. Every step is compared with what it took at calibration. Slow for some time, and it is tried with
fewer threads: one that waits for a core held by somebody else holds up all the others (decision 0013).
If that does not help, fewer answers are written at once, so that each step stays fluent. It goes back
up only after a longer good time, and waits longer each time that was too early. Time is the engine's
own busy time: an idle engine learns nothing about the machine.
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
    memory_factor,
    thread_slowdown,
)

# Two threads beside one busy process took 2 to 3 times as long (decision 0013).
SLOW_FACTOR = 1.8
GOOD_FACTOR = 1.4
TRIAL_GAIN = 0.9  # a trial is kept when steps take at most so much of what they took before
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
        self._trial: float | None = None  # the slowness before fewer threads were tried
        self._no_trial_seconds = 0.0  # of busy time, after one in vain
        self._since_change = 0.0
        self._slowness: deque[float] = deque(maxlen=SAMPLES)
        self._steps: deque[float] = deque(maxlen=SAMPLES)
        self._slow_seconds = self._good_seconds = 0.0

    @property
    def dials(self) -> Dials:
        answers = self._answers[self._answer_level]
        rows = choose_rows(self._calibration.timings.prompts, answers)
        return Dials(self._threads[self._thread_level], answers, rows)

    @property
    def factor(self) -> float:
        """How many times longer than measured at these threads the steps take now."""
        return statistics.median(self._slowness) / self._thread_slowdown() if self._slowness else 1.0

    def note_heat(self, *, hot: bool) -> None:
        """A hot processor throttles itself in jumps; taking less from it before keeps the text even."""
        self._hot = hot

    def note_step(self, rows: int, seconds: float, past: float = 0.0, cells: int = 0) -> Dials | None:
        """Remember one step; the new dials when they change.

        `past`: own tokens that a row stands behind, on average; `cells`: in use. A long lesson is no
        slow machine.
        """
        expected = expected_seconds(self._calibration.timings, rows) * memory_factor(past, cells)
        self._slowness.append(seconds / expected)
        self._steps.append(seconds)
        self._since_change += seconds
        self._no_trial_seconds = max(0.0, self._no_trial_seconds - seconds)
        if len(self._slowness) < SAMPLES:
            return None
        if self._trial is not None and not self._hot:
            before, self._trial = self._trial, None
            if statistics.median(self._slowness) > before * TRIAL_GAIN:
                self._no_trial_seconds = MOST_GOOD_SECONDS
                self._thread_level -= 1
                return self._changed(rose=False)
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

    def _thread_slowdown(self) -> float:
        timings, chosen = self._calibration.timings, self._calibration.dials.threads
        return max(1.0, thread_slowdown(timings, self._threads[self._thread_level], chosen))

    def _is_slow(self) -> bool:
        if self.factor < SLOW_FACTOR:
            return False
        stutters = statistics.median(self._steps) > STEP_SECONDS
        return self._may_try_threads() or (stutters and self._answer_level + 1 < len(self._answers))

    def _is_too_hot(self) -> bool:
        return self._hot and self._can_lower_threads()

    def _can_lower_threads(self) -> bool:
        return self._thread_level + 1 < len(self._threads)

    def _may_try_threads(self) -> bool:
        return self._can_lower_threads() and not self._no_trial_seconds

    def _step_down(self) -> Dials:
        # Down again soon after going up: the way up was too early, so the next one takes longer.
        if self._rose and self._since_change < self._patience:
            self._patience = min(2 * self._patience, MOST_GOOD_SECONDS)
        elif self._since_change > MOST_GOOD_SECONDS:
            self._patience = GOOD_SECONDS
        if self._is_too_hot():
            self._thread_level += 1
        elif self._may_try_threads():
            self._trial = statistics.median(self._slowness)
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
        self._slowness.clear()
        self._steps.clear()
        self._slow_seconds = self._good_seconds = self._since_change = 0.0
        return self.dials


def _halves(most: int, least: int) -> list[int]:
    steps = [most]
    while steps[-1] > least:
        steps.append(max(least, steps[-1] // 2))
    return steps
