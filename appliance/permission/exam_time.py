"""How much time has surely passed, by the machine's own ticking and never by its wall clock. Pure.

A wall clock can be set, and a box without a battery wakes up in 1970. The ticks since this start of the
machine cannot be set; across two starts nothing is sure, so nothing is counted.
"""

from dataclasses import dataclass
from datetime import datetime

# Network time moves a clock by a few seconds now and then; a change that could matter to anybody is larger.
CLOCK_JUMP_SECONDS = 60


@dataclass(frozen=True)
class Moment:
    boot: str  # the kernel's name for this start of the machine
    ticks: float  # seconds since that start, sleep included
    wall: datetime  # what the clock shows; told, never trusted


def gained_seconds(last: Moment, now: Moment) -> float:
    """Return the time between two looks that is beyond doubt."""
    return max(0.0, now.ticks - last.ticks) if last.boot == now.boot else 0.0


def clock_jump_seconds(last: Moment, now: Moment) -> int:
    """Return by how much somebody set the wall clock between two looks; 0 when nobody did, or by little."""
    if last.boot != now.boot:
        return 0  # a restart sets the clock on every box without a battery
    jump = (now.wall - last.wall).total_seconds() - gained_seconds(last, now)
    return round(jump) if abs(jump) >= CLOCK_JUMP_SECONDS else 0
