"""What left a year of school is attacked; each attack must hit where rows leave unprotected.

The thresholds are those of issue 5; docs/privacy.md has the figures and what each attacker knows.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sync import attacks
from tests.sync.attacks import School, attacked, whole
from tests.sync.school_year import LARGE, MIDDLE, SMALL, Release, play

pytestmark = pytest.mark.slow

# 34 weeks are the school year; the large school's first weeks show the same and take a minute less.
SCHOOLS = {"of 24": (SMALL, 34), "of 43": (MIDDLE, 34), "of 275": (LARGE, 4)}
MOST_SINGLED_OUT = {"of 24": 0.02, "of 43": 0.02, "of 275": 0.01}


@pytest.fixture(scope="module", params=SCHOOLS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def release(name: str, tmp_path_factory: pytest.TempPathFactory) -> Release:
    classes, weeks = SCHOOLS[name]
    return play(tmp_path_factory.mktemp("school"), classes, weeks=weeks)


@pytest.fixture(scope="module")
def school(release: Release) -> School:
    return attacked(release)


@pytest.fixture(scope="module")
def unprotected(release: Release) -> School:
    return attacked(release, whole(release))


def test_every_event_of_the_year_left_once(release: Release) -> None:
    assert len(release.rows) == len(release.facts)
    assert [left.owner for left in release.rows] == [fact.learner for fact in release.facts]


@pytest.mark.parametrize("known", [2, 4, 8])
def test_nobody_is_singled_out(
    name: str, school: School, unprotected: School, release: Release, known: int
) -> None:
    assert attacks.singled_out(school, known).hits <= MOST_SINGLED_OUT[name]
    # The attacker is able: rows as they were recorded give most children away.
    assert attacks.singled_out(unprotected, known).hits > 0.15
    assert attacks.singled_out_by_pseudonym(release, known).hits > 0.25


def test_the_insider_with_the_timetable_finds_no_lesson_of_a_few(
    name: str, school: School, unprotected: School
) -> None:
    assert attacks.insider(school).hits <= MOST_SINGLED_OUT[name]
    assert attacks.insider(unprotected).hits > 0.3


def test_weeks_are_not_linked(school: School, release: Release) -> None:
    found = attacks.linked(school)
    assert found.hits <= 1.5 * found.blind
    control = attacks.linked_by_pseudonym(release)
    assert control.hits > 4 * control.blind


@pytest.mark.parametrize("field", ["result", "outcome"])
def test_a_value_is_not_inferred(school: School, unprotected: School, field: str) -> None:
    found = attacks.inferred(school, field)
    assert found.hits <= found.blind + 0.05
    assert attacks.inferred(unprotected, field).hits > found.hits + 0.01


def test_the_difference_of_two_weeks_tells_nothing_of_the_absent(school: School, release: Release) -> None:
    found = attacks.differenced(school, release)
    assert found.hits <= found.blind + 0.05
    assert attacks.differenced_sums(release).hits == 1.0


@pytest.mark.parametrize("attack", [attacks.membership, attacks.worst_membership])
def test_presence_is_guessed_no_better_than_epsilon_allows(attack: Callable[[], attacks.Found]) -> None:
    found = attack()
    assert found.hits <= found.blind + 0.03


def test_presence_is_certain_in_exact_counts_and_easy_in_too_little_noise() -> None:
    assert attacks.membership(lambda numbers: numbers).hits == 1.0


def test_each_finished_school_week_is_told_to_the_nation_once(release: Release) -> None:
    told = [week.monday for section in release.nation for week in section.weeks]
    assert told == sorted(set(told))
    assert len(told) >= 3
