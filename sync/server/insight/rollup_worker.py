"""The thread of `sandyq region serve` that counts what came and tells what has become enough.

It works beside the requests and holds no transaction for long. What fails is said in the log and tried again:
pages show the day before until then. Several processes on one database may each have one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

from sync.errors import SyncError
from sync.server.insight import telling
from sync.server.storage.store import open_store

PAUSE_SECONDS = 30.0

_log = logging.getLogger(__name__)


class RollupWorker:
    """Counts now and again until it is stopped."""

    def __init__(self, database: str, clock: Callable[[], datetime], pause: float = PAUSE_SECONDS) -> None:
        self._database, self._clock, self._pause = database, clock, pause
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rollups", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with closing(open_store(self._database)) as store:
                    telling.update(store.db, self._clock())
            except SyncError as error:
                _log.warning("counting waits: %s", error.key)
            except Exception:  # noqa: BLE001 - the thread must live
                # A fault of ours must not end the counting for good, and is in the log to be mended.
                _log.exception("counting failed")
            self._stopping.wait(self._pause)
