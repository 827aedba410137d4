"""The arithmetic of the judged table; nothing here is timed."""

import pytest

from tests.bench.contest import LEARNERS, Column, cells_needed
from tests.bench.judging import (
    Judged,
    Must,
    best_of,
    class_figures,
    compare,
    gap_at_difference,
    judged_table,
    percentile,
    same_texts,
)
from tests.bench.lessons import QUESTIONS, lesson, long_question
from tests.bench.streams import Told


def told(first: float, last: float, tokens: int = 10) -> Told:
    return Told(200, "text", first, last, tokens, 100)


def test_a_ratio_is_taken_between_neighbours_in_time() -> None:
    # The second round ran on a machine twice as slow: the ratio is 2 in all of them.
    judged = compare("class", "tokens/s", [100, 50, 100], [50, 25, 50], Must(1.8, at_least=True))
    assert (judged.value, judged.holds) == (2.0, True)


@pytest.mark.parametrize(
    ("at_least", "value", "holds"), [(True, 1.8, True), (True, 1.79, False), (False, 0.2, True)]
)
def test_a_bound_itself_is_enough(at_least: bool, value: float, holds: bool) -> None:
    assert Must(1.8 if at_least else 0.2, at_least=at_least).holds(value) is holds


def test_percentiles_are_values_that_somebody_had() -> None:
    waits = [float(n) for n in range(1, 31)]
    assert (percentile(waits, 0.5), percentile(waits, 0.95), percentile(waits, 1.0)) == (15.0, 29.0, 30.0)
    assert percentile([3.0], 0.95) == 3.0
    with pytest.raises(ValueError, match="no value"):
        percentile([], 0.5)


def test_the_class_ends_with_its_last_token() -> None:
    figures = class_figures([told(0.5, 2.0), told(1.0, 4.0)], seconds=4.5, client_seconds=0.09)
    assert (figures.speed, figures.first_p95, figures.client_share) == (5.0, 1.0, 0.02)


def test_who_heard_nothing_counts_as_having_waited_until_the_end() -> None:
    figures = class_figures([told(0.5, 2.0), None], seconds=30.0, client_seconds=0.0)
    assert (figures.unanswered, figures.first_p95, figures.seconds) == (1, 30.0, 30.0)


def test_the_best_setting_is_chosen_by_its_median() -> None:
    rounds = {"4 slots": [10.0, 11.0, 90.0], "8 slots": [12.0, 12.0, 12.0]}
    assert best_of(rounds, largest=True) == "8 slots"
    assert best_of(rounds, largest=False) == "4 slots"


def test_answers_that_part_are_named() -> None:
    assert same_texts(["a", "b", "c", "d"], ["a", "x", "c", "d"]) == (0.75, [1])


def test_the_gap_is_read_at_the_token_where_two_answers_part() -> None:
    pieces = [b"The", b" sky", b" is", b" blue"]
    gaps = [3.0, 2.0, 0.01, 5.0]
    assert gap_at_difference("The sky is blue", "The sky was blue", pieces, gaps) == 0.01
    assert gap_at_difference("The sky is blue", "The sky is blue and", pieces, gaps) == 5.0


def test_the_table_says_no_where_a_bound_is_missed() -> None:
    text = judged_table([Judged("one learner", "30 tokens/s", "60 tokens/s", 0.5, Must(0.97, at_least=True))])
    assert text.splitlines()[-1] == "| one learner | 30 tokens/s | 60 tokens/s | 0.50 x | ≥ 0.97 x | NO    |"


@pytest.mark.parametrize("words", [350, 1_200])
def test_a_lesson_has_its_words_and_is_the_same_every_time(words: int) -> None:
    assert len(lesson(7, words).split()) == words
    assert lesson(7, words) == lesson(7, words)


def test_two_lessons_share_nothing_but_the_topic_and_a_phrase() -> None:
    first, second = lesson(1, 350), lesson(1 + 30, 350)  # the same topic
    assert first.split()[:6] != second.split()[:9]
    assert first[60:160] not in second


def test_a_class_asks_different_questions() -> None:
    assert len(set(QUESTIONS)) == LEARNERS
    assert long_question(1, 50) != long_question(2, 50)


def test_a_shared_lesson_is_one_and_every_round_has_its_own() -> None:
    def texts(column: Column, number: int) -> set[str]:
        return {question.messages[0]["content"] for question in column.questions(number)}

    shared, other = Column("shared", 50, shared=True), Column("other", 50, shared=False)
    assert len(texts(shared, 1)) == 1
    assert not texts(shared, 1) & texts(shared, 2)
    assert len(texts(other, 1)) == LEARNERS
    assert shared.warm(1)[0].messages[0]["content"] in texts(shared, 1)
    assert other.warm(1)[0].messages[0]["content"] not in texts(other, 1) | texts(other, 2)


def test_the_peer_gets_room_for_every_copy_of_the_lesson() -> None:
    assert cells_needed(Column("", 350, shared=True), 30) > 30 * 350 * 1.6
