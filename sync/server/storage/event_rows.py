"""Rows of the table `event` out of a batch's columns, without an object for each. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat

from sync.batch import RULES, Columns

EVENT_FIELDS = tuple(sorted(RULES))
EVENT_COLUMNS = (
    *("box_id", "epoch", "seq", "number", "received_day"),  # the same in all rows of a batch
    *("kind", "session", "day", "span"),
    *EVENT_FIELDS,
)

InCommon = tuple[int, bytes, int, int, str]


def rows_from_columns(place: InCommon, columns: Columns) -> Iterator[tuple[object, ...]]:
    """Return the rows; `place` is what they have in common."""
    days = {day: None if day is None else day.isoformat() for day in set(columns.days)}
    spans = {span: int(span) for span in set(columns.spans)}
    return zip(
        *map(repeat, place),
        columns.kinds,
        columns.sessions,
        [days[day] for day in columns.days],
        [spans[span] for span in columns.spans],
        *(columns.fields.get(name) or repeat(None) for name in EVENT_FIELDS),
        strict=False,  # what is the same in all rows has no end
    )
