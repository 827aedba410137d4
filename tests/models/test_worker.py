"""The engine's thread: many requests, one fault at a time, and honest ends."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from models.errors import (
    EngineDied,
    EngineOutOfCells,
    EngineStopping,
    LearnerBusy,
    ModelLoading,
    ModelsError,
    ModelUnloadable,
    PromptTooLong,
    QueueFull,
)
from models.metrics import EngineMetrics
from models.prompt import Message, Prompt
from models.protocol import Sampling
from models.worker import MAX_RENEWALS, Failed, Finished, Order, State, Text, Ticket, Worker
from tests.models.fake_engine import FakeEngine, fake_answer


class Bench:
    """A worker with a fake engine, and the short words of these tests."""

    def __init__(self, engine: FakeEngine, waiting: int = 8) -> None:
        self.engine = engine
        self.metrics = EngineMetrics()
        self.worker = Worker(lambda: engine, self.metrics, waiting)
        self.prompt = Prompt(engine.vocabulary)

    def start(self) -> "Bench":
        self.worker.start()
        wait_for(lambda: self.worker.state is not State.LOADING)
        return self

    def ask(self, text: str, max_tokens: int = 100, stop: tuple[str, ...] = (), **more: Any) -> Ticket:
        return self.worker.submit(Order(self.tokens(text), max_tokens, Sampling(), stop, **more))

    def tokens(self, text: str) -> list[int]:
        return self.prompt.tokens([Message("user", text)])

    def expected(self, text: str) -> str:
        return fake_answer(bytes(token for token in self.tokens(text) if token < 256)).decode()

    def figure(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"sandyq_engine_{name}", labels) or 0.0

    def is_clean(self) -> bool:
        """Nothing is held but what is kept on purpose."""
        return (
            self.engine.cells_used == self.figure("cells_kept")
            and self.figure("active_sequences") == 0
            and self.figure("waiting_requests") == 0
            and self.figure("cells_reserved") == 0
        )


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.005)


def read(ticket: Ticket) -> tuple[str, Finished | Failed]:
    text = ""
    while True:
        events = ticket.take(10.0)
        if not events:
            raise TimeoutError
        for event in events:
            if not isinstance(event, Text):
                return text, event
            text += event.text


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(FakeEngine()).start()
    yield bench
    bench.worker.stop()
    bench.worker.close()


def test_one_question_gets_its_answer(bench):
    text, end = read(bench.ask("Сәлем"))
    assert text == bench.expected("Сәлем")
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert end.prompt_tokens == len(bench.tokens("Сәлем"))
    assert end.answer_tokens == len(text.encode())
    assert bench.is_clean()


def test_thirty_questions_on_four_sequences_are_all_answered_rightly():
    bench = Bench(FakeEngine(), waiting=30).start()
    tickets = [bench.ask(f"question {number}") for number in range(30)]
    for number, ticket in enumerate(tickets):
        assert read(ticket)[0] == bench.expected(f"question {number}")
    wait_for(bench.is_clean)
    assert bench.figure("requests_total", outcome="stop") == 30
    assert max(bench.engine.decoded_rows) > 4  # prompts and answers shared steps
    bench.worker.stop()


def test_an_answer_ends_at_its_limit(bench):
    text, end = read(bench.ask("long", max_tokens=7))
    assert text == "сөз \ufffd" or text == "сөз "
    assert isinstance(end, Finished)
    assert (end.reason, end.answer_tokens) == ("length", 7)


def test_an_answer_ends_before_its_stop_string(bench):
    text, end = read(bench.ask("long", stop=("өз с",)))
    assert text == "с"
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert bench.is_clean()


@pytest.mark.parametrize("text", ["long", "Сәлем", "What is a prime number?"])
@pytest.mark.parametrize("max_tokens", [1, 2, 7, 8, 100])
@pytest.mark.parametrize("stop", [(), ("өз с",), ("уап",)])
def test_guesses_change_no_answer_and_leave_no_cell(text, max_tokens, stop):
    told = []
    for threads in (1, 2):  # with one thread nothing is guessed
        engine = FakeEngine()
        engine.threads = threads
        bench = Bench(engine).start()
        answer, end = read(bench.ask(text, max_tokens=max_tokens, stop=stop))
        assert isinstance(end, Finished)
        told.append((answer, end.reason, end.answer_tokens))
        wait_for(bench.is_clean)
        guesses = bench.figure("guesses_total", came_true="true") + bench.figure(
            "guesses_total", came_true="false"
        )
        assert bool(guesses) == (threads == 2 and max_tokens > 1)
        bench.worker.stop()
    assert told[0] == told[1]


def test_guesses_that_come_true_save_steps():
    engine = FakeEngine()
    engine.threads = 2
    bench = Bench(engine).start()
    _, end = read(bench.ask("long", max_tokens=100))
    assert isinstance(end, Finished)
    assert end.answer_tokens == 100
    assert len(engine.decoded_rows) < 70
    bench.worker.stop()


def test_a_prompt_that_is_too_long_names_the_limit(bench):
    with pytest.raises(PromptTooLong) as caught:
        bench.ask("x" * 2000)
    assert caught.value.params["limit_tokens"] == 1024 - 32
    assert bench.is_clean()


def test_a_greedy_limit_is_cut_to_what_fits(bench):
    assert bench.ask("x" * 500, max_tokens=10**9).max_tokens < 1024 - 500


def test_the_queue_is_bounded_and_places_are_told():
    bench = Bench(FakeEngine(sequences=1, step_seconds=0.01), waiting=2).start()
    tickets = [bench.ask("long"), bench.ask("one"), bench.ask("two")]
    wait_for(lambda: [ticket.place for ticket in tickets] == [0, 1, 2])
    with pytest.raises(QueueFull):
        bench.ask("three")
    bench.worker.cancel(tickets[0])
    wait_for(lambda: tickets[1].place == 0)
    assert read(tickets[2])[0] == bench.expected("two")
    bench.worker.stop()


def test_a_cancelled_answer_frees_its_sequence_within_a_step(bench):
    bench.engine.step_seconds = 0.05
    ticket = bench.ask("long", max_tokens=400)
    wait_for(lambda: bench.engine.cells_used > 0)
    bench.worker.cancel(ticket)
    began = time.monotonic()
    wait_for(bench.is_clean)
    assert time.monotonic() - began < 0.5  # a step or two, on a busy machine
    assert bench.figure("requests_total", outcome="cancelled") == 1
    bench.worker.cancel(ticket)  # again: harmless
    bench.engine.step_seconds = 0
    assert read(bench.ask("next"))[0] == bench.expected("next")


def test_a_bad_request_in_the_batch_fails_alone(bench):
    bench.engine.poisoned = b"poison"
    bench.engine.step_seconds = 0.01
    good = [bench.ask("one"), bench.ask("two")]
    bad = bench.ask("poison")
    error = read(bad)[1]
    assert isinstance(error, Failed)
    assert error.error.key == "answer_failed"
    assert [read(ticket)[0] for ticket in good] == [bench.expected("one"), bench.expected("two")]
    assert bench.is_clean()


def test_memory_that_runs_out_costs_at_most_the_newest_request(bench):
    bench.engine.step_seconds = 0.01
    old = bench.ask("one")
    wait_for(lambda: bench.engine.cells_used > 0)
    bench.engine.step_seconds = 0.05
    new = bench.ask("long", max_tokens=300)
    wait_for(lambda: new.place == 0)
    bench.engine.faults += [EngineOutOfCells(), EngineOutOfCells()]  # also after all that is kept was freed
    assert isinstance(read(new)[1], Failed)
    assert read(old)[0] == bench.expected("one")
    assert bench.worker.state is State.READY


def test_memory_that_runs_out_costs_what_is_kept_before_anybody_suffers(bench):
    read(bench.ask("one"))
    assert bench.figure("cells_kept") > 0
    bench.engine.step_seconds = 0.02
    ticket = bench.ask("two")
    wait_for(lambda: bench.engine.cells_used > 0)
    bench.engine.faults.append(EngineOutOfCells())
    assert read(ticket)[0] == bench.expected("two")
    assert bench.is_clean()


def test_a_learner_has_one_question_answered_and_one_waiting(bench):
    bench.engine.step_seconds = 0.02
    first = bench.ask("long", learner="Aigerim")
    bench.ask("next", learner="Aigerim")
    with pytest.raises(LearnerBusy) as caught:
        bench.ask("and one more", learner="Aigerim")
    assert caught.value.params["retry_after_seconds"] > 0
    bench.ask("hello", learner="Bolat")
    bench.worker.cancel(first)
    wait_for(lambda: bench.figure("requests_total", outcome="cancelled") == 1)
    bench.ask("and one more", learner="Aigerim")


def test_an_answer_ends_at_its_limit_of_characters(bench):
    text, end = read(bench.ask("long", max_characters=10))
    assert len(text) == 10
    assert isinstance(end, Finished)
    assert end.reason == "length"


def test_a_shared_lesson_is_counted_and_answers_are_the_same(bench):
    lesson = "The heart has four chambers. " * 3
    for question in ("one", "two", "three"):
        assert read(bench.ask(lesson + question))[0] == bench.expected(lesson + question)
    assert bench.figure("shared_tokens_total") > 2 * len(lesson)
    assert bench.is_clean()


def test_a_bug_is_told_to_everyone_and_the_worker_ends(bench):
    bench.engine.step_seconds = 0.02
    tickets = [bench.ask("long") for _ in range(6)]
    wait_for(lambda: tickets[0].place == 0)
    bench.engine.faults.append(RuntimeError("a bug"))
    for ticket in tickets:
        end = read(ticket)[1]
        assert isinstance(end, Failed)
        assert end.error.key == "engine_died"
    assert bench.worker.ended.wait(5)
    assert bench.worker.state is State.FAILED
    with pytest.raises(EngineDied):
        bench.ask("anything")
    bench.worker.stop()
    bench.worker.close()
    assert not bench.engine.closed  # a broken engine is not touched again


def test_who_has_read_nothing_yet_does_not_notice_a_dead_engine(bench):
    bench.engine.faults.append(EngineDied())
    assert read(bench.ask("one"))[0] == bench.expected("one")
    assert bench.engine.renewals == 1
    assert bench.worker.state is State.READY
    assert bench.is_clean()


def test_who_has_begun_to_read_is_told_and_those_who_wait_go_on():
    bench = Bench(FakeEngine(sequences=1, step_seconds=0.01)).start()
    reading, waiting = bench.ask("long"), bench.ask("two")
    wait_for(lambda: reading.tokens > 3)
    bench.engine.faults.append(EngineDied())
    end = read(reading)[1]
    assert isinstance(end, Failed)
    assert end.error.key == "engine_died"
    assert read(waiting)[0] == bench.expected("two")
    bench.worker.stop()


def test_a_hung_step_is_ended_and_nobody_waits_for_ever(bench, monkeypatch):
    monkeypatch.setattr("models.watchdog.HANG_SECONDS", 0.2)
    monkeypatch.setattr("models.watchdog.LOOK_SECONDS", 0.02)
    bench.engine.hangs = True
    assert read(bench.ask("one"))[0] == bench.expected("one")
    assert bench.engine.renewals == 1


def test_a_request_that_two_engines_died_with_is_not_tried_again(bench):
    bench.engine.faults += [EngineDied(), EngineDied()]
    end = read(bench.ask("poison"))[1]
    assert isinstance(end, Failed)
    assert end.error.key == "engine_died"
    assert read(bench.ask("one"))[0] == bench.expected("one")


def test_an_engine_that_dies_again_and_again_ends_the_worker(bench):
    for _ in range(MAX_RENEWALS):
        bench.engine.faults.append(EngineDied())
        assert read(bench.ask("one"))[0] == bench.expected("one")
    bench.engine.faults.append(EngineDied())
    assert isinstance(read(bench.ask("one"))[1], Failed)
    assert bench.worker.ended.wait(5)
    assert bench.worker.state is State.FAILED


def test_stopping_tells_those_who_wait_and_closes_the_engine():
    bench = Bench(FakeEngine(sequences=1, step_seconds=0.01)).start()
    tickets = [bench.ask("long"), bench.ask("one")]
    assert bench.worker.stop()
    for ticket in tickets:
        end = read(ticket)[1]
        assert isinstance(end, Failed)
        assert end.error.key == "engine_stopping"
    with pytest.raises(EngineStopping):
        bench.ask("two")
    bench.worker.close()
    assert bench.engine.closed


def test_questions_before_the_model_is_loaded_are_asked_to_wait():
    loaded = threading.Event()
    engine = FakeEngine()

    def load() -> FakeEngine:
        loaded.wait()
        return engine

    worker = Worker(load, EngineMetrics(), waiting=1)
    worker.start()
    with pytest.raises(ModelLoading):
        worker.submit(Order([1], 5, Sampling()))
    loaded.set()
    wait_for(lambda: worker.state is State.READY)
    worker.stop()


@pytest.mark.parametrize("error", [ModelUnloadable(name="tiny", detail="too large"), OSError("disk")])
def test_a_model_that_does_not_load_ends_the_worker_with_its_reason(error):
    def load() -> FakeEngine:
        raise error

    worker = Worker(load, EngineMetrics(), waiting=1)
    worker.start()
    assert worker.ended.wait(5)
    assert worker.state is State.FAILED
    expected = error.key if isinstance(error, ModelsError) else "engine_died"
    assert worker.failure is not None
    assert worker.failure.key == expected
    worker.stop()


def test_a_storm_of_questions_and_cancellations_leaves_nothing_behind():
    chance = random.Random(7)
    bench = Bench(FakeEngine(sequences=3, cells=600), waiting=40).start()

    def child(number: int) -> None:
        for turn in range(15):
            text = f"{number} {turn} " + ("long" if (number + turn) % 3 == 0 else "short")
            try:
                ticket = bench.ask(text, max_tokens=60)
            except QueueFull:
                continue
            if chance.random() < 0.4:
                ticket.take(chance.random() * 0.01)
                bench.worker.cancel(ticket)
            else:
                answered = read(ticket)[0]
                assert bench.expected(text).startswith(answered.rstrip("\ufffd"))
                bench.worker.cancel(ticket)  # as the door does when it closes

    children = [threading.Thread(target=child, args=(number,)) for number in range(12)]
    for thread in children:
        thread.start()
    for thread in children:
        thread.join()
    wait_for(bench.is_clean)
    assert bench.worker.stop()
