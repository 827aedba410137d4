"""Attacks on what left a school, by people who know a lot: each says how often it hits.

Every attacker knows which batch an event is in, and the timetable. `owner` is read only to judge a guess.
The controls release rows as they happened, or under weekly pseudonyms as many systems do, and the same
attacker must succeed there.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sync.event import AllowedRow, Span
from sync.generalise import week_of
from tests.sync.school_year import Fact, Left, Release

TRIALS = 400


@dataclass(frozen=True)
class Found:
    """How often an attack hit, and how often somebody without the release would have."""

    name: str
    hits: float
    blind: float
    trials: int


Form = tuple[object, ...]


@dataclass(frozen=True)
class Circle:
    """Rows of one batch that look alike, as the attacker sees them, and whose they are."""

    row: AllowedRow
    owners: tuple[str | None, ...]

    @property
    def told(self) -> int:
        """How much the rows say: the attacker looks at those first that say most."""
        day = 0 if self.row.day is None else 3 - int(self.row.span)
        return len(self.row.fields) + day + (self.row.session_id is not None) + (self.row.kind is not None)

    @property
    def is_bare(self) -> bool:
        return not self.row.fields and self.row.day is None and self.row.session_id is None


@dataclass(frozen=True)
class Lesson:
    """What an insider with the timetable knows of a session that is told."""

    day: date | None
    grade: object


class Book:
    """A release put in order by batch, with what the opening row tells of each session."""

    def __init__(self, rows: Iterable[Left]) -> None:
        grouped: dict[int, dict[Form, list[Left]]] = defaultdict(lambda: defaultdict(list))
        forms_of: dict[int, Form] = {}  # rows that grew coarse together are one object
        self.lessons: dict[tuple[int, str], Lesson] = {}
        for left in rows:
            form = forms_of.get(id(left.row))
            if form is None:
                form = forms_of[id(left.row)] = _form(left.row)
            grouped[left.batch][form].append(left)
            if left.row.kind == "session_opened" and left.row.session_id is not None:
                lesson = Lesson(left.row.day, left.row.fields.get("grade"))
                self.lessons[left.batch, left.row.session_id] = lesson
        self.batches = {
            batch: [Circle(found[0].row, tuple(one.owner for one in found)) for found in forms.values()]
            for batch, forms in grouped.items()
        }
        self._of_kind: dict[tuple[int, str | None], list[Circle]] = defaultdict(list)
        for batch, circles in self.batches.items():
            for circle in circles:
                self._of_kind[batch, circle.row.kind].append(circle)

    def fitting(self, batch: int, fact: Fact, grade: int, ignoring: str = "") -> list[Circle]:
        """Return the circles an event may be in, those that say most first."""
        found = [
            circle
            for kind in (fact.row.kind, None)
            for circle in self._of_kind.get((batch, kind), ())
            if fits(circle.row, fact.row, ignoring) and self._is_lesson_possible(batch, circle, fact, grade)
        ]
        return sorted(found, key=lambda circle: -circle.told)

    def grade_told(self, batch: int, row: AllowedRow) -> object:
        """Return the grade that a row betrays by its session."""
        lesson = self.lessons.get((batch, row.session_id)) if row.session_id is not None else None
        return lesson.grade if lesson else None

    def _is_lesson_possible(self, batch: int, circle: Circle, fact: Fact, grade: int) -> bool:
        if circle.row.session_id is None:
            return True
        lesson = self.lessons.get((batch, circle.row.session_id))
        return lesson is None or (
            lesson.grade in (None, grade) and (lesson.day is None or lesson.day == fact.row.day)
        )


def fits(row: AllowedRow, fact: AllowedRow, ignoring: str = "") -> bool:
    """Say whether the row may be this event."""
    if row.kind not in (None, fact.kind):
        return False
    for name, value in row.fields.items():
        if name != ignoring and fact.fields.get(name) != value:
            return False
    if row.day is None or fact.day is None:
        return True
    spans = {Span.DAY: fact.day, Span.WEEK: week_of(fact.day), Span.MONTH: fact.day.replace(day=1)}
    return spans[row.span] == row.day


def _form(row: AllowedRow) -> Form:
    return (row.kind, row.session_id, row.day, row.span, *sorted(row.fields.items()))


@dataclass(frozen=True)
class School:
    """A release ready to be attacked: each fact with the batch its row is in."""

    release: Release
    book: Book
    batch_of: dict[int, int]  # place of the fact -> batch
    facts_of: dict[str, list[int]]
    grade_of: dict[str, int]


def attacked(release: Release) -> School:
    """Facts and rows stand in the same order: the box seals in the order of the outbox."""
    if len(release.rows) != len(release.facts):
        raise ValueError("some rows did not leave")
    facts_of: dict[str, list[int]] = defaultdict(list)
    for at, fact in enumerate(release.facts):
        if fact.learner is not None:
            facts_of[fact.learner].append(at)
    return School(
        release,
        Book(release.rows),
        {at: left.batch for at, left in enumerate(release.rows)},
        facts_of,
        {pupil.school_class: pupil.grade for pupil in release.pupils},
    )


# Singling out -----------------------------------------------------------------------


def singled_out(school: School, known: int, seed: int = 1) -> Found:
    """The attacker knows some events of a child to the last detail and looks for a row that can only be
    this child's: the fitting rows that say most are all one learner's, and it is the right one."""
    chance, hits, tried = random.Random(seed), 0, 0
    for _ in range(TRIALS):
        target, places = _some_events(school, known, chance)
        tried += 1
        for at in places:
            fact = school.release.facts[at]
            circles = school.book.fitting(school.batch_of[at], fact, school.grade_of[fact.school_class])
            best = [circle for circle in circles if circle.told == circles[0].told and not circle.is_bare]
            owners = {owner for circle in best for owner in circle.owners}
            if owners == {target}:
                hits += 1
                break
    return Found(f"singling out, {known} known events", hits / tried, 0.0, tried)


def singled_out_by_pseudonym(release: Release, known: int, seed: int = 1) -> Found:
    """The control: rows of a week joined by a pseudonym. All known events must be under one name."""
    chance, hits = random.Random(seed), 0
    school = attacked(release)
    names: dict[Form, set[tuple[str, date]]] = defaultdict(set)
    for fact in release.facts:
        if fact.learner is not None:
            names[_raw(fact)].add((fact.learner, week_of(day_of(fact))))
    for _ in range(TRIALS):
        target, places = _some_events(school, known, chance)
        facts = [release.facts[at] for at in places]
        week = week_of(day_of(facts[0]))
        same_week = [fact for fact in facts if week_of(day_of(fact)) == week]
        candidates = set.intersection(*(names[_raw(fact)] for fact in same_week))
        hits += candidates == {(target, week)}
    return Found(f"singling out, {known} known events", hits / TRIALS, 0.0, TRIALS)


def _raw(fact: Fact) -> Form:
    return (fact.row.kind, fact.row.day, fact.school_class, *sorted(fact.row.fields.items()))


def _some_events(school: School, known: int, chance: random.Random) -> tuple[str, list[int]]:
    """Events of one child, all of one week where the child has enough of them."""
    target = chance.choice(sorted(name for name, places in school.facts_of.items() if len(places) >= known))
    by_week: dict[date, list[int]] = defaultdict(list)
    for at in school.facts_of[target]:
        by_week[week_of(day_of(school.release.facts[at]))].append(at)
    week = chance.choice(sorted(by_week))
    return target, chance.sample(by_week[week], min(known, len(by_week[week])))


def day_of(fact: Fact) -> date:
    if fact.row.day is None:
        raise ValueError("a fact has its day")
    return fact.row.day


def fullest(school: School) -> float:
    """Of rows that look alike and say anything, how many are one learner's: the mean over such rows."""
    shares: list[tuple[float, int]] = []
    for circles in school.book.batches.values():
        for circle in circles:
            named = Counter(owner for owner in circle.owners if owner is not None)
            if named and not circle.is_bare:
                shares.append((max(named.values()) / len(circle.owners), len(circle.owners)))
    return sum(share * rows for share, rows in shares) / sum(rows for _, rows in shares)


