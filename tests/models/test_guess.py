"""What comes next is guessed from what came before; a guess never changes an answer."""

from hypothesis import given
from hypothesis import strategies as st

from models.guess import LONGEST, WINDOW, guess_next

few_words = st.lists(st.integers(0, 5), min_size=1, max_size=60)


def test_the_words_of_the_lesson_come_again():
    assert guess_next([1, 2, 3, 4, 9, 9, 2, 3]) == 4


def test_the_longest_repetition_decides_and_of_equals_the_last():
    assert guess_next([1, 2, 3, 7, 2, 3, 8, 0, 1, 2, 3]) == 7
    assert guess_next([5, 1, 6, 1, 7, 0, 1]) == 7


def test_without_repetition_the_last_word_is_guessed():
    assert guess_next([4]) == 4
    assert guess_next([1, 2, 3]) == 3


def test_what_lies_too_far_back_is_forgotten():
    assert guess_next([1, 2, *[0] * WINDOW, 1]) == 1


@given(few_words)
def test_a_guess_is_the_successor_of_a_longest_repetition(tokens):
    def repeats(place: int) -> int:
        length = 0
        while length < min(LONGEST, place + 1) and tokens[place - length] == tokens[-1 - length]:
            length += 1
        return length

    lengths = {place: repeats(place) for place in range(len(tokens) - 1)}
    most = max(lengths.values(), default=0)
    allowed = (
        {tokens[place + 1] for place, length in lengths.items() if length == most} if most else {tokens[-1]}
    )
    assert guess_next(tokens) in allowed
