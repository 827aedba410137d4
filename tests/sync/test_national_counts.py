"""The nation's sums: exact addition of noisy numbers, and an interval that holds what it promises."""

from __future__ import annotations

import random
from datetime import date, timedelta

from sync.nation import CELLS, GRADES, SCALE, NationSection, Week, with_noise
from sync.noise import discrete_laplace, spread
from sync.server.nation.national_counts import Sum, add_section, total_of

MONDAY = date(2027, 3, 1)
SIZE = GRADES * len(CELLS)


def section(counts: list[int], *mondays: date) -> NationSection:
    return NationSection(CELLS, tuple(Week(monday, tuple(counts)) for monday in mondays))


def test_numbers_of_boxes_are_added_by_place() -> None:
    sums: dict[tuple[str, str, date, int, str], Sum] = {}
    later = MONDAY + timedelta(days=7)
    add_section(sums, "rural", "small", section(list(range(SIZE)), MONDAY, later), [MONDAY])
    add_section(sums, "rural", "small", section([1] * SIZE, MONDAY), [MONDAY])
    add_section(sums, "urban", "small", section([5] * SIZE, MONDAY), [MONDAY])
    place = ("rural", "small", MONDAY, 1, CELLS[2])
    assert (sums[place].total, sums[place].draws) == (len(CELLS) + 2 + 1, 2)
    assert ("rural", "small", later, 1, CELLS[2]) not in sums, "a week that is not wanted is not added"
    both = total_of(sums, [place, ("urban", "small", MONDAY, 1, CELLS[2])])
    assert (both.total, both.draws) == (len(CELLS) + 8, 3)
    assert total_of(sums, []).uncertainty == 0.0


def test_the_interval_holds_the_true_sum_as_often_as_it_says() -> None:
    chance = random.Random(7)
    for boxes in (1, 3, 40):
        trials, held = 600, 0
        for _ in range(trials):
            told = Sum(draws=boxes)
            told.total = sum(discrete_laplace(SCALE, chance.randrange) for _ in range(boxes))
            held += abs(told.total) <= told.uncertainty
        assert 0.915 <= held / trials <= 0.985, boxes


def test_a_sum_that_may_be_noise_says_so() -> None:
    assert Sum(20, 1).is_told_by_noise
    assert not Sum(60, 1).is_told_by_noise
    assert Sum(0, 0).is_told_by_noise


def test_the_spread_is_that_of_the_sampler() -> None:
    chance = random.Random(3)
    drawn = with_noise([0] * 4000, chance.randrange)
    measured = (sum(number * number for number in drawn) / len(drawn)) ** 0.5
    assert 0.9 < measured / spread(SCALE) < 1.1
