"""Notice a step of the engine that does not come back.

A step takes a fraction of a second. One that hangs, in C where Python cannot reach, would keep a class
waiting for ever while the port still answers. So a thread looks on: a step that takes far longer than
its rows explain is told to abort, and if even that does not help, the process ends, so that the
supervisor starts a new one and the pages ask again. Keeps out: what happens to the requests.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The promise is ten seconds from the start of a hung step to the abort; LOOK_SECONDS pass in between.
HANG_SECONDS = 9.0
LOOK_SECONDS = 0.5
# A slow box with a large model honestly needs long for a full step of prompt; heat can double that.
SLOWEST_FACTOR = 4.0
# Between two layers llama.cpp asks whether to abort; a layer takes well under a second.
ABORT_SECONDS = 5.0


def patience_seconds(rows: int, slowest_row_seconds: float) -> float:
    """Return how long a step of so many rows may take before it counts as hung. Pure."""
    return max(HANG_SECONDS, SLOWEST_FACTOR * rows * slowest_row_seconds)


class Watchdog:
    """Looks on while a step runs. `abort` asks the step to end; `give_up` ends the process."""

    def __init__(
        self, abort: Callable[[], None], give_up: Callable[[], None], slowest_row_seconds: float = 0.0
    ) -> None:
        """`slowest_row_seconds`: what was measured before; on a slow box the very first prompt is long."""
        self._abort = abort
        self._give_up = give_up
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._aborted = False
        self._slowest_row_seconds = slowest_row_seconds
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
        self._thread.start()

    @contextmanager
    def watch(self, rows: int) -> Iterator[None]:
        """Look on while the body, one step of so many rows, runs."""
        began = time.monotonic()
        with self._lock:
            self._deadline = began + patience_seconds(rows, self._slowest_row_seconds)
            self._aborted = False
        try:
            yield
        finally:
            with self._lock:
                self._deadline = None
                if not self._aborted:
                    # A hung step must not teach us patience.
                    spent = (time.monotonic() - began) / max(1, rows)
                    self._slowest_row_seconds = max(self._slowest_row_seconds, spent)

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with self._lock:
                if self._deadline is None or time.monotonic() < self._deadline:
                    continue
                if self._aborted:
                    act = self._give_up
                else:
                    act, self._aborted = self._abort, True
                    self._deadline = time.monotonic() + ABORT_SECONDS
            act()
