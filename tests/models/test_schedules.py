"""Ten thousand lessons that nobody planned: whatever comes, no cell is lost and nobody waits for ever."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.protocol import Priority, Sampling
from models.scheduler import MOST_STEP_ROWS, Scheduler
from models.seats import READING_ROWS, Request
from tests.models.fake_engine import FakeEngine

LESSONS = [[], list(range(1000, 1060)), list(range(2000, 2100)), list(range(1000, 1040))]
Action = tuple[str, int, int]


class Lesson:
    """Scheduler and fake engine in step; the fake raises on a gap, an overflow or a foreign cell."""

    def __init__(self, rows: int, spare: int, cells: int, *, divisible: bool) -> None:
        self.engine = FakeEngine(sequences=rows, spare=spare, cells=cells)
        self.scheduler = Scheduler(rows, rows + spare, cells, divisible=divisible)
        self.here: dict[int, Request] = {}
        self.number = 0
        self.now = 0.0
        self.answered = 0

    def arrive(self, shape: int, size: int) -> None:
        self.number += 1
        lesson = LESSONS[shape % 4]
        prompt = lesson + [self.number * 10_000 + place for place in range(1 + size)]
        if shape % 11 == 0:
            prompt = [*lesson, 5]  # somebody asks the very same
        request = Request(
            self.number,
            prompt,
            1 + (shape * 7 + size) % 16,
            learner=["", "Aigerim", "Bolat", "Erlan", "Dana"][shape % 5],
            priority=Priority(min(2, shape % 7 % 3)),
            prefix_tokens=len(lesson) if shape % 3 else 0,
            head_tokens=len(lesson) if shape % 5 else 0,
            characters=size,
            arrived=self.now,
        )
        if request.cells > self.scheduler.memory.account.total:
            with pytest.raises(ValueError, match="never"):
                self.scheduler.arrive(request)
            return
        self.here[request.number] = request
        self.scheduler.arrive(request)

    def leave(self, number: int, *, keep: bool) -> None:
        self.scheduler.leave(number, keep=keep)
        self.here.pop(number, None)
        self.follow()

    def follow(self) -> None:
        for change in self.scheduler.memory.take_changes():
            if hasattr(change, "source"):
                self.engine.share(change.source, change.target, change.tokens)
            else:
                self.engine.free(change.sequence)

    def step(self) -> None:
        self.scheduler.sweep()
        self.follow()
        seated = self.scheduler.admit(self.now)
        self.follow()
        for slot in seated:
            self.engine.begin(slot.sequence, Sampling())
        spans = self.scheduler.plan()
        slots = {slot.sequence: slot for slot in self.scheduler.slots}
        rows = sum(len(span.tokens) for span in spans)
        assert rows <= MOST_STEP_ROWS + 1  # the end of a prompt is never a single row
        assert rows < READING_ROWS
        reading = self.scheduler.plan_reading()
        assert bool(spans or reading) == bool(self.here), "somebody is here and nothing is done"
        learners = [slot.request.learner for slot in slots.values() if slot.request.learner]
        assert len(learners) == len(set(learners))
        assert reading is None or len(reading.tokens) <= READING_ROWS
        for step in (spans, [reading] if reading else []):
            if step:
                self.engine.decode(step)
        for span in [*spans, *([reading] if reading else [])]:
            self.scheduler.advance(span)
            if span.wants_token and not self.scheduler.answer(span.sequence, 7, 5):
                self.answered += 1
                self.leave(slots[span.sequence].request.number, keep=True)
        self.follow()
        self.now += 0.1
        account = self.scheduler.memory.account
        assert self.engine.cells_used == account.used <= account.reserved <= account.total

    def play(self, actions: list[Action]) -> None:
        for action, first, second in actions:
            if action == "arrive":
                self.arrive(first, second)
            elif action == "cancel" and self.here:
                self.leave(list(self.here)[first % len(self.here)], keep=False)
            elif action == "overflow":
                self.scheduler.memory.empty_shelf()
                self.follow()
            elif action == "wait":
                self.now += first * 10
            else:
                for _ in range(first % 6):
                    self.step()

    def end(self) -> None:
        """Everyone is served in the end, and when all have gone and the shelf is cleared nothing is left."""
        longest = sum(request.cells for request in self.here.values())
        for _ in range(longest + 1):
            if not self.here:
                break
            self.step()
        assert not self.here, "somebody starves"
        assert self.scheduler.is_idle()
        assert self.scheduler.memory.account.promised == 0
        assert self.scheduler.memory.kept_cells == self.engine.cells_used
        self.scheduler.memory.empty_shelf()
        self.follow()
        assert self.engine.cells_used == self.scheduler.memory.account.reserved == 0
        for priority in Priority:
            assert not self.scheduler.fairness.is_present(priority)


actions = st.lists(
    st.tuples(
        st.sampled_from(["arrive", "arrive", "cancel", "overflow", "wait", "run"]),
        st.integers(0, 30),
        st.integers(0, 90),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(actions, st.integers(1, 4), st.integers(0, 8), st.integers(170, 500), st.booleans())
def test_any_schedule_leaks_no_cell_and_starves_nobody(schedule, rows, spare, cells, divisible):
    lesson = Lesson(rows, spare, cells, divisible=divisible)
    lesson.play(schedule)
    lesson.end()


@settings(max_examples=200, deadline=None)
@given(actions, st.integers(1, 4), st.integers(0, 8), st.integers(170, 500))
def test_nor_does_any_schedule_of_waves(schedule, rows, spare, cells):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("models.scheduler.LONG_PROMPT_ROWS", 40)
        patch.setattr("models.scheduler.WAVE_CELLS", 120)
        lesson = Lesson(rows, spare, cells, divisible=True)
        lesson.play(schedule)
        lesson.end()


@pytest.mark.parametrize("seed", range(8))
def test_twelve_hundred_random_schedules_each(seed):
    """Less clever than the search above, but many: 9,600 of them, to be repeated by their seed."""
    chance = random.Random(seed)
    answered = 0
    for _ in range(1200):
        kinds = chance.choices(["arrive", "cancel", "overflow", "wait", "run"], [5, 1, 0.2, 0.5, 4], k=8)
        schedule = [(kind, chance.randrange(31), chance.randrange(40)) for kind in kinds]
        lesson = Lesson(
            chance.randint(1, 4), chance.randint(0, 8), chance.randint(170, 500), divisible=seed % 4 > 0
        )
        lesson.play(schedule)
        lesson.end()
        answered += lesson.answered
    assert answered > 1500
