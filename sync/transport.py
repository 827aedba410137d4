"""Carry bytes to the region over HTTPS and bring its answer back.

Knows nothing of what is inside. Each way a line can fail becomes one error of
this room, so that the box can say what to do next. Redirects are not followed:
they would hand the box's token to a stranger, and a captive portal is not a
region. Keeps out: keys, storage, retries (the next run is the retry).
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from sync.errors import (
    AnswerUnreadable,
    BadRegionAddress,
    BatchFork,
    BoxNotApproved,
    BoxRevoked,
    CodeRefused,
    RegionBusy,
    RegionRefused,
    RegionUnreachable,
    SyncError,
    TokenRefused,
    TooManyCodes,
    WrongEpoch,
)
from sync.reply import MAX_REPLY_BYTES

CONNECT_TIMEOUT_SECONDS = 15  # a satellite link answers in two; past this the link is down
READ_TIMEOUT_SECONDS = 60  # between two pieces of an answer at 20 kbit/s
MAX_ANSWER_BYTES = MAX_REPLY_BYTES  # the largest honest answer brings back many receipts
DEFAULT_WAIT_SECONDS = 60
# What is cut off is sent again: a piece and its headers, at most. 6.4 seconds at 20 kbit/s.
PIECE_BYTES = 16_000
CHUNK_BYTES = 1_024  # between two of these the line may be slowed down
CONFLICT = 409

ENVELOPE_TYPE = "application/vnd.sandyq.sb1"
QUESTION_TYPE = "application/vnd.sandyq.question"
REPLY_TYPE = "application/vnd.sandyq.reply"
KEYS_TYPE = "application/vnd.sandyq.keys"
PIECE_TYPE = "application/partial-upload"
PROBLEM_TYPE = "application/problem+json"

# Which orders this box can read; a box of an older version says nothing and gets the older form.
ORDER_HEADER = "Sandyq-Order"
ORDER_OF_DESK = "2"
# The library would tell its version; whoever listens need not know it.
_NAME = {"User-Agent": "sandyq", ORDER_HEADER: ORDER_OF_DESK}

# It prints a page about an answer that was cut off: on this line that happens every minute.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_SPOKEN_AS: dict[str, type[SyncError]] = {
    error.key: error
    for error in (BatchFork, BoxNotApproved, BoxRevoked, TokenRefused, CodeRefused, WrongEpoch)
}


Pause = Callable[[], None]


def go_on() -> None:
    """The pause between two pieces when nothing else is waiting."""


class Transport(Protocol):
    """A way to the region that answers at once."""

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        """Deliver one envelope and return the region's reply, or raise. Calls `pause` between
        pieces; what it raises ends the sending, and the next try goes on from there."""

    def ask(self, question: bytes) -> bytes:
        """Return the region's reply to what is new."""

    def fetch_keys(self) -> bytes:
        """Return the region's newest list of keys, not yet checked."""


class Meter(Protocol):
    """Watches the line: counts what passes and slows down what leaves."""

    def sending(self, size: int) -> None:
        """Called before so many bytes leave; may wait."""

    def received(self, size: int) -> None:
        """Called when so many bytes have come."""


class Unmetered:
    """A line nobody counts."""

    def sending(self, size: int) -> None:
        pass

    def received(self, size: int) -> None:
        pass


