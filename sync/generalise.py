"""Make rows coarser until no row stands for fewer than ten learners.

The rows of a batch lose what the steps name, in their written order
(`sync.event.Step`), and only as long as fewer than ten different learners share
everything that is left. No row is dropped: the counts stay exact. Whose a row is
is known only here and is in nothing that comes out. A row without a learner (the
teacher opens a lesson) stands for all who were in that lesson. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sync.event import KINDS, AllowedRow, Leaving, OneOf, Span, Stays, Step

# Regions of the world that publish about pupils take 5 to 30, most of them 10 (NCES 2011-603).
K = 10
# One learner who did most of what a circle did would be seen in it.
MOST_OF_ONE = 0.5
# In a smaller circle "all of them" is too easily said of each one.
TELLING_CIRCLE = 20
# A batch may leave before its week is over when at least this share of its rows keeps its day.
DAYS_KEPT = 0.95


@dataclass(frozen=True)
class WaitingRow:
    """A row that waits, with the learner it is about. The learner never leaves the box."""

    row: AllowedRow
    learner_id: str | None


Form = tuple[object, ...]


@dataclass
class _Same:
    """Rows that were the same before anything was taken from them: they grow coarser together."""

    waiting: AllowedRow
    places: list[int]
    people: frozenset[str]
    now: AllowedRow


def generalise(waiting: Sequence[WaitingRow]) -> tuple[AllowedRow, ...]:
    """Return the rows in the order given, each as coarse as its company demands."""
    people = _people(waiting)
    groups = _same_rows(waiting, people)
    settled: dict[Form, list[_Same]] = {}
    unsettled = [same for same in groups if not _is_of_machine(same.waiting)]
    for step in Step:
        trying: dict[Form, list[_Same]] = {}
        for same in unsettled:
            same.now = coarser(same.waiting, step)
            trying.setdefault(_form(same.now), []).append(same)
        unsettled = []
        for form, circle in trying.items():
            if _is_enough(people, settled.get(form, []) + circle):
                settled.setdefault(form, []).extend(circle)
            else:
                unsettled += circle
    forms = [one.row for one in waiting]
    for same in groups:
        for at in same.places:
            forms[at] = same.now
    _fill_last_circles(waiting, forms, people)
    _hide_what_all_say(forms, people)
    return tuple(forms)


def coarser(row: AllowedRow, step: Step) -> AllowedRow:
    """Return the row as it is at this step."""
    kept = {name: value for name, value in row.fields.items() if LADDER[name] > step}
    session_id = row.session_id if step < Step.SESSION else None
    day, span = _coarser_day(row.day, step)
    return AllowedRow(row.kind, day, session_id, kept, span)


def keeps_its_days(rows: Sequence[AllowedRow]) -> bool:
    """Say whether nearly all rows could keep the day: then nothing is gained by waiting."""
    lessons = [row for row in rows if not _is_of_machine(row)]
    kept = sum(row.day is not None and row.span is Span.DAY for row in lessons)
    return kept >= DAYS_KEPT * len(lessons)


def week_of(day: date) -> date:
    """Return the Monday that begins the week of a day."""
    return day - timedelta(days=day.weekday())


def _is_of_machine(row: AllowedRow) -> bool:
    """It is about nobody, so nobody has to look alike; without its day it tells of no lesson either."""
    return row.kind is not None and KINDS[row.kind].is_of_machine


def _ladder() -> Mapping[str, Step]:
    """Return the step at which each leaving field gives way."""
    ladder: dict[str, Step] = {}
    for kind in KINDS.values():
        for name, rule in kind.fields.items():
            if not isinstance(rule, Stays):
                ladder[name] = rule.gives_way
    return ladder


LADDER = _ladder()


def _coarser_day(day: date | None, step: Step) -> tuple[date | None, Span]:
    if day is None or step >= Step.TIMELESS:
        return None, Span.DAY
    if step >= Step.MONTH:
        return day.replace(day=1), Span.MONTH
    if step >= Step.WEEK:
        return week_of(day), Span.WEEK
    return day, Span.DAY


def _people(waiting: Sequence[WaitingRow]) -> list[frozenset[str]]:
    """Say for each row about whom it is."""
    present: dict[str | None, set[str]] = {}
    for one in waiting:
        if one.learner_id is not None:
            present.setdefault(one.row.session_id, set()).add(one.learner_id)
    lessons = {session_id: frozenset(learners) for session_id, learners in present.items()}
    alone = {name: frozenset({name}) for learners in present.values() for name in learners}
    return [
        alone[one.learner_id] if one.learner_id is not None else lessons.get(one.row.session_id, frozenset())
        for one in waiting
    ]


def _form(row: AllowedRow, without: str = "") -> Form:
    fields = tuple(sorted((name, value) for name, value in row.fields.items() if name != without))
    return (row.kind, row.session_id, row.day, row.span, fields)


def _circles(rows: Sequence[AllowedRow], places: Iterable[int], without: str = "") -> list[list[int]]:
    """Group the rows that look alike."""
    circles: dict[Form, list[int]] = {}
    forms: dict[int, Form] = {}  # rows that grew coarse together are one object
    for at in places:
        form = forms.get(id(rows[at]))
        if form is None:
            form = forms[id(rows[at])] = _form(rows[at], without)
        circles.setdefault(form, []).append(at)
    return list(circles.values())


def _union(people: Sequence[frozenset[str]], circle: Iterable[int]) -> frozenset[str]:
    return frozenset().union(*(people[at] for at in circle))


def _same_rows(waiting: Sequence[WaitingRow], people: Sequence[frozenset[str]]) -> list[_Same]:
    """Group the rows of one lesson that are the same. Which dictionary holds the fields is only a hint that
    saves work: whoever reads them from the outbox has one for equal fields."""
    places: dict[tuple[object, ...], list[int]] = {}
    for at, one in enumerate(waiting):
        row = one.row
        places.setdefault((row.kind, row.session_id, row.day, row.span, id(row.fields)), []).append(at)
    return [_same(waiting[found[0]].row, found, people) for found in places.values()]


def _same(row: AllowedRow, places: list[int], people: Sequence[frozenset[str]]) -> _Same:
    # Of a machine nothing is taken but the day and the lesson.
    now = AllowedRow(row.kind, None, None, row.fields) if _is_of_machine(row) else row
    return _Same(row, places, _union(people, places), now)


def _is_enough(people: Sequence[frozenset[str]], circle: Sequence[_Same]) -> bool:
    """Ten learners, and none of them behind more than half of the rows."""
    if len(frozenset().union(*(same.people for same in circle))) < K:
        return False
    places = [at for same in circle for at in same.places]
    rows_of = Counter(learner for at in places if len(people[at]) == 1 for learner in people[at])
    return max(rows_of.values(), default=0) <= MOST_OF_ONE * len(places)


def _fill_last_circles(
    waiting: Sequence[WaitingRow], forms: list[AllowedRow], people: Sequence[frozenset[str]]
) -> None:
    """A few rows of which only the kind is left would stand alone: others of the kind join them,
    the smallest circles first. Where the whole kind has too few, it is not told either, unless it is
    ordinary."""
    circles = _circles(forms, range(len(forms)))
    of_people = {one.row.kind for one in waiting if not _is_of_machine(one.row)}
    for name in sorted(name for name in of_people if name is not None):
        of_kind = [circle for circle in circles if forms[circle[0]].kind == name]
        bare = [at for circle in of_kind if _is_bare(forms[circle[0]]) for at in circle]
        others = sorted(
            (circle for circle in of_kind if not _is_bare(forms[circle[0]])), key=lambda one: (len(one), one)
        )
        while bare and others and len(_union(people, bare)) < K:
            bare += others.pop(0)
        is_told = KINDS[name].is_ordinary or len(_union(people, bare)) >= K
        for at in bare:
            forms[at] = AllowedRow(name if is_told else None, None, None, {})


def _is_bare(row: AllowedRow) -> bool:
    return row.day is None and row.session_id is None and not row.fields


def _hide_what_all_say(forms: list[AllowedRow], people: Sequence[frozenset[str]]) -> None:
    """Where a small circle agrees on a telling value, the value is left out."""
    for name in TELLING:
        could = [at for at, row in enumerate(forms) if row.kind and name in KINDS[row.kind].fields]
        for circle in _circles(forms, could, without=name):
            said = {forms[at].fields[name] for at in circle if name in forms[at].fields}
            if len(said) == 1 and len(_union(people, circle)) < TELLING_CIRCLE:
                for at in circle:
                    left = {key: value for key, value in forms[at].fields.items() if key != name}
                    forms[at] = replace(forms[at], fields=left)


def _telling() -> tuple[str, ...]:
    rules: list[tuple[str, Leaving]] = [
        (name, rule)
        for kind in KINDS.values()
        for name, rule in kind.fields.items()
        if not isinstance(rule, Stays)
    ]
    return tuple(sorted({name for name, rule in rules if isinstance(rule, OneOf) and rule.is_telling}))


TELLING = _telling()
