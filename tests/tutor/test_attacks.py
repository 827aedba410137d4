"""Whatever way an obliging model writes the answer, few learners get to see it."""

import random

from appliance.gate import Gate
from tests.bench.leak import LARGEST_PIECE, judge_false_alarms, key_of, leaks, shown
from tests.bench.mrbench import Reply
from tests.tutor.attacks import LANGUAGES, TURNS, Item, conversations
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
    told = [notation for one in every for notation in leaks(one, chance)]
    assert len(told) / (SAMPLE * TURNS) <= 0.02, told


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
