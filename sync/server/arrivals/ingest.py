"""Commit what arrives in groups: one write to the disk for as many envelopes as wait.

A worker's thread opens its envelope, joins the line and waits. Whoever finds the line without a
leader leads: it stores everybody's in one transaction on its own connection and wakes the others;
only then does each sign its receipt. Nobody waits longer than a commit and `LINGER_SECONDS`, and
nothing is kept between requests, so a worker may be killed at any moment and several may share a
PostgreSQL. A line that is full refuses (503): the box keeps its bytes and comes again.

Keeps out: HTTP, SQL, the rules of the ledger (`inbox`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sync.errors import DatabaseBusy, DiskFull, RegionBusy
from sync.keys import RegionKeys
from sync.region_errors import DatabaseAway, RegionMoved
from sync.server.arrivals import inbox
from sync.server.arrivals.inbox import Arrival, Kept, Stored, Verdict
from sync.server.arrivals.metrics import RegionMetrics
from sync.server.storage.store import Box, Store

# Fifty batches of 2,000 rows are 100,000 rows and about a second of COPY: no larger, or the box that
# waits for its receipt notices.
GROUP_BATCHES = 50
# The leader lets those in who are already opening their envelopes, but no longer than this.
LINGER_SECONDS = 0.2
# Opened envelopes hold their rows in memory, about 300 kB at most each; more than one group ahead
# would only make everybody late.
MAX_WAITING = 100
# A group ahead of us and our own; past this the database hangs, and the box should hear so.
WAIT_SECONDS = 30.0

# What hits the whole group: trying each alone would meet it again.
_COMMON_FAULTS = (DatabaseAway, DatabaseBusy, DiskFull, RegionMoved)

Quota = Callable[[Store, Box, datetime], None]
"""Raises when a box may not send more now; called before its envelope is opened."""


def no_quota(_store: Store, _box: Box, _now: datetime) -> None:
    """Every box may send."""


@dataclass(eq=False)
class _Place:
    """Somebody in the line."""

    arrival: Arrival
    now: datetime
    kept: Kept | None = None
    fault: Exception | None = None
    done: bool = False


@dataclass
class Ingest:
    """The line of one worker."""

    keys: RegionKeys
    region_id: bytes
    metrics: RegionMetrics
    quota: Quota = no_quota
    _door: threading.Condition = field(default_factory=threading.Condition)
    _line: list[_Place] = field(default_factory=list)
    _opening: int = 0  # threads that are about to join
    _is_led: bool = False

    def take(self, store: Store, sender: Box, blob: bytes, now: datetime) -> Stored:
        """Store an envelope and return the promise of it, after the commit.

        Raises:
            RefusedEnvelope: it is not taken, and never will be.
            RegionBusy, DatabaseAway, DatabaseBusy, DiskFull: nothing is promised; the same bytes may
                come again and count once.
        """
        began = time.monotonic()
        self.quota(store, sender, now)
        with self._coming():
            arrival = inbox.read_arrival(self.keys, self.region_id, sender, blob, store.find_box_by_kid)
            inbox.hold_unapproved(store, arrival, blob, now)
        place = _Place(arrival, now)
        self._join(place)
        self._wait(store, place)
        if place.fault is not None:
            raise place.fault
        if place.kept is None:
            raise RegionBusy
        is_new = place.kept.verdict is Verdict.NEW
        self.metrics.kept(
            place.kept.verdict.value, arrival.events.count if is_new else 0, time.monotonic() - began
        )
        return inbox.promise(place.kept, self.keys)

    @contextmanager
    def _coming(self) -> Iterator[None]:
        with self._door:
            if len(self._line) + self._opening >= MAX_WAITING:
                raise RegionBusy
            self._opening += 1
        try:
            yield
        finally:
            with self._door:
                self._opening -= 1
                self._door.notify_all()

    def _join(self, place: _Place) -> None:
        with self._door:
            self._line.append(place)
            self._door.notify_all()

    def _wait(self, store: Store, place: _Place) -> None:
        """Wait until somebody has stored our envelope, or lead the next group ourselves."""
        deadline = time.monotonic() + WAIT_SECONDS
        with self._door:
            while not place.done and self._is_led:
                if not self._door.wait(deadline - time.monotonic()):
                    if place in self._line:
                        self._line.remove(place)
                        raise RegionBusy
                    deadline = time.monotonic() + WAIT_SECONDS  # being stored: a promise is near, or a fault
            if place.done:
                return
            self._is_led = True
            group = self._gather(place)
        try:
            self._store_group(store, group)
        finally:
            with self._door:
                self._is_led = False
                for one in group:
                    one.done = True
                self._door.notify_all()

    def _gather(self, own: _Place) -> list[_Place]:
        """Return the next group, our own place in it; called with the door held."""
        until = time.monotonic() + LINGER_SECONDS
        while self._opening and len(self._line) < GROUP_BATCHES and self._door.wait(until - time.monotonic()):
            pass
        self._line.remove(own)
        group = [own, *self._line[: GROUP_BATCHES - 1]]
        del self._line[: GROUP_BATCHES - 1]
        return group

    def _store_group(self, store: Store, group: list[_Place]) -> None:
        began = time.monotonic()
        try:
            self._commit(store, group)
        except _COMMON_FAULTS as fault:
            for one in group:
                one.fault = fault
        except Exception:  # noqa: BLE001 - one of them is poison: each for itself, so that it falls alone
            for one in group:
                self._commit_alone(store, one)
        self.metrics.committed(len(group), time.monotonic() - began)

    def _commit(self, store: Store, group: list[_Place]) -> None:
        # The leader's moment is everybody's: a group has one time of arrival.
        now = max(one.now for one in group)
        with store.transaction():
            kept = inbox.keep_all(store, [one.arrival for one in group], now)
        for one, outcome in zip(group, kept, strict=True):
            one.kept = outcome

    def _commit_alone(self, store: Store, one: _Place) -> None:
        try:
            self._commit(store, [one])
        except Exception as fault:  # noqa: BLE001 - it is raised in the thread it belongs to
            one.fault = fault
