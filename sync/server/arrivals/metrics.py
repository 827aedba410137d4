"""The region's figures for Prometheus: numbers only, no box by name, no text.

Counters are this worker's own, since it started; how much is stored is asked of the database. Keeps
out: routes.
"""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sync.errors import SyncError
from sync.server.storage.records import Counted

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_BATCHES = (1, 2, 5, 10, 20, 50)
# Pages say which box was in touch a moment ago: exact sums would say how many rows its envelope held.
EVENTS_STEP = 100


class RegionMetrics:
    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._batches = Counter(
            "sandyq_region_batches",
            "Envelopes that were read, by what they were.",
            ["verdict"],
            registry=registry,
        )
        self._uncounted = 0
        self._counting = threading.Lock()
        self._events = Counter("sandyq_region_events", "Events stored, by the hundred.", registry=registry)
        self._refused = Counter(
            "sandyq_region_refused",
            "Requests refused, by the key of the reason.",
            ["reason"],
            registry=registry,
        )
        self._group = Histogram(
            "sandyq_region_group_batches", "Envelopes in one commit.", buckets=_BATCHES, registry=registry
        )
        self._commit = Histogram(
            "sandyq_region_commit_seconds",
            "One group, from lock to disk.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._receipt = Histogram(
            "sandyq_region_receipt_seconds", "Envelope to receipt.", buckets=_SECONDS, registry=registry
        )
        self._boxes = Gauge("sandyq_region_boxes", "Boxes enrolled and not revoked.", registry=registry)
        self._ledger = Gauge("sandyq_region_ledger_batches", "Batches stored, in all.", registry=registry)
        self._stored = Gauge(
            "sandyq_region_ledger_events", "Events stored, in all, by the hundred.", registry=registry
        )
        self._missing = Gauge(
            "sandyq_region_ledger_missing", "Batches whose number was skipped so far.", registry=registry
        )

    def kept(self, verdict: str, events: int, seconds: float) -> None:
        self._batches.labels(verdict).inc()
        with self._counting:
            self._uncounted += events
            told = self._uncounted - self._uncounted % EVENTS_STEP
            self._uncounted -= told
        self._events.inc(told)
        self._receipt.observe(seconds)

    def committed(self, batches: int, seconds: float) -> None:
        self._group.observe(batches)
        self._commit.observe(seconds)

    def refused(self, error: SyncError) -> None:
        self._refused.labels(error.key).inc()

    def text(self, counted: Counted) -> bytes:
        """Return the page; `counted` is what the database says."""
        self._boxes.set(counted.boxes)
        self._ledger.set(counted.batches)
        self._stored.set(counted.events - counted.events % EVENTS_STEP)
        self._missing.set(counted.missing)
        return generate_latest(self.registry)
