"""Somebody who keeps every answer of a region, knows what is in each of them, and solves for the rest.

She is stronger than anybody outside: beside every told row of every day she knows which batches each number
is made of. That is written into the upper digits of the counts as they pass (`Trace`), and taken out again
before anything is decided. What she does not know is what one batch says; for that she solves, exactly.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any
from unittest import mock

from flask.testing import FlaskClient

from sync.generalise import TELLING_CIRCLE, K
from sync.server.insight import box_flags, rollups, telling
from sync.server.insight.equity import MEASURES
from sync.server.insight.threshold import FEWEST_BOXES, MOST_OF_ONE_BOX, Block, Portion
from sync.server.storage.store import Store
from tests.sync.schools import Deed, Schools

# Rows of a world stay below 2**14; above stand batches, each with a digit of its own, in 63 digits.
ROW_DIGITS = 14
MOST_PLACES = 46
ROWS = (1 << ROW_DIGITS) - 1

FIRST = date(2026, 9, 1)
RELEASES = range(0, 120, 10)  # days after the first on which the region tells

Column = tuple[int, str]  # a batch in a period, and a part
Numbers = dict[Column, Fraction]


@dataclass(frozen=True)
class Lesson:
    """What a school did on a day, and when the region heard of it."""

    school: str
    deeds: tuple[Deed, ...]
    day: int = 0
    arrives: int = 0
    is_raw: bool = False  # a box that does not make its rows coarser


@dataclass
class Trace:
    """Which batch is in which number."""

    lessons: list[Lesson] = field(default_factory=list)  # in the order of the ledger
    places: dict[tuple[int, str], int] = field(default_factory=dict)  # ledger number and period
    rows: Counter[tuple[int, str, str, str]] = field(default_factory=Counter)  # place, language, vector, part
    has_fewer_rows_than_learners: bool = False

    def count(self, real: Callable[..., Iterator[Any]], circles: Any, received: Any) -> Iterator[Any]:
        """Write the batch's digit into one of its rows for each number."""
        for number, of_batch in circles.items():
            named = set()
            for one in real({number: of_batch}, received):
                where = (one.period, one.language, one.vector, one.part)
                place = self.places.setdefault((number, one.period), len(self.places))
                if place >= MOST_PLACES:
                    raise ValueError("this world has too many batches")
                self.rows[place, *where[1:]] += one.rows
                digit = 0 if where in named else 1 << (ROW_DIGITS + place)
                named.add(where)
                yield replace(one, rows=one.rows + digit)

    def lesson_of(self, place: int) -> Lesson:
        number = next(number for (number, _), known in self.places.items() if known == place)
        return self.lessons[number - 1]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Batches are named inside; rules see the plain numbers."""
        count, add_of_box, may_tell = rollups._count, rollups._add_of_box, telling.may_tell
        with ExitStack() as patches:
            for module, name, value in (
                (rollups, "_count", lambda circles, received: self.count(count, circles, received)),
                (
                    rollups,
                    "_add_of_box",
                    lambda db, counted: add_of_box(db, [_plain(one) for one in counted]),
                ),
                (telling, "may_tell", lambda block: may_tell(self._plain(block))),
            ):
                patches.enter_context(mock.patch.object(module, name, value))
            yield

    def _plain(self, block: Block) -> Block:
        plain = {
            part: {box: Portion(portion.rows & ROWS, portion.learners) for box, portion in boxes.items()}
            for part, boxes in block.parts.items()
        }
        portions = [portion for boxes in plain.values() for portion in boxes.values()]
        self.has_fewer_rows_than_learners |= any(one.rows < one.learners for one in portions)
        return Block(plain)


def _plain(one: Any) -> Any:
    return replace(one, rows=one.rows & ROWS)


# What happens, and what is answered -----------------------------------------------------------


@dataclass
class Answers:
    """All that the region said in a hundred days."""

    trace: Trace
    releases: list[list[dict[str, Any]]]  # told rows, each time all of them
    flags: dict[str, set[str]]  # by box, every word that was ever said


def live(browser: FlaskClient, store: Store, lessons: Sequence[Lesson]) -> Answers:
    """Let it all happen in an empty region and keep every answer."""
    schools, trace = Schools(store), Trace()
    for number, name in enumerate(sorted({lesson.school for lesson in lessons})):
        schools.add(name, "urban" if number % 8 == 7 else "rural", "small")
    answers = Answers(trace, [], defaultdict(set))
    with trace.watching():
        for days in RELEASES:
            today = FIRST + timedelta(days=days)
            for lesson in (one for one in lessons if one.arrives == days):
                trace.lessons.append(lesson)
                day = FIRST + timedelta(days=lesson.day)
                schools.send(lesson.school, day, today, lesson.deeds, is_raw=lesson.is_raw)
            telling.update(store.db, datetime.combine(today, datetime.min.time(), UTC))
            answers.releases.append(_told(browser))
            for box in browser.get("/data/boxes").get_json():
                answers.flags[box["label"]] |= {need["name"] for need in box["needs"]}
    return answers


def _told(browser: FlaskClient) -> list[dict[str, Any]]:
    months = browser.get("/data/months").get_json()["told"]
    return [row for month in months for row in browser.get(f"/data/told/{month}.json").get_json()]


# What she finds -----------------------------------------------------------------------------------


def find_leaks(answers: Answers) -> list[str]:
    """Return in words whatever she can tell of fewer than she should."""
    return [
        *_taken_back(answers),
        *_small_sums(answers),
        *_few_schools(answers),
        *_parts_alone(answers),
        *_loud_words(answers),
    ]


def _places(row: Mapping[str, Any]) -> list[int]:
    named = row["amount"] >> ROW_DIGITS
    return [place for place in range(named.bit_length()) if named >> place & 1]


def _taken_back(answers: Answers) -> Iterator[str]:
    """A number of yesterday is another one today, or counts a batch twice."""
    known: dict[tuple[int, str], int] = {}
    for release in answers.releases:
        now = {(row["block"], row["part"]): row["amount"] for row in release}
        yield from (f"block {where} was changed" for where in known if now.get(where) != known[where])
        known = now
    for row in answers.releases[-1]:
        counted = sum(
            answers.trace.rows[place, row["language"], row["vector"], row["part"]] for place in _places(row)
        )
        if counted != row["amount"] & ROWS:
            yield f"{row} is not the sum of its batches, {counted}"


def _small_sums(answers: Answers) -> Iterator[str]:
    """Whatever follows from all numbers of a part: is it of ten learners, and ten or more?"""
    by_part: dict[tuple[str, str, str], list[tuple[Numbers, Fraction]]] = defaultdict(list)
    for row in answers.releases[-1]:
        numbers = {(place, str(row["part"])): Fraction(1) for place in _places(row)}
        by_part[row["language"], row["vector"], row["part"]].append((numbers, Fraction(row["amount"] & ROWS)))
    for (language, _vector, part), equations in by_part.items():
        for found, value in solve(equations):
            learners = _learners(answers.trace, found, language)
            if learners < K:
                yield f"{part} of {learners} learners ({language}): {value}"
            elif abs(value) < K:
                yield f"{part} ({language}): {value}"


def _blocks(answers: Answers) -> Iterator[tuple[str, str, dict[str, list[int]]]]:
    blocks: dict[tuple[int, str, str], dict[str, list[int]]] = defaultdict(dict)
    for row in answers.releases[-1]:
        blocks[row["block"], row["language"], row["vector"]][row["part"]] = _places(row)
    for (_, language, vector), parts in blocks.items():
        yield language, vector, parts


def _few_schools(answers: Answers) -> Iterator[str]:
    """Whatever follows from all blocks of a vector: is it of five schools, and of none most?"""
    by_vector: dict[tuple[str, str], list[tuple[Numbers, Fraction]]] = defaultdict(list)
    for language, vector, parts in _blocks(answers):
        numbers = {(place, part): Fraction(1) for part, places in parts.items() for place in places}
        by_vector[language, vector].append((numbers, Fraction(0)))
        if len(parts) == 1 and (learners := _learners(answers.trace, numbers, language)) < TELLING_CIRCLE:
            yield f"all of {learners} learners did {parts} ({language})"
    for (language, vector), equations in by_vector.items():
        for found, _ in solve(equations):
            rows: Counter[str] = Counter()
            for place, part in found:
                school = answers.trace.lesson_of(place).school
                rows[school] += answers.trace.rows[place, language, vector, part]
            if len(rows) < FEWEST_BOXES or max(rows.values()) > MOST_OF_ONE_BOX * sum(rows.values()):
                yield f"{vector} ({language}) of {dict(rows)}"


def _parts_alone(answers: Answers) -> Iterator[str]:
    """What is told of some rows of a vector is told of all their parts: nothing is the rest of a whole."""
    for language, vector, parts in _blocks(answers):
        places = {place for named in parts.values() for place in named}
        for place, spoken, counted, part in answers.trace.rows:
            if (
                place in places
                and (spoken, counted) == (language, vector)
                and place not in parts.get(part, [])
            ):
                yield f"{vector} ({language}) is told without {part} of batch {place}"


def _loud_words(answers: Answers) -> Iterator[str]:
    """A word about a box stands for forty rows, ten on either side, of ten learners."""
    for box, words in answers.flags.items():
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for (place, _, vector, part), rows in answers.trace.rows.items():
            if answers.trace.lesson_of(place).school == box:
                counted[vector][part] += rows
        for flag in box_flags.FLAGS:
            measure = MEASURES[flag.measure]
            some, both = measure.counts(counted[measure.vector])
            if flag.name in words and (both < 40 or not K <= some <= both - K):
                yield f"{box} is said to be {flag.name} from {some} of {both}"


def _learners(trace: Trace, found: Iterable[Column], language: str) -> int:
    """How many different learners really stand behind these numbers."""
    return len(
        {
            f"{lesson.school}/{deed.learner}"
            for place, part in found
            for lesson in (trace.lesson_of(place),)
            for deed in lesson.deeds
            if part_of(deed) == part and language in ("", deed.language)
        }
    )


def part_of(deed: Deed) -> str:
    return deed.result or {"question_asked": "asked", "hand_back": "handed"}[deed.kind]


def solve(equations: Iterable[tuple[Numbers, Fraction]]) -> list[tuple[Numbers, Fraction]]:
    """Eliminate with exact fractions until nothing can be subtracted any more.

    Whatever single number follows from the equations stands in the answer alone: in the reduced form each
    equation has a column of its own, so a sum with one column only is one of them.
    """
    reduced: list[tuple[Column, Numbers, Fraction]] = []
    for numbers, value in equations:
        left, total = dict(numbers), value
        for pivot, others, known in reduced:
            left, total = _less(left, total, others, known, left.get(pivot, Fraction(0)))
        if not left:
            continue
        pivot = min(left)
        scale = left[pivot]
        left, total = {column: count / scale for column, count in left.items()}, total / scale
        reduced = [
            (other, *_less(row, known, left, total, row.get(pivot, Fraction(0))))
            for other, row, known in reduced
        ]
        reduced.append((pivot, left, total))
    return [(row, known) for _, row, known in reduced]


def _less(
    row: Numbers, known: Fraction, other: Numbers, other_known: Fraction, times: Fraction
) -> tuple[Numbers, Fraction]:
    if not times:
        return row, known
    both = {
        column: row.get(column, Fraction(0)) - times * other.get(column, Fraction(0))
        for column in row.keys() | other.keys()
    }
    return {column: count for column, count in both.items() if count}, known - times * other_known
