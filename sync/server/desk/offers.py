"""Which order a box is told, and who has taken it: step by step, halted when it goes wrong.

A box that reads orders of a desk gets the newest one its step has reached, with the chain of desks, as
long as it does not say that it has it. Others get what the policy key signed. That a box has taken an
order is what it says itself when it asks: nothing else leaves a school for this. The only writer of
`box_order`; of `desk_order` it writes what happens to an order after its release.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.cbor import read
from sync.desk import Bundle, Desk, Signed, read_desk, read_signed
from sync.keys import SecretKey
from sync.policy import Policy, read_body
from sync.region_errors import UnknownOrder
from sync.server.desk import rollout
from sync.server.desk.rollout import WHOLE, Standing, Verdict
from sync.server.people import audit
from sync.server.storage.database import RegionDatabase
from sync.server.storage.records import Box

LOOK_EVERY = timedelta(minutes=1)
# A box that was on holiday brings no news about an order of last term.
WATCHED = timedelta(days=30)
BY_HAND = "by_hand"
_COLUMNS = "version, document, share, halted, begun_at, looked_at, released_by"


@dataclass(frozen=True)
class Released:
    """An order of the desk that boxes are told."""

    version: int
    signed: Signed
    share: int
    halted: str | None
    begun_at: datetime
    looked_at: datetime
    released_by: str

    @property
    def order(self) -> Policy:
        return read_body(self.signed.body)

    @property
    def may_halt(self) -> bool:
        """A stop goes to everybody whatever boxes do with it, and a drill harms nobody."""
        return not (self.order.stop or self.order.is_drill or self.halted)


def desks(db: RegionDatabase) -> tuple[Signed, ...]:
    """Return the chain of desks, the first one first."""
    return tuple(read_signed(read(row[0])) for row in db.rows("SELECT document FROM desk ORDER BY number"))


def find_desk(db: RegionDatabase) -> Desk | None:
    """Return the desk that signs now."""
    chain = desks(db)
    return read_desk(chain[-1].body) if chain else None


def released(db: RegionDatabase) -> list[Released]:
    """Return the orders of the desk, the newest first."""
    return [_released(row) for row in db.rows(f"SELECT {_COLUMNS} FROM desk_order ORDER BY version DESC")]  # noqa: S608 - our own words


def get_released(db: RegionDatabase, version: int) -> Released:
    row = db.row(f"SELECT {_COLUMNS} FROM desk_order WHERE version = ?", [version])  # noqa: S608 - our own words
    if row is None:
        raise UnknownOrder(number=version)
    return _released(row)


# What a box is told -----------------------------------------------------------------------------


def find_offer(
    db: RegionDatabase, key: SecretKey, box: Box, now: datetime, *, reads_desk: bool, reported: int | None
) -> bytes | None:
    """Return the newest order that has reached this box; None when it has it already."""
    chain = desks(db) if reads_desk else ()
    if not chain:
        row = db.row("SELECT document FROM policy ORDER BY version DESC LIMIT 1")
        return row[0] if row else None
    if reported is not None:
        _note_taken(db, box, reported, now)
    taken = _taken(db, box)
    for order in released(db):
        _watch(db, key, order, now)
        if order.version <= max(taken, reported or 0):
            return None
        if not order.halted and rollout.is_among(box.kid, order.version, order.share):
            _note_offer(db, box, order.version, now)
            return Bundle(chain, order.signed).to_bytes()
    return Bundle(chain, None).to_bytes()


def for_everybody(db: RegionDatabase) -> bytes | None:
    """Return what a stick carries: the desks, and the newest order that has reached all boxes."""
    chain = desks(db)
    if not chain:
        return None
    whole = (order.signed for order in released(db) if order.share >= WHOLE and not order.halted)
    return Bundle(chain, next(whole, None)).to_bytes()


def _taken(db: RegionDatabase, box: Box) -> int:
    row = db.row(
        "SELECT coalesce(max(version), 0) FROM box_order WHERE box_id = ? AND taken_at IS NOT NULL", [box.id]
    )
    return row[0] if row else 0


def _note_taken(db: RegionDatabase, box: Box, reported: int, now: datetime) -> None:
    """A box that says a number has taken what it was offered up to it."""
    if db.row("SELECT 1 FROM desk_order WHERE version = ?", [reported]) is None:
        return
    known = db.row(
        "SELECT 1 FROM box_order WHERE box_id = ? AND version = ? AND taken_at IS NOT NULL",
        [box.id, reported],
    )
    if known is None:
        db.execute(
            "INSERT INTO box_order (box_id, version, offers, taken_at) VALUES (?, ?, 0, ?)"
            " ON CONFLICT (box_id, version) DO UPDATE SET taken_at = excluded.taken_at",
            [box.id, reported, now.isoformat()],
        )


def _note_offer(db: RegionDatabase, box: Box, version: int, now: datetime) -> None:
    db.execute(
        "INSERT INTO box_order (box_id, version, offers, offered_at) VALUES (?, ?, 1, ?)"
        " ON CONFLICT (box_id, version) DO UPDATE SET offers = box_order.offers + 1,"
        " offered_at = coalesce(box_order.offered_at, excluded.offered_at)",
        [box.id, version, now.isoformat()],
    )


# How it goes --------------------------------------------------------------------------------------


def standing(db: RegionDatabase, order: Released, now: datetime) -> Verdict:
    """Return how the boxes stand to an order."""
    return rollout.judge(_standings(db, order.version), order.begun_at, now)


def seconds_to_take(db: RegionDatabase, order: Released) -> list[int]:
    """Return how long each box took from the release on, the quickest first: what a drill is for."""
    rows = db.rows(
        "SELECT taken_at FROM box_order WHERE version = ? AND taken_at IS NOT NULL", [order.version]
    )
    return sorted(int((datetime.fromisoformat(at) - order.begun_at).total_seconds()) for (at,) in rows)


def middle(seconds: Sequence[int]) -> int | None:
    return int(statistics.median(seconds)) if seconds else None


def widen(db: RegionDatabase, key: SecretKey, version: int, share: int, by: str, now: datetime) -> None:
    """Tell more boxes; a halted order goes on only so."""
    with db.transaction():
        order = get_released(db, version)
        db.execute(
            "UPDATE desk_order SET share = ?, halted = NULL, looked_at = ? WHERE version = ?",
            [max(share, order.share), now.isoformat(), version],
        )
        audit.append(db, key, now, by, "order_widened", str(version), share=max(share, order.share))


def halt(
    db: RegionDatabase, key: SecretKey, version: int, by: str, now: datetime, reason: str = BY_HAND
) -> None:
    """Tell nobody else. Who has it keeps it: numbers only rise, so going back takes a new order."""
    with db.transaction():
        get_released(db, version)
        if db.execute(
            "UPDATE desk_order SET halted = ? WHERE version = ? AND halted IS NULL", [reason, version]
        ):
            audit.append(db, key, now, by, "order_halted", str(version), reason=reason)


def _watch(db: RegionDatabase, key: SecretKey, order: Released, now: datetime) -> None:
    """Look at the boxes now and then, whoever asks; the one who claims the look halts if he must."""
    if not order.may_halt or now - order.looked_at < LOOK_EVERY or now - order.begun_at > WATCHED:
        return
    claimed = db.execute(
        "UPDATE desk_order SET looked_at = ? WHERE version = ? AND looked_at = ?",
        [now.isoformat(), order.version, order.looked_at.isoformat()],
    )
    if claimed:
        verdict = standing(db, order, now)
        if verdict.reason is not None:
            halt(db, key, order.version, audit.SYSTEM, now, verdict.reason.value)


def _standings(db: RegionDatabase, version: int) -> list[Standing]:
    rows = db.rows(
        "SELECT box.last_contact_at, box_order.offers, box_order.offered_at, box_order.taken_at"
        " FROM box LEFT JOIN box_order ON box_order.box_id = box.id AND box_order.version = ?"
        " WHERE box.revoked_at IS NULL",
        [version],
    )
    return [
        Standing(
            taken is not None,
            offers or 0,
            datetime.fromisoformat(offered) if offered else None,
            datetime.fromisoformat(contact),
        )
        for contact, offers, offered, taken in rows
    ]


def _released(row: tuple[int, bytes, int, str | None, str, str, str]) -> Released:
    version, document, share, halted, begun, looked, by = row
    signed = read_signed(read(document))
    times = datetime.fromisoformat(begun), datetime.fromisoformat(looked)
    return Released(version, signed, min(share, WHOLE), halted, *times, by)
