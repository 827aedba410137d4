"""Rows and seats: who gets them and in which order."""

import pytest

from models.fairness import AGE_SECONDS, SLICE_CHARACTERS
from models.protocol import Priority
from models.scheduler import MOST_STEP_ROWS, WAVE_CELLS, Scheduler
from models.seats import READING_ROWS, Request, Slot


def request(
    number: int,
    prompt: int = 10,
    answer: int = 5,
    *,
    learner: str = "",
    priority: Priority = Priority.LEARNER,
    arrived: float = 0.0,
) -> Request:
    """Prompts of different requests have nothing in common."""
    tokens = [number * 1000 + place for place in range(prompt)]
    return Request(number, tokens, answer, learner, priority, arrived=arrived)


def seat(scheduler: Scheduler, now: float = 0.0) -> list[int]:
    return [slot.request.number for slot in scheduler.admit(now)]


def running(scheduler: Scheduler) -> list[int]:
    return [slot.request.number for slot in scheduler.slots]


def run_step(scheduler: Scheduler, token: int = 1, characters: int = 4) -> list[int]:
    """One step with an engine that always agrees; returns the numbers of those that are done."""
    done = []
    for span in scheduler.plan():
        scheduler.advance(span)
        if span.wants_token and not scheduler.answer(span.sequence, token, characters):
            done += [slot.request.number for slot in scheduler.slots if slot.sequence == span.sequence]
    for number in done:
        scheduler.leave(number)
    return done


def test_strangers_with_short_answers_are_served_as_they_come():
    scheduler = Scheduler(rows=2, sequences=6, cells=100)
    for number in (1, 2, 3):
        scheduler.arrive(request(number))
    assert seat(scheduler) == [1, 2]
    assert [waiting.number for waiting in scheduler.queue(0.0)] == [3]
    scheduler.leave(1)
    assert seat(scheduler) == [3]


def test_nobody_overtakes_a_large_request():
    scheduler = Scheduler(rows=4, sequences=8, cells=100)
    scheduler.arrive(request(1, prompt=50, answer=10))
    scheduler.arrive(request(2, prompt=80, answer=10))
    scheduler.arrive(request(3, prompt=1, answer=1))
    assert seat(scheduler) == [1]
    scheduler.leave(1)
    assert seat(scheduler) == [2, 3]


def finish(scheduler: Scheduler, number: int) -> None:
    scheduler.leave(number, keep=True)


def test_long_prompts_that_share_nothing_come_in_waves():
    scheduler = Scheduler(rows=16, sequences=26, cells=8192)
    for number in range(1, 12):
        scheduler.arrive(request(number, prompt=700, answer=60))
    first = seat(scheduler)
    assert first == [1, 2, 3, 4, 5]
    assert sum(760 for _ in first) <= WAVE_CELLS
    finish(scheduler, 1)
    assert seat(scheduler) == [], "a wave is over when its last answer is"
    for number in first[1:]:
        finish(scheduler, number)
    assert seat(scheduler) == [6, 7, 8, 9, 10]


def test_short_questions_and_teachers_do_not_wait_for_a_wave():
    scheduler = Scheduler(rows=16, sequences=26, cells=8192)
    for number in range(1, 8):
        scheduler.arrive(request(number, prompt=700, answer=60))
    assert seat(scheduler) == [1, 2, 3, 4, 5]
    scheduler.arrive(request(8, prompt=100))
    scheduler.arrive(request(9, prompt=700, priority=Priority.TEACHER))
    assert sorted(seat(scheduler)) == [8, 9]


def test_who_shares_a_long_lesson_is_in_no_wave():
    scheduler = Scheduler(rows=16, sequences=26, cells=8192)
    lesson = list(range(1, 1001))
    scheduler.arrive(Request(1, [*lesson, *[7] * 20], 50, prefix_tokens=1000))
    scheduler.admit(0.0)
    while not scheduler.is_written(next(scheduler.slots).sequence):
        step_on(scheduler)
    for number in range(2, 15):
        scheduler.arrive(Request(number, [*lesson, *[number] * 20], 50, prefix_tokens=1000))
    assert len(seat(scheduler)) == 13


def test_a_wave_finds_the_memory_swept_unless_somebody_goes_on():
    for goes_on in (False, True):
        scheduler = Scheduler(rows=16, sequences=26, cells=8192)
        scheduler.arrive(request(1, prompt=700, answer=60))
        scheduler.admit(0.0)
        while not scheduler.is_written(next(scheduler.slots).sequence):
            step_on(scheduler)
        asked = next(scheduler.slots).tokens
        finish(scheduler, 1)
        assert not scheduler.sweep(), "nobody comes who would gain"
        scheduler.arrive(Request(2, [*asked, *[5] * 300], 60) if goes_on else request(2, prompt=700))
        assert scheduler.sweep() is not goes_on
        assert scheduler.memory.kept_cells == (700 if goes_on else 0)


