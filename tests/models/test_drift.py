"""Stepping down when the machine slows down, and back up, without flapping."""

from models.calibration import (
    Calibration,
    Dials,
    StepTime,
    Timings,
    calibrate,
    expected_seconds,
    memory_factor,
)
from models.drift import GOOD_SECONDS, SLOW_FACTOR, SLOW_SECONDS, Drift


def measured(step_ms: float = 150, threads: int = 4) -> Calibration:
    steps = tuple(StepTime(rows, step_ms * (6 + rows) / 14 / 1000) for rows in (1, 2, 4, 8))
    counts = sorted({1, max(1, threads // 2), threads})
    compared = tuple((count, StepTime(8, step_ms / 1000 * threads / count)) for count in counts)
    return calibrate("k", Timings(threads, compared, steps, (StepTime(60, 0.5),)))


class Machine:
    """Runs an engine whose steps take as long as measured, times a factor for each thread count."""

    def __init__(self, calibration: Calibration | None = None) -> None:
        self.calibration = calibration or measured()
        self.drift = Drift(self.calibration)

    def run(self, seconds: float, factor: float = 1.0, fewer_threads: float | None = None) -> list[Dials]:
        """`fewer_threads`: the factor when not all threads are used; without it, they are missed."""
        changes: list[Dials] = []
        spent = 0.0
        while spent < seconds:
            dials = self.drift.dials
            all_threads = self.calibration.dials.threads
            slowed = factor * all_threads / dials.threads
            if fewer_threads is not None and dials.threads < all_threads:
                slowed = fewer_threads
            taken = expected_seconds(self.calibration.timings, dials.answers) * slowed
            changed = self.drift.note_step(dials.answers, taken)
            if changed is not None:
                changes.append(changed)
            spent += taken
        return changes


def test_a_machine_as_measured_keeps_its_dials():
    machine = Machine()
    assert machine.run(600) == []
    assert machine.drift.dials == machine.calibration.dials


def test_steps_a_little_longer_are_no_drift():
    assert Machine().run(600, 1.7) == []


def test_a_long_lesson_or_a_full_memory_is_no_slow_machine():
    """Thirty lessons at once took a thread from themselves: each row stood behind thousands of cells."""
    for past, cells in ((1_750.0, 3_000), (400.0, 8_192)):
        drift = Drift(measured(threads=2))
        longer = memory_factor(past, cells)
        assert longer > SLOW_FACTOR
        taken = expected_seconds(measured(threads=2).timings, 8) * longer
        assert all(drift.note_step(8, taken, past, cells) is None for _ in range(2_000))
        unknown = Drift(measured(threads=2))
        assert any(unknown.note_step(8, taken) for _ in range(2_000)), "else this test proves nothing"


def test_a_slow_machine_is_noticed_behind_a_long_lesson_too():
    drift = Drift(measured(threads=2))
    taken = expected_seconds(measured(threads=2).timings, 8) * memory_factor(500, 3_000) * 3
    assert any(drift.note_step(8, taken, 500.0, 3_000) for _ in range(2_000))


def test_a_short_disturbance_is_waited_out():
    machine = Machine()
    machine.run(60)
    assert machine.run(SLOW_SECONDS - 1, 4.0) == []
    assert machine.run(60) == []


def test_beside_a_busy_process_fewer_threads_are_tried_and_kept_when_they_help():
    machine = Machine(measured(threads=2))
    changes = machine.run(25, 2.5, fewer_threads=1.5)
    assert [dials.threads for dials in changes] == [1]
    assert machine.drift.dials.answers == 8


def test_fewer_threads_that_do_not_help_are_given_back_and_fewer_answers_written():
    machine = Machine()
    changes = machine.run(90, 3.0)
    assert [dials.threads for dials in changes] == [2, 4, 4, 4]
    assert [dials.answers for dials in changes] == [8, 8, 4, 2]


def test_slow_steps_that_are_still_fluent_cost_no_answers():
    changes = Machine(measured(step_ms=10)).run(120, 5.0)
    assert {dials.answers for dials in changes} == {8}
    assert [dials.threads for dials in changes] == [2, 4]


def test_heat_takes_threads_and_gives_them_back():
    machine = Machine()
    machine.drift.note_heat(hot=True)
    hot = machine.run(60)
    assert [dials.threads for dials in hot] == [2, 1]
    machine.drift.note_heat(hot=False)
    assert [dials.threads for dials in machine.run(4 * GOOD_SECONDS)] == [2, 4]
    assert machine.drift.dials == machine.calibration.dials


def test_recovery_waits_longer_after_each_vain_try():
    machine = Machine(measured(threads=1))
    tries = []
    for _ in range(4):
        while not machine.run(1, 4.0):
            pass
        waited = 0
        while not (up := machine.run(1)):
            waited += 1
        assert up[0].answers == 8
        tries.append(waited)
    assert tries == sorted(tries)
    assert tries[-1] > 3 * tries[0]
