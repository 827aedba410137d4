"""The engine's door: the OpenAI chat API on loopback, and the wiring of the process behind it.

Promises: bad input gets a 4xx that says what to change, a full queue a 429, a model that is not there
yet a 503; a client that hangs up frees its sequence; no text of a question is ever logged.
"""

import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from models.card import ModelCard
from models.chat import ChatRequest, read_chat_request
from models.engine import LlamaEngine
from models.errors import (
    ModelNotServed,
    ModelsError,
    RequestInvalid,
    RequestTooLarge,
    RouteUnknown,
    SchemaUnsupported,
)
from models.listener import CONNECTION_KEY, Listener, is_gone
from models.loading import load_engine
from models.metrics import EngineMetrics
from models.prompt import Prompt
from models.replies import ChatAnswer, error_body
from models.scheduler import PREFILL_STEP_ROWS, SPARE_SEQUENCES
from models.settings import EngineSettings
from models.store import Store
from models.tuning import most_answers
from models.worker import Failed, Finished, Order, State, Text, Ticket, Worker

logger = logging.getLogger("models.engine")

# Text of the longest context is far smaller; anything above is a mistake or an attack.
MAX_BODY_BYTES = 1 << 20
LOADING_RETRY_SECONDS = 2
QUEUE_RETRY_SECONDS = 5
# How long a vanished client may keep its sequence, and how often an idle thread wakes for it.
LOOK_SECONDS = 0.25
WAITING_COMMENT_SECONDS = 1.0
# After a failure the port still answers so long: whoever asks reads why, and only then the process ends.
LAST_WORDS_SECONDS = 1.5
SIGNAL_SECONDS = 0.2  # how soon SIGTERM is noticed
# After each decode the engine's thread asks for Python's lock back; with the default of 5 ms a thread that
# is busy with a socket could hold up everybody's next token for as long.
SWITCH_SECONDS = 0.0005


@dataclass(frozen=True)
class Served:
    """The model this process runs."""

    name: str
    sha256: str
    since: int  # seconds since 1970, for the API's `created`


