"""Turn allow-listed rows into rows nobody can trace back to a lesson.

A session becomes a number that means something only inside one batch and says
nothing of its time; the rows are put in an order that depends on nothing but
what leaves, so their order tells nothing either (and packs better than chance
would). Sizes were made coarse before they were queued. Pure: chance is passed
in as a seed; the box keeps it until the batch is sealed and then forgets it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from sync.event import AllowedRow


@dataclass(frozen=True)
class LeavingRow:
    """One event as the region will see it."""

    kind: str
    session: int  # 0, 1, 2, ... inside this batch
    day: date
    fields: Mapping[str, str | int]

    def as_record(self) -> dict[str, str | int]:
        """Return the row as people read it, in `sync show` and at the region."""
        return {"kind": self.kind, "session": self.session, "day": self.day.isoformat(), **self.fields}


def anonymise(rows: Iterable[AllowedRow], seed: bytes) -> tuple[LeavingRow, ...]:
    """Number the sessions by chance and forget the order of the rows."""
    kept = tuple(rows)
    numbers = _session_numbers({row.session_id for row in kept}, seed)
    leaving = (LeavingRow(row.kind, numbers[row.session_id], row.day, row.fields) for row in kept)
    return tuple(sorted(leaving, key=_order))


def _session_numbers(session_ids: set[str], seed: bytes) -> dict[str, int]:
    """Rank the sessions by a keyed hash: without the seed every order is as likely."""
    ranked = sorted(session_ids, key=lambda name: hmac.digest(seed, name.encode(), hashlib.sha256))
    return {session_id: number for number, session_id in enumerate(ranked)}


def _order(row: LeavingRow) -> tuple[object, ...]:
    return (row.day, row.session, row.kind, sorted((name, str(value)) for name, value in row.fields.items()))
