"""What may be seen: told in blocks, never taken back.

A day is told two weeks after it, a month three weeks after its end: by then the sticks have come, and one
telling says less than many. What a day cannot tell goes into its month; what a month cannot tell waits for
more. The rule itself is in `threshold`. This module alone writes `told...`, and takes what it told out of
what waits. Keeps out: HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta

from sync.server.insight import box_flags
from sync.server.insight.equity import MEASURES, Measure, Told, effective_part, effective_rows, rounded_down
from sync.server.insight.rollups import Counted, add_waiting, strata_of, take
from sync.server.insight.threshold import Block, may_tell
from sync.server.storage.database import RegionDatabase, Row

# A batch waits at most a week on its box; a stick travels about as long.
DAY_SETTLES = timedelta(days=14)
MONTH_SETTLES = timedelta(days=21)

Cell = tuple[str, str, str, str]  # stratum, size_class, language, vector


def update(db: RegionDatabase, now: datetime) -> int:
    """Count what came, and once a day tell what has become enough; return how many batches came."""
    counted = 0
    while taken := take(db):
        counted += taken
    mark = db.row("SELECT settled_on FROM rollup_mark")
    today = now.date()
    if mark is not None and mark[0] != today.isoformat():
        settle(db, today)
        box_flags.refresh(db, today)
        db.execute("UPDATE rollup_mark SET settled_on = ?", (today.isoformat(),))
    return counted


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
    add_waiting(
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
    add_waiting(
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
    strata = strata_of(db)
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
