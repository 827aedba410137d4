"""Talk to the engine, or to any other server of the OpenAI chat API, over HTTP.

Promises one family of errors whatever the line does. Keeps out: who may ask, and what is saved.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import urllib3

from appliance.errors import AnswerFailed, EngineUnreachable

# The engine answers on loopback at once or is not there; a busy one still accepts.
CONNECT_SECONDS = 2.0
# Between two bytes of a stream: the engine sends a comment every second while a request waits, and a
# step of a slow machine stays far below this. Longer silence means that it hangs.
SILENCE_SECONDS = 30.0
# Answers are short; a line this long is not from a chat server.
MAX_LINE_BYTES = 1 << 20
READ_BYTES = 1 << 16


@dataclass(frozen=True)
class EngineState:
    """`phase` is ready, loading or down."""

    phase: str
    model: str = ""
    model_sha256: str = ""


@dataclass(frozen=True)
class Piece:
    """Some text of an answer, or its end with the number of tokens written."""

    text: str = ""
    answer_tokens: int = 0


class EngineClient:
    """One engine. Safe to use from several threads."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=16, retries=False, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        )

    def state(self) -> EngineState:
        """Return how the engine is; never raises."""
        try:
            answer = self._pool.request("GET", f"{self._url}/health", timeout=CONNECT_SECONDS)
            facts = _object(answer.data)
        except (urllib3.exceptions.HTTPError, EngineUnreachable):
            return EngineState("down")
        if answer.status == 200:
            return EngineState("ready", str(facts.get("model", "")), str(facts.get("sha256", "")))
        return EngineState("loading" if facts.get("status") == "loading" else "down")

    def stream(self, messages: list[dict[str, str]], *, max_tokens: int, learner: str) -> Iterator[Piece]:
        """Yield an answer as it is written. Closing the iterator frees the engine's sequence.

        An empty piece is a sign of life while the request waits, so that the caller can look up.

        Raises:
            EngineUnreachable: no engine, it is loading or full, or it stopped in the middle.
            AnswerFailed: the engine refuses this very request; `reason` holds its code.
        """
        body = {
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens,
            "user": learner,
        }
        try:
            response = self._pool.request(
                "POST", f"{self._url}/v1/chat/completions", json=body, preload_content=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise EngineUnreachable from error
        try:
            if response.status != 200:
                raise _refusal(response.status, response.read(MAX_LINE_BYTES))
            yield from _pieces(_lines(cast("urllib3.HTTPResponse", response)))
        except urllib3.exceptions.HTTPError as error:
            raise EngineUnreachable from error
        finally:
            # Not released to the pool: an unread rest would keep the engine writing.
            response.close()


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    waiting = b""
    # read1 returns what has arrived; read would wait until a whole block is full.
    while part := response.read1(READ_BYTES):
        waiting += part
        *lines, waiting = waiting.split(b"\n")
        if len(waiting) > MAX_LINE_BYTES:
            raise EngineUnreachable
        yield from lines


def _pieces(lines: Iterator[bytes]) -> Iterator[Piece]:
    tokens = 0
    for line in lines:
        if not line.startswith(b"data:"):
            yield Piece()
            continue
        content = line[5:].strip()
        if content == b"[DONE]":
            yield Piece(answer_tokens=tokens)
            return
        chunk = _object(content)
        if "error" in chunk:
            raise _refusal(500, content)
        tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
        for choice in chunk.get("choices", []):
            yield Piece(text=choice.get("delta", {}).get("content") or "")
    raise EngineUnreachable  # the stream broke off before its end


def _refusal(status: int, body: bytes) -> Exception:
    """Return the error for a status: 4xx is about this request, the rest about the engine."""
    if 400 <= status < 500 and status != 429:
        code = (_object(body).get("error") or {}).get("code")
        return AnswerFailed(reason=str(code or status))
    return EngineUnreachable()


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise EngineUnreachable from error
    if not isinstance(value, dict):
        raise EngineUnreachable
    return value
