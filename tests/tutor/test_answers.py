"""A learner's answer is right in any notation, and only when it is right."""

from fractions import Fraction

import pytest

from appliance.tutor.answers import Accepted, is_right


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("42", "42"), ("42", "x = 42"), ("42", "сорок два"), ("42", "қырық екі"), ("42", "42 pens"), ("3.5", "3,5"),
        ("3/4", "0,75"), ("3/4", "75%"), ("1/3", "0.33"), ("5 km", "5000 m"), ("5 km", "5"), ("90 min", "1,5 h"),
        ("2,5 кг", "2500 г"), ("12 345", "12345"), ("-5", "−5"), ("42", "６×７=42"),
    ],
)  # fmt: skip
def test_the_same_number_in_another_notation_is_right(key: str, answer: str) -> None:
    assert is_right("number", (Accepted(key),), answer)


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("42", "41"),
        ("42", ""),
        ("42", "41 or 42"),
        ("42", "40+2"),
        ("42", "-42"),
        ("5 km", "5 kg"),
        ("5 km", "5 m"),
        ("5", "nothing"),
    ],
)
def test_what_is_not_the_answer_is_wrong(key: str, answer: str) -> None:
    assert not is_right("number", (Accepted(key),), answer)


def test_a_tolerance_is_kept() -> None:
    pi = (Accepted("3.14", Fraction(1, 100)),)
    assert is_right("number", pi, "3.15")
    assert not is_right("number", pi, "3.16")


@pytest.mark.parametrize("answer", ["Көкшетау", "көкшетау.", " КӨКШЕТАУ ", "кокшетау", "kokshetau"])
def test_words_are_right_whatever_keyboard_they_were_typed_on(answer: str) -> None:
    assert is_right("words", (Accepted("Көкшетау"),), answer)


def test_a_choice_is_right_only_as_it_stands() -> None:
    assert is_right("choice", (Accepted("2"),), "2")
    assert not is_right("choice", (Accepted("2"),), "two")
