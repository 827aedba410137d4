"""Say how far a long piece of work is: one living line on a terminal, one line a step anywhere else.

Promises: nothing on standard output, which belongs to the result; a step that fails is not called done.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

TICK_SECONDS = 1.0


class Progress:
    """Steps of known number, each with its time."""

    def __init__(self, steps: int, *, quiet: bool = False, screen: TextIO | None = None) -> None:
        self._steps = steps
        self._quiet = quiet
        self._screen = screen or sys.stderr
        self._is_terminal = self._screen.isatty()
        self._number = 0

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show one step while it lasts."""
        self._number += 1
        head = f"[{self._number}/{self._steps}] {what}"
        start = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(head, start, done), daemon=True)
        if self._is_terminal and not self._quiet:
            ticker.start()
        else:
            self._say(f"{head} …\n")
        try:
            yield
        finally:
            done.set()
            if ticker.is_alive():
                ticker.join()
        end = f"{head}: {time.monotonic() - start:.0f} s\n"
        self._say(f"\r\x1b[K{end}" if self._is_terminal else end)

    def _tick(self, head: str, start: float, done: threading.Event) -> None:
        while not done.is_set():
            filled = "█" * self._number + "░" * (self._steps - self._number)
            self._say(f"\r\x1b[K{filled} {head} … {time.monotonic() - start:.0f} s")
            done.wait(TICK_SECONDS)

    def _say(self, text: str) -> None:
        if not self._quiet:
            self._screen.write(text)
            self._screen.flush()