def test_running_answers_come_first_and_the_end_of_a_prompt_takes_only_what_is_left():
    scheduler = Scheduler(rows=4, sequences=8, cells=2000)
    scheduler.arrive(request(1))
    scheduler.admit(0.0)
    run_step(scheduler)
    for number in (2, 3):
        scheduler.arrive(request(number, prompt=40))
    scheduler.admit(0.0)
    spans = scheduler.plan()
    assert [len(span.tokens) for span in spans] == [1, 40, MOST_STEP_ROWS - 41]
    assert [span.wants_token for span in spans] == [True, True, False]


def test_a_long_prompt_is_read_in_steps_of_its_own_and_only_its_end_joins_the_others():
    scheduler = Scheduler(rows=3, sequences=8, cells=2000)
    scheduler.arrive(request(1, prompt=230))
    scheduler.admit(0.0)
    sizes = []
    while scheduler.plan_reading():
        assert not scheduler.plan()
        span = scheduler.plan_reading()
        sizes.append((span.position, len(span.tokens), span.wants_token))
        scheduler.advance(span)
    assert sizes == [(0, 64, False), (64, 64, False), (128, 64, False)]
    (end,) = scheduler.plan()
    assert (end.position, len(end.tokens), end.wants_token) == (192, 38, True)


def test_a_question_goes_the_same_way_with_its_lesson_and_on_a_kept_one():
    """Where it did not, its answer would depend on who had asked before."""
    lesson = [*range(1, 101)]
    ways = []
    for kept in (False, True):
        scheduler = Scheduler(rows=3, sequences=8, cells=2000)
        if kept:
            scheduler.arrive(Request(1, [*lesson, *[7] * 5], 3, prefix_tokens=100))
            scheduler.admit(0.0)
            while not scheduler.is_written(next(scheduler.slots).sequence):
                step_on(scheduler)
            scheduler.leave(1)
        scheduler.arrive(Request(2, [*lesson, *[9] * 90], 3, prefix_tokens=100))
        scheduler.admit(0.0)
        way = []
        while not scheduler.is_written(next(scheduler.slots).sequence):
            way += step_on(scheduler)
        ways.append([part for part in way if part[1] > 100])
    assert ways[0] == ways[1] == [(100, 164, True), (164, 190, False)]


def step_on(scheduler: Scheduler) -> list[tuple[int, int, bool]]:
    """One round of the engine's thread; from where to where, and in a step of its own or not."""
    way = []
    for spans in scheduler.plans():
        for span in spans:
            rows = len(span.tokens)
            scheduler.advance(span)
            way.append((span.position, span.position + rows, rows >= READING_ROWS))
    return way


def test_prompts_that_arrive_together_share_small_steps():
    scheduler = Scheduler(rows=3, sequences=8, cells=2000)
    for number in range(3):
        scheduler.arrive(request(number, prompt=35))
    scheduler.admit(0.0)
    assert [len(span.tokens) for span in scheduler.plan()] == [35, MOST_STEP_ROWS - 35]


def test_a_request_that_can_never_run_is_not_queued():
    scheduler = Scheduler(rows=1, sequences=1, cells=10)
    for impossible in (request(1, 10, 5), request(1, 0, 5), request(1, 5, 0)):
        with pytest.raises(ValueError, match="never"):
            scheduler.arrive(impossible)


def test_leaving_twice_or_unknown_is_harmless():
    scheduler = Scheduler(rows=1, sequences=4, cells=100)
    scheduler.arrive(request(1))
    scheduler.arrive(request(2))
    assert scheduler.leave(2) is None
    scheduler.admit(0.0)
    assert scheduler.leave(1) is not None
    assert scheduler.leave(1) is None
    assert scheduler.leave(9) is None
    assert scheduler.is_idle()


# --- turns ---


def test_a_running_answer_pauses_for_the_next_after_a_slice_and_loses_nothing():
    scheduler = Scheduler(rows=1, sequences=4, cells=1000)
    scheduler.arrive(request(1, answer=100))
    seat(scheduler)
    run_step(scheduler)
    scheduler.arrive(request(2, answer=100))
    steps = 0
    while not seat(scheduler):
        run_step(scheduler)
        steps += 1
    assert steps == pytest.approx(SLICE_CHARACTERS / 4, abs=1)
    assert running(scheduler) == [2]
    (paused,) = scheduler.paused
    decoded = paused.decoded
    while running(scheduler) == [2]:
        run_step(scheduler)
        scheduler.admit(0.0)
    assert running(scheduler) == [1]
    assert paused.decoded == decoded
    (span,) = scheduler.plan()
    assert span.position == decoded


