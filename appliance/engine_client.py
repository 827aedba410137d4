"""Talk to the engine, or to any other server of the OpenAI chat API, over HTTP.

Promises one family of errors whatever the line does, and that an answer of our own engine whose line was cut
is read on where it stopped, and written once. Keeps out: who may ask, and what is saved.
"""

import json
import logging
import secrets
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote

import urllib3

from appliance.errors import AnswerFailed, EngineUnreachable

log = logging.getLogger(__name__)

# The engine answers on loopback at once or is not there; a busy one still accepts.
CONNECT_SECONDS = 2.0
# Between two bytes of a stream: the engine sends a comment every second while a request waits, and a
# step of a slow machine stays far below this. Longer silence means that it hangs.
SILENCE_SECONDS = 30.0
# Our engine goes on for ten seconds without a reader (models/resume); then there is nothing to come back to.
RESUME_SECONDS = 8.0
RESUME_PAUSE_SECONDS = 0.2
# A line that is cut again and again is no line.
MOST_RETURNS = 10
# Answers are short; a line this long is not from a chat server.
MAX_LINE_BYTES = 1 << 20
READ_BYTES = 1 << 16
# What every server of the API takes as a seed.
SEED_BITS = 31
# A key that does not fit and a full line say nothing about the question: it waits.
ENGINES_OWN_REFUSALS = (401, 403, 429)


@dataclass(frozen=True)
class EngineState:
    """`phase` is ready, loading or down."""

    phase: str
    model: str = ""
    model_sha256: str = ""
    is_closed: bool = False  # to some class, as during an exam
    closed_refusals: int = 0  # since the engine's start


@dataclass(frozen=True)
class Piece:
    """Some text of an answer, its end with the number of tokens written, or news while it waits."""

    text: str = ""
    answer_tokens: int = 0
    place: int | None = None  # in the engine's line; 0 = its turn has come; None = no news
    estimate_seconds: int = 0  # until the first word; 0 = not known


class EngineClient:
    """One engine. Safe to use from several threads."""

    def __init__(self, url: str, key: str = "") -> None:
        """`key` is our own engine's; another server must never see it."""
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._pool = urllib3.PoolManager(
            maxsize=16, retries=False, timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS)
        )

    @property
    def is_ours(self) -> bool:
        """Only our own engine has the box's key, and only it can close itself to a class."""
        return bool(self._headers)

    def state(self) -> EngineState:
        """Return how the engine is; never raises."""
        try:
            status, facts = self._ask("/health")
            if status == 503:
                return EngineState("loading" if facts.get("status") == "loading" else "down")
            if status != 200 or "model" not in facts:
                return self._state_of_stand_in()
        except (urllib3.exceptions.HTTPError, EngineUnreachable):
            return EngineState("down")
        return EngineState(
            "ready",
            str(facts["model"]),
            str(facts.get("sha256", "")),
            is_closed=facts.get("is_closed") is True,
            closed_refusals=int(facts.get("closed_refusals") or 0),
        )

    def _state_of_stand_in(self) -> EngineState:
        """Another server of the API may have no /health of our kind; every one lists its models."""
        status, facts = self._ask("/v1/models")
        models = facts.get("data")
        if status != 200 or not isinstance(models, list) or not models:
            return EngineState("down")
        return EngineState("ready", str(models[0].get("id", "")))

    def _ask(self, path: str) -> tuple[int, dict[str, Any]]:
        answer = self._pool.request("GET", self._url + path, timeout=CONNECT_SECONDS)
        return answer.status, _object(answer.data) if answer.status in (200, 503) else {}

    def stream(
        self,
        messages: list[dict[str, str]],
        *,
        max_tokens: int,
        max_characters: int = 0,
        learner: str,
        model: str = "",
        group: str = "",
    ) -> Iterator[Piece]:
        """Yield an answer to a chat as it is written; see `send`."""
        yield from self.send(
            self.request(
                messages,
                max_tokens=max_tokens,
                max_characters=max_characters,
                learner=learner,
                model=model,
                group=group,
            )
        )

    def request(
        self,
        messages: list[dict[str, str]],
        *,
        max_tokens: int,
        max_characters: int = 0,
        learner: str,
        model: str = "",
        group: str = "",
        response_format: dict[str, object] | None = None,
    ) -> dict[str, Any]:
        """Return the exact body that `send` puts on the wire; whoever keeps it can replay the answer."""
        return {
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": max_tokens,
            "user": learner,
            # Drawn here and kept with the request: the same seed makes the same answer again.
            "seed": secrets.randbits(SEED_BITS),
            **({"response_format": response_format} if response_format else {}),
            **({"model": model} if model else {}),  # ours needs no name, Ollama does
            # Fields of our own engine: equal text in every language, and for which class it is.
            **({"max_characters": max_characters} if max_characters and self.is_ours else {}),
            **({"group": group} if group and self.is_ours else {}),
        }

    def replay(self, body: dict[str, Any]) -> Iterator[Piece]:
        """Send a kept request again, behind everybody who waits now; see `send`."""
        yield from self.send({**body, **({"priority": "background"} if self._headers else {})})

    def send(self, body: dict[str, Any]) -> Iterator[Piece]:
        """Yield an answer as it is written. Closing the iterator frees the engine's sequence.

        An empty piece is a sign of life while the request waits, so that the caller can look up.

        Raises:
            EngineUnreachable: no engine, it is loading or full, or it stopped in the middle.
            AnswerFailed: the engine refuses this very request; `reason` holds its code.
        """
        response = self._request("POST", "", json=body)
        answer = _Answer(response.headers.get("Sandyq-Request-Id", ""))
        try:
            for _ in range(MOST_RETURNS):
                if response.status != 200:
                    raise _refusal(response.status, response.read(MAX_LINE_BYTES))
                try:
                    yield from answer.pieces(_lines(response))
                except _LineCut as cut:
                    response.close()
                    if not (self.is_ours and answer.id):
                        raise EngineUnreachable from cut
                else:
                    return
                log.info(
                    "the engine's line was cut; reading on behind %s", answer.last_event or "its beginning"
                )
                response = yield from self._come_back(answer)
            raise EngineUnreachable
        except urllib3.exceptions.HTTPError as error:
            raise EngineUnreachable from error
        finally:
            # Not released to the pool: an unread rest would keep the engine writing.
            response.close()
            if answer.id and not answer.is_whole:
                self._end(answer.id)

    def _request(self, method: str, path: str, **more: Any) -> urllib3.HTTPResponse:
        try:
            response = self._pool.request(
                method,
                f"{self._url}/v1/chat/completions{path}",
                headers={**self._headers, **more.pop("headers", {})},
                preload_content=False,
                **more,
            )
        except urllib3.exceptions.HTTPError as error:
            raise EngineUnreachable from error
        return cast("urllib3.HTTPResponse", response)

    def _come_back(self, answer: "_Answer") -> Generator[Piece, None, urllib3.HTTPResponse]:
        """Return the rest of the answer. Raises EngineUnreachable when there is none, or no engine."""
        path = f"/{quote(answer.id, safe='')}/events"
        headers = {"Last-Event-ID": answer.last_event} if answer.last_event else {}
        end = time.monotonic() + RESUME_SECONDS
        while True:
            yield Piece()  # whoever reads along may want to stop
            try:
                response = self._request("GET", path, headers=headers)
            except EngineUnreachable as error:
                cause = error.__cause__
                # Nobody listens: the engine has died, and with it the answer.
                is_refused = cause is not None and isinstance(cause.__cause__, ConnectionRefusedError)
                if is_refused or time.monotonic() > end:
                    raise
                time.sleep(RESUME_PAUSE_SECONDS)
                continue
            if response.status == 200 and _is_stream(response):
                return response
            response.close()  # the answer is forgotten, the class closed, or it is another server
            raise EngineUnreachable

    def _end(self, answer_id: str) -> None:
        """Say that nobody will come back: our engine would wait a while for a lost connection."""
        if not self._headers:
            return
        try:
            path = f"{self._url}/v1/chat/completions/{quote(answer_id, safe='')}"
            self._pool.request("DELETE", path, headers=self._headers, timeout=CONNECT_SECONDS)
        except urllib3.exceptions.HTTPError:
            log.debug("the engine was gone before the good-bye")


