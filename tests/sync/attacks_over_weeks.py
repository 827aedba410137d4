"""Attacks that lay two weeks of what left a school beside each other: linking rows, and taking differences.

As in `attacks`, `owner` is read only to judge a guess, and the controls must be hit.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sync.event import AllowedRow
from sync.generalise import week_of
from tests.sync.attacks import TRIALS, Circle, Found, School, day_of
from tests.sync.school_year import Fact, Release

LINKS = 1_000  # a ratio of small numbers needs more


# Linking weeks ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Linked:
    """How often a row led to another of the same child: by all that rows tell, by the class of their lessons
    alone, and by a row of the school drawn blindly."""

    hits: float
    in_class: float
    blind: float


def linked(school: School, seed: int = 1) -> Linked:
    """From a question of one week the attacker looks for a question of the same child a week later, by
    everything the two rows tell: the class through the lesson they stand in, the language, the habits."""
    chance = random.Random(seed)
    by_batch: dict[int, list[tuple[AllowedRow, str]]] = defaultdict(list)
    for left in school.release.rows:
        if left.owner is not None and left.row.kind == "question_asked":
            by_batch[left.batch].append((left.row, left.owner))
    first_day = {n: days[0] for n, days in enumerate(school.release.batch_days)}
    later = {
        batch: [n for n in sorted(by_batch) if 5 <= (first_day[n] - first_day[batch]).days <= 9]
        for batch in sorted(by_batch)
    }
    followed = [batch for batch, after in later.items() if after]
    spoken = Counter(pupil.language for pupil in school.release.pupils)
    rare: dict[object, float] = {
        name: math.log2(len(school.release.pupils) / count) for name, count in spoken.items()
    }
    hits = in_class = blind = 0.0
    for _ in range(LINKS):
        batch = chance.choice(followed)
        then = chance.choice(later[batch])
        row, owner = chance.choice(by_batch[batch])
        others, grade = by_batch[then], school.book.grade_told(batch, row)
        classes = [_agree(grade, school.book.grade_told(then, other)) for other, _ in others]
        likely = [
            score + _speaks_alike(row, other, rare) + _habits(row, other)
            for score, (other, _) in zip(classes, others, strict=True)
        ]
        names = [name for _, name in others]
        hits += _share_of_best(likely, names, owner)
        in_class += _share_of_best(classes, names, owner)
        blind += names.count(owner) / len(names)
    return Linked(hits / LINKS, in_class / LINKS, blind / LINKS)


def _share_of_best(scores: Sequence[float], names: Sequence[str], owner: str) -> float:
    """How often a draw among the likeliest rows hits the child."""
    best = max(scores)
    like = [name for name, score in zip(names, scores, strict=True) if score == best]
    return like.count(owner) / len(like)


def _agree(grade: object, other: object) -> int:
    """The same grade is much, another grade rules out, an untold one says nothing."""
    return 0 if grade is None or other is None else (10 if grade == other else -10)


def _speaks_alike(row: AllowedRow, other: AllowedRow, rare: Mapping[object, float]) -> float:
    """A rare language is much."""
    language, others = row.fields.get("language"), other.fields.get("language")
    if language is None or others is None:
        return 0.0
    return rare[language] if language == others else -4.0


def _habits(row: AllowedRow, other: AllowedRow) -> float:
    """Who writes at length does so next week; how long an answer took is no habit of a child."""
    length, other_length = row.fields.get("characters"), other.fields.get("characters")
    if not isinstance(length, int) or not isinstance(other_length, int):
        return 0.0
    return max(-2.0, 1.0 - 0.5 * (length - other_length) ** 2)


def linked_by_pseudonym(release: Release, seed: int = 1) -> Found:
    """The control: a week's rows under one pseudonym make a profile, and the nearest one is the child."""
    chance = random.Random(seed)
    profiles: dict[date, dict[str, list[float]]] = defaultdict(dict)
    sums: dict[tuple[date, str], list[AllowedRow]] = defaultdict(list)
    for fact in release.facts:
        if fact.learner is not None:
            sums[week_of(day_of(fact)), fact.learner].append(fact.row)
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


# Two releases -----------------------------------------------------------------------------


def differenced(school: School, seed: int = 1) -> Found:
    """A child who tried tasks in one week and was away in the next: the attacker knows the tries but for
    their results, counts the rows that fit them best in both weeks' releases, and takes the difference for
    the child's. As many children were mostly right as mostly wrong, so blind is a coin."""
    chance = random.Random(seed)
    tries: dict[tuple[str, date], list[int]] = defaultdict(list)
    batches_on: dict[tuple[str, date], set[int]] = defaultdict(set)
    for at, fact in enumerate(school.release.facts):
        batches_on[fact.school_class, day_of(fact)].add(school.batch_of[at])
        if fact.learner is not None and "result" in fact.row.fields:
            tries[fact.learner, week_of(day_of(fact))].append(at)
    known, hits, trials = sorted(tries), 0, 0
    while trials < 2 * TRIALS:
        places = tries[chance.choice(known)]
        facts = [school.release.facts[at] for at in places]
        ahead = sum(1 if fact.row.fields["result"] == "right" else -1 for fact in facts)
        week_later = [_a_week_later(fact) for fact in facts]
        batches = [batches_on.get((fact.school_class, day_of(fact))) for fact in week_later]
        if ahead == 0 or (ahead > 0) != (trials % 2 == 0) or not all(batches):
            continue
        trials += 1
        here = [_telling(school, {school.batch_of[at]}, fact) for at, fact in zip(places, facts, strict=True)]
        there = [_telling(school, days or (), fact) for days, fact in zip(batches, week_later, strict=True)]
        own = _own_share(
            sum(map(bool, here)),
            _results(here),
            # The child is away: its own rows of that week are taken out.
            _results(there, without=facts[0].learner),
        )
        guess = chance.random() if own is None else own
        hits += (guess > 0.5) == (ahead > 0)
    return Found("differencing two weeks", hits / trials, 0.5, trials)


def _a_week_later(fact: Fact) -> Fact:
    return Fact(replace(fact.row, day=day_of(fact) + timedelta(days=7)), fact.learner, fact.school_class)


def _own_share(tries: int, first: Counter[object], second: Counter[object]) -> float | None:
    """What the first week has more than the second would make expect, as the child's share of right ones."""
    if not tries or not second.total():
        return None
    others = max(0, first.total() - tries)
    return (first["right"] - others * second["right"] / second.total()) / tries


def _telling(school: School, batches: Iterable[int], fact: Fact) -> list[Circle]:
    """Return the circles that fit a try best, of those that tell a result."""
    best: list[Circle] = []
    for batch in batches:
        circles = school.book.fitting(batch, fact, school.grade_of[fact.school_class], "result")
        telling = [circle for circle in circles if "result" in circle.row.fields]
        best += [circle for circle in telling if circle.told == telling[0].told]
    return best


def _results(found: Iterable[Iterable[Circle]], without: str | None = None) -> Counter[object]:
    """Count what the circles tell, each of them once."""
    said: Counter[object] = Counter()
    for circle in {id(circle): circle for circles in found for circle in circles}.values():
        said[circle.row.fields["result"]] += sum(
            owner != without or without is None for owner in circle.owners
        )
    return said
