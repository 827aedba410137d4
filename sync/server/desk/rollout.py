"""How an order reaches the boxes step by step, and when that halts by itself.

Which boxes come first is decided by each box's own key and the order's number: the same on every
server, other boxes first each time, and a larger share holds all of a smaller one. After each step the
boxes are looked at: boxes that were offered the order and do not take it, and boxes that fall silent
after taking it, more of them than of the boxes that were left alone. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

STEPS = (5, 25, 100)  # percent of the boxes
WHOLE = 100
_PLACES = 10_000
# A reply may be lost on a bad line: only a box that was offered the order again and again refuses it.
OFFERS_BEFORE_REFUSAL = 3
# Two per cent of the boxes asked, and never a single one: a broken card is no verdict on an order.
MOST_REFUSALS = 0.02
LEAST_REFUSALS = 3
# A box that speaks daily is missed after two days; how many are missed anyway, the others tell.
SILENT_AFTER = timedelta(hours=48)
ALIVE_WITHIN = timedelta(days=7)
MOST_SILENT_ABOVE_OTHERS = 0.10
LEAST_SILENT = 3


class Reason(StrEnum):
    """Why a roll-out halted by itself."""

    REFUSED = "refused"
    SILENT = "silent"


@dataclass(frozen=True)
class Standing:
    """What is known of one box and the order."""

    has_taken: bool
    offers: int  # how often it was told since the roll-out began
    offered_at: datetime | None  # the first time
    last_contact_at: datetime


@dataclass(frozen=True)
class Limits:
    """When to halt."""

    most_refusals: float = MOST_REFUSALS
    most_silent: float = MOST_SILENT_ABOVE_OTHERS


USUAL = Limits()


@dataclass(frozen=True)
class Verdict:
    """How a roll-out stands."""

    boxes: int
    offered: int
    taken: int
    refused: int
    silent: int
    reason: Reason | None = None  # to halt for


def is_among(kid: bytes, version: int, share: int) -> bool:
    """Say whether a box is among the first `share` per cent for this order."""
    digest = hashlib.sha256(b"sandyq/rollout/1" + version.to_bytes(8, "big") + kid).digest()
    return int.from_bytes(digest[:8], "big") % _PLACES < share * _PLACES // WHOLE


def next_step(share: int) -> int | None:
    """Return the step after this one, None at the end."""
    return next((step for step in STEPS if step > share), None)


def judge(
    standings: Sequence[Standing], begun_at: datetime, now: datetime, limits: Limits = USUAL
) -> Verdict:
    """Count the boxes and say whether to halt."""
    offered = [box for box in standings if box.offered_at is not None or box.has_taken]
    others = [box for box in standings if box.offered_at is None and not box.has_taken]
    taken = sum(box.has_taken for box in offered)
    refused = sum(not box.has_taken and box.offers >= OFFERS_BEFORE_REFUSAL for box in offered)
    silent = sum(now - box.last_contact_at > SILENT_AFTER for box in offered)
    reason = None
    if refused >= LEAST_REFUSALS and refused > limits.most_refusals * len(offered):
        reason = Reason.REFUSED
    elif silent >= LEAST_SILENT:
        share = silent / len(offered)
        if share - _silent_share(others, begun_at, now) > limits.most_silent:
            reason = Reason.SILENT
    return Verdict(len(standings), len(offered), taken, refused, silent, reason)


def _silent_share(others: Iterable[Standing], begun_at: datetime, now: datetime) -> float:
    """Return how many of the boxes that were left alone fell silent meanwhile, as a share."""
    alive = [box for box in others if box.last_contact_at > begun_at - ALIVE_WITHIN]
    return sum(now - box.last_contact_at > SILENT_AFTER for box in alive) / len(alive) if alive else 0.0
