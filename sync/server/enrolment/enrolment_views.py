"""What the page about belonging lists: alarms, boxes that wait for approval, codes that still open.

Reads only. Keeps out: HTTP, words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sync.server.arrivals.inbox import REMARK_EPOCH, REMARK_FOREIGN, REMARK_FORK
from sync.server.storage.store import Box, Place, Store

MOST_LISTED = 50  # the newest; what is older is found by the box's name


@dataclass(frozen=True)
class Alarm:
    """A box that may have been copied."""

    label: str
    school: str
    remark: str
    noted_at: datetime


@dataclass(frozen=True)
class Waiting:
    """A box that an operator has not approved yet."""

    label: str
    place: Place
    enrolled_at: datetime
    held: int


@dataclass(frozen=True)
class OpenSheet:
    """Codes that were made together, as far as they still open."""

    name: str
    codes: int
    used: int
    expires_at: datetime


@dataclass(frozen=True)
class BoxCard:
    """One box, for whoever looks after it."""

    label: str
    place: Place
    enrolled_at: datetime
    last_contact_at: datetime
    software: str
    is_approved: bool
    is_revoked: bool
    ended_keys: int
    remarks: tuple[str, ...]
    places: tuple[tuple[datetime, Place], ...]


def alarms(store: Store) -> list[Alarm]:
    """Return the newest signs of copied boxes; a box that was revoked is dealt with."""
    rows = store.db.rows(
        "SELECT b.label, b.school, r.remark, max(r.noted_at) AS noted FROM remark r JOIN box b"
        " ON b.id = r.box_id WHERE r.remark IN (?, ?, ?) AND b.revoked_at IS NULL"
        " GROUP BY b.label, b.school, r.remark ORDER BY noted DESC, b.label LIMIT ?",
        [REMARK_FORK, REMARK_EPOCH, REMARK_FOREIGN, MOST_LISTED],
    )
    return [Alarm(label, school, remark, datetime.fromisoformat(at)) for label, school, remark, at in rows]


def waiting(store: Store) -> list[Waiting]:
    """Return the boxes that wait for an operator, the one that waits longest first."""
    rows = store.db.rows(
        "SELECT b.label, b.school, b.stratum, b.size_class, b.enrolled_at, (SELECT count(*) FROM"
        " held_envelope h WHERE h.box_id = b.id) FROM box b WHERE b.approved_at IS NULL"
        " AND b.revoked_at IS NULL ORDER BY b.enrolled_at, b.label LIMIT ?",
        [MOST_LISTED],
    )
    return [
        Waiting(label, Place(school, stratum, size), datetime.fromisoformat(at), int(held))
        for label, school, stratum, size, at, held in rows
    ]


def open_sheets(store: Store, now: datetime) -> list[OpenSheet]:
    rows = store.db.rows(
        "SELECT sheet, count(*), count(device_key), max(expires_at) FROM code WHERE expires_at > ?"
        " GROUP BY sheet ORDER BY 4 DESC, sheet LIMIT ?",
        [now.isoformat(), MOST_LISTED],
    )
    return [
        OpenSheet(name, int(codes), int(used), datetime.fromisoformat(at)) for name, codes, used, at in rows
    ]


def box_card(store: Store, box: Box) -> BoxCard:
    row = store.db.rows(
        "SELECT school, stratum, size_class, enrolled_at, last_contact_at, software,"
        " (SELECT count(*) FROM box_key k WHERE k.box_id = box.id) FROM box WHERE id = ?",
        [box.id],
    )[0]
    remarks = store.db.rows("SELECT DISTINCT remark FROM remark WHERE box_id = ? ORDER BY 1", [box.id])
    return BoxCard(
        box.label,
        Place(*row[:3]),
        datetime.fromisoformat(row[3]),
        datetime.fromisoformat(row[4]),
        row[5],
        box.is_approved,
        box.is_revoked,
        int(row[6]),
        tuple(remark for (remark,) in remarks),
        tuple(store.places(box)),
    )
