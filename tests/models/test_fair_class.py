"""What fairness means in a class: simulated, with step times like a small machine's."""

import random
from collections import defaultdict
from statistics import mean

import pytest

from models.estimate import Speeds
from models.fairness import SLICE_CHARACTERS, TYPED_WEIGHT, Ledger
from models.protocol import Priority
from models.scheduler import MOST_STEP_ROWS
from models.seats import READING_ROWS
from tests.models.simulated_class import (
    ANSWER_ROW_SECONDS,
    PROMPT_ROW_SECONDS,
    STEP_SECONDS,
    TOKENS_A_WORD,
    Question,
    SimulatedClass,
    p95,
)


def ask_again(school: SimulatedClass, chance: random.Random | None = None) -> None:
    """Everybody asks the next question as soon as the last one is answered."""

    def again(last: Question) -> None:
        typed, answer = last.typed_words, last.answer_words
        if chance is not None:
            typed, answer = chance.randint(6, 18), chance.randint(20, 60)
        school.ask(Question(last.learner, last.language, typed, answer, last.priority))

    school.then = again


def test_equal_text_waits_equally_in_three_languages():
    """Within 10 %, though a Kazakh answer takes four times the steps of an English one."""
    waits: dict[str, list[float]] = defaultdict(list)
    text: dict[str, float] = defaultdict(float)
    for seed in range(2):
        school = SimulatedClass(rows=8)
        ask_again(school, random.Random(seed))
        for number in range(30):
            school.ask(Question(f"learner {number}", ["kk", "ru", "en"][number % 3]))
        school.run(900)
        for question in school.questions.values():
            text[question.language] += question.written
            if question.finished_at > 0 and question.asked_at > 60:
                waits[question.language].append(question.wait)
    assert min(map(len, waits.values())) > 200
    for language in TOKENS_A_WORD:
        assert mean(waits[language]) == pytest.approx(mean(map(mean, waits.values())), rel=0.10)
        assert text[language] == pytest.approx(mean(text.values()), rel=0.02), text


def test_a_class_that_asks_once_at_the_same_moment_waits_equally_too():
    waits: dict[str, list[float]] = defaultdict(list)
    for seed in range(15):
        school = SimulatedClass(rows=8)
        languages = ["kk", "ru", "en"] * 10
        random.Random(seed).shuffle(languages)
        for number, language in enumerate(languages):
            school.ask(Question(f"learner {number}", language))
        school.finish()
        for question in school.questions.values():
            waits[question.language].append(question.wait)
    for language in TOKENS_A_WORD:
        assert mean(waits[language]) == pytest.approx(mean(map(mean, waits.values())), rel=0.10)


def test_learners_who_always_have_something_to_ask_get_the_same_text():
    """The bound of the virtual counter: nobody falls behind by more than turns and one question's text."""
    school = SimulatedClass(rows=3)
    ask_again(school)
    for number in range(9):
        language = ["kk", "ru", "en"][number % 3]
        school.ask(Question(f"{number}", language, typed_words=5 + 10 * number, answer_words=10 + 8 * number))
    school.run(600)
    weight = school.scheduler.fairness.typed_weight
    units: dict[str, float] = defaultdict(float)
    for question in school.questions.values():
        units[question.learner] += question.written
        if question.first_word_at > 0:
            units[question.learner] += question.typed_words * 6 * weight
    largest = 85 * 6 * weight
    assert max(units.values()) - min(units.values()) <= 3 * SLICE_CHARACTERS + 2 * largest, dict(units)


def first_words(rows: int, *, flood: bool) -> list[float]:
    """Four times seven learners ask at once, on a known lesson; an eighth may ask twenty long questions."""
    school = SimulatedClass(rows=rows)
    school.ask(Question("before"))
    school.finish()
    left = 20 if flood else 0
    bells = [school.now + 3 + 25 * number for number in range(4)]
    while bells or any(q.finished_at < 0 for q in school.questions.values() if q.learner != "flooder"):
        # The worker's rule: one being answered and one waiting, the rest is told to come back.
        own = [q for q in school.questions.values() if q.learner == "flooder" and q.finished_at < 0]
        if left and len(own) < 2:
            left -= 1
            school.ask(Question("flooder", typed_words=400, answer_words=150))
        if bells and bells[0] <= school.now:
            del bells[0]
            for number in range(7):
                school.ask(Question(f"learner {number}"))
        if school.scheduler.is_idle():
            school.now = bells[0]
        else:
            school.step()
    return [q.wait for q in school.questions.values() if q.learner.startswith("learner")]


