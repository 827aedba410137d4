"""Which rule counts: exactly one answer for every moment, and no order of making decides it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.permission.rule_matrix import (
    DAY_MINUTES,
    MODES,
    ClassRule,
    Situation,
    find_rule,
    fits,
    situation,
    used_minutes,
)

SUBJECTS = ["mathematics", "history"]
MINUTE = st.integers(0, DAY_MINUTES - 1)
WINDOW = st.tuples(MINUTE, MINUTE).filter(lambda pair: pair[0] < pair[1]) | st.just((None, None))
RULES = st.builds(
    lambda mode, subject, weekday, window: ClassRule(mode, subject, weekday, *window),
    st.sampled_from(MODES),
    st.sampled_from(["", *SUBJECTS]),
    st.none() | st.integers(0, 6),
    WINDOW,
)
MOMENTS = st.builds(Situation, st.sampled_from(["", *SUBJECTS]), st.integers(0, 6), MINUTE)
NINE = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
ASKED = st.lists(st.integers(0, 3600).map(lambda second: NINE + timedelta(seconds=second)), max_size=12)


def mode(rules: list[ClassRule], now: Situation) -> str:
    found = find_rule(rules, now)
    return found.mode if found else "open"


@given(st.lists(RULES, max_size=8), MOMENTS)
def test_the_rule_that_counts_fits_and_none_that_fits_is_narrower_or_as_narrow_and_stricter(
    rules: list[ClassRule], now: Situation
) -> None:
    found = find_rule(rules, now)
    fitting = [rule for rule in rules if fits(rule, now)]
    assert (found is None) == (not fitting)
    if found is not None:
        assert found in fitting
        for other in fitting:
            assert other.narrowness <= found.narrowness
            if other.narrowness == found.narrowness:
                assert MODES.index(other.mode) <= MODES.index(found.mode)


@given(
    st.lists(RULES, max_size=8).flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))),
    MOMENTS,
)
def test_the_order_in_which_rules_were_made_is_nothing(
    both: tuple[list[ClassRule], list[ClassRule]], now: Situation
) -> None:
    assert find_rule(both[0], now) == find_rule(both[1], now)


@given(st.lists(RULES, max_size=8), RULES, MOMENTS)
def test_a_rule_that_does_not_fit_changes_nothing(
    rules: list[ClassRule], other: ClassRule, now: Situation
) -> None:
    if not fits(other, now):
        assert mode([*rules, other], now) == mode(rules, now)


@given(st.lists(RULES, max_size=8), MOMENTS)
def test_the_narrowest_off_is_always_off(rules: list[ClassRule], now: Situation) -> None:
    if now.subject and now.minute < DAY_MINUTES - 1:
        narrow = ClassRule("off", now.subject, now.weekday, now.minute, now.minute + 1)
        assert mode([*rules, narrow], now) == "off"


@given(st.lists(RULES, max_size=8), MOMENTS)
def test_a_stricter_general_rule_never_loosens_anything(rules: list[ClassRule], now: Situation) -> None:
    narrow = [rule for rule in rules if rule.narrowness]
    modes = [MODES.index(mode([*narrow, ClassRule(general)], now)) for general in MODES]
    assert modes == sorted(modes)


@pytest.mark.parametrize(
    ("subject", "weekday", "clock", "expected"),
    [
        ("", 1, (9, 0), "hints"),
        ("mathematics", 1, (9, 0), "off"),
        ("mathematics", 1, (10, 0), "open"),
        ("mathematics", 1, (10, 39), "open"),
        ("mathematics", 1, (10, 40), "off"),
        ("history", 1, (10, 0), "hints"),
        ("history", 4, (10, 0), "off"),
    ],
)
def test_a_timetable_reads_as_a_teacher_means_it(
    subject: str, weekday: int, clock: tuple[int, int], expected: str
) -> None:
    rules = [
        ClassRule("hints"),
        ClassRule("off", "mathematics"),
        ClassRule("open", "mathematics", 1, 600, 640),
        ClassRule("off", weekday=4),
    ]
    assert mode(rules, Situation(subject, weekday, clock[0] * 60 + clock[1])) == expected


def test_of_equally_narrow_ones_the_stricter_counts() -> None:
    rules = [ClassRule("open", "mathematics"), ClassRule("off", weekday=0)]
    assert mode(rules, Situation("mathematics", 0, 540)) == "off"


def test_the_moment_is_read_from_the_wall_clock() -> None:
    assert situation("history", datetime(2026, 9, 1, 9, 5, tzinfo=UTC)) == Situation("history", 1, 545)


@given(ASKED, st.integers(0, 7200))
def test_used_minutes_are_bounded_and_grow_with_time_and_questions(
    asked: list[datetime], seconds: int
) -> None:
    now = NINE + timedelta(seconds=seconds)
    past = [at for at in asked if at <= now]
    used = used_minutes(past, now)
    assert 0 <= used <= 2 * len(past)
    assert used == used_minutes(reversed(past), now)
    assert used <= used_minutes(past, now + timedelta(minutes=1))
    assert used_minutes(past[1:], now) <= used
    if past:
        assert used <= -(-int((now - min(past)).total_seconds()) // 60)


def test_questions_close_together_count_once_and_waiting_nothing() -> None:
    def at(*minutes: float) -> list[datetime]:
        return [NINE + timedelta(minutes=minute) for minute in minutes]

    later = NINE + timedelta(hours=3)
    assert used_minutes(at(), later) == 0
    assert used_minutes(at(0), later) == 2
    assert used_minutes(at(0), NINE + timedelta(seconds=20)) == 1
    assert used_minutes(at(0, 1), later) == 3
    assert used_minutes(at(0, 0, 0), later) == 2
    assert used_minutes(at(0, 30), later) == 4
    assert used_minutes(at(10), NINE) == 0, "a clock that was set back charges nobody"
