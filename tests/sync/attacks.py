"""Attacks on what left a school, by people who know a lot: each says how often it hits.

Every attacker knows which batch an event is in. `owner` is read only to judge a guess. The controls
release the raw rows under weekly pseudonyms, as many systems do, and the same attacker must succeed there.
"""

from __future__ import annotations

import math
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sync.event import AllowedRow, Span
from sync.generalise import week_of
from sync.nation import CELLS, EPSILON, GRADES, MOST_CELLS, count, with_noise
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
        self.lessons: dict[tuple[int, str], Lesson] = {}
        for left in rows:
            grouped[left.batch][_form(left.row)].append(left)
            if left.row.kind == "session_opened" and left.row.session_id is not None:
                lesson = Lesson(left.row.day, left.row.fields.get("grade"))
                self.lessons[left.batch, left.row.session_id] = lesson
        self.batches = {
            batch: [Circle(found[0].row, tuple(one.owner for one in found)) for found in forms.values()]
            for batch, forms in grouped.items()
        }

    def fitting(self, batch: int, fact: Fact, grade: int, ignoring: str = "") -> list[Circle]:
        """Return the circles an event may be in, those that say most first."""
        found = [
            circle
            for circle in self.batches[batch]
            if fits(circle.row, fact.row, ignoring) and self._is_lesson_possible(batch, circle, fact, grade)
        ]
        return sorted(found, key=lambda circle: -circle.told)

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
    told = {name: value for name, value in row.fields.items() if name != ignoring}
    if any(fact.fields.get(name) != value for name, value in told.items()):
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


def attacked(release: Release, rows: Sequence[Left] | None = None) -> School:
    """Facts and rows stand in the same order: the box seals in the order of the outbox."""
    rows = release.rows if rows is None else rows
    if len(rows) != len(release.facts):
        raise ValueError("some rows did not leave")
    facts_of: dict[str, list[int]] = defaultdict(list)
    for at, fact in enumerate(release.facts):
        if fact.learner is not None:
            facts_of[fact.learner].append(at)
    return School(
        release,
        Book(rows),
        {at: left.batch for at, left in enumerate(rows)},
        facts_of,
        {pupil.school_class: pupil.grade for pupil in release.pupils},
    )


def whole(release: Release) -> list[Left]:
    """The control without generalisation: every row as it is, sessions told."""
    return [
        Left(left.batch, fact.row, left.owner) for fact, left in zip(release.facts, release.rows, strict=True)
    ]


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
            names[_raw(fact)].add((fact.learner, week_of(_day(fact))))
    for _ in range(TRIALS):
        target, places = _some_events(school, known, chance)
        facts = [release.facts[at] for at in places]
        week = week_of(_day(facts[0]))
        same_week = [fact for fact in facts if week_of(_day(fact)) == week]
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
        by_week[week_of(_day(school.release.facts[at]))].append(at)
    week = chance.choice(sorted(by_week))
    return target, chance.sample(by_week[week], min(known, len(by_week[week])))


def _day(fact: Fact) -> date:
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


# Linking weeks ---------------------------------------------------------------------------


def linked(school: School, seed: int = 1) -> Found:
    """From a row of one week the attacker looks for a row of the same child a week later, by everything
    the rows tell. Blind is a row of the same class and language drawn without looking at the rest: these
    two are public, and rows tell them where ten share them."""
    chance = random.Random(seed)
    rows = [left for batch in school.book.batches.items() for left in _rows(batch)]
    by_batch: dict[int, list[tuple[AllowedRow, str]]] = defaultdict(list)
    for batch, row, owner in rows:
        if owner is not None:
            by_batch[batch].append((row, owner))
    day_of = {n: days[0] for n, days in enumerate(school.release.batch_days)}
    classes = {pupil.id: pupil.school_class for pupil in school.release.pupils}
    hits = blind = 0.0
    tried = 0
    later = {
        batch: [n for n in sorted(by_batch) if 5 <= (day_of[n] - day_of[batch]).days <= 9]
        for batch in sorted(by_batch)
    }
    followed = [batch for batch, after in later.items() if after]
    while tried < TRIALS:
        batch = chance.choice(followed)
        row, owner = chance.choice(by_batch[batch])
        others = [one for one in by_batch[chance.choice(later[batch])] if classes[one[1]] == classes[owner]]
        if not others:
            continue
        tried += 1
        nearest = max(_likeness(row, other) for other, _ in others)
        like = [name for other, name in others if _likeness(row, other) == nearest]
        hits += like.count(owner) / len(like)
        spoken = [name for other, name in others if _language(other) == _language(row)] or [
            name for _, name in others
        ]
        blind += spoken.count(owner) / len(spoken)
    return Found("linking a child's rows week to week", hits / max(tried, 1), blind / max(tried, 1), tried)


