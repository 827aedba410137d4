"""From the ledger to what may be seen: counted once, told in blocks, never taken back.

`take` follows the ledger by its numbers and counts every batch once, whoever calls it how often. A day is
told two weeks after it, a month three weeks after its end: by then the sticks have come, and one telling
says less than many. What a day cannot tell goes into its month; what a month cannot tell waits for more.
The rule itself is in `threshold`. This module alone writes `rollup_...` and `told...`. Keeps out: HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sync.event import Span
from sync.generalise import K
from sync.server.database import RegionDatabase, Row
from sync.server.equity import MEASURES, Measure, Told, effective_part, effective_rows, place_of, rounded_down
from sync.server.event_rows import EVENT_FIELDS
from sync.server.threshold import LEARNERS_OF_BARE, Block, Circle, learners_of, may_tell

# A batch waits at most a week on its box; a stick travels about as long.
DAY_SETTLES = timedelta(days=14)
MONTH_SETTLES = timedelta(days=21)
# Counting so many holds the write lock for some hundredths of a second.
BATCHES_AT_ONCE = 200
# Before this there were no boxes: an earlier day is a clock that has lost its time.
FIRST_BELIEVABLE_DAY = date(2026, 1, 1)

Cell = tuple[str, str, str, str]  # stratum, size_class, language, vector


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


def update(db: RegionDatabase, now: datetime) -> int:
    """Count what came, and once a day tell what has become enough; return how many batches came."""
    counted = 0
    while taken := take(db):
        counted += taken
    mark = db.row("SELECT settled_on FROM rollup_mark")
    today = now.date()
    if mark is not None and mark[0] != today.isoformat():
        settle(db, today)
        refresh_flags(db, today)
        db.execute("UPDATE rollup_mark SET settled_on = ?", (today.isoformat(),))
    return counted


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
    strata = _strata(db)
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
    _add_waiting(db, ((one, strata[one.box]) for one in _merged(counted)))
    _add_of_box(db, counted)


def _add_waiting(db: RegionDatabase, counted: Iterable[tuple[Counted, tuple[str, str]]]) -> None:
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


def _strata(db: RegionDatabase) -> dict[int, tuple[str, str]]:
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


# Telling -------------------------------------------------------------------------------


def settle(db: RegionDatabase, today: date) -> None:
    """Tell the days and months whose time has come; days that cannot tell alone wait for their month."""
    last_day = (today - DAY_SETTLES).isoformat()
    for (period,) in db.rows(
        "SELECT DISTINCT period FROM rollup_waiting WHERE period <= ? ORDER BY period", (last_day,)
    ):
        if len(period) > len("2026-01"):
            with db.transaction():
                _tell_day(db, period, today)
    for (period,) in db.rows("SELECT DISTINCT substr(period, 1, 7) FROM rollup_waiting ORDER BY 1"):
        if month_settles_on(period) <= today:
            with db.transaction():
                _tell(db, period, today)
                for column in ("size_class", "stratum"):
                    _widen(db, period, column)
                    _tell(db, period, today)
    for (month,) in db.rows("SELECT DISTINCT month FROM told_month ORDER BY month"):
        if month_settles_on(month) <= today:
            with db.transaction():
                _tell_effective(db, month, today)


def month_settles_on(month: str) -> date:
    first = date.fromisoformat(month + "-01")
    return (first + timedelta(days=31)).replace(day=1) + MONTH_SETTLES


def _tell_day(db: RegionDatabase, day: str, today: date) -> None:
    _tell(db, day, today)
    kept = db.rows(f"SELECT {_WAITING} FROM rollup_waiting WHERE period = ?", (day,))  # noqa: S608 - our own words
    _add_waiting(
        db,
        (
            (Counted(box, day[:7], language, vector, part, amount, learners), (stratum, size))
            for stratum, size, language, vector, part, box, amount, learners in kept
        ),
    )
    db.execute("DELETE FROM rollup_waiting WHERE period = ?", (day,))


_WAITING = "stratum, size_class, language, vector, part, box_id, amount, learners"


def _tell(db: RegionDatabase, period: str, today: date) -> None:
    """Tell the blocks of a period that are wide enough; the others go on waiting."""
    blocks: dict[Cell, Block] = defaultdict(Block)
    for *cell, part, box, amount, learners in db.rows(
        f"SELECT {_WAITING} FROM rollup_waiting WHERE period = ?",  # noqa: S608 - our own words
        (period,),
    ):
        stratum, size, language, vector = cell
        blocks[stratum, size, language, vector].add(part, box, amount, learners)
    for cell_key, block in sorted(blocks.items()):
        if may_tell(block):
            _write_block(db, period, cell_key, {part: block.rows(part) for part in block.parts}, today)
            db.execute(
                "DELETE FROM rollup_waiting WHERE period = ? AND stratum = ? AND size_class = ?"
                " AND language = ? AND vector = ?",
                (period, *cell_key),
            )


def _widen(db: RegionDatabase, month: str, column: str) -> None:
    """What a kind of school cannot tell is told with other kinds: first without the size, then without
    the place. Each row stays in one cell."""
    rows = db.rows(
        f"SELECT {_WAITING} FROM rollup_waiting WHERE period = ? AND {column} <> ''",  # noqa: S608 - our own words
        (month,),
    )
    _add_waiting(
        db,
        (
            (
                Counted(box, month, language, vector, part, amount, learners),
                ("" if column == "stratum" else stratum, ""),
            )
            for stratum, _size, language, vector, part, box, amount, learners in rows
        ),
    )
    db.execute(f"DELETE FROM rollup_waiting WHERE period = ? AND {column} <> ''", (month,))  # noqa: S608 - our own words


def _write_block(db: RegionDatabase, period: str, cell: Cell, parts: Mapping[str, int], today: date) -> None:
    row = db.row("SELECT coalesce(max(block), 0) + 1 FROM told")
    block = row[0] if row else 1
    for part, amount in sorted(parts.items()):
        db.execute(
            "INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (block, today.isoformat(), period, *cell, part, amount),
        )
        db.execute(
            "INSERT INTO told_month VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
            " (month, stratum, size_class, language, vector, part)"
            " DO UPDATE SET amount = told_month.amount + excluded.amount",
            (period[:7], *cell, part, amount),
        )


def _tell_effective(db: RegionDatabase, month: str, today: date) -> None:
    """Say beside each told cell how many independent rows its shares are worth, and that the month is
    told."""
    strata = _strata(db)
    told: set[Cell] = {
        (stratum, size, language, vector)
        for stratum, size, language, vector in db.rows(
            "SELECT DISTINCT stratum, size_class, language, vector FROM told_month WHERE month = ?", (month,)
        )
    }
    by_cell: dict[Cell, dict[int, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for box, language, vector, part, amount in db.rows(
        "SELECT box_id, language, vector, part, amount FROM rollup_box WHERE month = ?", (month,)
    ):
        stratum, size = strata[box]
        # Most of what a box did is in the finest cell of it that was told.
        for kind in ((stratum, size), (stratum, ""), ("", "")):
            if (*kind, language, vector) in told:
                by_cell[*kind, language, vector][box][part] = amount
                break
    for cell in sorted(told):
        vector = cell[-1]
        for measure in (one for one in MEASURES.values() if one.vector == vector):
            rows = _effective(measure, by_cell[cell].values())
            db.execute(
                "INSERT INTO told_month VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
                " (month, stratum, size_class, language, vector, part)"
                " DO UPDATE SET amount = excluded.amount",
                (month, *cell, effective_part(measure), rows),
            )
    db.execute(
        "INSERT INTO told_settled VALUES (?, ?) ON CONFLICT (month) DO NOTHING", (month, today.isoformat())
    )


def _effective(measure: Measure, boxes: Iterable[Mapping[str, int]]) -> int:
    counts = [measure.counts(parts) for parts in boxes]
    return rounded_down(effective_rows(counts)) if any(total for _, total in counts) else 0


# Where help is needed --------------------------------------------------------------------

# A share of fewer rows is chance; a part of fewer than ten could be a few children.
FEWEST_FOR_FLAG = 40
FLAG_MONTHS = timedelta(days=40)


@dataclass(frozen=True)
class Flag:
    """A share above which somebody should ask how it goes. It is shown as a word, never as a figure."""

    name: str
    measure: str
    above: float
    counts_other: bool = False  # the share of the others: tries that were wrong


FLAGS = (
    Flag("failing", "failing", 0.2),
    Flag("slow", "waiting", 0.5),
    Flag("handing", "handing", 0.15),
    Flag("stuck", "success", 0.65, counts_other=True),
)


def refresh_flags(db: RegionDatabase, today: date) -> None:
    """Say of each box what its last weeks ask for. Once a day: a flag that followed every batch would
    tell of single batches."""
    parts: dict[int, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    wide: dict[int, int] = defaultdict(int)
    for box, vector, part, amount, learners in db.rows(
        "SELECT box_id, vector, part, sum(amount), max(learners) FROM rollup_box WHERE month >= ?"
        " GROUP BY box_id, vector, part",
        (month_of(today - FLAG_MONTHS),),
    ):
        parts[box][vector][part] += amount
        wide[box] = max(wide[box], learners)
    with db.transaction():
        for (box,) in db.rows("SELECT id FROM box"):
            flags = [flag.name for flag in FLAGS if wide[box] >= K and is_raised(flag, parts[box])]
            db.execute(
                "INSERT INTO rollup_state (box_id, flags) VALUES (?, ?)"
                " ON CONFLICT (box_id) DO UPDATE SET flags = excluded.flags",
                (box, " ".join(flags)),
            )


def is_raised(flag: Flag, vectors: Mapping[str, Mapping[str, int]]) -> bool:
    """Say whether a flag is raised, from enough rows and with ten on either side."""
    measure = MEASURES[flag.measure]
    counted, total = measure.counts(vectors.get(measure.vector, {}))
    if flag.counts_other:
        counted = total - counted
    if total < FEWEST_FOR_FLAG or min(counted, total - counted) < K:
        return False
    return counted > flag.above * total


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


# What everybody may see --------------------------------------------------------------------


def settled_months(db: RegionDatabase) -> list[str]:
    """Return the months that are told as a whole, the newest first."""
    return [month for (month,) in db.rows("SELECT month FROM told_settled ORDER BY month DESC")]


def told_in(db: RegionDatabase, month: str) -> list[Told]:
    """Return what was told of a month."""
    return [
        Told(*row)
        for row in db.rows(
            "SELECT stratum, size_class, language, vector, part, amount FROM told_month WHERE month = ?"
            " ORDER BY stratum, size_class, language, vector, part",
            (month,),
        )
    ]


def asked_by_day(db: RegionDatabase, first: date, last: date) -> dict[date, int]:
    """Return the questions of the days that were told on their own."""
    rows = db.rows(
        "SELECT period, sum(amount) FROM told WHERE period >= ? AND period <= ? AND length(period) = 10"
        " AND vector = 'questions' AND part = 'asked' GROUP BY period ORDER BY period",
        (first.isoformat(), last.isoformat()),
    )
    return {date.fromisoformat(day): amount for day, amount in rows}


def told_months(db: RegionDatabase) -> list[str]:
    """Return the months of which anything was told, the newest first."""
    return [month for (month,) in db.rows("SELECT DISTINCT month FROM told_month ORDER BY month DESC")]


def told_rows(db: RegionDatabase, month: str) -> list[Row]:
    """Return every told part of a month and its days, block by block."""
    return db.rows(
        "SELECT block, told_on, period, stratum, size_class, language, vector, part, amount FROM told"
        " WHERE period = ? OR (period >= ? AND period <= ?) ORDER BY block, part",
        (month, f"{month}-01", f"{month}-31"),
    )
