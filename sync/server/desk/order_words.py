"""An order in words: what it changes for the boxes, one sentence for each thing. Pure.

The sentences are English here; the page says them in the reader's language.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sync.errors import N_
from sync.policy import Policy


@dataclass(frozen=True)
class Sentence:
    """A sentence with its numbers; `is_grave` when a school notices it at once."""

    text: str
    params: dict[str, int] = field(default_factory=dict)
    is_grave: bool = False

    def __str__(self) -> str:
        return self.text % self.params if self.params else self.text


NOTHING = N_("Nothing changes for any box.")
DRILL = N_("A drill: nothing changes in any lesson. It shows how fast a stop would arrive.")
STOP = N_("All answers stop in every school, until another order lets them go on.")
GO = N_("Answers go on in every school.")
DAY = N_("A box may send %(after)d kB a day; until now %(before)d kB.")
MONTH = N_("A box may send %(after)d kB a month; until now %(before)d kB.")
DAY_DOWN = N_("A box may fetch %(after)d kB a day; until now %(before)d kB.")
MONTH_DOWN = N_("A box may fetch %(after)d kB a month; until now %(before)d kB.")
RATE = N_("A box sends with at most %(after)d kbit/s (0: as fast as the line); until now %(before)d.")
HOURS = N_("Heavy things travel from %(first)d to %(last)d o'clock.")
METERED = N_("Lines that are paid by the byte may be used.")
NOT_METERED = N_("Lines that are paid by the byte may not be used.")
RETENTION = N_("A box keeps raw events for %(after)d days; until now %(before)d.")
SHORTER = N_("Older events are deleted on the boxes and do not come back.")
RECEIPTS = N_("A box keeps rows of confirmed batches for %(after)d days; until now %(before)d.")
ENDS = N_("These limits end by themselves after %(days)d days; a stop does not.")

_KILO = 1000


def changes(before: Policy, after: Policy) -> list[Sentence]:
    """Return what the boxes do otherwise once they follow the new order."""
    if after.is_drill:
        return [Sentence(DRILL)]
    found: list[Sentence] = []
    if before.stop != after.stop:
        found.append(Sentence(STOP if after.stop else GO, is_grave=True))
    old, new = before.limits, after.limits
    for text, was, becomes in (
        (DAY, old.day_up_bytes // _KILO, new.day_up_bytes // _KILO),
        (DAY_DOWN, old.day_down_bytes // _KILO, new.day_down_bytes // _KILO),
        (MONTH, old.month_up_bytes // _KILO, new.month_up_bytes // _KILO),
        (MONTH_DOWN, old.month_down_bytes // _KILO, new.month_down_bytes // _KILO),
        (RATE, old.rate_kbit, new.rate_kbit),
        (RETENTION, before.retention_days, after.retention_days),
        (RECEIPTS, before.receipt_days, after.receipt_days),
    ):
        if was != becomes:
            found.append(Sentence(text, {"before": was, "after": becomes}))
    if after.retention_days < before.retention_days:
        found.append(Sentence(SHORTER, is_grave=True))
    if (old.first_hour, old.last_hour) != (new.first_hour, new.last_hour):
        found.append(Sentence(HOURS, {"first": new.first_hour, "last": new.last_hour}))
    if old.uses_metered != new.uses_metered:
        found.append(Sentence(METERED if new.uses_metered else NOT_METERED, is_grave=bool(new.uses_metered)))
    if after.expires_at and after.expires_at != before.expires_at:
        found.append(Sentence(ENDS, {"days": (after.expires_at - after.issued_at).days}))
    return found or [Sentence(NOTHING)]