def _language(row: AllowedRow) -> object:
    return row.fields.get("language")


def _rows(batch: tuple[int, list[Circle]]) -> Iterable[tuple[int, AllowedRow, str | None]]:
    for circle in batch[1]:
        for owner in circle.owners:
            yield batch[0], circle.row, owner


def _likeness(one: AllowedRow, other: AllowedRow) -> int:
    """Session numbers mean nothing from one batch to the next."""
    same = sum(other.fields.get(name) == value for name, value in one.fields.items())
    return same + (one.kind == other.kind)


def linked_by_pseudonym(release: Release, seed: int = 1) -> Found:
    """The control: a week's rows under one pseudonym make a profile, and the nearest one is the child."""
    chance = random.Random(seed)
    profiles: dict[date, dict[str, list[float]]] = defaultdict(dict)
    sums: dict[tuple[date, str], list[AllowedRow]] = defaultdict(list)
    for fact in release.facts:
        if fact.learner is not None:
            sums[week_of(_day(fact)), fact.learner].append(fact.row)
    for (week, name), rows in sums.items():
        profiles[week][name] = _profile(rows)
    weeks = sorted(profiles)
    hits = blind = 0.0
    for _ in range(TRIALS):
        at = chance.randrange(len(weeks) - 1)
        now, then = profiles[weeks[at]], profiles[weeks[at + 1]]
        name = chance.choice(sorted(now))
        nearest = min(sorted(then), key=lambda other: math.dist(now[name], then[other]))
        hits += nearest == name
        blind += 1 / len(then)
    return Found("linking a child's rows week to week", hits / TRIALS, blind / TRIALS, TRIALS)


def _profile(rows: Sequence[AllowedRow]) -> list[float]:
    def mean(name: str) -> float:
        values = [float(row.fields[name]) for row in rows if name in row.fields]
        return sum(values) / len(values) if values else 0.0

    languages = Counter(row.fields.get("language") for row in rows)
    right = Counter(row.fields.get("result") for row in rows)
    tries = right["right"] + right["wrong"]
    return [
        mean("characters"),
        len([row for row in rows if row.kind == "question_asked"]) / 10,
        4.0 * languages["ru"] / len(rows),
        4.0 * languages["en"] / len(rows),
        2.0 * right["right"] / tries if tries else 1.0,
    ]


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


# Two releases -----------------------------------------------------------------------------


def differenced(school: School, release: Release, seed: int = 1) -> Found:
    """A child who was there one week and away the next: the attacker takes the difference of the two
    releases' shares of right answers for the child's lessons and guesses the child's own majority."""
    chance = random.Random(seed)
    tries: dict[tuple[str, date], list[bool]] = defaultdict(list)
    for fact in release.facts:
        if fact.learner is not None and "result" in fact.row.fields:
            tries[fact.learner, week_of(_day(fact))].append(fact.row.fields["result"] == "right")
    weeks = sorted({week for _, week in tries})
    rows_of: dict[date, list[AllowedRow]] = defaultdict(list)
    without: dict[tuple[date, str], Counter[str]] = defaultdict(Counter)
    total: dict[date, Counter[str]] = defaultdict(Counter)
    for batch, circles in school.book.batches.items():
        week = week_of(release.batch_days[batch][0])
        for circle in circles:
            if "result" in circle.row.fields:
                rows_of[week].append(circle.row)
                result = str(circle.row.fields["result"])
                total[week][result] += len(circle.owners)
                for owner in circle.owners:
                    without[week, str(owner)][result] += 1
    hits = blind = trials = 0
    names = sorted({name for name, _ in tries})
    for _ in range(TRIALS):
        name, at = chance.choice(names), chance.randrange(len(weeks) - 1)
        there, away = weeks[at], weeks[at + 1]
        own = tries.get((name, there), [])
        if not own or sum(own) * 2 == len(own):
            continue
        trials += 1
        # The second week without the child: what is left when the child's own rows are taken out.
        second = total[away] - without[away, name]
        first = total[there]
        expected = second["right"] / max(1, second.total()) * first.total()
        hits += (first["right"] > expected) == (sum(own) * 2 > len(own))
        blind += sum(own) * 2 > len(own)
    share = blind / trials
    return Found("differencing two weeks", hits / trials, max(share, 1 - share), trials)


