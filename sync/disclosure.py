"""What leaves this school: the next envelope in clear, for `sync show` and for the page.

Everything is read back from the very bytes that are sealed, so that the page
cannot say one thing and the envelope another. Pure.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

from sync.batch import Batch, unpack_rows
from sync.nation import EPSILON, MOST_WEEKS_A_YEAR, NationSection, read_section

FORMAT = "SB1"


@dataclass(frozen=True)
class Group:
    """Rows that say the same."""

    count: int
    told: dict[str, str | int]


@dataclass(frozen=True)
class Disclosure:
    """The next envelope, as far as it is known."""

    state: str  # "nothing", "waits" for its week, "ready" for the next run, "sealed"
    leaves_on: date | None  # while it waits
    batch: Batch | None
    sealed: bytes | None  # what travels
    nation_weeks: tuple[date, ...]  # the weeks whose counts go along

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return what the region will read, equal rows together, the most frequent first."""
        if self.batch is None:
            return ()
        counted = Counter(tuple(row.as_record().items()) for row in unpack_rows(self.batch.payload))
        return tuple(Group(count, dict(told)) for told, count in counted.most_common())

    @property
    def nation(self) -> NationSection | None:
        """Return what the nation will read; before the sealing its noise is not drawn."""
        return read_section(self.batch.nation) if self.batch and self.batch.nation else None

    @property
    def clear_bytes(self) -> bytes:
        """Return exactly what is sealed for the region."""
        return self.batch.to_bytes() if self.batch else b""

    @property
    def sha256(self) -> str | None:
        return hashlib.sha256(self.sealed).hexdigest() if self.sealed else None

    def as_record(self) -> dict[str, Any]:
        """Return all of it, ready to be read by people and programs."""
        return {
            "is_sealed": self.sealed is not None,
            "state": self.state,
            "leaves_on": self.leaves_on.isoformat() if self.leaves_on else None,
            "envelope": describe(self.batch) if self.batch else None,
            "nation": self.nation.as_record() if self.nation else None,
            "nation_weeks": [week.isoformat() for week in self.nation_weeks],
            "sealed_bytes": len(self.sealed) if self.sealed else None,
            "sealed_sha256": self.sha256,
        }


def disclose(
    batch: Batch | None,
    sealed: bytes | None,
    *,
    is_ready: bool,
    leaves_on: date | None,
    nation_weeks: tuple[date, ...],
) -> Disclosure:
    """Put together what is known of the next envelope."""
    if sealed is not None:
        state = "sealed"
    elif batch is not None and is_ready:
        state = "ready"
    else:
        state = "waits" if leaves_on else "nothing"
    told = batch.nation if batch else b""
    weeks = tuple(week.monday for week in read_section(told).weeks) if told else nation_weeks
    return Disclosure(state, leaves_on, batch, sealed, weeks)


def describe(batch: Batch) -> dict[str, Any]:
    """Return everything a batch tells the region, ready to be read by people."""
    return {
        "format": FORMAT,
        "box_kid": batch.box_kid.hex(),
        "epoch": batch.epoch.hex(),
        "seq": batch.seq,
        "previous_sha256": batch.previous_sha256.hex(),
        "lo": batch.lo,
        "hi": batch.hi,
        "events": batch.events,
        "clock_quality": batch.clock_quality,
        "rows": [row.as_record() for row in unpack_rows(batch.payload)],
    }


@dataclass(frozen=True)
class Lane:
    """One of the three ways an event may go, and what it cost a learner's privacy this year."""

    name: str  # "local", "region", "nation"
    weeks: int
    epsilon: Fraction
    most: Fraction


def lanes(nation_weeks: int) -> tuple[Lane, ...]:
    """Only the nation's numbers are measured by epsilon: the region's rows are protected by ten
    learners looking alike, and what is local goes nowhere."""
    nothing = Fraction(0)
    return (
        Lane("local", 0, nothing, nothing),
        Lane("region", 0, nothing, nothing),
        Lane("nation", nation_weeks, EPSILON * nation_weeks, EPSILON * MOST_WEEKS_A_YEAR),
    )
