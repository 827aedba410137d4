"""While a task's key is shut no model writes to the learner: it chooses among hints of people, once a rung."""

import json

import pytest

from appliance import languages
from appliance.tutor import concepts, hints, moves, tutoring
from appliance.tutor.ladder import ATTEMPT, SOLUTION, STEP_QUESTION, TWIN, Standing
from appliance.tutor.tasks import Accepted, Task
from tests.bench.leak import key_of, shown_by
from tests.tutor.attacks import Item

PENS = Task(
    "1", "7a", "number", "A shop sells 6 pens a day. How many pens does it sell in 7 days?", (Accepted("42"),)
)
RUNGS = range(ATTEMPT, SOLUTION)


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("kind", ["number", "words", "choice"])
def test_every_hint_of_a_menu_is_translated_and_quotes_only_the_step(kind: str, rung: int) -> None:
    menu = moves.menu(kind, rung)
    assert menu.sentences[0] == hints.authored(kind, rung)
    assert 2 <= len(menu.sentences) <= len(moves.LETTERS)
    for sentence in menu.sentences:
        assert "13" in sentence % {"step": "13"} or "%(step)s" not in sentence
        assert languages.translations("kk").gettext(sentence) != sentence


def test_the_teachers_own_hint_is_the_first_of_its_rung() -> None:
    own = Task(**{**PENS.__dict__, "nudge": "Think 100 %: what is a day?"})
    plan = tutoring.plan("I do not understand", "en", "open", own, Standing(rung=2))
    assert plan.menu is not None
    assert plan.menu.sentences[0] % {"step": ""} == "Think 100 %: what is a day?"


@pytest.mark.parametrize(
    "text",
    [
        "42",
        '{"move": "e"}',
        '{"move": "a", "why": "42"}',
        '{"move": ["a"]}',
        '["a"]',
        "[" * 5000,
        "",
        '{"move": 1}',
        "a",
    ],
)
def test_what_is_no_choice_is_not_read(text: str) -> None:
    assert moves.read_choice(text, moves.menu("number", STEP_QUESTION)) is None


def test_a_choice_is_read() -> None:
    menu = moves.menu("number", STEP_QUESTION)
    assert moves.read_choice('{"move": "c"}', menu) == "c"
    assert menu.sentence("c").startswith("Look at")


def test_a_model_chooses_once_on_a_rung_and_then_the_box_goes_round() -> None:
    plan = tutoring.plan("Why is my step wrong?", "en", "open", PENS, Standing(rung=1), "13")
    assert plan.menu is not None
    met = ["c"]
    for expected in ("d", "a", "b", "c"):
        plan = tutoring.plan(
            "Why is my step wrong?", "en", "open", PENS, Standing(rung=1), "13", heard=lambda _: met
        )
        assert plan.messages == ()
        assert plan.decisions[0].rule == f"move_{expected}"
        met.append(expected)


def test_before_the_first_step_no_model_is_asked() -> None:
    plan = tutoring.plan("I don't understand the task", "en", "open", PENS, Standing())
    assert plan.messages == ()
    assert plan.hint == hints.authored("number", ATTEMPT)


def test_work_that_is_told_in_the_chat_is_asked_about() -> None:
    plan = tutoring.plan("I multiplied 6 by 7, what now?", "en", "open", PENS, Standing())
    assert (plan.rung, plan.step) == (STEP_QUESTION, "I multiplied 6 by 7, what now?")


def test_a_list_with_the_key_among_its_numbers_is_met_like_one_without() -> None:
    """Else a learner halves the range: a box that says "send it in the field" only to the right list has told."""
    asked = "My step gave one of these, why is it wrong: 39, 40, 41, {}, 43"
    with_key, without = (
        tutoring.plan(asked.format(number), "en", "open", PENS, Standing(rung=1), "13") for number in (42, 44)
    )
    assert with_key.hint == without.hint
    assert with_key.decisions == without.decisions
    assert [m["role"] for m in with_key.messages] == [m["role"] for m in without.messages]


@pytest.mark.parametrize("rung", RUNGS)
def test_no_text_of_a_model_is_shown_about_a_task(rung: int) -> None:
    item = Item("en", PENS.text, "42")
    for reply in ("42", "It is six times seven.", '{"move": "b"}', '{"move": "42"}', "🍎" * 42):
        seen = shown_by(
            tutoring.plan("Why is my step 13 wrong?", "en", "open", PENS, Standing(rung=rung), "13"), reply
        )
        assert reply not in seen
    assert key_of(item).answers == ("42",)


CONCEPTS = (
    'What does "each" mean?', "What is a fraction?", "Can you explain the rule?", "Что такое дробь?", "Что значит «за рейс»?",
    "Объясни правило, пожалуйста.", "Бөлшек деген не?", "«Әр қатарда» деген не?", "Ережені түсіндірші.", "Қорап деген сөз нені білдіреді?",
)  # fmt: skip
NO_CONCEPTS = (
    "What does 6 times 7 mean?", "What is the answer?", "What does six times seven mean?", "Жауап деген не?", "Что такое ответ?",
    "What is a rhyme for it?", "What is a week, and how long is it when six pens are sold on every one of its days?", "42 деген не?", "",
)  # fmt: skip


@pytest.mark.parametrize("text", CONCEPTS)
def test_the_meaning_of_a_word_is_asked_of_a_model_that_does_not_know_the_task(text: str) -> None:
    plan = tutoring.plan(text, "en", "open", PENS, Standing(rung=1), "13")
    assert plan.messages
    told = json.dumps(plan.messages, ensure_ascii=False)
    assert PENS.text not in told
    assert "13" not in told


@pytest.mark.parametrize("text", NO_CONCEPTS)
def test_what_may_carry_the_task_is_no_question_about_a_word(text: str) -> None:
    assert not concepts.is_concept(text)


def test_an_explained_word_holds_no_number() -> None:
    plan = tutoring.plan("What is a fraction?", "en", "open", PENS, Standing(rung=1), "13")
    assert "One part" in shown_by(plan, "One part of a whole that was cut into equal parts.")
    assert "17" not in shown_by(plan, "It is like 17 of 20.")
    assert "seventeen" not in shown_by(plan, "It is seventeen of twenty.")


def test_no_word_is_explained_where_the_answer_is_a_word() -> None:
    capital = Task("2", "7a", "words", "Which city is the capital?", (Accepted("Astana"),))
    plan = tutoring.plan("What is a capital?", "en", "open", capital, Standing(rung=1), "Almaty")
    assert plan.decisions[0].rule == "asked_unclear"


def test_no_word_is_explained_where_a_model_knows_the_number_without_the_task() -> None:
    year = Task("3", "7a", "number", "In which year did the war end?", (Accepted("1945"),))
    plan = tutoring.plan("What is a war?", "en", "open", year, Standing(rung=1), "1944")
    assert plan.messages == ()


def test_a_free_question_near_a_task_is_guarded_by_its_key() -> None:
    for text in ("six pens on each day of the week, how many pens?", "Қалам, pens a day: 6 and a week"):
        near = tutoring.near(text, [PENS])
        assert near == [PENS]
        plan = tutoring.plan(text, "en", "open", near_tasks=near)
        assert "42" not in shown_by(plan, "That makes 42 pens.")
    assert tutoring.near("What is the capital of Kazakhstan?", [PENS]) == []


def test_the_last_rung_before_the_solution_is_closed_too() -> None:
    assert tutoring.plan("Why?", "en", "open", PENS, Standing(rung=TWIN), "13").menu is not None