def differenced_sums(release: Release, seed: int = 1) -> Found:
    """The control: a page of exact class sums, read before and after a child is taken off the class."""
    chance = random.Random(seed)
    tries: dict[tuple[str, date], list[bool]] = defaultdict(list)
    for fact in release.facts:
        if fact.learner is not None and "result" in fact.row.fields:
            tries[fact.learner, week_of(_day(fact))].append(fact.row.fields["result"] == "right")
    hits = blind = trials = 0
    for _ in range(TRIALS):
        name, week = chance.choice(sorted(tries))
        own = tries[name, week]
        if sum(own) * 2 == len(own):
            continue
        trials += 1
        everyone = [value for (_, then), values in tries.items() if then == week for value in values]
        others = [v for (who, then), values in tries.items() if then == week and who != name for v in values]
        right, all_of = sum(everyone) - sum(others), len(everyone) - len(others)
        hits += (right * 2 > all_of) == (sum(own) * 2 > len(own))
        blind += sum(own) * 2 > len(own)
    share = blind / trials
    return Found("differencing two weeks", hits / trials, max(share, 1 - share), trials)


# Was the child there? ------------------------------------------------------------------------


def bound() -> float:
    """The most that anybody can be better than a coin at epsilon."""
    return (math.exp(EPSILON) - 1) / (math.exp(EPSILON) + 1)


def membership(
    release: Callable[[Sequence[int]], Sequence[int]] | None = None, trials: int = 12_000
) -> Found:
    """The attacker knows everybody else's week exactly and sees the nation's noisy numbers: was this child
    there? The best test weighs the five numbers the child could change."""
    draw = release or (lambda numbers: with_noise(numbers, secrets.randbelow))
    own = {(7, cell) for cell in CELLS[:MOST_CELLS]}
    crowd = {f"other {at}": {(7, cell) for cell in CELLS[at % 3 : at % 3 + 4]} for at in range(20)}
    first = lambda known, most: list(known)[:most]  # noqa: E731
    absent, present = count(crowd, first), count({**crowd, "Aigerim": own}, first)
    moved = [at for at in range(GRADES * len(CELLS)) if absent[at] != present[at]]
    scores: list[tuple[float, bool]] = []
    for is_there in (False, True):
        numbers = [(present if is_there else absent)[at] for at in moved]
        for _ in range(trials):
            seen = draw(numbers)
            scores.append(
                (
                    sum(abs(s - absent[m]) - abs(s - present[m]) for s, m in zip(seen, moved, strict=True)),
                    is_there,
                )
            )
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for score, is_there in scores:
        counts[score][is_there] += 1
    best = true_rate = false_rate = 0.0
    for score in sorted(counts, reverse=True):
        false_rate += counts[score][0] / trials
        true_rate += counts[score][1] / trials
        best = max(best, true_rate - false_rate)
    return Found("membership in the nation's counts", best, bound(), trials)


def worst_membership(trials: int = 12_000) -> Found:
    """The same for the worst list there can be: one number that the child moves by all of the sensitivity."""
    there = [with_noise([MOST_CELLS], secrets.randbelow)[0] for _ in range(trials)]
    away = [with_noise([0], secrets.randbelow)[0] for _ in range(trials)]
    best = max(
        sum(x >= edge for x in there) / trials - sum(x >= edge for x in away) / trials
        for edge in range(-9, 15)
    )
    return Found("membership, worst list of numbers", best, bound(), trials)
