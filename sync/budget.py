"""How much of a scarce line the box may use, when, and what goes first.

The region's order gives the limits; the box counts what passed and decides before each piece. What is
urgent and small (a stop, receipts) always passes; what is heavy waits for its hours and gives way
between two pieces. Pure: times, counts and chance are passed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import IntEnum

HOURS = 24
# A month of a large school is under 200 kB; past this something is wrong, and somebody pays for it.
DAY_UP_BYTES = 5_000_000
DAY_DOWN_BYTES = 20_000_000
MONTH_UP_BYTES = 60_000_000
MONTH_DOWN_BYTES = 300_000_000

# One time zone in the whole country since 2024; the hours of an order are meant in it.
KAZAKHSTAN = timezone(timedelta(hours=5))

# What TCP, IP and TLS add to what we hand over, on lines with small packets.
OVERHEAD = 1.15

BACKOFF_BASE_SECONDS = 30.0
BACKOFF_CAP_SECONDS = 6 * 3600.0


@dataclass(frozen=True)
class Limits:
    """What the line may be used for. Numbers only: they travel in the region's order."""

    day_up_bytes: int = DAY_UP_BYTES
    day_down_bytes: int = DAY_DOWN_BYTES
    month_up_bytes: int = MONTH_UP_BYTES
    month_down_bytes: int = MONTH_DOWN_BYTES
    rate_kbit: int = 0  # 0: as fast as the line goes
    first_hour: int = 20  # heavy things (packs, models, images) go from this hour, in Kazakhstan's time,
    last_hour: int = 6  # to this one; the same hour twice: at any time
    uses_metered: int = 0  # 1: also on a line that is paid by the byte

    def __post_init__(self) -> None:
        hours = (self.first_hour, self.last_hour)
        if min(astuple(self)) < 0 or max(hours) >= HOURS or self.uses_metered > 1:
            raise ValueError("a limit is out of range")

    def as_numbers(self) -> list[int]:
        return list(astuple(self))

    @classmethod
    def from_numbers(cls, numbers: list[int]) -> Limits:
        """Return the limits; ValueError when there are too few numbers or they make no sense."""
        if len(numbers) != len(DEFAULT_LIMITS.as_numbers()):
            raise ValueError("limits have another number of fields")
        return cls(*numbers)

    def tightened(
        self, *, day_up_bytes: int, month_up_bytes: int, rate_kbit: int, uses_metered: bool
    ) -> Limits:
        """Return these limits and the box's own settings together; 0 in a setting says nothing.

        The smaller number counts. Who pays for a metered line decides about it at the box.
        """
        return replace(
            self,
            day_up_bytes=min(self.day_up_bytes, day_up_bytes or self.day_up_bytes),
            month_up_bytes=min(self.month_up_bytes, month_up_bytes or self.month_up_bytes),
            rate_kbit=min(filter(None, (self.rate_kbit, rate_kbit)), default=0),
            uses_metered=max(self.uses_metered, int(uses_metered)),
        )


DEFAULT_LIMITS = Limits()


class Priority(IntEnum):
    """What goes first; the smaller number."""

    ORDER = 0  # the region's order, receipts, the time: under 2 kB
    ALERT = 1
    COUNTS = 2
    EVENTS = 3
    CONTENT = 4  # packs, models
    IMAGE = 5


# What may not be kept waiting by any budget: a stop must reach the school.
ALWAYS = Priority.ORDER
# From here on the hours count.
HEAVY = Priority.CONTENT


@dataclass(frozen=True)
class Usage:
    """What passed on one day and in its month."""

    day: date
    day_up: int = 0
    day_down: int = 0
    month_up: int = 0
    month_down: int = 0

    def on(self, today: date) -> Usage:
        """Return the usage as it stands today. A clock that goes back gives nothing back."""
        if today <= self.day:
            return self
        is_same_month = (today.year, today.month) == (self.day.year, self.day.month)
        return Usage(
            today,
            month_up=self.month_up if is_same_month else 0,
            month_down=self.month_down if is_same_month else 0,
        )

    def plus(self, *, up: int = 0, down: int = 0) -> Usage:
        """Return the usage with what passed, and what the layers below us added to it."""
        up, down = round(up * OVERHEAD), round(down * OVERHEAD)
        return replace(
            self,
            day_up=self.day_up + up,
            day_down=self.day_down + down,
            month_up=self.month_up + up,
            month_down=self.month_down + down,
        )


