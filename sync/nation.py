"""What the nation is told: how many learners did what in a week, with noise on every number.

The list of numbers is the same for every box and every week, whatever happened:
all grades, all counted kinds. One learner changes at most `MOST_CELLS` of a
week's numbers, each by one, so noise of scale `MOST_CELLS / epsilon` makes each
week's release epsilon-differentially private for a learner's week. Pure: chance
is passed in. docs/privacy.md argues the sensitivity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from sync import cbor
from sync.errors import BatchMalformed, BatchOversized
from sync.event import KINDS, Event, Kind, OneOf, leaving_value
from sync.noise import Below, discrete_laplace

EPSILON = Fraction(1, 2)  # for one learner in one week
# A learner who did more different things in a week is counted in this many of them, by chance.
MOST_CELLS = 5
SCALE = int(MOST_CELLS / EPSILON)

GRADES = 14  # 0 to 12, and last the grade nobody told
NO_GRADE = GRADES - 1

# 34 school weeks are the Kazakh school year; more than that is never told of one school year.
MOST_WEEKS_A_YEAR = 34
# A box that was off for longer leaves the older weeks out: the numbers are for this school year.
MOST_WEEKS_BEHIND = 45
# Far above any school; a number beyond it in a section is an attack on the nation's sums.
MOST_COUNT = 1_000_000
MAX_SECTION_BYTES = 64 * 1024
MOST_CELL_NAMES = 200
SECTION_VERSION = 1

FIRST_DAY = date(1970, 1, 1)


def _cells() -> tuple[str, ...]:
    names: list[str] = []
    for name, kind in sorted(KINDS.items()):
        if kind.is_counted:
            names += [f"{name}:{word}" for word in _words(kind)] or [name]
    return tuple(sorted(names))


def _words(kind: Kind) -> Sequence[str]:
    rule = kind.fields[kind.counted_by] if kind.counted_by else None
    return rule.words if isinstance(rule, OneOf) else ()


CELLS = _cells()

Mark = tuple[int, str]  # a grade and a cell


@dataclass(frozen=True)
class Week:
    """One week's numbers: for each grade those of all cells, in the order of the names."""

    monday: date
    counts: tuple[int, ...]


@dataclass(frozen=True)
class NationSection:
    """What the nation's section holds. It does not say which box wrote it."""

    cells: tuple[str, ...]
    weeks: tuple[Week, ...]

    def as_record(self) -> dict[str, object]:
        """Return the numbers as people read them."""
        return {"cells": list(self.cells), "weeks": [self._week(week) for week in self.weeks]}

    def _week(self, week: Week) -> dict[str, object]:
        size = len(self.cells)
        grades = {str(at) if at != NO_GRADE else "none": at * size for at in range(GRADES)}
        return {
            "week": week.monday.isoformat(),
            "grades": {name: list(week.counts[at : at + size]) for name, at in grades.items()},
        }


def cell_of(event: Event) -> str | None:
    """Return the number this event's learner may be counted in."""
    kind = KINDS[event.kind]
    if not kind.is_counted:
        return None
    if kind.counted_by is None:
        return event.kind
    word = leaving_value(kind.fields[kind.counted_by], event.fields[kind.counted_by])
    return f"{event.kind}:{word}" if word is not None else None


def count(
    marks: Mapping[str, Iterable[Mark]], choose: Callable[[Sequence[Mark], int], list[Mark]]
) -> list[int]:
    """Count the learners of a week; `choose` picks by chance which marks of a busy one count.

    The choice depends on that learner's own marks only: it cannot make another's count for more.
    """
    counts = [0] * (GRADES * len(CELLS))
    place = {name: at for at, name in enumerate(CELLS)}
    for learner_marks in marks.values():
        known = sorted({(grade, cell) for grade, cell in learner_marks if cell in place})
        for grade, cell in choose(known, MOST_CELLS) if len(known) > MOST_CELLS else known:
            counts[grade * len(CELLS) + place[cell]] += 1
    return counts


def with_noise(counts: Iterable[int], below: Below) -> tuple[int, ...]:
    """Return every number with its own noise; some become negative, and stay so: sums stay true."""
    return tuple(number + discrete_laplace(SCALE, below) for number in counts)


# Which weeks -----------------------------------------------------------------------


def weeks_due(first: date, this_monday: date, told: Iterable[date]) -> tuple[date, ...]:
    """Return the finished school weeks since `first` that were not told, oldest first.

    Every one is told, busy or empty: that a week is missing would tell something, too.
    """
    known = set(told)
    oldest = max(first, this_monday - timedelta(weeks=MOST_WEEKS_BEHIND))
    due: list[date] = []
    for monday in _mondays(oldest, this_monday):
        year = school_year(monday)
        spent = sum(school_year(week) == year for week in known | set(due))
        if is_school_week(monday) and monday not in known and spent < MOST_WEEKS_A_YEAR:
            due.append(monday)
    return tuple(due)


def is_school_week(monday: date) -> bool:
    """Say by the calendar alone whether a week is told: 1 September to 25 May without the holidays."""
    first = date(school_year(monday), 9, 1)
    days = [monday + timedelta(days=at) for at in range(7)]
    if days[4] < first or monday > date(first.year + 1, 5, 25):
        return False
    return not any((day.month, day.day) in _HOLIDAYS for day in days)


# One day in each holiday week: the autumn's, the two of the new year, the spring's.
_HOLIDAYS = {(10, 30), (1, 1), (1, 8), (3, 24)}


def school_year(day: date) -> int:
    """Return the year in which the school year of a day began."""
    return day.year if (day.month, day.day) >= (8, 1) else day.year - 1


def _mondays(first: date, end: date) -> Iterable[date]:
    monday = first - timedelta(days=first.weekday())
    while monday < end:
        yield monday
        monday += timedelta(days=7)


# Bytes -------------------------------------------------------------------------------


def write_section(section: NationSection) -> bytes:
    """Return the one form of the section."""
    weeks = [[(week.monday - FIRST_DAY).days, list(week.counts)] for week in section.weeks]
    return cbor.write([SECTION_VERSION, list(section.cells), weeks])


def read_section(body: bytes) -> NationSection:
    """Return the numbers, or refuse them. A newer box may count more kinds than we know."""
    if len(body) > MAX_SECTION_BYTES:
        raise BatchOversized
    try:
        version, names, weeks = cbor.array(cbor.read(body), 3)
        cbor.whole(version, SECTION_VERSION, SECTION_VERSION)
        cells = _read_cells(cbor.array(names))
        read = tuple(_read_week(cbor.array(week, 2), len(cells)) for week in cbor.array(weeks))
    except (cbor.NotOurCbor, OverflowError) as fault:
        raise BatchMalformed from fault
    if not read or [week.monday for week in read] != sorted({week.monday for week in read}):
        raise BatchMalformed
    return NationSection(cells, read)


def _read_cells(names: list[object]) -> tuple[str, ...]:
    cells = tuple(name for name in names if isinstance(name, str))
    if len(cells) != len(names) or list(cells) != sorted(set(cells)) or not 0 < len(cells) <= MOST_CELL_NAMES:
        raise BatchMalformed
    return cells


def _read_week(week: list[object], cells: int) -> Week:
    monday = FIRST_DAY + timedelta(days=cbor.whole(week[0], 0, 84_000))
    counts = cbor.array(week[1], GRADES * cells)
    if monday.weekday() != 0:
        raise BatchMalformed
    return Week(monday, tuple(cbor.whole(number, -MOST_COUNT, MOST_COUNT) for number in counts))
