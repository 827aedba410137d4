"""Rows and cells: who gets them, that none is lost and that nobody starves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import EngineOutOfCells
from models.kv import CellAccount
from models.protocol import Sampling
from models.scheduler import MIXED_STEP_ROWS, PREFILL_STEP_ROWS, Request, Scheduler
from tests.models.fake_engine import FakeEngine


def request(number: int, prompt: int = 10, answer: int = 5) -> Request:
    return Request(number, [7] * prompt, answer)


def run_step(scheduler: Scheduler, token: int = 1) -> list[int]:
    """One step with an engine that always agrees; returns the numbers of those that are done."""
    done = []
    for span in scheduler.plan():
        scheduler.advance(span)
        if span.wants_token and not scheduler.answer(span.sequence, token):
            done += [slot.request.number for slot in scheduler.slots if slot.sequence == span.sequence]
    for number in done:
        scheduler.leave(number)
    return done


def test_first_come_first_served():
    scheduler = Scheduler(sequences=2, cells=100)
    for number in (1, 2, 3):
        scheduler.arrive(request(number))
    assert [slot.request.number for slot in scheduler.admit()] == [1, 2]
    assert [waiting.number for waiting in scheduler.waiting] == [3]
    scheduler.leave(1)
    assert [slot.request.number for slot in scheduler.admit()] == [3]


def test_nobody_overtakes_a_large_request():
    scheduler = Scheduler(sequences=4, cells=100)
    scheduler.arrive(request(1, prompt=50, answer=10))
    scheduler.arrive(request(2, prompt=80, answer=10))
    scheduler.arrive(request(3, prompt=1, answer=1))
    assert [slot.request.number for slot in scheduler.admit()] == [1]
    scheduler.leave(1)
    assert [slot.request.number for slot in scheduler.admit()] == [2, 3]


def test_running_answers_come_first_and_a_long_prompt_takes_only_what_is_left():
    scheduler = Scheduler(sequences=3, cells=2000)
    scheduler.arrive(request(1))
    scheduler.admit()
    run_step(scheduler)
    scheduler.arrive(request(2, prompt=500))
    scheduler.admit()
    spans = scheduler.plan()
    assert [len(span.tokens) for span in spans] == [1, MIXED_STEP_ROWS - 1]
    assert [span.wants_token for span in spans] == [True, False]


def test_a_lone_prompt_takes_large_steps():
    scheduler = Scheduler(sequences=3, cells=2000)
    scheduler.arrive(request(1, prompt=600))
    scheduler.admit()
    sizes = []
    for _ in range(3):
        (span,) = scheduler.plan()
        sizes.append((span.position, len(span.tokens), span.wants_token))
        scheduler.advance(span)
    assert sizes == [(0, PREFILL_STEP_ROWS, False), (256, 256, False), (512, 88, True)]


def test_prompts_that_arrive_together_share_small_steps():
    scheduler = Scheduler(sequences=3, cells=2000)
    for number in range(3):
        scheduler.arrive(request(number, prompt=35))
    scheduler.admit()
    assert [len(span.tokens) for span in scheduler.plan()] == [35, MIXED_STEP_ROWS - 35]


def test_a_request_that_can_never_run_is_not_queued():
    scheduler = Scheduler(sequences=1, cells=10)
    for impossible in (request(1, 10, 5), request(1, 0, 5), request(1, 5, 0)):
        with pytest.raises(ValueError, match="never"):
            scheduler.arrive(impossible)


def test_leaving_twice_or_unknown_is_harmless():
    scheduler = Scheduler(sequences=1, cells=100)
    scheduler.arrive(request(1))
    scheduler.arrive(request(2))
    assert scheduler.leave(2) is None
    scheduler.admit()
    assert scheduler.leave(1) is not None
    assert scheduler.leave(1) is None
    assert scheduler.leave(9) is None
    assert scheduler.is_idle()


def test_the_account_refuses_what_it_does_not_have():
    account = CellAccount(10)
    assert account.reserve(1, 6)
    assert not account.reserve(2, 5)
    with pytest.raises(ValueError, match="owner 1"):
        account.reserve(1, 1)
    account.release(1)
    with pytest.raises(KeyError):
        account.release(1)
    assert account.free == 10


steps = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 150), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.integers(0, 30), st.just(0)),
        st.tuples(st.just("run"), st.integers(1, 5), st.just(0)),
    ),
    max_size=60,
)


@given(steps, st.integers(1, 5), st.integers(190, 400))
def test_any_schedule_leaks_no_cell_and_starves_nobody(schedule, sequences, cells):
    """Against an engine that counts its cells: it never overflows, and everyone is answered or left."""
    scheduler = Scheduler(sequences, cells)
    engine = FakeEngine(sequences=sequences, cells=cells)
    numbers: list[int] = []
    here: set[int] = set()
    seated_order: list[int] = []

    def leave(number: int) -> None:
        slot = scheduler.leave(number)
        if slot is not None:
            engine.free(slot.sequence)
        here.discard(number)

    def run() -> None:
        for slot in scheduler.admit():
            engine.begin(slot.sequence, Sampling())
            seated_order.append(slot.request.number)
        spans = scheduler.plan()
        if not spans:
            return
        assert sum(len(span.tokens) for span in spans) <= PREFILL_STEP_ROWS
        engine.decode(spans)  # raises on a gap, a full memory or too many rows
        by_sequence = {slot.sequence: slot for slot in scheduler.slots}
        for span in spans:
            scheduler.advance(span)
            if span.wants_token and not scheduler.answer(span.sequence, 1):
                leave(by_sequence[span.sequence].request.number)
        assert engine.cells_used <= scheduler.account.reserved <= cells

    for action, first, second in schedule:
        if action == "arrive":
            numbers.append(len(numbers))
            here.add(numbers[-1])
            scheduler.arrive(request(numbers[-1], first, second))
        elif action == "leave" and numbers:
            leave(numbers[first % len(numbers)])
        elif action == "run":
            for _ in range(first):
                run()
    # Each request needs at most its prompt's and its answer's steps; nobody waits longer than all together.
    for _ in range(sum(200 for _ in numbers)):
        if not here:
            break
        run()
    assert not here
    assert scheduler.is_idle()
    assert scheduler.account.reserved == 0
    assert engine.cells_used == 0
    assert seated_order == sorted(seated_order)


def test_the_fake_overflows_when_cells_are_not_reserved():
    """The property above would notice: the fake is not simply kind."""
    engine = FakeEngine(sequences=1, cells=4)
    scheduler = Scheduler(sequences=1, cells=100)
    scheduler.arrive(request(1))
    scheduler.admit()
    with pytest.raises(EngineOutOfCells):
        engine.decode(scheduler.plan())