class Door:
    """The routes; one object a process."""

    def __init__(self, worker: Worker, served: Served, metrics: EngineMetrics) -> None:
        self._worker = worker
        self._served = served
        self._metrics = metrics
        self._prompt: Prompt | None = None

    def application(self) -> Flask:
        app = Flask("sandyq-engine", static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's default provider has it
        app.post("/v1/chat/completions")(self.chat)
        app.get("/v1/models")(self.models)
        app.get("/v1/models/<path:name>")(self.model)
        app.get("/health")(self.health)
        app.get("/metrics")(self.metrics)
        app.register_error_handler(ModelsError, _refuse)
        app.register_error_handler(HTTPException, _refuse_http)
        app.register_error_handler(Exception, _refuse_crash)
        return app

    # --- small routes ---

    def health(self) -> tuple[dict[str, Any], int]:
        state = self._worker.state
        if state is State.READY:
            return {
                "status": "ok",
                "model": self._served.name,
                "sha256": self._served.sha256,
                "active": self._gauge("sandyq_engine_active_sequences"),
                "waiting": self._gauge("sandyq_engine_waiting_requests"),
            }, 200
        if state is State.LOADING:
            return {"status": "loading", "model": self._served.name}, 503
        failure = self._worker.failure
        told = {"code": failure.key, "message": str(failure)} if failure else {}
        return {"status": state.value, **told}, 503

    def _gauge(self, name: str) -> int:
        return int(self._metrics.registry.get_sample_value(name) or 0)

    def metrics(self) -> Response:
        return Response(self._metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")

    def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [self._describe()]}

    def model(self, name: str) -> dict[str, Any]:
        self._check_model(name)
        return self._describe()

    def _describe(self) -> dict[str, Any]:
        served = self._served
        return {"id": served.name, "object": "model", "created": served.since, "owned_by": "sandyq"}

    def _check_model(self, name: str | None) -> None:
        if name not in (None, "", self._served.name):
            raise ModelNotServed(name=str(name)[:80], served=self._served.name, param="model")

    # --- chat ---

    def chat(self) -> Response:
        # An endless body without a length would otherwise read as an empty one.
        asked = read_chat_request(request.get_data(cache=False), random_seed=secrets.randbits(32))
        self._check_model(asked.model)
        vocabulary = self._worker.engine.vocabulary
        if self._prompt is None:
            self._prompt = Prompt(vocabulary)  # made twice at worst; both are the same
        written = self._prompt.write(asked.messages, asked.lesson)
        if not written.tokens:
            raise RequestInvalid(param="messages", detail="they hold no text")
        if asked.sampling.grammar and not vocabulary.takes_grammar(asked.sampling.grammar):
            raise SchemaUnsupported(detail="no grammar can be made of it")
        ticket = self._worker.submit(
            Order(
                prompt=written.tokens,
                max_tokens=asked.max_tokens,
                sampling=asked.sampling,
                stop=asked.stop,
                prefix_tokens=written.shared,
                characters=asked.characters,
                max_characters=asked.max_characters,
            )
        )
        answer = ChatAnswer(f"chatcmpl-{secrets.token_hex(12)}", int(time.time()), self._served.name)
        connection = request.environ.get(CONNECTION_KEY)
        if not asked.stream:
            return self._whole(ticket, answer, connection)
        response = Response(self._chunks(ticket, answer, asked, connection), content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        # The generator's own `finally` does not run when the client left before the first chunk.
        response.call_on_close(lambda: self._worker.cancel(ticket))
        return response

    def _whole(self, ticket: Ticket, answer: ChatAnswer, connection: Any) -> Response:
        texts: list[str] = []
        while True:
            for event in ticket.take(LOOK_SECONDS):
                if isinstance(event, Text):
                    texts.append(event.text)
                elif isinstance(event, Failed):
                    raise event.error
                else:
                    _log_finished(ticket, event)
                    body = answer.whole(
                        "".join(texts), event.reason, event.prompt_tokens, event.answer_tokens
                    )
                    return _json(body, 200)
            if is_gone(connection):
                self._worker.cancel(ticket)
                _log_gone(ticket)
                return Response(status=499)  # nobody reads it

    def _chunks(
        self, ticket: Ticket, answer: ChatAnswer, asked: ChatRequest, connection: Any
    ) -> Iterator[bytes]:
        """Server-sent events. A comment each second while nothing else is said keeps the line honest."""
        yield _event(answer.chunk({"role": "assistant", "content": ""}))
        said_at = looked_at = time.monotonic()
        while True:
            events = ticket.take(LOOK_SECONDS)
            # Text that piled up while we wrote goes out as one chunk.
            text = "".join(event.text for event in events if isinstance(event, Text))
            if text:
                yield _event(answer.chunk({"content": text}))
            last = events[-1] if events else None
            if isinstance(last, Failed):
                yield _event(error_body(last.error))
                return
            if isinstance(last, Finished):
                _log_finished(ticket, last)
                yield _event(answer.chunk({}, last.reason))
                if asked.include_usage:
                    yield _event(answer.usage_chunk(last.prompt_tokens, last.answer_tokens))
                yield b"data: [DONE]\n\n"
                return
            now = time.monotonic()
            if text:
                said_at = now
            elif now - said_at >= WAITING_COMMENT_SECONDS:
                said_at = now
                yield f": waiting {ticket.place}\n\n".encode()
            if now - looked_at >= LOOK_SECONDS:
                looked_at = now
                if is_gone(connection):
                    _log_gone(ticket)
                    return


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _json(body: dict[str, object], status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate can only come from the request's own JSON escapes.
    return Response(text.encode(errors="replace"), status=status, content_type="application/json")


def _log_finished(ticket: Ticket, event: Finished) -> None:
    logger.info(
        "chat 200 prompt=%d answer=%d reason=%s waited=%.2fs first=%.2fs total=%.2fs",
        event.prompt_tokens,
        event.answer_tokens,
        event.reason,
        event.waited_seconds,
        event.first_token_seconds,
        time.monotonic() - ticket.arrived,
    )


def _log_gone(ticket: Ticket) -> None:
    logger.info("chat 499 prompt=%d total=%.2fs", len(ticket.order.prompt), time.monotonic() - ticket.arrived)


def _refuse(error: ModelsError) -> Response:
    logger.info("refused %d %s", error.status, error.key)
    response = _json(error_body(error), error.status)
    if error.status == 429:
        response.headers["Retry-After"] = str(QUEUE_RETRY_SECONDS)
    elif error.status == 503:
        response.headers["Retry-After"] = str(LOADING_RETRY_SECONDS)
    return response


def _refuse_http(error: HTTPException) -> Response:
    """Flask's own refusals, in our words."""
    if isinstance(error, RequestEntityTooLarge):
        return _refuse(RequestTooLarge(limit_bytes=MAX_BODY_BYTES))
    if error.code in (404, 405):
        response = _refuse(RouteUnknown(method=request.method[:20], path=request.path[:200]))
        response.status_code = error.code
        return response
    response = _refuse(RequestInvalid(param="body", detail=error.name.lower()))
    response.status_code = error.code or 400
    return response


def _refuse_crash(error: Exception) -> Response:
    logger.error("a request crashed", exc_info=error)
    return _json(error_body(ModelsError()), 500)


# --- the process ---


def serve(settings: EngineSettings, announce: Callable[[str], None]) -> None:
    """Run until SIGTERM or SIGINT; raise a ModelsError when the engine could not start or died."""
    sys.setswitchinterval(SWITCH_SECONDS)
    store = Store(settings.home)
    card = store.get_current()
    metrics = EngineMetrics()
    worker = Worker(lambda: _load(settings, store, card, worker), metrics, settings.waiting)
    served = Served(card.name, card.sha256, int(time.time()))
    application = Door(worker, served, metrics).application()
    listener = Listener(settings.host, settings.port, application, most_answers(settings) + settings.waiting)
    # The port listens before the model is loaded: whoever asks is told to wait instead of being refused.
    announce(listener.listen())
    asked_to_stop = _catch_signals()
    doorman = threading.Thread(target=listener.serve, name="listener")
    doorman.start()
    worker.start()
    while not asked_to_stop and not worker.ended.wait(SIGNAL_SECONDS):
        pass
    if not asked_to_stop:
        time.sleep(LAST_WORDS_SECONDS)
    is_done = worker.stop()
    listener.stop()
    doorman.join()
    worker.close()
    failure = worker.failure
    if worker.state is State.FAILED and failure is not None:
        raise failure
    if not is_done:
        # The thread sits in C code; waiting for it, or letting C clean up under it, would hang or crash.
        os._exit(0)


def _catch_signals() -> list[int]:
    """The signals that asked us to stop, as they come in."""
    asked: list[int] = []

    def stop(number: int, frame: object) -> None:  # noqa: ARG001
        # Nothing that takes a lock: the interrupted thread may hold it.
        asked.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    return asked


def _load(settings: EngineSettings, store: Store, card: ModelCard, worker: Worker) -> LlamaEngine:
    spare, step_rows = SPARE_SEQUENCES, PREFILL_STEP_ROWS
    engine, worker.tuner = load_engine(settings, store, card, spare=spare, step_rows=step_rows)
    return engine
