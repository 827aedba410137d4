"""A lesson is decoded once, shared by all, kept while there is room, and gone before anybody suffers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.prefixes import MAX_FINISHED, MAX_LESSONS, MIN_SHARED_TOKENS, Kept, Shelf, common_length
from models.protocol import Sampling, Span
from models.scheduler import Scheduler
from models.seats import Request
from tests.models.fake_engine import FakeEngine

LESSON = list(range(1000, 1200))
OTHER_LESSON = list(range(3000, 3100))
WHOLE = 10**6


class Class:
    """A scheduler that drives the fake engine, which would refuse any mistake."""

    def __init__(self, rows: int = 4, spare: int = 12, cells: int = 2000, *, divisible: bool = True) -> None:
        self.engine = FakeEngine(sequences=rows, spare=spare, cells=cells)
        self.engine.divisible = divisible
        self.scheduler = Scheduler(rows, rows + spare, cells, divisible=divisible)
        self.decoded = 0

    def ask(
        self, number: int, tail: int = 10, lesson: list[int] = LESSON, answer: int = 5, prefix: int = 0
    ) -> None:
        prompt = lesson + [number * 10_000 + place for place in range(tail)]
        self.scheduler.arrive(Request(number, prompt, answer, prefix_tokens=prefix))

    def step(self) -> None:
        seated = self.scheduler.admit(0.0)
        self.apply()
        for slot in seated:
            self.engine.begin(slot.sequence, Sampling())
        for spans in self.scheduler.plans():
            self.run(spans)

    def run(self, spans: list[Span]) -> None:
        self.engine.decode(spans)
        slots = {slot.sequence: slot for slot in self.scheduler.slots}
        for span in spans:
            self.decoded += len(span.tokens)
            self.scheduler.advance(span)
            if span.wants_token and not self.scheduler.answer(span.sequence, 7, 4):
                self.scheduler.leave(slots[span.sequence].request.number, keep=True)
                self.apply()
        assert self.engine.cells_used == self.scheduler.memory.account.used

    def apply(self) -> None:
        for change in self.scheduler.memory.take_changes():
            if hasattr(change, "source"):
                self.engine.share(change.source, change.target, change.tokens)
            else:
                self.engine.free(change.sequence)

    def finish(self) -> None:
        for _ in range(1000):
            if self.scheduler.is_idle():
                return
            self.step()
        raise TimeoutError

    @property
    def lessons(self) -> list[list[int]]:
        return [list(kept.tokens) for kept in self.scheduler.memory.shelf.lessons()]


def test_thirty_who_ask_at_once_decode_the_lesson_once():
    classroom = Class(rows=8, spare=40)
    for number in range(1, 31):
        classroom.ask(number)
    classroom.finish()
    assert classroom.decoded == len(LESSON) + 30 * (10 + 5 - 1)
    assert classroom.scheduler.shared_tokens == 29 * len(LESSON)
    assert classroom.lessons == [LESSON]


def test_one_after_the_other_share_too_and_the_lesson_stays():
    classroom = Class()
    for number in range(1, 4):
        classroom.ask(number)
        classroom.finish()
    assert classroom.lessons == [LESSON]
    before = classroom.decoded
    classroom.ask(9)
    classroom.finish()
    assert classroom.decoded == before + 10 + 5 - 1


def test_two_lessons_are_read_side_by_side():
    classroom = Class()
    for number in range(1, 5):
        classroom.ask(number, lesson=LESSON if number % 2 else OTHER_LESSON)
    classroom.step()
    assert classroom.scheduler.active == 2  # one of each; the others wait for what they share
    classroom.finish()
    assert classroom.decoded == len(LESSON) + len(OTHER_LESSON) + 4 * 14


def test_who_waits_for_a_lesson_goes_on_when_its_first_reader_leaves():
    classroom = Class()
    classroom.ask(1, lesson=LESSON * 3)
    classroom.ask(2, lesson=LESSON * 3)
    classroom.step()
    assert [slot.request.number for slot in classroom.scheduler.slots] == [1]
    classroom.scheduler.leave(1)
    classroom.finish()


def test_a_named_lesson_stays_after_its_only_reader():
    classroom = Class()
    classroom.ask(1, prefix=len(LESSON))
    classroom.finish()
    assert classroom.lessons == [LESSON]


def test_questions_that_begin_alike_make_no_lesson_of_their_own():
    classroom = Class()
    for number, words in ((1, [1, 2, 3]), (2, [1, 2, 4]), (3, [1, 2, 3]), (4, [9])):
        classroom.scheduler.arrive(Request(number, [*LESSON, *words, number], 5))
        classroom.finish()
    assert len(classroom.lessons) == 1
    assert classroom.lessons[0][: len(LESSON)] == LESSON


def test_a_conversation_goes_on_where_it_ended():
    classroom = Class()
    classroom.scheduler.arrive(Request(1, LESSON[:50], 5))
    classroom.finish()
    before = classroom.decoded
    classroom.scheduler.arrive(Request(2, [*LESSON[:50], 7, 7, 7, 7, 7, 8, 8], 5))
    classroom.finish()
    assert classroom.decoded - before == 3 + 4  # the last word of the old answer was never decoded


def test_the_same_prompt_again_decodes_only_its_last_two_tokens():
    classroom = Class()
    for number in (1, 2):
        classroom.scheduler.arrive(Request(number, LESSON, 1))
        classroom.finish()
    assert classroom.decoded == len(LESSON) + 2


def test_finished_answers_go_before_lessons_and_lessons_before_anybody_waits():
    classroom = Class(cells=320)
    for number in (1, 2):
        classroom.ask(number)
        classroom.finish()
    shelf = classroom.scheduler.memory.shelf
    assert (len(shelf.lessons()), len(shelf.finished())) == (1, 2)
    classroom.ask(3, tail=80, lesson=[])
    classroom.finish()
    assert classroom.lessons == [LESSON]
    classroom.ask(4, tail=300, lesson=[])
    classroom.finish()
    assert classroom.lessons == []


def test_a_prompt_that_fills_the_memory_pushes_out_even_what_it_shares_with():
    classroom = Class(rows=1, cells=300)
    classroom.ask(1)
    classroom.ask(2)
    classroom.finish()
    classroom.ask(3, tail=94, lesson=LESSON)
    classroom.finish()
    classroom.ask(4, tail=194, lesson=LESSON[:100])
    classroom.finish()


def test_the_shelf_is_bounded():
    classroom = Class(spare=40, cells=100_000)
    for number in range(1, 15):
        classroom.ask(number, lesson=[number * 7] * 100)
        classroom.ask(number + 100, lesson=[number * 7] * 100)
        classroom.finish()
    shelf = classroom.scheduler.memory.shelf
    assert (len(shelf.lessons()), len(shelf.finished())) == (MAX_LESSONS, MAX_FINISHED)
    assert [7 * 14] * 100 in classroom.lessons


def test_with_no_sequence_to_spare_everything_still_runs():
    classroom = Class(rows=2, spare=0)
    for number in range(1, 12):
        classroom.ask(number, answer=60)
    classroom.finish()


def test_a_model_that_cannot_be_cut_shares_a_named_lesson_whole():
    classroom = Class(divisible=False)
    for number in range(1, 5):
        classroom.ask(number, prefix=len(LESSON))
        classroom.finish()
    assert classroom.decoded == len(LESSON) + 4 * 14
    assert classroom.lessons == [LESSON]


def test_a_lesson_from_a_file_is_shared_like_any_other():
    classroom = Class()
    holder = classroom.scheduler.memory.adopt_lesson(LESSON)
    assert holder is not None
    classroom.apply()
    classroom.engine.held[holder] = list(LESSON)
    classroom.engine._hold(holder, classroom.engine._take_cells(len(LESSON)))
    classroom.ask(1)
    classroom.finish()
    assert classroom.decoded == 14
    assert classroom.scheduler.memory.adopt_lesson([5] * WHOLE) is None


def test_a_lesson_that_is_used_stays_longest():
    shelf = Shelf()
    for sequence in range(3):
        shelf.put(Kept(sequence, [sequence] * 50, is_lesson=True))
    shelf.touch(shelf.lessons()[0])
    assert [kept.sequence for kept in shelf.victims()] == [1, 2, 0]
    assert [kept.sequence for kept in shelf.victims({2})] == [1, 0]


tokens = st.lists(st.integers(0, 1), max_size=12)


@given(tokens, tokens)
def test_the_common_length_is_found_by_halves(left, right):
    expected = 0
    while expected < min(len(left), len(right)) and left[expected] == right[expected]:
        expected += 1
    assert common_length(left, right) == expected


@pytest.mark.parametrize("tokens", [MIN_SHARED_TOKENS - 1, MIN_SHARED_TOKENS])
def test_a_short_common_head_is_shared_but_not_kept(tokens):
    classroom = Class()
    for number in (1, 2):
        classroom.ask(number, lesson=LESSON[:tokens])
        classroom.finish()
    assert bool(classroom.lessons) == (tokens >= MIN_SHARED_TOKENS)
