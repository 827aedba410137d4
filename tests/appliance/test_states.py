"""The rule that names a learner's state, sign by sign."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from appliance.lesson import school_days, states
from appliance.lesson.states import Signs, State, decide_state, is_asked_again

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
HERE = Signs(is_here=True)
LONG_AGO = NOW - states.QUIET_AFTER_HINT


def state(signs: Signs) -> str:
    return decide_state(signs, now=NOW).name


def test_each_state_has_its_signs() -> None:
    assert state(Signs()) == states.AWAY
    assert state(HERE) == states.WORKING
    assert state(replace(HERE, place=0)) == states.WAITING
    assert decide_state(replace(HERE, place=4), now=NOW) == State(states.WAITING, place=4)
    assert state(replace(HERE, is_answered_now=True)) == states.WORKING
    assert state(replace(HERE, has_solved_all=True)) == states.FINISHED
    assert state(replace(HERE, is_stopped=True)) == states.STOPPED
    assert state(replace(HERE, wants_person=True)) == states.WANTS_PERSON


def test_a_call_for_a_person_is_never_hidden() -> None:
    everything = Signs(
        is_here=True, is_stopped=True, wants_person=True, place=3, wrong_in_a_row=9, has_solved_all=True
    )
    assert state(everything) == states.WANTS_PERSON
    assert state(replace(everything, is_here=False)) == states.WANTS_PERSON


def test_a_third_wrong_answer_means_stuck_and_a_second_does_not() -> None:
    assert state(replace(HERE, wrong_in_a_row=2)) == states.WORKING
    assert decide_state(replace(HERE, wrong_in_a_row=3), now=NOW) == State(states.STUCK, why="wrong")


def test_the_same_question_again_means_stuck() -> None:
    asked = ("How do I add one half and one third?", "how do i add one third and one half")
    assert decide_state(replace(HERE, questions=asked), now=NOW) == State(states.STUCK, why="again")


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("Why?",),
        ("Why?", "Why?"),
        ("What is a prime number?", "What is a square number of the second kind?"),
        ("Екі бөлшекті қалай қосамын?", "Екі бөлшекті қалай көбейтіп, сосын бөлемін?"),
    ],
)
def test_another_question_is_no_sign(asked: tuple[str, ...]) -> None:
    assert not is_asked_again(asked)


def test_quiet_after_a_hint_means_stuck_only_after_minutes_and_only_without_an_act() -> None:
    quiet = replace(HERE, hint_at=LONG_AGO, acted_at=LONG_AGO - timedelta(seconds=5))
    assert decide_state(quiet, now=NOW) == State(states.STUCK, why="quiet")
    assert state(replace(quiet, hint_at=LONG_AGO + timedelta(seconds=1))) == states.WORKING
    assert state(replace(quiet, acted_at=LONG_AGO + timedelta(seconds=1))) == states.WORKING
    assert state(replace(quiet, is_here=False)) == states.AWAY, "who has gone is not stuck"


def test_whoever_waits_or_reads_is_not_stuck_yet() -> None:
    tried = replace(HERE, wrong_in_a_row=5)
    assert state(replace(tried, place=2)) == states.WAITING
    assert state(replace(tried, is_answered_now=True)) == states.WORKING


@pytest.mark.parametrize(
    ("contested", "due"),
    [
        (date(2026, 11, 23), date(2026, 11, 26)),  # Monday to Thursday
        (date(2026, 11, 25), date(2026, 11, 30)),  # Wednesday over the weekend
        (date(2026, 11, 28), date(2026, 12, 2)),  # a Saturday
    ],
)
def test_a_contest_is_overdue_after_school_days_not_days(contested: date, due: date) -> None:
    assert school_days.due_on(contested) == due
    assert not school_days.is_overdue(contested, due)
    assert school_days.is_overdue(contested, due + timedelta(days=1))
