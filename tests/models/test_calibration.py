"""Which dials a machine gets, from made-up measurements; and what is measured, on made-up machines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import (
    LADDER,
    STEP_SECONDS,
    Calibration,
    Dials,
    StepTime,
    Timings,
    calibrate,
    choose_answers,
    choose_rows,
    choose_threads,
    expected_seconds,
    from_note,
    machine_key,
    thread_candidates,
)
from models.measuring import Clocks, measure
from tests.models.fake_engine import FakeEngine


def ladder(*milliseconds: float) -> tuple[StepTime, ...]:
    return tuple(StepTime(rows, ms / 1000) for rows, ms in zip(LADDER, milliseconds, strict=False))


def speeds(**tokens_per_second: float) -> list[tuple[int, StepTime]]:
    return [(int(name[1:]), StepTime(8, 8 / speed)) for name, speed in tokens_per_second.items()]


@pytest.mark.parametrize(
    ("cores", "measured", "chosen"),
    [
        (2, speeds(t1=76, t2=187), 2),  # a quiet machine of two cores, as measured
        (2, speeds(t1=76, t2=90), 1),  # the last core brings too little to take it from the pages
        (2, speeds(t1=76, t2=8), 1),  # two threads on two busy cores
        (4, speeds(t1=30, t2=55, t3=75, t4=80), 3),
        (4, speeds(t1=30, t2=55, t3=58, t4=60), 2),  # the memory is the limit
        (4, speeds(t1=30, t2=55, t3=75, t4=100), 4),
        (1, speeds(t1=30), 1),
    ],
)
def test_threads_are_the_fewest_that_are_nearly_the_fastest(cores, measured, chosen):
    assert choose_threads(cores, measured) == chosen


def test_a_machine_measured_while_busy_keeps_its_threads():
    assert choose_threads(2, speeds(t1=76, t2=40), quiet=False) == 2
    assert choose_threads(4, speeds(t1=76, t3=40), quiet=False) == 3
    assert choose_threads(4, speeds(t2=76), quiet=False) == 2  # set by the school


def test_answers_at_once_end_where_the_text_would_stutter():
    chosen, why = choose_answers(ladder(100, 120, 160, 220, 240))
    assert chosen == 8
    assert str(why) == "12 at once take 240 ms a step", "on a lesson it would be more than 300"


def test_more_get_a_first_word_as_long_as_the_class_is_not_clearly_slower():
    chosen, why = choose_answers(ladder(10, 12, 16, 24, 36, 48, 72))
    assert (chosen, str(why)) == (24, "no more were tried")
    chosen, why = choose_answers(ladder(10, 12, 16, 24, 60, 90, 150))
    assert (chosen, str(why)) == (8, "more make the class slower by over 25 percent")


def test_a_rung_that_was_disturbed_does_not_hide_the_next():
    assert choose_answers(ladder(10, 12, 16, 24, 60, 40))[0] == 16


def test_a_machine_too_slow_for_one_answers_one():
    assert choose_answers(ladder(900, 1000))[0] == 1


def test_a_slow_machine_takes_smaller_bites_of_a_prompt():
    assert choose_rows([StepTime(60, 0.1)], 8) == 60
    assert choose_rows([StepTime(60, 0.45)], 8) == 40
    # A 4B model on a small board: 20 rows a second. Prompts must still get on beside the answers.
    assert choose_rows([StepTime(60, 3.0)], 8) == 16


@given(
    st.lists(st.floats(0.001, 20), min_size=1, max_size=7),
    st.floats(0.001, 20),
)
def test_whatever_is_measured_the_dials_are_usable(seconds, prompt):
    steps = tuple(StepTime(rows, taken) for rows, taken in zip(LADDER, seconds, strict=False))
    prompts = (StepTime(60, prompt),)
    dials = calibrate("k", Timings(4, ((3, StepTime(8, 1.0)),), steps, prompts)).dials
    assert dials.answers in LADDER
    assert dials.answers < dials.step_rows <= 60
    assert dials.step_rows % 4 == 0
    chosen = next(step for step in steps if step.rows == dials.answers)
    assert dials.answers == 1 or chosen.seconds <= STEP_SECONDS


def test_what_was_measured_survives_being_stored():
    timings = Timings(
        2, ((1, StepTime(8, 0.1)), (2, StepTime(8, 0.05))), ladder(10, 15), (StepTime(60, 0.2),)
    )
    calibration = calibrate("key", timings, "2026-11-22")
    note = json.loads(json.dumps(calibration.to_note()))
    assert from_note(note, "key") == calibration
    assert from_note(note, "another machine") is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda note: note["timings"].pop("answers"),
        lambda note: note["timings"].update(answers=[]),
        lambda note: note["timings"]["answers"][0].update(seconds=0),
        lambda note: note["timings"]["answers"][0].update(rows="many"),
        lambda note: note.update(timings=7),
    ],
)
def test_a_damaged_measurement_counts_as_none(damage):
    timings = Timings(2, ((1, StepTime(8, 0.1)),), ladder(10, 15), (StepTime(60, 0.2),))
    note = json.loads(json.dumps(calibrate("key", timings).to_note()))
    damage(note)
    assert from_note(note, "key") is None


def test_the_expected_time_lies_between_the_measured_ones():
    timings = Timings(2, (), ladder(10, 20, 30, 50), (StepTime(60, 0.5),))
    assert expected_seconds(timings, 2) == pytest.approx(0.02)
    assert expected_seconds(timings, 6) == pytest.approx(0.04)
    assert expected_seconds(timings, 120) == pytest.approx(1.0)


def test_a_key_names_every_fact():
    assert machine_key({"model": "ab", "cores": 4}) == "cores=4; model=ab"


def test_few_thread_counts_are_tried_on_many_cores():
    assert thread_candidates(1) == (1,)
    assert thread_candidates(2) == (2, 1), "if there is time for one only, then for what is safe"
    assert thread_candidates(4) == (3, 4, 2, 1)
    assert len(thread_candidates(64)) == 4


class SlowMachine(FakeEngine):
    """Steps take simulated time: a share for the weights, a share for each row, less with more threads."""

    def __init__(self, *, weights_ms: float, row_ms: float, answers: int = 30, busy: float = 0.0) -> None:
        super().__init__(sequences=answers, cells=8192)
        self.weights_ms, self.row_ms, self.busy = weights_ms, row_ms, busy
        self.wall = self.own = 0.0
        self.threads_set: list[int] = []

    def set_threads(self, threads: int) -> None:
        self.threads_set.append(threads)

    def decode(self, spans) -> None:
        super().decode(spans)
        taken = (self.weights_ms + self.row_ms * self.decoded_rows[-1]) / self.threads_set[-1] / 1000
        self.wall += taken
        self.own += taken * self.threads_set[-1]

    def measured(self, cores: int = 4, **more) -> Calibration:
        clocks = Clocks(lambda: self.wall, lambda: self.own, lambda: self.own + self.busy * self.wall)
        return calibrate("k", measure(self, cores, clocks=clocks, **more))


def test_a_quick_machine_is_measured_up_to_the_top():
    machine = SlowMachine(weights_ms=40, row_ms=1)
    calibration = machine.measured()
    assert calibration.dials == Dials(threads=4, answers=30, step_rows=60)
    assert calibration.timings.quiet
    assert machine.wall < 5
    assert machine.cells_used == 0
    assert machine.threads_set[-1] == 4


def test_a_slow_machine_is_not_measured_longer_than_bearable():
    machine = SlowMachine(weights_ms=1000, row_ms=50)  # a 4B model on a small board
    calibration = machine.measured()
    assert calibration.dials.answers <= 8
    assert machine.wall < 15
    assert len(calibration.timings.threads) < 4


@pytest.mark.parametrize(("row_ms", "seconds"), [(150, 10), (500, 10), (1500, 15)])
def test_a_machine_that_only_calculates_slowly_is_not_kept_for_minutes(row_ms, seconds):
    # A machine whose instructions are translated, or a board without dot products.
    machine = SlowMachine(weights_ms=0, row_ms=row_ms)
    calibration = machine.measured(cores=2)
    assert machine.wall <= seconds
    assert calibration.dials.answers == 1 or row_ms < STEP_SECONDS * 1000
    assert calibration.dials.step_rows <= 12
    assert expected_seconds(calibration.timings, 60) == pytest.approx(60 * row_ms / 1000, rel=0.5)


def test_a_cold_card_does_not_make_a_quick_machine_look_slow():
    machine = SlowMachine(weights_ms=40, row_ms=1)
    machine.wall = 0.0
    warm, machine.weights_ms = machine.weights_ms, 3000.0
    decode = machine.decode

    def first_then_warm(spans):
        decode(spans)
        machine.weights_ms = warm

    machine.decode = first_then_warm  # type: ignore[method-assign]
    assert machine.measured().dials == Dials(threads=4, answers=30, step_rows=60)


def test_a_busy_machine_is_noticed():
    assert not SlowMachine(weights_ms=10, row_ms=1, busy=0.4).measured().timings.quiet


def test_threads_the_school_has_set_are_not_compared():
    machine = SlowMachine(weights_ms=10, row_ms=1)
    assert machine.measured(fixed_threads=3).dials.threads == 3
    assert set(machine.threads_set) == {3}


def test_a_small_memory_is_measured_without_overflow():
    machine = SlowMachine(weights_ms=10, row_ms=1, answers=24)
    machine.cells = machine.context_tokens = 256
    assert machine.measured().dials.answers >= 1
