"""The engine's door: the OpenAI chat API on loopback, and the wiring of the process behind it.

Promises: bad input gets a 4xx that says what to change, a full queue a 429, a model that is not there
yet a 503; a client that hangs up frees its sequence, at once or, when it may come back to a stream, after
a grace period; only who has the box's key speaks for others; a class that is closed gets no word more,
whoever asks for it; no text of a question is ever logged.
"""

import json
import logging
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from models.card import ModelCard
from models.chat import ChatRequest, read_chat_request
from models.closure import Closure, read_closure
from models.engine import LlamaEngine
from models.engine_key import ensure_engine_key, is_same_key
from models.errors import (
    AnswerUnknown,
    GroupClosed,
    KeyNeeded,
    KeyUnknown,
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
from models.prefix_files import PrefixFiles
from models.probe import library_version
from models.prompt import Prompt
from models.protocol import Priority
from models.replies import ChatAnswer, error_body
from models.resume import GRACE_SECONDS, LOOK_SECONDS, Stream, Streams, log_finished
from models.scheduler import SPARE_SEQUENCES
from models.seats import READING_ROWS
from models.settings import EngineSettings
from models.store import Store
from models.supervision import answers, show_life, tell_supervisor
from models.tickets import Failed, Order, Text, Ticket
from models.tuning import most_answers
from models.worker import State, Worker

logger = logging.getLogger("models.engine")

# Text of the longest context is far smaller; anything above is a mistake or an attack.
MAX_BODY_BYTES = 1 << 20
# Whatever program asks must be able to tell, without reading a word: a model wrote this. The pages say
# `partly` where people's words stand beside it.
AI_HEADER = "X-AI-Generated"
LOADING_RETRY_SECONDS = 2
# The one fairness key of all who have no key of the box.
STRANGERS = "strangers"
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

    def __init__(
        self,
        worker: Worker,
        served: Served,
        metrics: EngineMetrics,
        key: str,
        grace_seconds: float = GRACE_SECONDS,
        closure: Callable[[], Closure] = Closure,
    ) -> None:
        self.streams = Streams(worker.cancel, grace_seconds)
        self._key = key
        self._worker = worker
        self._served = served
        self._metrics = metrics
        self._closure = closure
        self._prompt: Prompt | None = None

    def application(self) -> Flask:
        app = Flask("sandyq-engine", static_folder=None)
        app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
        app.json.sort_keys = False  # type: ignore[attr-defined] # Flask's default provider has it
        app.post("/v1/chat/completions")(self.chat)
        app.get("/v1/chat/completions/<name>/events")(self.events)
        app.delete("/v1/chat/completions/<name>")(self.end)
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
                "is_closed": not self._closure().is_empty,
                "closed_refusals": self._gauge("sandyq_engine_closed_refusals_total"),
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
        has_key = self._has_key()
        # An endless body without a length would otherwise read as an empty one.
        asked = read_chat_request(request.get_data(cache=False), random_seed=secrets.randbits(32))
        self._check_model(asked.model)
        # A group counts only with the key: a stranger cannot say for whom it asks.
        group = asked.group if has_key else ""
        self._check_open(group)
        ticket = self._worker.submit(self._order(asked, has_key=has_key))
        name = f"chatcmpl-{secrets.token_hex(16)}"
        answer = ChatAnswer(name, int(time.time()), self._served.name)
        if not asked.stream:
            return self._whole(ticket, answer, group, request.environ.get(CONNECTION_KEY))
        stream = Stream(
            ticket,
            answer,
            include_usage=asked.include_usage,
            is_closed=lambda: self._closure().refuses(group),
        )
        self.streams.open(stream)
        return self._send(stream, after=0)

    def events(self, name: str) -> Response:
        """Read a stream on, behind the event that came last."""
        self._has_key()
        stream = self.streams.join(name)
        try:
            after = stream.after(request.headers.get("Last-Event-ID"))
        except (GroupClosed, RequestInvalid):
            self._leave(stream)
            raise
        return self._send(stream, after)

    def end(self, name: str) -> dict[str, Any]:
        self._has_key()
        self.streams.end(name)
        return {"id": name, "object": "chat.completion.deleted", "deleted": True}

    def _has_key(self) -> bool:
        given = request.headers.get("Authorization")
        if given is None:
            return False
        kind, _, key = given.partition(" ")
        if kind.lower() != "bearer" or not is_same_key(key.strip(), self._key):
            raise KeyUnknown
        return True

    def _order(self, asked: ChatRequest, *, has_key: bool) -> Order:
        vocabulary = self._worker.engine.vocabulary
        if self._prompt is None:
            self._prompt = Prompt(vocabulary)  # made twice at worst; both are the same
        if asked.priority is Priority.TEACHER and not has_key:
            raise KeyNeeded(param="priority=teacher")
        written = self._prompt.write(asked.messages, asked.lesson)
        if not written.tokens:
            raise RequestInvalid(param="messages", detail="they hold no text")
        if asked.sampling.grammar and not vocabulary.takes_grammar(asked.sampling.grammar):
            raise SchemaUnsupported(detail="no grammar can be made of it")
        return Order(
            prompt=written.tokens,
            max_tokens=asked.max_tokens,
            sampling=asked.sampling,
            stop=asked.stop,
            learner=(asked.user and f"learner {asked.user}") if has_key else STRANGERS,
            priority=Priority.LEARNER if asked.priority is None else asked.priority,
            prefix_tokens=written.shared,
            head_tokens=written.head,
            characters=asked.characters,
            max_characters=asked.max_characters,
        )

    def _send(self, stream: Stream, after: int) -> Response:
        connection = request.environ.get(CONNECTION_KEY)
        events = stream.read(after, lambda: is_gone(connection))
        response = Response(events, content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        response.headers["Sandyq-Request-Id"] = stream.id
        response.headers[AI_HEADER] = "whole"
        # Not in the generator: its `finally` does not run when the client left before the first event.
        response.call_on_close(lambda: self._leave(stream))
        return response

    def _leave(self, stream: Stream) -> None:
        self.streams.leave(stream)
        if stream.is_closed():
            # Cut off in the middle, or refused; nobody may come back, so its seat is free at once.
            self._metrics.closed.inc()
            with suppress(AnswerUnknown):
                self.streams.end(stream.id)

    def _check_open(self, group: str) -> None:
        if self._closure().refuses(group):
            self._metrics.closed.inc()
            raise GroupClosed

    def _whole(self, ticket: Ticket, answer: ChatAnswer, group: str, connection: Any) -> Response:
        texts: list[str] = []
        while True:
            taken = ticket.take(LOOK_SECONDS)
            try:
                self._check_open(group)
            except GroupClosed:
                self._worker.cancel(ticket)
                raise
            for event in taken:
                if isinstance(event, Text):
                    texts.append(event.text)
                elif isinstance(event, Failed):
                    raise event.error
                else:
                    log_finished(ticket, event)
                    body = answer.whole(
                        "".join(texts), event.reason, event.prompt_tokens, event.answer_tokens
                    )
                    made = _json(body, 200)
                    made.headers[AI_HEADER] = "whole"
                    return made
            if is_gone(connection):
                self._worker.cancel(ticket)
                _log_gone(ticket)
                return Response(status=499)  # nobody reads it


def _json(body: dict[str, object], status: int) -> Response:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate can only come from the request's own JSON escapes.
    return Response(text.encode(errors="replace"), status=status, content_type="application/json")


def _log_gone(ticket: Ticket) -> None:
    logger.info("chat 499 prompt=%d total=%.2fs", len(ticket.order.prompt), time.monotonic() - ticket.arrived)


def _refuse(error: ModelsError) -> Response:
    logger.info("refused %d %s", error.status, error.key)
    response = _json(error_body(error), error.status)
    if error.status == 429:
        response.headers["Retry-After"] = str(error.params.get("retry_after_seconds", LOADING_RETRY_SECONDS))
    elif error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
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
    key = ensure_engine_key(settings.home)
    metrics = EngineMetrics()
    worker = Worker(lambda: _load(settings, store, card, worker), metrics, settings.waiting)
    served = Served(card.name, card.sha256, int(time.time()))
    closure = partial(read_closure, settings.home)
    application = Door(worker, served, metrics, key, closure=closure).application()
    listener = Listener(settings.host, settings.port, application, most_answers(settings) + settings.waiting)
    # The port listens before the model is loaded: whoever asks is told to wait instead of being refused.
    address = listener.listen()
    asked_to_stop = _catch_signals()  # before anybody knows the address and may end us
    announce(address)
    doorman = threading.Thread(target=listener.serve, name="listener")
    doorman.start()
    tell_supervisor("READY=1")
    # A step that hangs has its own watchdog; this one is for a process that no longer answers at all.
    host, port = listener.socket.getsockname()[:2]
    show_life(lambda: answers(host, port, "/health"))
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
    spare, step_rows = SPARE_SEQUENCES, READING_ROWS
    engine, worker.tuner = load_engine(settings, store, card, spare=spare, step_rows=step_rows)
    # A state fits the very weights and the very library that wrote it.
    fits = f"{card.sha256} {library_version()}"
    worker.files = PrefixFiles(settings.home / "models" / "prefixes", fits)
    return engine
