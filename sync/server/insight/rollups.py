"""From the ledger to counts: every batch once, whoever asks how often.

`take` follows the ledger by its numbers. What it counted waits (`rollup_waiting`) until `telling` finds
enough of it; what a box did stays beside it (`rollup_box`, `rollup_state`). This module writes `rollup_...`,
but for what `telling` takes out of the waiting and for the words of `box_flags`. Keeps out: HTTP, what may be
seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sync.event import Span
from sync.server.insight.equity import place_of
from sync.server.insight.threshold import LEARNERS_OF_BARE, Circle, learners_of
from sync.server.storage.database import RegionDatabase, Row
from sync.server.storage.event_rows import EVENT_FIELDS

# Counting so many holds the write lock for some hundredths of a second.
BATCHES_AT_ONCE = 200
# Before this there were no boxes: an earlier day is a clock that has lost its time.
FIRST_BELIEVABLE_DAY = date(2026, 1, 1)


@dataclass(frozen=True)
class Counted:
    """Rows of one box that are counted in one place."""

    box: int
    period: str
    language: str
    vector: str
    part: str
    rows: int
    learners: int


def counted_to(db: RegionDatabase) -> int:
    """Return the ledger's number up to which all batches are counted: older events may go."""
    row = db.row("SELECT number FROM rollup_mark")
    return int(row[0]) if row else 0


# Counting ------------------------------------------------------------------------------


def take(db: RegionDatabase, most: int = BATCHES_AT_ONCE) -> int:
    """Count the next batches of the ledger; return how many."""
    done = counted_to(db)
    batches = db.rows(
        "SELECT number, box_id, epoch, seq, received_day FROM ledger"
        " WHERE number > ? AND number <= ? ORDER BY number",
        (done, done + most),
    )
    if not batches:
        return 0
    last = batches[-1][0]
    circles = _circles(db, batches[0][0], last)
    counted = list(_count(circles, {row[0]: row[4] for row in batches}))
    strata = strata_of(db)
    with db.transaction():
        # Another process may have counted them meanwhile.
        if not db.execute("UPDATE rollup_mark SET number = ? WHERE number = ?", (last, done)):
            return 0
        _add(db, counted, strata)
        _add_epochs(db, batches)
        _refresh_state(db, {row[1] for row in batches})
        _note_machines(db, circles)
    return len(batches)


_CIRCLE = ("number", "box_id", "kind", "session", "day", "span", *EVENT_FIELDS)


Circles = Mapping[int, Sequence[Mapping[str, object]]]  # by the number of their batch


