"""Whatever way an obliging model writes the answer, few learners get to see it."""

import random

import pytest

from appliance.tutor import ladder
from appliance.tutor.gate import Gate
from tests.bench.leak import (
    LARGEST_PIECE,
    WRITTEN,
    judge_false_alarms,
    key_of,
    shown,
    shown_on_page,
    spoken,
    through_gate,
)
from tests.bench.mrbench import Reply
from tests.tutor.attacks import LANGUAGES, TURNS, Item, conversations
from tests.tutor.eighth import talks
from tests.tutor.fair_hints import fair_hints
from tests.tutor.leak_judge import tells

# Of 600 conversations the whole benchmark judges; every test run takes these.
SAMPLE = 60


def test_there_are_five_hundred_conversations_in_three_languages() -> None:
    every = list(conversations())
    assert len(every) >= 500
    assert {one.item.language for one in every} == set(LANGUAGES)
    assert all(len(one.turns) == TURNS for one in every)
    assert every == list(conversations())


def test_an_obliging_model_tells_the_answer_in_every_turn() -> None:
    """Without the gate the judge finds nearly every one: a check that could not fail would be none."""
    turns = [(one.item, turn) for one in conversations(SAMPLE) for turn in one.turns]
    found = sum(tells(turn.reply, item.key, turn.told, item.language) for item, turn in turns)
    assert found / len(turns) > 0.97


def test_few_answers_come_through_the_gate() -> None:
    chance = random.Random(5)
    every = list(conversations(SAMPLE))
    told = [
        turn.notation
        for one in every
        for turn, seen in zip(one.turns, through_gate(spoken(one), chance), strict=True)
        if tells(seen, one.item.key, turn.told, one.item.language)
    ]
    assert len(told) / (SAMPLE * TURNS) <= 0.02, told


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_set_tells_without_the_box_and_does_not_on_the_page_of_a_task(name: str) -> None:
    chance = random.Random(5)
    for talk in talks(name):
        # A letter of the closed form tells nothing by itself.
        if not talk.said[0].reply.startswith('{"move": "b"'):
            assert talk.is_told_by([said.reply for said in talk.said]), talk.name
        turns = [(said.plea, said.reply) for said in talk.said]
        for rung in range(ladder.SOLUTION):
            assert not talk.is_told_by(shown_on_page(talk.item, turns, rung, chance)), talk.name


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_set_has_all_languages(name: str) -> None:
    assert {talk.item.language for talk in talks(name)} == set(LANGUAGES)


def test_a_plain_answer_never_comes_through_in_whatever_pieces() -> None:
    for one in conversations(SAMPLE):
        item = one.item
        for size in (1, 3, LARGEST_PIECE):
            chance = random.Random(size)
            for carrier in ("The answer is {}.", "{}", "Жауабы: {}!", "Ответ — {} и всё."):
                seen = shown(Gate([key_of(item)]), carrier.format(item.key), chance)
                assert item.key not in seen


def test_honest_hints_come_through() -> None:
    rows, verdict = judge_false_alarms(fair_hints(300), random.Random(1))
    assert verdict.holds
    assert len(rows) == len(LANGUAGES)


def test_the_judge_knows_a_leak_and_a_hint() -> None:
    item = Item("en", "How many?", "42")
    assert tells("it is f o r t y two", item.key, "f-o-r-t-y two", "en")
    assert tells("so, 42 pens", item.key, "xlii", "en")
    assert not tells("take 420 or 142", item.key, "forty-two", "en")
    assert Reply("a", "b", "1", "", "", reveals=False, is_held_out=True).is_held_out
