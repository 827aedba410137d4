"""The class's devices: many streamed questions at once from one light thread.

Promises: while answers run it only moves bytes and notes times (no parsing, no thread for each learner),
because every cycle it takes is taken from the engines it compares.
"""

import json
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.lessons import ANSWER_TOKENS
from tests.bench.processes import BenchFailed
from tests.bench.streams import DONE, Arrival, StreamBroken, Told, read_answer

# One question on a slow board with a full class; a hang must still end.
PATIENCE_SECONDS = 900.0

_PIECE_BYTES = 65_536
_TAIL_BYTES = 64  # room for the last event's marker and the last chunk's frame


@dataclass(frozen=True)
class Question:
    learner: str
    messages: Sequence[dict[str, str]]
    after_seconds: float = 0.0  # asked so long after the others
    max_tokens: int = ANSWER_TOKENS


@dataclass
class _Line:
    """One learner's connection."""

    socket: socket.socket
    question: Question
    due: float
    request: bytes
    asked: float = 0.0
    arrivals: list[Arrival] = field(default_factory=list)


@dataclass(frozen=True)
class Heard:
    """All that the class heard, by question in the order asked; None = not ended in time."""

    answers: Sequence[Told | None]
    seconds: float  # from the first question to the last answer's last byte
    client_seconds: float  # processor time this client took


# By port: our engine believes the learners' names only from who has its key; the peer has none.
KEYS: dict[int, str] = {}


def ask_all(port: int, questions: Sequence[Question], deadline_seconds: float = PATIENCE_SECONDS) -> Heard:
    """Ask and read to the end, or hang up on everyone when the deadline has passed."""
    began_processor = time.process_time()
    began = time.monotonic()
    open_lines = [_Line(_connect(port), q, began + q.after_seconds, _request(q, port)) for q in questions]
    lines = list(open_lines)
    # Connections are made before the clock starts: nobody measures the accept queue.
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for line in lines:
            line.due = began + line.question.after_seconds
        while open_lines and time.monotonic() - began < deadline_seconds:
            _send_due(selector, open_lines)
            for key, _ in selector.select(_pause(open_lines)):
                line = key.data
                if not _take(line):
                    selector.unregister(line.socket)
                    line.socket.close()
                    open_lines.remove(line)
        seconds = time.monotonic() - began
        for line in open_lines:
            line.socket.close()
    client_seconds = time.process_time() - began_processor
    left = set(map(id, open_lines))
    answers = [None if id(line) in left else _read(line) for line in lines]
    return Heard(answers, seconds, client_seconds)


def _connect(port: int) -> socket.socket:
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=30)
    except OSError as error:
        raise BenchFailed(f"nothing listens on port {port}: {error}") from error


def _request(question: Question, port: int) -> bytes:
    body = json.dumps(
        {
            "messages": question.messages,
            "max_tokens": question.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            "user": question.learner,
        }
    ).encode()
    key = f"Authorization: Bearer {KEYS[port]}\r\n" if port in KEYS else ""
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"{key}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _send_due(selector: selectors.BaseSelector, lines: Sequence[_Line]) -> None:
    now = time.monotonic()
    for line in lines:
        if not line.asked and line.due <= now:
            line.socket.sendall(line.request)
            line.asked = time.monotonic()
            line.socket.setblocking(False)
            selector.register(line.socket, selectors.EVENT_READ, line)


def _pause(lines: Sequence[_Line]) -> float:
    waiting = [line.due - time.monotonic() for line in lines if not line.asked]
    return max(0.0, min(waiting, default=1.0))


def _take(line: _Line) -> bool:
    """One piece; False when the answer is over."""
    try:
        piece = line.socket.recv(_PIECE_BYTES)
    except BlockingIOError:
        return True
    except OSError:
        return False
    line.arrivals.append(Arrival(time.monotonic() - line.asked, piece))
    if not piece:
        return False
    tail = b"".join(arrival.data[-_TAIL_BYTES:] for arrival in line.arrivals[-2:])
    return DONE not in tail


def _read(line: _Line) -> Told:
    try:
        return read_answer(line.arrivals)
    except (StreamBroken, ValueError) as error:
        raise BenchFailed(f"{line.question.learner} got no answer: {error}") from error
