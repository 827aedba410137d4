"""Who did what this week, kept until the week is over and then told to the nation as noisy counts.

A learner is named here by the box's own random id and only for the running week:
once a week is told, its rows are gone and its numbers are never drawn again, so
that nobody can average the noise away. This module alone writes `week_mark`,
`lesson_grade`, `nation_start` and `privacy_spend`. Keeps out: names, texts, rows
for the region.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from fractions import Fraction

from sqlite_utils import Database

from sync import nation
from sync.event import KINDS, Event, leaving_value
from sync.generalise import week_of

LANE = "N"
# Before this there were no boxes: an earlier day is a clock that has lost its time.
FIRST_BELIEVABLE_DAY = date(2026, 1, 1)

_chance = secrets.SystemRandom()


def create_tables(db: Database) -> None:
    """Make the tables; the outbox's migrations call this once."""
    for statement in (
        """
        CREATE TABLE week_mark (
            week TEXT NOT NULL,        -- its Monday
            learner_id TEXT NOT NULL,  -- never leaves; gone when the week is told
            grade INTEGER NOT NULL,
            cell TEXT NOT NULL,
            PRIMARY KEY (week, learner_id, grade, cell)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE lesson_grade (session_id TEXT PRIMARY KEY, week TEXT NOT NULL, grade INTEGER) STRICT",
        "CREATE TABLE nation_start (id INTEGER PRIMARY KEY CHECK (id = 1), week TEXT NOT NULL) STRICT",
        """
        CREATE TABLE privacy_spend (
            lane TEXT NOT NULL,
            week TEXT NOT NULL,
            epsilon TEXT NOT NULL,  -- as a fraction
            told_on TEXT NOT NULL,
            PRIMARY KEY (lane, week)
        ) STRICT
        """,
    ):
        db.execute(statement)


def mark(db: Database, event: Event) -> None:
    """Remember what an event's learner did this week, inside the transaction that saves the fact."""
    day = event.occurred_at.astimezone(UTC).date()
    if day < FIRST_BELIEVABLE_DAY:
        return
    week = week_of(day).isoformat()
    if "grade" in event.fields:
        grade = leaving_value(KINDS[event.kind].fields["grade"], event.fields["grade"])
        db.execute("INSERT OR REPLACE INTO lesson_grade VALUES (?, ?, ?)", [event.session_id, week, grade])
    cell = nation.cell_of(event)
    if event.learner_id is None or cell is None:
        return
    db.execute(
        "INSERT INTO nation_start VALUES (1, ?) ON CONFLICT DO UPDATE SET week = min(week, excluded.week)",
        [week],
    )
    db.execute(
        "INSERT OR IGNORE INTO week_mark SELECT ?, ?,"
        " coalesce((SELECT grade FROM lesson_grade WHERE session_id = ?), ?), ?",
        [week, event.learner_id, event.session_id, nation.NO_GRADE, cell],
    )


def forget_learner(db: Database, learner_id: str) -> None:
    """Drop what is kept of a learner. Weeks that were told stay as they were told."""
    db.execute("DELETE FROM week_mark WHERE learner_id = ?", [learner_id])


def forget_all(db: Database) -> None:
    """Drop all that was not told: the machine this card was copied from may tell it."""
    db.execute("DELETE FROM week_mark")
    db.execute("DELETE FROM lesson_grade")
    db.execute("DELETE FROM nation_start")


def forget_old(db: Database, today: date) -> None:
    """Without the nation's key nothing is told; what can never be told is not kept, either."""
    oldest = week_of(today) - timedelta(weeks=nation.MOST_WEEKS_BEHIND)
    db.execute("DELETE FROM week_mark WHERE week < ?", [oldest.isoformat()])
    db.execute("DELETE FROM lesson_grade WHERE week < ?", [oldest.isoformat()])


# Telling ---------------------------------------------------------------------------


def weeks_due(db: Database, today: date) -> tuple[date, ...]:
    """Return the weeks that the next envelope tells the nation of."""
    start = db.execute("SELECT week FROM nation_start").fetchone()
    if start is None:
        return ()
    told = [date.fromisoformat(row[0]) for row in db.execute("SELECT week FROM privacy_spend").fetchall()]
    return nation.weeks_due(date.fromisoformat(start[0]), week_of(today), told)


def take(db: Database, today: date) -> bytes:
    """Draw the noise, note what it cost, and forget the learners: all in the caller's transaction,
    the one that seals. Empty when no week is due."""
    due = weeks_due(db, today)
    weeks = tuple(
        nation.Week(monday, nation.with_noise(_count(db, monday), secrets.randbelow)) for monday in due
    )
    for monday in due:
        db.execute(
            "INSERT INTO privacy_spend VALUES (?, ?, ?, ?)",
            [LANE, monday.isoformat(), str(nation.EPSILON), today.isoformat()],
        )
    # What is over is told by now, or never will be: a holiday, a year with its weeks spent.
    this_week = week_of(today).isoformat()
    db.execute("DELETE FROM week_mark WHERE week < ?", [this_week])
    db.execute("DELETE FROM lesson_grade WHERE week < ?", [this_week])
    return nation.write_section(nation.NationSection(nation.CELLS, weeks)) if weeks else b""


def _count(db: Database, monday: date) -> list[int]:
    marks: dict[str, list[nation.Mark]] = {}
    rows = db.execute("SELECT learner_id, grade, cell FROM week_mark WHERE week = ?", [monday.isoformat()])
    for learner_id, grade, cell in rows.fetchall():
        marks.setdefault(learner_id, []).append((grade, cell))
    return nation.count(marks, _choose)


def _choose(marks: Sequence[nation.Mark], most: int) -> list[nation.Mark]:
    return _chance.sample(list(marks), most)


@dataclass(frozen=True)
class Spent:
    """How much of a learner's privacy the counts of one school year cost at most."""

    school_year: int  # the year it began in
    weeks: int
    epsilon: Fraction  # of a learner who was there every week
    most: Fraction  # it can become


def spent(db: Database, today: date) -> Spent:
    """Add up the school year that `today` belongs to."""
    year = nation.school_year(today)
    rows = db.execute("SELECT week, epsilon FROM privacy_spend WHERE lane = ?", [LANE]).fetchall()
    costs = [
        Fraction(epsilon) for week, epsilon in rows if nation.school_year(date.fromisoformat(week)) == year
    ]
    return Spent(year, len(costs), sum(costs, Fraction(0)), nation.EPSILON * nation.MOST_WEEKS_A_YEAR)
