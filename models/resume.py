"""Streams that outlive their connection: a phone that loses its Wi-Fi reads on where it was cut off.

Each event of a stream has a number. When nobody reads a stream any more, its request goes on for a grace
period; then it is cancelled and forgotten. Whoever knows its id may read it, so no id can be guessed.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator

from models.errors import AnswerUnknown, GroupClosed, RequestInvalid
from models.replies import ChatAnswer, error_body
from models.tickets import Failed, Finished, Text, Ticket

logger = logging.getLogger("models.engine")

# Long enough for a phone to find the next access point or to load the page again, short enough that nobody
# misses the seat of a child who went home.
GRACE_SECONDS = 10.0
# Complete answers that nobody reads, kept for who was cut off at the end. The oldest go first.
MAX_COMPLETE = 64
# How soon a vanished reader is noticed, and how often an idle thread wakes for it.
LOOK_SECONDS = 0.25
WAITING_COMMENT_SECONDS = 1.0


class Stream:
    """One request's events. Several threads may read it, each from a place of its own."""

    def __init__(
        self, ticket: Ticket, answer: ChatAnswer, *, include_usage: bool, is_closed: Callable[[], bool]
    ) -> None:
        self.id = answer.id
        self.is_closed = is_closed  # to the class it is for; looked at before every event
        self.ticket = ticket
        self.is_complete = False
        self.is_ended = False
        self.readers = 0  # this and the next belong to Streams, under its lock
        self.left_at = 0.0
        self._answer = answer
        self._include_usage = include_usage
        self._pulling = threading.Lock()  # one thread at a time takes events, so they stay in order
        # Text stays text, a tenth of the event around it; the rest is kept as it is sent. The length of an
        # answer is limited, and with it this list.
        self._events: list[str | bytes] = [_compact(answer.chunk({"role": "assistant", "content": ""}))]

    def after(self, event_id: str | None) -> int:
        """The number of the event that a reader had last; 0 = none. Raises also when it may not read on."""
        if self.is_closed():
            raise GroupClosed
        if event_id is None:
            return 0
        name, _, number = event_id.rpartition("-")
        if name != self.id or not number.isascii() or not number.isdigit() or len(number) > 9:
            raise RequestInvalid(param="Last-Event-ID", detail="it is not the id of an event of this answer")
        return min(int(number), len(self._events))

    def read(self, after: int, is_gone: Callable[[], bool]) -> Iterator[bytes]:
        """Server-sent events from there on, until the end of the answer or of the reader."""
        said_at = looked_at = time.monotonic()
        while not self.is_ended and not (self.is_complete and after >= len(self._events)):
            if self.is_closed():
                yield b"data: %s\n\n" % _compact(error_body(GroupClosed()))
                return
            for event in self._wait(after):
                if self.is_closed():
                    break
                after += 1
                yield b"id: %s-%d\ndata: %s\n\n" % (self.id.encode(), after, self._write(event))
                said_at = time.monotonic()
            now = time.monotonic()
            if now - said_at >= WAITING_COMMENT_SECONDS:
                said_at = now
                # No blank line behind it: OpenAI's client takes one for the end of an empty event.
                seconds = math.ceil(self.ticket.estimate_seconds)
                yield f": waiting {self.ticket.place} {seconds}\n".encode()
            if now - looked_at >= LOOK_SECONDS:
                looked_at = now
                if is_gone():
                    return

    def _wait(self, after: int) -> list[str | bytes]:
        """The events behind that number; none when there were none in time."""
        if len(self._events) <= after and self._pulling.acquire(timeout=LOOK_SECONDS):
            try:
                if len(self._events) <= after and not self.is_complete:
                    self._pull()
            finally:
                self._pulling.release()
        return self._events[after:]

    def _pull(self) -> None:
        taken = self.ticket.take(LOOK_SECONDS)
        # Text that piled up while it was written goes out as one event.
        text = "".join(event.text for event in taken if isinstance(event, Text))
        if text:
            self._events.append(text)
        last = taken[-1] if taken else None
        if isinstance(last, Failed):
            self._events.append(_compact(error_body(last.error)))
        elif isinstance(last, Finished):
            log_finished(self.ticket, last)
            self._events.append(_compact(self._answer.chunk({}, last.reason)))
            if self._include_usage:
                usage = self._answer.usage_chunk(last.prompt_tokens, last.answer_tokens)
                self._events.append(_compact(usage))
            self._events.append(b"[DONE]")
        self.is_complete = isinstance(last, Failed | Finished)

    def _write(self, event: str | bytes) -> bytes:
        return event if isinstance(event, bytes) else _compact(self._answer.chunk({"content": event}))


class Streams:
    """Every stream that somebody reads or may come back to."""

    def __init__(self, cancel: Callable[[Ticket], None], grace_seconds: float = GRACE_SECONDS) -> None:
        self._cancel = cancel
        self._grace_seconds = grace_seconds
        self._lock = threading.Lock()  # guards the rest, and the readers of each stream
        self._streams: dict[str, Stream] = {}
        self._is_watched = False

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, stream: Stream) -> None:
        """Somebody reads it from now on; `leave` is owed."""
        with self._lock:
            stream.readers = 1
            self._streams[stream.id] = stream

    def join(self, name: str) -> Stream:
        """One more reader; `leave` is owed. Raises AnswerUnknown."""
        with self._lock:
            stream = self._streams.get(name)
            if stream is None:
                raise AnswerUnknown
            stream.readers += 1
            return stream

    def leave(self, stream: Stream) -> None:
        with self._lock:
            stream.readers -= 1
            if stream.readers or stream.id not in self._streams:
                return
            # Put at the end, so that those without readers are in the order in which they were left.
            self._streams[stream.id] = self._streams.pop(stream.id)
            stream.left_at = time.monotonic()
            complete = [left for left in self._left() if left.is_complete]
            for oldest in complete[: max(0, len(complete) - MAX_COMPLETE)]:
                del self._streams[oldest.id]
            if not self._is_watched:
                self._is_watched = True
                threading.Thread(target=self._watch, name="streams", daemon=True).start()

    def end(self, name: str) -> None:
        """Cancel and forget it now. Raises AnswerUnknown."""
        with self._lock:
            stream = self._streams.pop(name, None)
        if stream is None:
            raise AnswerUnknown
        stream.is_ended = True
        self._cancel(stream.ticket)

    def _left(self) -> list[Stream]:
        return [stream for stream in self._streams.values() if not stream.readers]

    def _watch(self) -> None:
        """Runs only while a stream has no reader."""
        while True:
            with self._lock:
                left = self._left()
                if not left:
                    self._is_watched = False
                    return
                rest = left[0].left_at + self._grace_seconds - time.monotonic()
                if rest <= 0:
                    del self._streams[left[0].id]
            if rest <= 0:
                if not left[0].is_complete:
                    logger.info("chat 499 prompt=%d nobody came back", len(left[0].ticket.order.prompt))
                self._cancel(left[0].ticket)
            else:
                time.sleep(rest)


def log_finished(ticket: Ticket, event: Finished) -> None:
    logger.info(
        "chat 200 prompt=%d answer=%d reason=%s waited=%.2fs first=%.2fs total=%.2fs",
        event.prompt_tokens,
        event.answer_tokens,
        event.reason,
        event.waited_seconds,
        event.first_token_seconds,
        time.monotonic() - ticket.arrived,
    )


def _compact(body: dict[str, object]) -> bytes:
    # A lone surrogate can only come from the request's own JSON escapes.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
