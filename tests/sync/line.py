"""A real TCP line that can be cut at any byte, in either direction, and counts what passed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

NEVER = 1 << 60


@dataclass
class CutLine:
    """Forwards to `target`; after so many bytes up or down the connection dies."""

    target: tuple[str, int]
    url: str = ""
    up: int = 0  # bytes that passed since `cut_after`
    down: int = 0
    connections: int = 0
    _up_limit: int = NEVER
    _down_limit: int = NEVER
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cut_after(self, *, up: int = NEVER, down: int = NEVER) -> None:
        """Start counting anew; what passes the limit is not delivered and the line is dead."""
        with self._lock:
            self.up = self.down = self.connections = 0
            self._up_limit, self._down_limit = up, down

    def mend(self) -> None:
        self.cut_after()

    def _take(self, direction: str, size: int) -> int:
        """Return how many of these bytes may still pass."""
        with self._lock:
            passed = getattr(self, direction)
            limit = self._up_limit if direction == "up" else self._down_limit
            allowed = max(0, min(size, limit - passed))
            setattr(self, direction, passed + allowed)
            return allowed

    def is_dead(self) -> bool:
        return self.up >= self._up_limit or self.down >= self._down_limit

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        with suppress(OSError):
            while not self.is_dead():
                piece = source.recv(65536)
                if not piece:
                    break
                allowed = self._take(direction, len(piece))
                sink.sendall(piece[:allowed])
                if allowed < len(piece):
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.target) as server:
            back = threading.Thread(target=self._pump, args=(server, client, "down"))
            back.start()
            self._pump(client, server, "up")
            back.join()

    def accept(self, listener: socket.socket) -> None:
        threads = []
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                break
            with self._lock:
                self.connections += 1
            threads.append(threading.Thread(target=self._serve, args=(client,)))
            threads[-1].start()
        for thread in threads:
            thread.join()


@contextmanager
def cut_line(url: str) -> Iterator[CutLine]:
    """Give a line to the region that serves at `url`."""
    parts = urlsplit(url)
    line = CutLine((parts.hostname or "", parts.port or 0))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        line.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = threading.Thread(target=line.accept, args=(listener,))
        thread.start()
        try:
            yield line
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
