"""What left a year of school is attacked; each attack must go past its threshold where nothing protects.

The thresholds are those of issue 5; docs/privacy.md has the figures and what each attacker knows. The control
is the same school with one change: one learner is company enough for a row (`school_year.unprotected`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sync.generalise import K
from sync.nation import SCALE
from sync.noise import discrete_laplace
from tests.sync import attacks, attacks_on_counts, attacks_over_weeks
from tests.sync.attacks import Found, School, attacked
from tests.sync.school_year import LARGE, MIDDLE, SMALL, Release, live, play, unprotected

pytestmark = pytest.mark.slow

SCHOOLS = {"of 24": SMALL, "of 43": MIDDLE, "of 275": LARGE}
WEEKS = 34  # a school year
WEEKS_OF_CONTROL = 6  # enough to hit in
MOST_SINGLED_OUT = {"of 24": 0.02, "of 43": 0.02, "of 275": 0.01}
LINKING = 1.5
INFERRING = 0.05
# Of exact counts a difference always tells a little: the fewer the children, the more.
DIFFERENCING = 0.08
MEMBERSHIP = 0.03


@pytest.fixture(scope="module", params=SCHOOLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def school(name: str) -> Iterator[School]:
    yield attacked(live(SCHOOLS[name], weeks=WEEKS))
    gc.collect()


@pytest.fixture(scope="module")
def control(name: str) -> School:
    with unprotected():
        return attacked(live(SCHOOLS[name], weeks=WEEKS_OF_CONTROL))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return play(tmp_path_factory.mktemp("school"), SMALL, weeks=5)


def test_the_year_is_what_the_real_box_would_have_sent(real: Release, tmp_path: Path) -> None:
    """The quick year has no database and no envelope; row for row it is the same."""
    quick = live(SMALL, weeks=5)
    assert (quick.facts, quick.rows, quick.batch_days) == (real.facts, real.rows, real.batch_days)
    large, quick = play(tmp_path, LARGE, weeks=1, days=2), live(LARGE, weeks=1, days=2)
    assert (quick.facts, quick.rows, quick.batch_days) == (large.facts, large.rows, large.batch_days)


def test_every_event_of_the_year_left_once(school: School) -> None:
    release = school.release
    assert [left.owner for left in release.rows] == [fact.learner for fact in release.facts]


@pytest.mark.parametrize("known", [2, 4, 8])
def test_nobody_is_singled_out(name: str, school: School, control: School, known: int) -> None:
    assert attacks.singled_out(school, known).hits <= MOST_SINGLED_OUT[name]
    assert attacks.singled_out(control, known).hits > 0.15
    assert attacks.singled_out_by_pseudonym(control.release, known).hits > 0.25


def test_the_insider_with_the_timetable_finds_no_lesson_of_a_few(
    name: str, school: School, control: School
) -> None:
    assert attacks.insider(school).hits <= MOST_SINGLED_OUT[name]
    assert attacks.insider(control).hits > 0.3


def test_weeks_are_not_linked(school: School, control: School) -> None:
    found, able = attacks_over_weeks.linked(school), attacks_over_weeks.linked(control)
    assert found.hits <= LINKING * found.in_class
    assert able.hits > LINKING * able.in_class
    # Whatever rows tell of class and language, they lead to no fewer than ten.
    assert found.hits <= 1 / K < able.hits
    by_name = attacks_over_weeks.linked_by_pseudonym(control.release)
    assert by_name.hits > 4 * by_name.blind


def test_a_result_is_not_inferred(school: School, control: School) -> None:
    found, able = attacks.inferred(school, "result"), attacks.inferred(control, "result")
    assert found.hits <= found.blind + INFERRING < able.hits + found.blind - able.blind


def test_how_an_answer_ended_is_not_inferred(school: School, control: School) -> None:
    """Nearly all end well: there is not room for five points, so the control must only be better."""
    found, able = attacks.inferred(school, "outcome"), attacks.inferred(control, "outcome")
    assert found.hits <= found.blind + 0.01 < able.hits + found.blind - able.blind


def test_the_difference_of_two_weeks_tells_little_of_the_absent(school: School, control: School) -> None:
    assert (
        attacks_over_weeks.differenced(school).hits
        <= 0.5 + DIFFERENCING
        < attacks_over_weeks.differenced(control).hits
    )


@pytest.mark.parametrize("attack", [attacks_on_counts.membership, attacks_on_counts.worst_membership])
def test_presence_is_guessed_no_better_than_epsilon_allows(attack: Callable[[], Found]) -> None:
    found = attack()
    assert found.hits <= found.blind + MEMBERSHIP


def test_presence_is_certain_in_exact_counts_and_too_easy_in_half_the_noise() -> None:
    assert attacks_on_counts.membership(lambda numbers: numbers).hits == 1.0
    half = attacks_on_counts.worst_membership(
        draw=lambda number, below: number + discrete_laplace(SCALE // 2, below)
    )
    assert half.hits > half.blind + MEMBERSHIP


def test_each_finished_school_week_is_told_to_the_nation_once(real: Release) -> None:
    told = [week.monday for section in real.nation for week in section.weeks]
    assert told == sorted(set(told))
    assert len(told) == 5