def test_nobody_pauses_while_nobody_waits():
    scheduler = Scheduler(rows=1, sequences=4, cells=1000)
    scheduler.arrive(request(1, answer=200))
    for _ in range(150):
        scheduler.admit(0.0)
        run_step(scheduler)
        assert running(scheduler) == [1]


def test_a_learner_has_one_answer_at_a_time():
    scheduler = Scheduler(rows=4, sequences=8, cells=1000)
    scheduler.arrive(request(1, learner="Aigerim"))
    scheduler.arrive(request(2, learner="Aigerim"))
    scheduler.arrive(request(3, learner="Bolat"))
    assert seat(scheduler) == [1, 3]
    scheduler.leave(1)
    assert seat(scheduler) == [2]


def test_the_teacher_goes_first_but_takes_no_more_than_half_while_learners_wait():
    scheduler = Scheduler(rows=4, sequences=20, cells=10_000)
    for number in range(4):
        scheduler.arrive(request(number))
    for number in range(10, 14):
        scheduler.arrive(request(number, priority=Priority.TEACHER))
    assert seat(scheduler) == [10, 11, 0, 1]
    for number in (0, 1, 2, 3):
        scheduler.leave(number)
    assert seat(scheduler) == [12, 13]


def test_the_teacher_does_not_wait_for_a_slice():
    scheduler = Scheduler(rows=1, sequences=4, cells=1000)
    scheduler.arrive(request(1, answer=50))
    seat(scheduler)
    run_step(scheduler)
    scheduler.arrive(request(2, answer=5, priority=Priority.TEACHER))
    assert seat(scheduler) == [2]
    assert running(scheduler) == [2]
    # One row cannot be halved: teacher and learners take turns.
    scheduler.arrive(request(3, answer=5, priority=Priority.TEACHER))
    while 2 in running(scheduler):
        run_step(scheduler)
    assert seat(scheduler) == []
    assert running(scheduler) == [1]


def test_background_work_runs_only_when_nobody_waits_until_it_has_waited_long():
    scheduler = Scheduler(rows=4, sequences=20, cells=10_000)
    for number in range(10):
        scheduler.arrive(request(number, answer=200))
    scheduler.arrive(request(50, answer=20, priority=Priority.BACKGROUND))
    seat(scheduler)
    for _ in range(200):
        run_step(scheduler)
        scheduler.admit(AGE_SECONDS / 2)
        assert 50 not in running(scheduler)
    for _ in range(2 * SLICE_CHARACTERS // 4):
        run_step(scheduler)
        scheduler.admit(AGE_SECONDS + 1)
        if 50 in running(scheduler):
            break
    assert 50 in running(scheduler)
    for _ in range(3):  # and is not sent away again at once
        run_step(scheduler)
        scheduler.admit(AGE_SECONDS + 1)
        assert 50 in running(scheduler)


def test_a_newcomer_does_not_get_the_credit_of_its_absence():
    scheduler = Scheduler(rows=1, sequences=8, cells=10_000)
    scheduler.arrive(request(1, answer=400, learner="Aigerim"))
    scheduler.arrive(request(2, answer=400, learner="Bolat"))
    for _ in range(200):
        scheduler.admit(0.0)
        run_step(scheduler)
    scheduler.arrive(request(3, answer=400, learner="Erlan"))
    turns = {1: 0, 2: 0, 3: 0}
    for _ in range(150):
        scheduler.admit(0.0)
        turns[running(scheduler)[0]] += 1
        run_step(scheduler)
    assert max(turns.values()) - min(turns.values()) <= 2 * SLICE_CHARACTERS / 4


def test_prompts_are_read_shortest_first_by_text_not_by_tokens():
    scheduler = Scheduler(rows=3, sequences=8, cells=2000)
    kazakh = Request(1, [1] * 300, 5, characters=60)
    english = Request(2, [2] * 100, 5, characters=90)
    scheduler.arrive(english)
    scheduler.arrive(kazakh)
    scheduler.fairness.typed_weight = 0.0
    slots: dict[int, Slot] = {slot.request.number: slot for slot in scheduler.admit(0.0)}
    ((span,),) = scheduler.plans()
    assert span.sequence == slots[1].sequence
