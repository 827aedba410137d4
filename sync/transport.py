"""Carry bytes to the region over HTTPS and bring its answer back.

Knows nothing of what is inside. Each way a line can fail becomes one error of
this room, so that the box can say what to do next. Redirects are not followed:
they would hand the box's token to a stranger, and a captive portal is not a
region. Keeps out: keys, storage, retries (the next run is the retry).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from sync.errors import (
    AnswerUnreadable,
    BadRegionAddress,
    BatchFork,
    CodeRefused,
    RegionBusy,
    RegionRefused,
    RegionUnreachable,
    SyncError,
    TokenRefused,
    TooManyCodes,
)
from sync.receipt import MAX_RECEIPT_BYTES

CONNECT_TIMEOUT_SECONDS = 15  # a satellite link answers in two; past this the link is down
READ_TIMEOUT_SECONDS = 60  # between two pieces of an answer at 20 kbit/s
MAX_ANSWER_BYTES = 64 * 1024  # the largest honest answer is an enrolment, about 4 kB
DEFAULT_WAIT_SECONDS = 60

ENVELOPE_TYPE = "application/vnd.sandyq.sb1"
RECEIPT_TYPE = "application/vnd.sandyq.receipt"
PROBLEM_TYPE = "application/problem+json"

# The library would tell its version; whoever listens need not know it.
_NAME = {"User-Agent": "sandyq"}

_SPOKEN_AS: dict[str, type[SyncError]] = {
    error.key: error for error in (BatchFork, TokenRefused, CodeRefused)
}


class Transport(Protocol):
    """A way to the region: the wire today, a stick in a pocket later."""

    def send(self, sealed: bytes) -> bytes:
        """Deliver one envelope and return the signed receipt, or raise."""


@dataclass(frozen=True)
class HttpTransport:
    """The wire."""

    region_url: str
    token: str = ""

    def __repr__(self) -> str:
        return f"HttpTransport({self.region_url})"

    def send(self, sealed: bytes) -> bytes:
        headers = {"Content-Type": ENVELOPE_TYPE, "Authorization": f"Bearer {self.token}"}
        answer = self._post("/v1/batches", sealed, headers)
        if answer.content_type != RECEIPT_TYPE or len(answer.body) > MAX_RECEIPT_BYTES:
            raise AnswerUnreadable
        return answer.body

    def enrol(self, request: dict[str, str]) -> dict[str, Any]:
        """Ask to be taken in; return the region's answer, not yet checked."""
        answer = self._post(
            "/v1/enrolments", json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            answered = json.loads(answer.body)
        except ValueError as fault:
            raise AnswerUnreadable from fault
        if not isinstance(answered, dict):
            raise AnswerUnreadable
        return answered

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        url = check_address(self.region_url) + path
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS)
        try:
            with (
                urllib3.PoolManager(timeout=timeout, retries=False, maxsize=1) as pool,
                pool.request(
                    "POST", url, body=body, headers=headers | _NAME, redirect=False, preload_content=False
                ) as response,
            ):
                answer = _Answer(
                    response.status,
                    response.headers.get("Content-Type", "").partition(";")[0].strip(),
                    response.headers.get("Retry-After", ""),
                    response.read(MAX_ANSWER_BYTES + 1, decode_content=False),
                )
        except (HTTPError, OSError) as fault:
            raise RegionUnreachable from fault
        return _accepted(answer)


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
