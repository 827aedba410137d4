"""No row that leaves stands for fewer than ten learners, and none is dropped."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync.event import KINDS, AllowedRow, Log2, OneOf, Span, Stays, Step, Whole
from sync.generalise import (
    LADDER,
    TELLING_CIRCLE,
    K,
    WaitingRow,
    coarser,
    generalise,
    keeps_its_days,
    week_of,
)

TUESDAY = date(2026, 9, 1)


def row(
    kind: str = "question_asked",
    learner: str | None = "Aigerim",
    session: str = "7A-1",
    day: date = TUESDAY,
    **fields: str | int,
) -> WaitingRow:
    return WaitingRow(AllowedRow(kind, day, session, fields), learner)


def class_of(learners: int, **same: str | int) -> list[WaitingRow]:
    return [row(learner=f"learner {at}", **same) for at in range(learners)]


def circles(waiting: list[WaitingRow]) -> dict[tuple[object, ...], set[str]]:
    """The learners behind each sort of row that leaves."""
    lessons: dict[str | None, set[str]] = {}
    for one in waiting:
        if one.learner_id is not None:
            lessons.setdefault(one.row.session_id, set()).add(one.learner_id)
    found: dict[tuple[object, ...], set[str]] = {}
    for one, left in zip(waiting, generalise(waiting), strict=True):
        form = (left.kind, left.session_id, left.day, left.span, *sorted(left.fields.items()))
        people = {one.learner_id} if one.learner_id is not None else lessons.get(one.row.session_id, set())
        found.setdefault(form, set()).update(people)
    return found


def values_of(kind: str) -> st.SearchStrategy[dict[str, str | int]]:
    choices: dict[str, st.SearchStrategy[str | int]] = {}
    for name, rule in KINDS[kind].fields.items():
        match rule:
            case OneOf(words=words):
                choices[name] = st.sampled_from(words)
            case Whole(lowest=lowest, highest=highest):
                choices[name] = st.integers(lowest, min(highest, lowest + 2))
            case Log2():
                choices[name] = st.integers(4, 6)
            case Stays():
                pass
            case _:
                choices[name] = st.just("0123abcd")
    return st.fixed_dictionaries({}, optional=choices)


any_row = st.sampled_from(sorted(KINDS)).flatmap(
    lambda kind: st.builds(
        lambda fields, learner, session, days: WaitingRow(
            AllowedRow(kind, TUESDAY + timedelta(days=days), session, fields), learner
        ),
        values_of(kind),
        st.none() | st.integers(0, 24).map(str),
        st.sampled_from(["7A", "7B", "9A"]),
        st.integers(0, 40),
    )
)


@settings(max_examples=120, deadline=None)
@given(st.lists(any_row, max_size=150))
def test_whatever_happened_ten_learners_look_alike_or_only_an_ordinary_kind_is_left(
    waiting: list[WaitingRow],
) -> None:
    for form, people in circles(waiting).items():
        kind, *rest = form
        if kind is not None and KINDS[str(kind)].is_of_machine:
            assert rest[:3] == [None, None, Span.DAY]
            continue
        if len(people) < K:
            assert rest == [None, None, Span.DAY]
            assert kind is None or KINDS[str(kind)].is_ordinary


@settings(max_examples=80, deadline=None)
@given(st.lists(any_row, max_size=100))
def test_no_row_is_dropped_and_none_says_anything_new(waiting: list[WaitingRow]) -> None:
    coarse = generalise(waiting)
    assert len(coarse) == len(waiting)
    for one, left in zip(waiting, coarse, strict=True):
        assert left.kind in (one.row.kind, None)
        assert left.session_id in (one.row.session_id, None)
        assert left.fields.items() <= one.row.fields.items()
        begins = {
            Span.DAY: one.row.day,
            Span.WEEK: week_of(one.row.day),
            Span.MONTH: one.row.day.replace(day=1),
        }
        assert left.day in (begins[left.span], None)


def test_every_field_that_leaves_says_when_it_gives_way() -> None:
    for name, kind in KINDS.items():
        for field, rule in kind.fields.items():
            if isinstance(rule, Stays):
                continue
            assert rule.gives_way is LADDER[field], (name, field)
            assert Step.WHOLE < rule.gives_way < Step.COUNT_ONLY, (name, field)


def test_a_bare_row_is_all_that_the_last_step_leaves() -> None:
    for name, kind in KINDS.items():
        fields = {field: 1 for field, rule in kind.fields.items() if not isinstance(rule, Stays)}
        left = coarser(AllowedRow(name, TUESDAY, "7A", fields), Step.COUNT_ONLY)
        assert left == AllowedRow(name, None, None, {})


def test_ten_who_look_alike_are_told_whole() -> None:
    waiting = class_of(10, language="kk", characters=5)
    assert generalise(waiting) == tuple(one.row for one in waiting)


def test_nine_are_told_as_a_count_only() -> None:
    assert set(map(str, generalise(class_of(9, language="kk")))) == {
        str(AllowedRow("question_asked", None, None, {}))
    }


def test_one_who_asks_ten_times_is_still_one() -> None:
    waiting = [row(learner="Aigerim", language="kk") for _ in range(50)]
    assert all(not left.fields and left.day is None for left in generalise(waiting))


def test_one_who_did_most_of_it_is_not_seen_in_the_crowd() -> None:
    """Eleven asked, but of forty rows Aigerim made thirty: the group would be a picture of her."""
    waiting = [*class_of(10, language="kk"), *[row(learner="Aigerim", language="kk") for _ in range(30)]]
    assert all(not left.fields and left.day is None for left in generalise(waiting))
    waiting = [*class_of(10, language="kk"), *[row(learner="Aigerim", language="kk") for _ in range(10)]]
    assert all(left.fields for left in generalise(waiting))


def test_fields_go_in_their_written_order() -> None:
    """Twenty of one lesson with the same language but other sizes lose the size and keep the lesson."""
    waiting = [row(learner=str(at), language="kk", characters=at % 18) for at in range(20)]
    for left in generalise(waiting):
        assert left == AllowedRow("question_asked", TUESDAY, "7A-1", {"language": "kk"})


def test_days_of_a_small_school_become_their_week() -> None:
    waiting = [
        row(learner=str(at), session=f"lesson {at % 5}", day=date(2026, 8, 31) + timedelta(days=at % 5))
        for at in range(12)
    ]
    for left in generalise(waiting):
        assert (left.day, left.span, left.session_id) == (date(2026, 8, 31), Span.WEEK, None)
    assert not keeps_its_days(generalise(waiting))
    assert keeps_its_days(generalise(class_of(30)))


def test_what_the_teacher_does_stands_for_those_in_the_lesson() -> None:
    opened = row("session_opened", learner=None, grade=7, language="kk")
    full = [opened, *class_of(12)]
    assert generalise(full)[0] == opened.row
    assert generalise([opened, *class_of(4)])[0] == AllowedRow("session_opened", None, None, {})


def test_a_rare_kind_of_a_few_is_not_told_at_all() -> None:
    few = [row("hand_back", learner=f"learner {at}", reason="third_hint") for at in range(3)]
    assert {left.kind for left in generalise([*few, *class_of(30)])[:3]} == {None}
    many = [row("hand_back", learner=f"learner {at}", reason="third_hint") for at in range(25)]
    assert {left.kind for left in generalise(many)} == {"hand_back"}


def test_the_last_few_are_joined_by_others_of_their_kind() -> None:
    """Three rows of a rare language would be alone as a count: the smallest other circle joins them."""
    waiting = [
        *class_of(30, session="7A-1", language="kk"),
        *[row("question_asked", learner=f"late {at}", session="x", day=date(2026, 11, 1)) for at in range(3)],
    ]
    for form, people in circles(waiting).items():
        assert len(people) >= K, form


@pytest.mark.parametrize(("learners", "is_told"), [(TELLING_CIRCLE - 1, False), (TELLING_CIRCLE, True)])
def test_what_all_of_a_small_circle_say_is_left_out(learners: int, is_told: bool) -> None:
    waiting = [row("answer_finished", learner=str(at), outcome="failed") for at in range(learners)]
    assert {("outcome" in left.fields) for left in generalise(waiting)} == {is_told}


def test_two_outcomes_in_one_circle_may_be_told() -> None:
    waiting = [
        row("answer_finished", learner=f"{outcome} {at}", outcome=outcome)
        for at in range(11)
        for outcome in ("answered", "failed")
    ]
    assert all("outcome" in left.fields for left in generalise(waiting))
