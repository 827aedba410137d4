"""A number is read in every notation, and a learner's answer only in one."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.tutor import numerals
from tests.tutor import notations


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"), ("forty-two", "42"), ("сорока двум", "42"), ("қырық екіге", "42"), ("qyryq eki", "42"),
        ("３,５", "7/2"), ("3½", "7/2"), ("three and a half", "7/2"), ("два с половиной", "5/2"), ("екі жарым", "5/2"),
        ("\\frac{3}{4}", "3/4"), ("төрттен үш", "3/4"), ("три четверти", "3/4"), ("75 %", "3/4"), ("0.750", "3/4"),
        ("12 345", "12345"), ("12.345", "12345"), ("4\u200b2", "42"), ("4O", "40"), ("⁴²", "42"), ("6 * 7", "42"),
        ("40 + 2", "42"), ("cорoк двa", "42"), ("f0rty tw0", "42"), ("f-o-r-t-y t-w-o", "42"), ("4️⃣2️⃣", "42"),
        ("бес мың екі жүз", "5200"), ("XLII", "42"), ("fortytwo", "42"), ("үш бүтін оннан бес", "7/2"),
    ],
)  # fmt: skip
def test_every_notation_is_a_mention(text: str, value: str) -> None:
    assert Fraction(value) in {mention.value for mention in numerals.mentions(text)}


@pytest.mark.parametrize(
    "text", ["семья", "үшін", "бірге", "алтын", "он сказал", "they went on", "стол", "often", "someone"]
)
def test_words_that_begin_like_numbers_are_none(text: str) -> None:
    assert numerals.mentions(text) == []


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("42", "42"), ("x = 42", "42"), ("42 km", "42"), ("6*7=42", "42"), ("ответ: 42 кг", "42"), ("жауабы 3,5", "7/2"),
        ("3 1/2", "7/2"), ("-5", "-5"), ("минус пять", "-5"), ("25%", "25"), ("қырық екі", "42"), ("12 345", "12345"),
    ],
)  # fmt: skip
def test_a_learners_answer_is_one_number(answer: str, value: str) -> None:
    assert Fraction(value) in numerals.value_of(answer)


@pytest.mark.parametrize(
    "answer", ["41 or 42", "40+2", "6*7", "", "не знаю", "42 43 44", "4 2", "1 2 3", "|"]
)
def test_two_guesses_and_a_sum_that_nobody_did_are_no_answer(answer: str) -> None:
    assert numerals.value_of(answer) == ()


@settings(deadline=None)
@given(st.integers(0, 999_999), st.sampled_from(["kk", "ru", "en"]))
def test_every_number_in_words_is_read_back(number: int, language: str) -> None:
    assert Fraction(number) in numerals.value_of(notations.say(number, language))


def test_a_bar_beside_a_digit_is_a_look_alike_and_breaks_nothing() -> None:
    assert numerals.value_of("|0") == (Fraction(10), Fraction(0))


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=200) | st.text(alphabet="0123|,.'_{}\\/^e+-% oOlж½²", max_size=12))
def test_no_text_breaks_the_reader(text: str) -> None:
    numerals.mentions(text)
    numerals.value_of(text)