class _LineCut(Exception):
    """The connection ended before the answer did."""


class _Answer:
    """What is known of an answer while its stream is read."""

    def __init__(self, answer_id: str) -> None:
        self.id = answer_id
        self.last_event = ""  # the id of the last one that was read whole
        self.is_whole = False
        self._tokens = 0

    def pieces(self, lines: Iterator[bytes]) -> Iterator[Piece]:
        event = ""
        for line in lines:
            if line.startswith(b"id:"):
                event = line[3:].strip().decode("ascii", errors="ignore")
            if not line.startswith(b"data:"):
                yield _news(line)
                continue
            self.last_event = event if event.isprintable() else ""
            content = line[5:].strip()
            if content == b"[DONE]":
                self.is_whole = True
                yield Piece(answer_tokens=self._tokens)
                return
            yield from self._read(_object(content))
        raise _LineCut

    def _read(self, chunk: dict[str, Any]) -> Iterator[Piece]:
        if "error" in chunk:
            raise EngineUnreachable
        self.id = str(chunk.get("id") or self.id)
        self._tokens = (chunk.get("usage") or {}).get("completion_tokens", self._tokens)
        for choice in chunk.get("choices", []):
            yield Piece(text=choice.get("delta", {}).get("content") or "")


def _lines(response: urllib3.HTTPResponse) -> Iterator[bytes]:
    waiting = b""
    while part := _read(response):
        waiting += part
        *lines, waiting = waiting.split(b"\n")
        if len(waiting) > MAX_LINE_BYTES:
            raise EngineUnreachable
        yield from lines


def _read(response: urllib3.HTTPResponse) -> bytes:
    try:
        # read1 returns what has arrived; read would wait until a whole block is full.
        return response.read1(READ_BYTES)
    except urllib3.exceptions.ReadTimeoutError:
        raise  # the line is there, and the engine says nothing
    except urllib3.exceptions.HTTPError as error:
        raise _LineCut from error


def _is_stream(response: urllib3.HTTPResponse) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/event-stream")


def _news(line: bytes) -> Piece:
    """Our engine says `: waiting PLACE SECONDS`; any other comment is only a sign of life."""
    words = line.removeprefix(b": waiting ").split() if line.startswith(b": waiting ") else []
    numbers = [int(word) for word in words if word.isdigit()]
    return Piece(
        place=numbers[0] if numbers else None,
        estimate_seconds=numbers[1] if len(numbers) > 1 else 0,
    )


def _refusal(status: int, body: bytes) -> Exception:
    """Return the error for a status: most 4xx are about this request, the rest about the engine."""
    if 400 <= status < 500 and status not in ENGINES_OWN_REFUSALS:
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
