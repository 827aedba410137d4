"""The worker turns the dials it is given, and everybody's answer stays the same."""

from collections.abc import Iterator

import pytest

from models.calibration import Calibration, Dials, StepTime, Timings, calibrate
from models.seats import READING_ROWS
from models.tuning import Tuner
from tests.models.fake_engine import FakeEngine
from tests.models.test_worker import Bench, Finished, read, wait_for


def measured(threads: int, answers: int) -> Calibration:
    """So fast that the fake engine's steps are slow beside it."""
    steps = (StepTime(1, 1e-5), StepTime(answers, 1.5e-5))
    compared = tuple((count, StepTime(8, 1e-5 * threads / count)) for count in (1, threads))
    return calibrate("k", Timings(threads, compared, steps, (StepTime(60, 1e-4),)))


class ScriptedTuner(Tuner):
    """Says its next dials after so many steps."""

    def __init__(self, first: Dials, later: Dials, after: int) -> None:
        super().__init__(measured(2, 4))
        self.dials, self.later, self.left = first, later, after
        self.told: list[int] = []

    def note_step(self, rows: int, seconds: float, past: float, cells: int) -> Dials | None:
        assert seconds > 0 <= past <= cells
        self.told.append(rows)
        self.left -= 1
        return self.later if self.left == 0 else None


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(FakeEngine(sequences=4, cells=4096), waiting=40)
    yield bench
    assert bench.worker.stop()
    bench.worker.close()


def test_the_dials_are_set_before_the_first_step(bench):
    tuner = ScriptedTuner(Dials(3, 2, 12), Dials(3, 2, 12), after=0)
    bench.worker.tuner = tuner
    bench.start()
    tickets = [bench.ask(f"Question {number}?") for number in range(12)]
    for number, ticket in enumerate(tickets):
        assert read(ticket)[0] == bench.expected(f"Question {number}?")
    assert bench.engine.threads == 3
    assert max(bench.engine.decoded_rows) <= 60  # a prompt that is alone may take more than the shared 12
    assert tuner.told == bench.engine.decoded_rows


def test_dials_turned_in_the_middle_of_a_class_cost_nobody_an_answer(bench):
    bench.worker.tuner = ScriptedTuner(Dials(2, 4, 60), Dials(1, 1, 12), after=10)
    bench.start()
    texts = [f"Question {number}?" for number in range(20)]
    for text, ticket in [(text, bench.ask(text)) for text in texts]:
        assert read(ticket)[0] == bench.expected(text)
    assert bench.engine.threads == 1
    last = bench.engine.decoded_rows[-20:]
    assert max(last) <= 52  # one answer at a time, or a prompt that is alone
    wait_for(bench.is_clean)


def test_tiles_of_a_long_prompt_are_compared_with_nothing(bench):
    tuner = ScriptedTuner(Dials(3, 2, 12), Dials(3, 2, 12), after=0)
    bench.worker.tuner = tuner
    bench.start()
    read(bench.ask("Why? " * 60))
    assert READING_ROWS in bench.engine.decoded_rows
    assert tuner.told == [rows for rows in bench.engine.decoded_rows if rows != READING_ROWS]


def test_a_worker_without_a_tuner_keeps_what_the_engine_has(bench):
    bench.start()
    _, end = read(bench.ask("Hello?"))
    assert isinstance(end, Finished)
    assert bench.engine.threads == 1
