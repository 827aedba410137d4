"""Turn allow-listed rows into rows nobody can trace back to a lesson.

They come as coarse as `sync/generalise` made them. A session becomes a number
that means something only inside one batch and says nothing of its time; the
rows are put in an order that depends on nothing but what leaves, so their order
tells nothing either (and packs better than chance would). Pure: chance is
passed in as a seed; the box keeps it until the batch is sealed, then forgets it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sync.event import AllowedRow, Span


@dataclass(frozen=True)
class LeavingRow:
    """One event as the region will see it; it has nothing where ten learners would not look alike."""

    kind: str | None
    session: int | None  # 0, 1, 2, ... inside this batch
    day: date | None
    fields: Mapping[str, str | int]
    span: Span = Span.DAY

    def as_record(self) -> dict[str, str | int]:
        """Return the row as people read it, in `sync show` and at the region."""
        told: dict[str, str | int | None] = {"kind": self.kind, "session": self.session}
        told[self.span.name.lower()] = self.day.isoformat() if self.day else None
        return {name: value for name, value in told.items() if value is not None} | dict(self.fields)


def anonymise(rows: Iterable[AllowedRow], seed: bytes) -> tuple[LeavingRow, ...]:
    """Number the sessions by chance and forget the order of the rows."""
    kept = tuple(rows)
    numbers = _session_numbers({row.session_id for row in kept if row.session_id is not None}, seed)
    leaving = (
        LeavingRow(row.kind, numbers.get(row.session_id or ""), row.day, row.fields, row.span) for row in kept
    )
    return tuple(sorted(leaving, key=_order))


def _session_numbers(session_ids: set[str], seed: bytes) -> dict[str, int]:
    """Rank the sessions by a keyed hash: without the seed every order is as likely."""
    ranked = sorted(session_ids, key=lambda name: hmac.digest(seed, name.encode(), hashlib.sha256))
    return {session_id: number for number, session_id in enumerate(ranked)}


def _order(row: LeavingRow) -> tuple[object, ...]:
    """Nothing comes first, so that rows with and without a value can be compared."""
    fields = sorted((name, str(value)) for name, value in row.fields.items())
    day = row.day.toordinal() if row.day else 0
    return (row.span, day, -1 if row.session is None else row.session, row.kind or "", fields)
