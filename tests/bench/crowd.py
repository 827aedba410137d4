"""Thirty phones that ask for one page again and again: the load client, run as a process of its own.

Few instructions a request, so that what is measured is the server: answers are read and not parsed. A
phone keeps its connection as browsers do; where the server closes it, the next request pays for a new one.
Prints one line of JSON.

    python -m tests.bench.crowd PORT PATH CONNECTIONS SECONDS [COOKIE]
"""

import json
import selectors
import socket
import sys
import time

# Answers that come before this are warm-up: templates are compiled, connections opened.
WARM_UP_SECONDS = 1.0
TIMEOUT_SECONDS = 30.0
READ_BYTES = 1 << 16


class Line:
    """One phone: its connection, and the answer that is arriving on it."""

    def __init__(self, port: int, request: bytes, choose: selectors.BaseSelector) -> None:
        self._port = port
        self._request = request
        self._choose = choose
        self._socket: socket.socket | None = None
        self.asked_at = 0.0
        self.reconnections = -1
        self.arrived = bytearray()

    def ask(self) -> None:
        self.arrived.clear()
        self.asked_at = time.perf_counter()
        if self._socket is None:
            self._open()
        else:
            self._socket.sendall(self._request)

    def has_answer(self) -> bool:
        """Take what has come; return whether the answer is whole."""
        if self._socket is None:
            raise ConnectionError("nothing was asked")
        try:
            part = self._socket.recv(READ_BYTES)
        except ConnectionResetError:
            part = b""
        if not part:
            # Closed while the next request was on its way: asked again, and the time goes on.
            self._close()
            self._open()
            return False
        self.arrived += part
        head, gap, body = self.arrived.partition(b"\r\n\r\n")
        if not gap or not _is_whole(head.lower(), body):
            return False
        if b"connection: close" in head.lower():
            self._close()
        return True

    @property
    def status(self) -> int:
        return int(self.arrived[9:12])

    def _open(self) -> None:
        self.arrived.clear()
        self.reconnections += 1
        self._socket = socket.create_connection(("127.0.0.1", self._port), TIMEOUT_SECONDS)
        self._choose.register(self._socket, selectors.EVENT_READ, self)
        self._socket.sendall(self._request)

    def _close(self) -> None:
        if self._socket is not None:
            self._choose.unregister(self._socket)
            self._socket.close()
            self._socket = None


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    lengths = [int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.startswith(b"content-length:")]
    return bool(lengths) and len(body) >= lengths[0]


def load(port: int, path: str, connections: int, seconds: float, cookie: str = "") -> dict[str, object]:
    """Return how many answers came in a second, how long each took, and which statuses they had."""
    headers = ["Accept-Encoding: gzip", "Accept-Language: kk", "Connection: keep-alive"]
    headers += [f"Cookie: {cookie}"] if cookie else []
    request = "\r\n".join([f"GET {path} HTTP/1.1", "Host: box", *headers, "", ""]).encode()
    choose = selectors.DefaultSelector()
    lines = [Line(port, request, choose) for _ in range(connections)]
    for line in lines:
        line.ask()
    begin = time.perf_counter() + WARM_UP_SECONDS
    taken: list[float] = []
    statuses: dict[int, int] = {}
    while (now := time.perf_counter()) < begin + seconds:
        for key, _ in choose.select(TIMEOUT_SECONDS):
            line = key.data
            if not line.has_answer():
                continue
            now = time.perf_counter()
            if now >= begin:
                taken.append(now - line.asked_at)
                statuses[line.status] = statuses.get(line.status, 0) + 1
            line.ask()
    return {
        "per_second": len(taken) / seconds,
        "seconds": sorted(taken),
        "statuses": statuses,
        "reconnections": sum(line.reconnections for line in lines),
    }


if __name__ == "__main__":
    chosen = sys.argv[1:]
    print(json.dumps(load(int(chosen[0]), chosen[1], int(chosen[2]), float(chosen[3]), *chosen[4:5])))
