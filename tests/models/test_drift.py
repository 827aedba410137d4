"""Stepping down when the machine slows down, and back up, without flapping."""

from models.calibration import Calibration, Dials, StepTime, Timings, calibrate
from models.drift import GOOD_SECONDS, SLOW_SECONDS, Drift


def measured(step_ms: float = 150, threads: int = 4) -> Calibration:
    steps = tuple(StepTime(rows, step_ms * (6 + rows) / 14 / 1000) for rows in (1, 2, 4, 8))
    compared = tuple((count, StepTime(8, step_ms / 1000 * threads / count)) for count in (1, 2, threads))
    return calibrate("k", Timings(threads, compared, steps, (StepTime(60, 0.5),)))


def steps(drift: Drift, seconds_in_all: float, factor: float, rows: int | None = None) -> list[Dials]:
    """Run the engine for so long, each step `factor` times as long as it was measured."""
    changes: list[Dials] = []
    spent = 0.0
    while spent < seconds_in_all:
        taken = drift._expected(rows or drift.dials.answers) * factor
        dials = drift.note_step(rows or drift.dials.answers, taken)
        if dials is not None:
            changes.append(dials)
        spent += taken
    return changes


def test_a_machine_as_measured_keeps_its_dials():
    drift = Drift(measured())
    assert steps(drift, 600, 1.0) == []
    assert drift.dials == measured().dials


def test_longer_conversations_are_no_drift():
    assert steps(Drift(measured()), 600, 2.0) == []


def test_a_short_disturbance_is_waited_out():
    drift = Drift(measured())
    steps(drift, 60, 1.0)
    assert steps(drift, SLOW_SECONDS - 1, 4.0) == []
    assert steps(drift, 60, 1.0) == []


def test_a_slow_machine_writes_fewer_answers_at_once():
    changes = steps(Drift(measured()), 60, 3.0)
    assert [dials.answers for dials in changes] == [4, 2]
    assert all(dials.threads == 4 for dials in changes[:1])


def test_slow_steps_that_are_still_fluent_change_nothing():
    assert steps(Drift(measured(step_ms=10)), 60, 5.0) == []


def test_heat_takes_threads_first_and_gives_them_back():
    drift = Drift(measured())
    drift.note_heat(hot=True)
    hot = steps(drift, 60, 1.0)
    assert [dials.threads for dials in hot] == [2, 1]
    assert {dials.answers for dials in hot} == {8}
    drift.note_heat(hot=False)
    assert [dials.threads for dials in steps(drift, 3 * GOOD_SECONDS, 1.0)] == [2, 4]
    assert drift.dials == measured().dials


def test_recovery_waits_longer_after_each_vain_try():
    drift = Drift(measured())
    tries = []
    for _ in range(4):
        while not steps(drift, 1, 4.0):
            pass
        waited = 0
        while not (up := steps(drift, 1, 1.0)):
            waited += 1
        assert up[0].answers == 8
        tries.append(waited)
    assert tries == sorted(tries)
    assert tries[-1] > 3 * tries[0]
