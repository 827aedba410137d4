"""Help comes rung by rung, from a learner's own attempts and from nothing else."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.tutor import ladder
from appliance.tutor.ladder import SOLUTION, THINK, Standing, Step, after, standing

START = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def wrong(text: str, minute: float) -> Step:
    return Step("answer", text, is_right=False, at=START + timedelta(minutes=minute))


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["answer", "answer", "no_help"]),
        st.sampled_from(["", "1", "2", " 2 ", "3", "4", "5", "6", "7"]),
        st.sampled_from([False, False, False, False, True]),
        st.integers(0, 600).map(lambda seconds: START + timedelta(seconds=seconds)),
    ),
    max_size=20,
).map(lambda found: sorted(found, key=lambda step: step.at))


@given(steps)
def test_help_never_jumps_a_rung_and_never_falls_back(path: list[Step]) -> None:
    reached = Standing()
    for step in path:
        before, reached = reached, after(reached, step)
        assert before.rung <= reached.rung <= before.rung + 1
        assert reached.is_solved >= before.is_solved


@given(steps)
def test_no_solution_without_as_many_different_attempts_or_the_right_answer(path: list[Step]) -> None:
    reached = standing(path)
    guesses = {step.text.strip() for step in path if step.kind == "answer" and not step.is_right} - {""}
    if reached.may_see_solution and not reached.is_solved:
        assert len(guesses) >= SOLUTION
    assert reached.is_solved == any(step.is_right and step.kind == "answer" for step in path)


@given(steps)
def test_asking_alone_never_moves_anybody(path: list[Step]) -> None:
    only_refusals = [step for step in path if step.kind == "no_help"]
    assert standing(only_refusals).rung == 0
    assert not standing(only_refusals).needs_person


def test_five_different_attempts_with_time_to_think_reach_the_solution() -> None:
    path = [wrong(str(number), number) for number in range(SOLUTION)]
    assert [standing(path[: n + 1]).rung for n in range(SOLUTION)] == [1, 2, 3, 4, 5]
    assert standing(path).may_see_solution


def test_the_same_guess_again_is_no_attempt() -> None:
    assert standing([wrong("7", 0), wrong(" 7 ", 1), wrong("7", 2)]).rung == 1


def test_a_guess_faster_than_anybody_reads_does_not_climb() -> None:
    quick = Step("answer", "8", is_right=False, at=START + THINK / 2)
    slow = Step("answer", "8", is_right=False, at=START + THINK)
    assert standing([wrong("7", 0), quick]).rung == 1
    assert standing([wrong("7", 0), quick, slow]).rung == 2


def test_three_refused_hints_call_a_person_and_one_hint_is_refused_once() -> None:
    refusal = Step("no_help", "", is_right=False, at=START)
    assert not standing([wrong("1", 0), refusal, refusal, refusal]).needs_person
    path = [wrong("1", 0), refusal, wrong("2", 1), refusal, wrong("3", 2), refusal]
    assert standing(path).needs_person
    assert not standing(
        [*path, Step("answer", "42", is_right=True, at=START + timedelta(hours=1))]
    ).needs_person


def test_nothing_changes_after_the_right_answer() -> None:
    solved = standing([Step("answer", "42", is_right=True, at=START)])
    assert after(solved, wrong("1", 1)) == solved
    assert ladder.is_too_fast(solved, START) is False
