"""A GIFT text is read whole, or the line that cannot be used is named and nothing is read."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import GiftUnreadable
from appliance.tutor import gift
from appliance.tutor.answers import Accepted

WHOLE = """// a comment
$CATEGORY: $course$/7A

::Sum:: What is 2\\=1\\+1 times 2? {=4}

::Pi:: How much is pi? {#3.14:0.01}

From one to five {#1..5}

Several {#=5 =%50%6:1#nearly}

The capital of Kazakhstan is {
=Astana#yes
=Астана
} today.

Which is a planet? {~Moon#no =Mars#yes ~Sun ####Planets go around the Sun.}

[html]<p>Mars is <b>red</b>.</p> {T}

With marks {~%-50%a ~%100%b\\: c ~d}
"""


def test_every_kind_with_a_key_is_read() -> None:
    items = gift.parse(WHOLE)
    assert [item.kind for item in items] == [
        "number", "number", "number", "number", "words", "choice", "choice", "choice",
    ]  # fmt: skip
    assert items[0].title == "Sum"
    assert items[0].text == "What is 2=1\\+1 times 2?"
    assert items[1].accepted == (Accepted("3.14", Fraction(1, 100)),)
    assert items[2].accepted == (Accepted("3", Fraction(2)),)
    assert items[3].accepted == (Accepted("5"),)
    assert items[4].text == "The capital of Kazakhstan is _____ today."
    assert [each.text for each in items[4].accepted] == ["Astana", "Астана"]
    assert (items[5].choices, items[5].feedback) == (("Moon", "Mars", "Sun"), "Planets go around the Sun.")
    assert items[6].text == "Mars is red ."
    assert items[7].accepted == (Accepted("b: c"),)


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert gift.parse("\ufeff" + WHOLE.replace("\n", "\r\n")) == gift.parse(WHOLE)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("Q1 {=a}\n\nQ2 {", 3, "never closed"),
        ("Q1 {=a}\n\nWhat?\nA. x\nB. y\nANSWER: A", 6, "Aiken"),
        ("<?xml version='1.0'?>\n<quiz></quiz>", 1, "XML"),
        ('{\n "questions": []}', 1, "JSON"),
        ("The capital is {1:SHORTANSWER:=Astana}.", 1, "Cloze"),
        ("Q1 {=a}\n\nTell me about Abai {}", 3, "essay"),
        ("Q1 {=a}\n\nMatch {=a -> b =c -> d}", 3, "matching"),
        ("Q1 {=a}\n\nNothing here", 3, "no answer in"),
        ("Q {~a ~b}", 1, "marked as right"),
        ("Q {=a ~a}", 1, "the same"),
        ("Q {#abc}", 1, "cannot be read"),
        ("Q {#1/0}", 1, "cannot be read"),
        ("Q {=}", 1, "empty"),
        ("::T Q {=a}", 1, "title"),
        ("Q {=a} and {=b}", 1, "two answers"),
        ("", 1, "no question"),
        ("\n\n// only this\n", 1, "no question"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(GiftUnreadable) as refused:
        gift.parse(text)
    assert refused.value.params["line"] == line
    assert reason in str(refused.value.params["reason"])


@given(st.text(alphabet="Qa1 {}=~#:%-\\>.\n/", max_size=60))
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    try:
        items = gift.parse(text)
    except GiftUnreadable:
        return
    assert all(item.accepted and item.text for item in items)
