"""What came over the wire, and when: a streamed answer put together from the pieces a socket gave.

Promises: pure. A client that only stores bytes and times while the class runs takes nearly nothing from
the processor that is measured; all reading happens here, afterwards.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

DONE = b"data: [DONE]"


class StreamBroken(Exception):
    """An answer that is not a whole stream of server-sent events."""


@dataclass(frozen=True)
class Arrival:
    """One piece as the socket gave it."""

    seconds: float  # since all asked
    data: bytes


@dataclass(frozen=True)
class Told:
    """One learner's answer. A refusal has a status other than 200 and no text."""

    status: int
    text: str = ""
    first_token_seconds: float = 0.0
    last_token_seconds: float = 0.0
    tokens: int = 0
    prompt_tokens: int = 0
    code: str = ""  # the error's, when refused


def read_answer(arrivals: Sequence[Arrival]) -> Told:
    """The whole answer. The first and last token are those with text, as a reader would count."""
    raw = b"".join(arrival.data for arrival in arrivals)
    head, found, _ = raw.partition(b"\r\n\r\n")
    if not found:
        raise StreamBroken(f"no HTTP answer, only {raw[:80]!r}")
    status = int(head.split(b" ", 2)[1])
    chunked = b"transfer-encoding: chunked" in head.lower()
    pieces = list(dechunk(raw, len(head) + 4) if chunked else whole_body(raw, len(head) + 4))
    if status != 200:
        return Told(status, code=_error_code(b"".join(piece for piece, _ in pieces)))
    return _read_events(pieces, _clock(arrivals))


def dechunk(raw: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """The chunks of an HTTP body, each with the offset in `raw` at which it was complete."""
    while start < len(raw):
        end = raw.find(b"\r\n", start)
        if end < 0:
            return
        size = int(raw[start:end].partition(b";")[0], 16)
        if size == 0:
            return
        start = end + 2
        yield raw[start : start + size], min(start + size, len(raw))
        start += size + 2


def whole_body(raw: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """The lines of a body that ends with the connection, each with the offset of its end."""
    while start < len(raw):
        end = raw.find(b"\n", start)
        end = len(raw) if end < 0 else end + 1
        yield raw[start:end], end
        start = end


def _clock(arrivals: Sequence[Arrival]) -> "Clock":
    ends, total = [], 0
    for arrival in arrivals:
        total += len(arrival.data)
        ends.append(total)
    return Clock(ends, [arrival.seconds for arrival in arrivals])


@dataclass(frozen=True)
class Clock:
    """When the byte at an offset had arrived."""

    ends: Sequence[int]
    seconds: Sequence[float]

    def at(self, offset: int) -> float:
        return self.seconds[bisect_left(self.ends, offset)]


def _read_events(pieces: Sequence[tuple[bytes, int]], clock: Clock) -> Told:
    texts: list[str] = []
    first = last = 0.0
    usage: dict[str, int] = {}
    line = b""
    ended = False
    for piece, offset in pieces:
        *lines, line = (line + piece).split(b"\n")
        for event in _events(lines):
            if event == b"[DONE]":
                ended = True
                continue
            chunk = json.loads(event)
            if "error" in chunk:
                raise StreamBroken(f"the answer failed: {chunk['error']}")
            text = "".join(c.get("delta", {}).get("content") or "" for c in chunk.get("choices", ()))
            usage = chunk.get("usage") or usage
            if text:
                last = clock.at(offset)
                first = first if texts else last
                texts.append(text)
    if not ended or not texts or not usage:
        raise StreamBroken(f"the stream ended after {len(texts)} pieces without its last words")
    return Told(
        200, "".join(texts), first, last, usage.get("completion_tokens", 0), usage.get("prompt_tokens", 0)
    )


def _events(lines: Sequence[bytes]) -> Iterator[bytes]:
    for line in lines:
        if line.startswith(b"data:"):  # the rest are blank lines and comments while a learner waits
            yield line.removeprefix(b"data:").strip()


def _error_code(body: bytes) -> str:
    try:
        error = json.loads(body)["error"]
        return str(error.get("code") or error.get("type") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return body[:80].decode(errors="replace")
