"""What time it is on a box without a clock battery, and what is only guessed.

Certain is what lies behind us: this program was built, the region signed a time. The box's own clock
is believed only between that and a little more; a time the region signed in answer to this very
question is the truth, and what was recorded since the same start is put right by it, because the
counter of seconds since the start never jumps. A teacher's browser may hint at a time: forward only,
within the same bounds as the box's own clock, never certain, and forgotten at the next start (decision
0048). What stays unknown is said to be unknown. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum

# The month of this release: no honest clock shows less. Moved on with every release.
BUILT = datetime(2026, 11, 1, tzinfo=UTC)
# A box that was off the net longer than this has a clock nobody can vouch for.
LONGEST_SILENCE = timedelta(days=2 * 365)
# Phones differ by seconds, and nobody's day is put right by less.
LEAST_HINT = timedelta(minutes=2)


class Quality(IntEnum):
    """How far a time may be trusted; the number travels in every batch."""

    UNKNOWN = 0
    UNCONFIRMED = 1  # the box's own clock or a browser's hint, and nothing speaks against it
    CONFIRMED = 2  # counted from a signed time


@dataclass(frozen=True)
class Reading:
    """What the machine itself says at one moment."""

    boot: str  # another one at every start of the machine
    seconds: float  # since that start; never set, never jumps
    wall: datetime  # the clock on the wall: right, or 1970, or five years ahead


@dataclass(frozen=True)
class Boot:
    """One start of the machine, and the moment in it at which the time was known for sure."""

    floor: datetime  # what was certain when it was first seen
    signed_at: datetime | None = None
    signed_seconds: float = 0.0  # since the start, when that time was true
    hinted_at: datetime | None = None  # what a teacher's browser showed
    hinted_seconds: float = 0.0


@dataclass(frozen=True)
class Moment:
    """A time and how far it may be trusted; an unknown one has none."""

    at: datetime | None
    quality: Quality


def true_time(reading: Reading, boot: Boot | None, ceiling: datetime | None = None) -> Moment:
    """Return when a reading was really taken. `ceiling` is a time it surely lies before."""
    floor = boot.floor if boot else BUILT
    if boot is not None and boot.signed_at is not None:
        since = timedelta(seconds=reading.seconds - boot.signed_seconds)
        return Moment(boot.signed_at + since, Quality.CONFIRMED)
    latest = floor + LONGEST_SILENCE
    if ceiling is not None:
        latest = min(latest, ceiling)
    guesses = [reading.wall]
    if boot is not None and boot.hinted_at is not None:
        guesses.append(boot.hinted_at + timedelta(seconds=reading.seconds - boot.hinted_seconds))
    # The later of two possible ones: a hint may move the time forward and never back.
    possible = [guess for guess in guesses if floor <= guess <= latest]
    return Moment(max(possible), Quality.UNCONFIRMED) if possible else Moment(None, Quality.UNKNOWN)


def may_hint(floor: datetime, boot: Boot | None, reading: Reading, hinted_at: datetime) -> bool:
    """Say whether a time that a browser shows tells the box anything: only forward, only while it doubts."""
    known = true_time(reading, boot or Boot(floor))
    if known.quality is Quality.CONFIRMED or not floor <= hinted_at <= floor + LONGEST_SILENCE:
        return False
    return known.at is None or hinted_at - known.at > LEAST_HINT


def put_right(occurred_at: datetime, reading: Reading, moment: Moment) -> date | None:
    """Return the day of something that was recorded at a reading, None when nobody knows it."""
    if moment.at is None:
        return None
    return (occurred_at + (moment.at - reading.wall)).astimezone(UTC).date()


def raised(floor: datetime, *signed: datetime) -> datetime:
    """Return the latest time that is surely past. It never goes back."""
    return max(floor, BUILT, *signed)


def may_anchor(floor: datetime, signed_at: datetime) -> bool:
    """Say whether a signed time may be the truth: one from before what is certain is a stale answer."""
    return signed_at >= floor
