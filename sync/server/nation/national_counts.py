"""Add up what the boxes told the nation, and say how far the noise may have moved each sum.

Every box drew its own noise on every number (`sync/nation`), so a sum over n box-weeks carries the noise of
n draws: its spread grows with the square root of n while the sum grows with n. Numbers that may all be noise
are shown as such, never as facts. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sync.nation import SCALE, NationSection
from sync.noise import spread

# Of a hundred such intervals ninety-five hold the true sum. Over a few boxes the noise has heavier ends than
# a bell; tests/sync/test_national_counts.py measures how often the interval holds.
HELD_IN_95_OF_100 = 1.96

Place = tuple[str, str, date, int, str]  # stratum, size class, Monday, grade, cell


@dataclass
class Sum:
    """A number over many boxes, and how many draws of noise are in it."""

    total: int = 0
    draws: int = 0

    @property
    def uncertainty(self) -> float:
        """Half the width of the interval that holds the true number 95 times of 100."""
        return HELD_IN_95_OF_100 * spread(SCALE) * math.sqrt(self.draws)

    @property
    def is_told_by_noise(self) -> bool:
        """Say whether the sum might as well be nothing."""
        return abs(self.total) <= self.uncertainty


def add_section(
    sums: dict[Place, Sum], stratum: str, size_class: str, section: NationSection, weeks: Iterable[date]
) -> None:
    """Add the numbers of these weeks of one box."""
    wanted = set(weeks)
    for week in section.weeks:
        if week.monday not in wanted:
            continue
        for at, number in enumerate(week.counts):
            grade, cell = divmod(at, len(section.cells))
            place = (stratum, size_class, week.monday, grade, section.cells[cell])
            found = sums.setdefault(place, Sum())
            found.total += number
            found.draws += 1


def total_of(sums: Mapping[Place, Sum], places: Iterable[Place]) -> Sum:
    """Add up several places. Noise was drawn for each of them: their spreads add up as squares."""
    both = Sum()
    for place in places:
        found = sums.get(place)
        if found is not None:
            both.total += found.total
            both.draws += found.draws
    return both