# The timetable's insider ---------------------------------------------------------------


def insider(school: School, seed: int = 1, most_present: int = 3) -> Found:
    """Who knows the timetable looks for a lesson that only one to three children had, and for rows that
    can only be theirs."""
    chance = random.Random(seed)
    present: dict[str, set[str]] = defaultdict(set)
    places: dict[str, list[int]] = defaultdict(list)
    for at, fact in enumerate(school.release.facts):
        if fact.learner is not None and fact.row.session_id is not None:
            present[fact.row.session_id].add(fact.learner)
            places[fact.row.session_id].append(at)
    lessons = sorted(session for session, few in present.items() if len(few) <= most_present)
    chosen = chance.sample(lessons, min(TRIALS, len(lessons)))
    hits = 0
    for session in chosen:
        hits += any(
            owners <= present[session]
            for at in places[session]
            for owners in [_best_owners(school, at)]
            if owners
        )
    return Found("timetable insider, lessons of one to three", hits / len(chosen), 0.0, len(chosen))


def _best_owners(school: School, at: int) -> set[str | None]:
    fact = school.release.facts[at]
    circles = school.book.fitting(school.batch_of[at], fact, school.grade_of[fact.school_class])
    best = [circle for circle in circles if circle.told == circles[0].told and not circle.is_bare]
    return {owner for circle in best for owner in circle.owners}


# Inferring a value ------------------------------------------------------------------------


def inferred(school: School, name: str = "result", seed: int = 1) -> Found:
    """The attacker knows that a child tried a task, and all but whether it was right; the guess is what most
    of the fitting rows say. Blind is what most in the whole school did."""
    chance = random.Random(seed)
    usual = Counter(fact.row.fields[name] for fact in school.release.facts if name in fact.row.fields)
    common = usual.most_common(1)[0][0]
    chosen = [
        at
        for at, fact in enumerate(school.release.facts)
        if fact.learner is not None and name in fact.row.fields
    ]
    chosen = chance.sample(chosen, min(5 * TRIALS, len(chosen)))
    hits = blind = 0
    for at in chosen:
        fact = school.release.facts[at]
        circles = school.book.fitting(school.batch_of[at], fact, school.grade_of[fact.school_class], name)
        said: Counter[object] = Counter()
        if circles:
            most = max(circle.told - (name in circle.row.fields) for circle in circles)
            for circle in circles:
                if circle.told - (name in circle.row.fields) == most and name in circle.row.fields:
                    said[circle.row.fields[name]] += len(circle.owners)
        guess = said.most_common(1)[0][0] if said else common
        hits += guess == fact.row.fields[name]
        blind += common == fact.row.fields[name]
    return Found(f"inferring {name}", hits / len(chosen), blind / len(chosen), len(chosen))
