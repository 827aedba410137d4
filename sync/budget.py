"""How much of a scarce line the box may use, when, and what goes first.

Pure: times, counts and chance are passed in.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

HOURS = 24
# A month of a large school is under 200 kB; past this something is wrong, and somebody pays for it.
DAY_UP_BYTES = 5_000_000
DAY_DOWN_BYTES = 20_000_000
MONTH_UP_BYTES = 60_000_000
MONTH_DOWN_BYTES = 300_000_000


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


DEFAULT_LIMITS = Limits()
