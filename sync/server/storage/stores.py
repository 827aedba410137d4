"""The connections of one worker: taken for a request, given back after it.

PostgreSQL starts a process for each connection, so they are kept; the number of threads bounds them.
A SQLite file is opened for each request. A connection that broke, or that somebody left inside a
transaction, is closed and never handed out again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from sync.server.storage.store import Store, open_store


@dataclass
class Stores:
    """Kept connections to the region's database."""

    _idle: list[Store] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, address: str) -> Store:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_store(address)

    def give_back(self, store: Store) -> None:
        if not store.db.is_usable:
            store.close()
            return
        with self._lock:
            self._idle.append(store)

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for store in idle:
            store.close()
