"""The boxes as pages list them, read in one statement. Keeps out: rules, HTTP."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from sync.server.insight.needs import BoxState
from sync.server.storage.database import RegionDatabase, Row


def box_states(db: RegionDatabase) -> list[BoxState]:
    """Return every box that was not sent away, by its label."""
    rows = db.rows(
        "SELECT box.id, label, school, stratum, size_class, box.software, enrolled_at, last_contact_at,"
        " revoked_at, approved_at,"
        " coalesce(batches, 0), coalesce(missing, 0), coalesce(remarks, ''), coalesce(flags, ''),"
        " rollup_state.software, coalesce(disk, ''), coalesce(heat, '')"
        " FROM box LEFT JOIN rollup_state ON rollup_state.box_id = box.id ORDER BY label"
    )
    return [_read(row) for row in rows]


def _read(row: Row) -> BoxState:
    (box, label, school, stratum, size, enrolled_with, enrolled, contact, *known) = row
    revoked, approved, batches, missing, remarks, flags, software, disk, heat = known
    # By their places: naming sixteen fields takes as long as reading them, for each of thousands of boxes.
    return BoxState(
        *(box, label, school, stratum, size),
        version_text(software) if software else enrolled_with,
        *(datetime.fromisoformat(enrolled), datetime.fromisoformat(contact)),
        *(revoked is not None, approved is not None),
        *(batches, missing),
        *(tuple(remarks.split()) if remarks else (), tuple(flags.split()) if flags else ()),
        *(disk, heat),
    )


@lru_cache(maxsize=256)
def version_text(number: int) -> str:
    """Return 1002003, as a box writes its version, as 1.2.3."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