@dataclass(frozen=True)
class Line:
    """The line as it is now."""

    is_up: bool = True
    is_metered: bool = False
    hour: int | None = None  # in Kazakhstan; None: nobody knows the time


@dataclass(frozen=True)
class Decision:
    """Whether something may travel now, and why not."""

    may: bool
    reason: str = ""


def decide(
    priority: Priority, limits: Limits, usage: Usage, line: Line, *, up: int = 0, down: int = 0
) -> Decision:
    """Decide about one piece of so many bytes."""
    if not line.is_up:
        return Decision(may=False, reason="no_link")
    if priority <= ALWAYS:
        return Decision(may=True)
    if line.is_metered and not limits.uses_metered:
        return Decision(may=False, reason="metered")
    if priority >= HEAVY and not is_within(limits, line.hour):
        return Decision(may=False, reason="hours")
    then = usage.plus(up=up, down=down)
    if then.day_up > limits.day_up_bytes or then.day_down > limits.day_down_bytes:
        return Decision(may=False, reason="day_spent")
    if then.month_up > limits.month_up_bytes or then.month_down > limits.month_down_bytes:
        return Decision(may=False, reason="month_spent")
    return Decision(may=True)


def is_within(limits: Limits, hour: int | None) -> bool:
    """Say whether heavy things may travel at this hour. Without a clock they may not."""
    if limits.first_hour == limits.last_hour:
        return True
    if hour is None:
        return False
    return (hour - limits.first_hour) % HOURS < (limits.last_hour - limits.first_hour) % HOURS


# When ----------------------------------------------------------------------------------------


def slot_seconds(box_kid: bytes, window_seconds: int) -> int:
    """Return this box's own moment in a window: always the same, and as good as chance over all boxes."""
    return int.from_bytes(hashlib.sha256(b"sandyq/slot" + box_kid).digest()[:8], "big") % window_seconds


def last_slot(box_kid: bytes, limits: Limits, now: datetime) -> datetime:
    """Return the latest moment that was this box's turn, spread over the hours of the night."""
    window = ((limits.last_hour - limits.first_hour) % HOURS or HOURS) * 3600
    local = now.astimezone(KAZAKHSTAN)
    begins = datetime.combine(local.date(), time(limits.first_hour), KAZAKHSTAN)
    turn = begins + timedelta(seconds=slot_seconds(box_kid, window))
    while turn > local:
        turn -= timedelta(days=1)
    return turn.astimezone(UTC)


def is_due(box_kid: bytes, limits: Limits, now: datetime, last_success: datetime | None) -> bool:
    """Say whether the box's turn has come since it last got through. One that was off at its turn is
    due as soon as it is on."""
    return last_success is None or last_success > now or last_success < last_slot(box_kid, limits, now)


def backoff_seconds(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row: anything up to a bound that doubles.

    `chance` lies in [0, 1). Without it thousands of boxes would come back in the same second.
    """
    if failures <= 0:
        return 0.0
    return chance * min(BACKOFF_CAP_SECONDS, BACKOFF_BASE_SECONDS * 2.0 ** min(failures - 1, 20))


@dataclass
class Pacer:
    """Holds a rate: says how long to wait before the next bytes leave."""

    rate_kbit: int
    _free_at: float = 0.0

    def wait_seconds(self, size: int, now: float) -> float:
        if self.rate_kbit <= 0:
            return 0.0
        begins = max(now, self._free_at)
        self._free_at = begins + size * 8 / (self.rate_kbit * 1000)
        return begins - now


# What first -----------------------------------------------------------------------------------


@dataclass
class Agenda:
    """Work that waits for the line; between two pieces of anything the more urgent goes first."""

    _waiting: list[tuple[Priority, int, Callable[[], None]]] = field(default_factory=list)
    _count: int = 0

    def add(self, priority: Priority, work: Callable[[], None]) -> None:
        self._count += 1
        self._waiting.append((priority, self._count, work))

    def give_way(self, priority: Priority) -> None:
        """Called between two pieces of work of this priority: do all that is more urgent, first come
        first served among equals. Work that is added meanwhile has its turn too."""
        while True:
            urgent = [entry for entry in self._waiting if entry[0] < priority]
            if not urgent:
                return
            chosen = min(urgent, key=lambda entry: entry[:2])
            self._waiting.remove(chosen)
            chosen[2]()