class HttpTransport:
    """The wire. Used as a context it keeps one connection for all requests."""

    def __init__(self, region_url: str, token: str = "", meter: Meter | None = None) -> None:
        self._url = check_address(region_url)
        self._token = token
        self._meter = meter or Unmetered()
        self._kept: urllib3.PoolManager | None = None

    def __repr__(self) -> str:
        return f"HttpTransport({self._url})"

    def __enter__(self) -> Self:
        self._kept = _pool()
        return self

    def __exit__(self, *_fault: object) -> None:
        if self._kept is not None:
            self._kept.clear()
            self._kept = None

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        if len(sealed) <= PIECE_BYTES:
            return self._reply(self._ask("POST", "/v1/batches", sealed, {"Content-Type": ENVELOPE_TYPE}))
        return self._send_in_pieces(sealed, pause)

    def ask(self, question: bytes) -> bytes:
        return self._reply(self._ask("POST", "/v1/news", question, {"Content-Type": QUESTION_TYPE}))

    def fetch_keys(self) -> bytes:
        answer = self._ask("GET", "/v1/keys", b"", {})
        if answer.content_type != KEYS_TYPE or not answer.body:
            raise RegionUnreachable
        return answer.body

    def enrol(self, request: dict[str, str]) -> dict[str, Any]:
        """Ask to be taken in; return the region's answer, not yet checked."""
        answer = self._ask(
            "POST", "/v1/enrolments", json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            answered = json.loads(answer.body)
        except ValueError as fault:
            raise AnswerUnreadable from fault
        if not isinstance(answered, dict):
            raise AnswerUnreadable
        return answered

    def _send_in_pieces(self, sealed: bytes, pause: Pause) -> bytes:
        """Go on where the region says the last try ended; the last piece is answered with the reply."""
        sha256 = hashlib.sha256(sealed).digest()
        digest = f"sha-256=:{base64.b64encode(sha256).decode()}:"
        path = f"/v1/uploads/{sha256.hex()}"
        headers = {"Upload-Length": str(len(sealed)), "Repr-Digest": digest}
        answer = self._ask("POST", "/v1/uploads", b"", headers)
        # Each turn brings the offset forward; a region that turns us in circles is not obeyed for ever.
        for _ in range(2 + 2 * len(sealed) // PIECE_BYTES):
            if answer.content_type == REPLY_TYPE:
                return self._reply(answer)
            offset = _read_offset(answer, len(sealed))
            pause()
            piece = sealed[offset : offset + PIECE_BYTES]
            headers = {"Upload-Offset": str(offset), "Content-Type": PIECE_TYPE}
            answer = self._ask("PATCH", path, piece, headers, right_offset=True)
        raise AnswerUnreadable

    def _reply(self, answer: _Answer) -> bytes:
        # A line cut inside the headers of an answer leaves one without a body.
        if not answer.body:
            raise RegionUnreachable
        if answer.content_type != REPLY_TYPE:
            raise AnswerUnreadable
        return answer.body

    def _ask(
        self, method: str, path: str, body: bytes, headers: dict[str, str], *, right_offset: bool = False
    ) -> _Answer:
        if self._token:
            headers = headers | {"Authorization": f"Bearer {self._token}"}
        headers = headers | _NAME | {"Content-Length": str(len(body))}
        self._meter.sending(sum(len(name) + len(value) + 4 for name, value in headers.items()) + len(path))
        pool = self._kept or _pool()
        try:
            with pool.request(
                method,
                self._url + path,
                body=self._slowly(body),
                headers=headers,
                redirect=False,
                preload_content=False,
            ) as response:
                answer = _Answer(
                    response.status,
                    response.headers.get("Content-Type", "").partition(";")[0].strip(),
                    response.headers.get("Retry-After", ""),
                    response.headers.get("Upload-Offset", ""),
                    _read_to_end(response),
                )
                self._meter.received(
                    len(answer.body)
                    + sum(len(name) + len(value) + 4 for name, value in response.headers.items())
                )
                # Read to its end, the connection may serve the next request.
                response.release_conn()
        except (HTTPError, OSError) as fault:
            raise RegionUnreachable from fault
        finally:
            if pool is not self._kept:
                pool.clear()
        if right_offset and answer.status == CONFLICT and answer.offset:
            return answer
        return _accepted(answer)

    def _slowly(self, body: bytes) -> Iterator[bytes]:
        for at in range(0, len(body), CHUNK_BYTES):
            chunk = body[at : at + CHUNK_BYTES]
            self._meter.sending(len(chunk))
            yield chunk


def _pool() -> urllib3.PoolManager:
    timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS)
    return urllib3.PoolManager(timeout=timeout, retries=False, maxsize=1)


def _read_to_end(response: urllib3.BaseHTTPResponse) -> bytes:
    """Return the body. Only a read at its end tells whether it was cut; one too large is not read on."""
    body = b""
    while len(body) <= MAX_ANSWER_BYTES:
        piece: bytes = response.read(MAX_ANSWER_BYTES + 1 - len(body), decode_content=False)
        if not piece:
            break
        body += piece
    return body


def _read_offset(answer: _Answer, length: int) -> int:
    # A line cut inside the headers; half a number is put right by the region.
    if not answer.offset:
        raise RegionUnreachable
    if not answer.offset.isdecimal() or int(answer.offset) > length:
        raise AnswerUnreadable
    return int(answer.offset)


def check_address(url: str) -> str:
    """Return the region's address without its last slash, or raise."""
    parts = urlsplit(url.strip())
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.query:
        raise BadRegionAddress
    return url.strip().rstrip("/")


@dataclass(frozen=True)
class _Answer:
    status: int
    content_type: str
    retry_after: str
    offset: str
    body: bytes


def _accepted(answer: _Answer) -> _Answer:
    if len(answer.body) > MAX_ANSWER_BYTES:
        raise AnswerUnreadable
    if 200 <= answer.status < 300:
        return answer
    problem = _read_problem(answer)
    key = str(problem.get("code", ""))
    if key in _SPOKEN_AS:
        raise _SPOKEN_AS[key]
    if key == TooManyCodes.key:
        wait = answer.retry_after
        raise TooManyCodes(wait_seconds=int(wait) if wait.isdecimal() else DEFAULT_WAIT_SECONDS)
    if answer.status in {429, 502, 503, 504}:
        raise RegionBusy
    if not problem:
        raise AnswerUnreadable
    raise RegionRefused(status=answer.status, reason=str(problem.get("detail", key))[:300])


def _read_problem(answer: _Answer) -> dict[str, Any]:
    if answer.content_type != PROBLEM_TYPE:
        return {}
    try:
        problem = json.loads(answer.body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}
