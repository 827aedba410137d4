"""How much one box may send in a day: enough for a year that was kept back, too little to fill a disk.

Counted in each worker, from what the ledger has of the day when the worker first meets the box: a restart
gives nothing back, and w workers together let at most w times as much through. Sticks are not counted: a
person carried them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from sync.region_errors import QuotaSpent
from sync.server.storage.store import Box, Store

# A school year of a school of 275 that was never on line is 400 full batches.
MAX_ENVELOPES_A_DAY = 1_000


@dataclass
class DailyQuota:
    """What `ingest` asks before it opens an envelope."""

    most: int = MAX_ENVELOPES_A_DAY
    _day: date = date.min
    _came: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, store: Store, box: Box, now: datetime) -> None:
        today = now.astimezone(UTC).date()
        with self._lock:
            if today != self._day:
                self._day, self._came = today, {}
            known = self._came.get(box.id)
        if known is None:
            known = store.count_received(box, today)
        with self._lock:
            # Refused tries count as well: whoever repeats a thousand envelopes a day is not a box of ours.
            self._came[box.id] = max(self._came.get(box.id, 0), known) + 1
            if self._came[box.id] > self.most:
                raise QuotaSpent