@pytest.mark.parametrize("rows", [4, 8])
def test_a_learner_who_asks_twenty_long_questions_hardly_moves_the_others(rows):
    """The same under twenty false names is not covered: each name is a learner to the engine."""
    calm, flooded = first_words(rows, flood=False), first_words(rows, flood=True)
    assert len(calm) == len(flooded) == 28
    assert p95(flooded) <= 1.3 * p95(calm), (p95(calm), p95(flooded))


def test_who_comes_in_the_middle_of_a_long_prompt_waits_a_step_or_two():
    """Not the whole prompt: the shortest rest goes first, whatever its counter."""
    school = SimulatedClass(rows=8)
    school.ask(Question("before"))
    school.finish()
    school.ask(Question("reader", typed_words=2000))
    school.step()
    late = school.ask(Question("late"))
    school.run(3)
    full_step = STEP_SECONDS + MOST_STEP_ROWS * PROMPT_ROW_SECONDS
    assert 0 < school.questions[late].wait <= 2 * full_step


def test_a_long_prompt_stalls_nobodys_text():
    school = SimulatedClass(rows=8, lesson=1)
    for number in range(6):
        school.ask(Question(f"learner {number}", answer_words=300))
    school.run(5)
    school.ask(Question("reader", typed_words=2000, answer_words=5))
    school.run(40)
    # Between two of a learner's words: the answers' own step, and one of the long prompt.
    most = 2 * STEP_SECONDS + 8 * ANSWER_ROW_SECONDS + READING_ROWS * PROMPT_ROW_SECONDS
    assert school.longest_gap <= most
    assert school.questions[7].first_word_at > 0


def test_teachers_who_never_stop_leave_half_of_the_rows_to_learners():
    school = SimulatedClass(rows=4)
    ask_again(school)
    for number in range(6):
        school.ask(Question(f"teacher {number}", priority=Priority.TEACHER))
        school.ask(Question(f"learner {number}"))
    school.run(300)
    written: dict[Priority, float] = defaultdict(float)
    for question in school.questions.values():
        written[question.priority] += question.written
    share = written[Priority.LEARNER] / sum(written.values())
    assert 0.4 < share < 0.6, dict(written)


def test_background_work_gets_through_a_busy_lesson():
    school = SimulatedClass(rows=4)
    ask_again(school)
    for number in range(20):
        school.ask(Question(f"learner {number}"))
    number = school.ask(Question("quiz", answer_words=100, priority=Priority.BACKGROUND))
    for _ in range(100):
        school.run(10)
        if school.questions[number].finished_at > 0:
            break
    assert 60 < school.questions[number].finished_at < 900


def test_the_forecast_comes_true_when_a_class_asks_at_once():
    """Within a third, for each place in the queue."""
    from models.estimate import Turn

    school = SimulatedClass(rows=8)
    speeds = Speeds()
    for answers in (1, 4, 8):
        speeds.note_step(answers, 0, STEP_SECONDS + answers * ANSWER_ROW_SECONDS)
    speeds.note_step(8, 50, STEP_SECONDS + 8 * ANSWER_ROW_SECONDS + 50 * PROMPT_ROW_SECONDS)
    speeds.note_answer(48, 240)
    school.ask(Question("first"))
    school.finish()
    for number in range(30):
        school.ask(Question(f"learner {number}"))
    began = school.now
    waiting = [
        Turn(school.scheduler.rows_to_read(one), one.max_tokens) for one in school.scheduler.queue(began)
    ]
    forecast = speeds.forecast([], waiting, 8, SLICE_CHARACTERS)
    school.finish()
    real = sorted(q.first_word_at - began for q in school.questions.values() if q.asked_at == began)
    for place in range(8, 30):
        assert forecast[place] == pytest.approx(real[place], rel=0.34, abs=0.2), (forecast, real)


def test_a_counter_remembers_who_is_ahead_and_forgets_when_all_are_gone():
    ledger = Ledger()
    for key in ("Aigerim", "Bolat"):
        ledger.enter(key)
    ledger.charge("Aigerim", 100)
    ledger.charge("Bolat", 20)
    ledger.leave("Aigerim")
    ledger.enter("Aigerim")  # leaving and coming back makes nobody poorer or richer
    assert ledger.counter("Aigerim") == 100
    ledger.enter("Erlan")
    assert ledger.counter("Erlan") == 20
    for key in ("Aigerim", "Bolat", "Erlan"):
        ledger.leave(key)
    assert ledger.counter("Aigerim") == 0


def test_the_weight_of_typed_text_is_measured():
    speeds = Speeds()
    assert speeds.typed_weight(4) is None
    speeds.note_step(4, 0, 0.1)
    speeds.note_step(4, 50, 0.35)
    assert speeds.typed_weight(4) == pytest.approx(0.005 / 0.025)
    assert 0 < TYPED_WEIGHT < 1