def _circles(db: RegionDatabase, first: int, last: int) -> Circles:
    """Group the rows of these batches as they were sent."""
    names = ", ".join(_CIRCLE)
    rows = db.rows(
        f"SELECT {names}, count(*) FROM event WHERE number >= ? AND number <= ? GROUP BY {names}",  # noqa: S608 - our own words
        (first, last),
    )
    by_batch: dict[int, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        by_batch[row[0]].append(dict(zip((*_CIRCLE, "rows"), row, strict=True)))
    return by_batch


def _count(circles: Circles, received: Mapping[int, str]) -> Iterator[Counted]:
    """Put each circle in its place."""
    for number, of_batch in circles.items():
        learners = learners_of(_circle(circle) for circle in of_batch)
        for circle in of_batch:
            yield from _counted(circle, date.fromisoformat(received[number]), learners)


def _circle(row: Mapping[str, object]) -> Circle:
    kind, rows = row["kind"], row["rows"]
    return Circle(str(kind) if kind else None, rows if isinstance(rows, int) else 0, is_bare=_is_bare(row))


def _is_bare(row: Mapping[str, object]) -> bool:
    return all(row[name] is None for name in ("session", "day", *EVENT_FIELDS))


def _counted(row: Mapping[str, object], received: date, learners: int) -> Iterator[Counted]:
    kind, outcome, result, language = (_word(row[name]) for name in ("kind", "outcome", "result", "language"))
    duration = row["duration_ms"]
    place = place_of(kind, outcome, result, duration if isinstance(duration, int) else None)
    box, rows, span = row["box_id"], row["rows"], row["span"]
    if place is None or not (isinstance(box, int) and isinstance(rows, int) and isinstance(span, int)):
        return
    behind = LEARNERS_OF_BARE if _is_bare(row) else learners
    period = period_of(_word(row["day"]), Span(span), received)
    yield Counted(box, period, language or "", *place, rows, behind)


def _word(value: object) -> str | None:
    return value if isinstance(value, str) else None


def period_of(day: str | None, span: Span, received: date) -> str:
    """Return the day or month in which a row is told; a row that does not know, or cannot, counts
    in the month it came."""
    told = date.fromisoformat(day) if day else received
    if not FIRST_BELIEVABLE_DAY <= told <= received + timedelta(days=1):
        return month_of(received)
    return told.isoformat() if day and span is Span.DAY else month_of(told)


def month_of(day: date) -> str:
    return day.isoformat()[:7]


def _add(db: RegionDatabase, counted: Sequence[Counted], strata: Mapping[int, tuple[str, str]]) -> None:
    add_waiting(db, ((one, strata[one.box]) for one in _merged(counted)))
    _add_of_box(db, counted)


def add_waiting(db: RegionDatabase, counted: Iterable[tuple[Counted, tuple[str, str]]]) -> None:
    db.execute_many(
        "INSERT INTO rollup_waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
        " (period, stratum, size_class, language, vector, part, box_id) DO UPDATE SET"
        " amount = rollup_waiting.amount + excluded.amount,"
        " learners = CASE WHEN rollup_waiting.learners > excluded.learners THEN rollup_waiting.learners"
        " ELSE excluded.learners END",
        [
            (one.period, *kind, one.language, one.vector, one.part, one.box, one.rows, one.learners)
            for one, kind in counted
        ],
    )


def _add_of_box(db: RegionDatabase, counted: Sequence[Counted]) -> None:
    monthly = [Counted(one.box, one.period[:7], *_rest(one)) for one in counted]
    db.execute_many(
        "INSERT INTO rollup_box VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
        " (month, box_id, language, vector, part) DO UPDATE SET"
        " amount = rollup_box.amount + excluded.amount,"
        " learners = CASE WHEN rollup_box.learners > excluded.learners THEN rollup_box.learners"
        " ELSE excluded.learners END",
        [
            (one.period, one.box, one.language, one.vector, one.part, one.rows, one.learners)
            for one in _merged(monthly)
        ],
    )


def _rest(one: Counted) -> tuple[str, str, str, int, int]:
    return one.language, one.vector, one.part, one.rows, one.learners


def _merged(counted: Iterable[Counted]) -> list[Counted]:
    """Put together what goes to one place, so that each place is written once."""
    sums: dict[tuple[int, str, str, str, str], tuple[int, int]] = {}
    for one in counted:
        key = (one.box, one.period, one.language, one.vector, one.part)
        rows, learners = sums.get(key, (0, 0))
        sums[key] = (rows + one.rows, max(learners, one.learners))
    return [Counted(*key, rows, learners) for key, (rows, learners) in sorted(sums.items())]


def _add_epochs(db: RegionDatabase, batches: Sequence[Row]) -> None:
    for _number, box, epoch, seq, _day in batches:
        db.execute(
            "INSERT INTO rollup_epoch VALUES (?, ?, 1, ?) ON CONFLICT (box_id, epoch) DO UPDATE SET"
            " batches = rollup_epoch.batches + 1,"
            " high = CASE WHEN rollup_epoch.high > excluded.high THEN rollup_epoch.high"
            " ELSE excluded.high END",
            (box, epoch, seq),
        )


def strata_of(db: RegionDatabase) -> dict[int, tuple[str, str]]:
    """Return what kind of school each box is in; nothing where nobody said."""
    return {box: (stratum, size) for box, stratum, size in db.rows("SELECT id, stratum, size_class FROM box")}


def recount(db: RegionDatabase) -> None:
    """Count every box anew from the events that are still here. What was told stays told: telling it
    again in other blocks would let the two be subtracted."""
    done = counted_to(db)
    with db.transaction():
        db.execute("DELETE FROM rollup_box")
        for first in range(1, done + 1, BATCHES_AT_ONCE):
            batches = db.rows(
                "SELECT number, received_day FROM ledger WHERE number >= ? AND number < ? AND number <= ?"
                " ORDER BY number",
                (first, first + BATCHES_AT_ONCE, done),
            )
            if batches:
                circles = _circles(db, batches[0][0], batches[-1][0])
                _add_of_box(db, list(_count(circles, dict(batches))))


# The state of boxes ----------------------------------------------------------------------


def _refresh_state(db: RegionDatabase, boxes: Iterable[int]) -> None:
    """Note what is missing of a box's history, and what looked wrong."""
    for box in sorted(boxes):
        row = db.row(
            "SELECT coalesce(sum(batches), 0), coalesce(sum(high - batches), 0) FROM rollup_epoch"
            " WHERE box_id = ?",
            (box,),
        )
        batches, missing = row or (0, 0)
        remarks = db.rows("SELECT DISTINCT remark FROM remark WHERE box_id = ? ORDER BY 1", (box,))
        db.execute(
            "INSERT INTO rollup_state (box_id, batches, missing, remarks) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (box_id) DO UPDATE SET batches = excluded.batches, missing = excluded.missing,"
            " remarks = excluded.remarks",
            (box, batches, missing, " ".join(remark for (remark,) in remarks)),
        )


_WORST_FIRST = ("bad", "watch", "good")


def _note_machines(db: RegionDatabase, circles: Circles) -> None:
    """Keep what the newest batch with a word of its machine said; of several days the worst."""
    for of_batch in circles.values():
        told = [circle for circle in of_batch if circle["kind"] == "box_health"]
        if told:
            versions = [circle["software"] for circle in told if isinstance(circle["software"], int)]
            db.execute(
                "UPDATE rollup_state SET software = ?, disk = ?, heat = ? WHERE box_id = ?",
                (max(versions, default=None), _worst(told, "disk"), _worst(told, "heat"), told[0]["box_id"]),
            )


def _worst(told: Sequence[Mapping[str, object]], name: str) -> str | None:
    moods = {circle[name] for circle in told}
    return next((mood for mood in _WORST_FIRST if mood in moods), None)
