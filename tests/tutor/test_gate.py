"""The gate lets a hint through as it is written, and the answer in no notation."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.tutor import gate
from appliance.tutor.gate import Gate, Key

PENS = Key(("42",), task="A shop sells 6 pens a day. How many pens does it sell in 7 days?")


def through(keys: Key | list[Key], text: str, *, sizes: int = 0, asked: str = "") -> tuple[str, str | None]:
    """Return what a learner sees of a text that comes in pieces, and the rule that stopped it."""
    opened = Gate(keys if isinstance(keys, list) else [keys], asked=asked)
    chance, shown, place = random.Random(sizes), "", 0
    while place < len(text):
        size = chance.randint(1, 7)
        shown += opened.feed(text[place : place + size])
        place += size
    return shown + opened.finish(), opened.tripped


@pytest.mark.parametrize("sizes", range(8))
def test_a_hint_without_the_answer_comes_through_whole(sizes: int) -> None:
    hint = "You know that 6 pens are sold each day. How many are sold in two days? Write 6 × 2 first, then go on."
    assert through(PENS, hint, sizes=sizes) == (hint, None)


@pytest.mark.parametrize("sizes", range(8))
def test_the_rest_is_held_back_from_the_answer_on(sizes: int) -> None:
    shown, rule = through(PENS, "Multiply the numbers, and you get 42 pens. Well done!", sizes=sizes)
    assert (shown.rstrip(), rule) == ("Multiply the numbers, and you get", "digits")


def test_words_flow_while_the_model_writes() -> None:
    opened = Gate([PENS])
    shown = [
        opened.feed(word) for word in ["Look ", "at ", "the ", "first ", "day ", "again ", "and ", "think"]
    ]
    assert "".join(shown) == "Look at the first day again and "


def test_a_number_is_kept_until_it_cannot_grow_into_the_answer() -> None:
    opened = Gate([PENS])
    assert opened.feed("It is 4") == "It is "
    assert opened.feed("20 or so") == "420 or "


def test_the_tasks_own_sum_is_the_learners_work_and_another_sum_is_the_answer() -> None:
    assert through(PENS, "So what is 6 × 7 then? Try it.")[1] is None
    assert through(PENS, "So what is 40 + 2 then? Try it.")[1] == "sum"


def test_a_key_that_stands_in_the_task_may_be_quoted_but_not_told() -> None:
    steps = Key(("2000",), task="He had only 2,000 steps left to take. How many steps did he jog?")
    quote = "Remember that he had 2,000 steps left to take. What does that tell you?"
    assert through(steps, quote) == (quote, None)
    assert through(steps, "The answer is 2,000 steps.")[1] == "digits"
    assert through(steps, "He jogged 2000.")[1] == "digits"


def test_a_small_key_does_not_silence_plain_speech() -> None:
    two = Key(("2",), task="How many wheels has a bicycle?")
    for fair in [
        "Look at it in two ways. Which one helps?",
        "Step 2: look at the picture.",
        "The second part is harder.",
    ]:
        assert through(two, fair) == (fair, None)
    for told in ["2", "Two.", "The answer is two", "It has two wheels.", "2 wheels"]:
        assert through(two, told)[1] is not None, told


@pytest.mark.parametrize(
    "told", ["Astana", "астана", "Астанада", "А-с-т-а-н-а", "анатса", "Aстaна", "ASTANA", "Аста на"]
)
def test_an_answer_in_words_is_known_in_all_its_forms(told: str) -> None:
    assert through(Key(("Астана",), language="kk"), f"Бұл қала {told} деп аталады")[1] is not None


def test_the_right_choice_is_not_told_by_its_place() -> None:
    choice = Key(("Mars",), task="Which planet is red?\nVenus\nMars", position=2)
    assert through(choice, "Take the second one, I say.")[1] is not None
    assert through(choice, "Think of the colour of rust. What is red there?")[1] is None


def test_backwards_counts_when_somebody_asked_for_it() -> None:
    assert through(PENS, "24 pens", asked="Say it backwards")[1] == "spelled"
    assert through(PENS, "24 hours are a day")[1] is None


def test_a_strange_way_of_writing_is_held_back_whatever_it_says() -> None:
    for odd in ["It is ㊷ here", "say 𝟜 and 𝟚", "Sеlf mаde", "h-e-l-l-o there", "wоw f00bar"]:
        assert through(PENS, odd)[1] == "odd", odd


def test_each_key_is_guarded_when_there_are_several() -> None:
    assert through([PENS, Key(("Mars",))], "Both: Mars first")[1] == "words"


def test_a_fault_of_the_gate_holds_the_rest_back(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Gate([PENS])
    assert opened.feed("Think of it. ") != ""
    monkeypatch.setattr(gate.numerals, "mentions", lambda *_a, **_k: 1 / 0)
    assert opened.feed("The answer is 42") == ""
    assert opened.finish() == ""
    assert opened.tripped == "gate_failed"


@settings(deadline=None)
@given(st.text(max_size=120), st.integers(0, 5))
def test_the_gate_never_adds_or_changes_a_letter(text: str, sizes: int) -> None:
    shown, rule = through(PENS, text, sizes=sizes)
    assert text.startswith(shown)
    assert rule != "gate_failed"
    if rule is None:
        assert shown == text


@settings(deadline=None)
@given(st.text(alphabet="abc ёқ.,42 /\\{}$*-\n", max_size=60), st.integers(0, 5))
def test_in_whatever_pieces_it_comes_the_verdict_is_the_same(text: str, sizes: int) -> None:
    once = Gate([PENS])
    once.feed(text)
    once.finish()
    assert (through(PENS, text, sizes=sizes)[1] is None) == (once.tripped is None)


@pytest.mark.parametrize(
    "told",
    [
        "the answer is fory-twwo",
        "kyrk eki",
        "ytrof owt",
        "frt tw",
        "otryfay wotay",
        "gpsuz uxp",
        "сосорок дедва",
        "қырқ екы",
        "6, 15, 18, 20, 25, 20, 23, 15",
        "NDI=",
        "tick tick tick tick tick",
    ],
)
def test_the_name_of_the_key_is_known_in_disguise(told: str) -> None:
    shown, rule = through(Key(("42",), task=PENS.task, language="en"), f"Let us see: {told} and that is all.")
    assert rule is not None
    assert told not in shown


@pytest.mark.parametrize(("first", "second"), [("It begins with 4.", "Then 2."), ("Forty.", "And two.")])
def test_a_key_is_not_told_in_two_answers(first: str, second: str) -> None:
    opened = Gate([Key(("42",), task="How many?")], before=[first])
    opened.feed(second)
    opened.finish()
    assert opened.tripped == "in_pieces"


def test_a_person_may_write_in_any_alphabet() -> None:
    key = Key(("42",), task="Неше қалам?", language="kk")
    for text, told in (("Use the table of multiplication.", False), ("Think of forty-two.", True)):
        opened = Gate([key], by_person=True)
        opened.feed(text)
        opened.finish()
        assert (opened.tripped is not None) is told
