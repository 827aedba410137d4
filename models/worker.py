"""The one thread that owns the engine: it seats requests, runs steps and hands out text.

Other threads only put messages into the inbox and read their own ticket's events. A cancelled request
leaves before the next step. A fault of one request fails that request; a fault of the engine is told
to everyone who waits, and then the worker ends: the process must be started anew.
"""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from queue import Empty, SimpleQueue

from models.answer import AnswerText
from models.errors import (
    AnswerFailed,
    EngineDied,
    EngineOutOfCells,
    EngineRefusedRows,
    EngineStopping,
    LearnerBusy,
    ModelLoading,
    ModelsError,
    PromptTooLong,
    QueueFull,
)
from models.memory import Share
from models.metrics import EngineMetrics
from models.protocol import Engine, Priority, Sampling, Span, Vocabulary
from models.scheduler import Request, Scheduler, Slot

logger = logging.getLogger(__name__)

# A prompt that leaves less room than this for its answer is refused: half a sentence helps nobody.
MIN_ANSWER_TOKENS = 32
# One request may not reserve the memory of a whole class by asking for an endless answer.
MAX_ANSWER_TOKENS = 1024
# One being answered and one waiting: who asks more only stands in the way, of nobody but oneself.
MAX_LEARNER_REQUESTS = 2
RETRY_SECONDS = 5
# A step takes well under a second; loading a large model cannot be interrupted and is not waited for.
STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    reason: str  # "stop" or "length"
    prompt_tokens: int
    answer_tokens: int
    waited_seconds: float
    first_token_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    error: ModelsError


Event = Text | Finished | Failed


@dataclass(frozen=True, slots=True)
class Order:
    """What one request wants."""

    prompt: Sequence[int]
    max_tokens: int
    sampling: Sampling
    stop: Sequence[str] = ()
    learner: str = ""  # who asks, for fairness; "" = a stranger who asks once
    priority: Priority = Priority.LEARNER
    prefix_tokens: int = 0  # leading tokens that are the shared lesson; 0 = nobody said
    characters: int = 0  # the learner typed; what fairness charges, never tokens. 0 = count the prompt's
    max_characters: int = 0  # of the answer, equal for every language; 0 = no limit


class State(Enum):
    LOADING = "loading"
    READY = "ok"
    STOPPING = "stopping"
    FAILED = "failed"


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's side of the counter: read `take` until Finished or Failed."""

    number: int
    order: Order
    max_tokens: int
    answer: AnswerText
    arrived: float
    typed: int  # characters
    place: int = 0  # in the queue; 0 = the answer is being written
    estimate_seconds: float = 0.0  # until the first token
    started: float = 0.0
    first_token: float = 0.0
    tokens: int = 0
    characters: int = 0
    events: SimpleQueue[Event] = field(default_factory=SimpleQueue)

    @property
    def learner(self) -> str:
        return self.order.learner

    def take(self, timeout_seconds: float) -> list[Event]:
        """What has happened since the last call; empty when nothing did in time."""
        taken: list[Event] = []
        try:
            taken.append(self.events.get(timeout=timeout_seconds))
            while True:
                taken.append(self.events.get_nowait())
        except Empty:
            return taken


class Worker:
    def __init__(self, load: Callable[[], Engine], metrics: EngineMetrics, waiting: int) -> None:
        self._load = load
        self._metrics = metrics
        self._waiting_limit = waiting
        self._inbox: SimpleQueue[Ticket | int | None] = SimpleQueue()  # arrival, cancellation, stop
        self._lock = threading.Lock()  # guards the three below
        self._state = State.LOADING
        self._failure: ModelsError | None = None
        self._tickets: dict[int, Ticket] = {}
        self._numbers = itertools.count(1)
        self._engine: Engine | None = None
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self.ended = threading.Event()

    # --- for other threads ---

    @property
    def state(self) -> State:
        return self._state

    @property
    def failure(self) -> ModelsError | None:
        return self._failure

    @property
    def engine(self) -> Engine:
        """Only its vocabulary and its sizes may be used from outside; raises until it is loaded."""
        if self._engine is None or self._state is not State.READY:
            raise self._refusal()
        return self._engine

    def start(self) -> None:
        self._thread.start()

    def submit(self, order: Order) -> Ticket:
        """Queue a request, or raise why it cannot be."""
        engine = self.engine
        length = len(order.prompt)
        limit = max(1, engine.context_tokens - MIN_ANSWER_TOKENS)
        if length > limit:
            raise PromptTooLong(prompt_tokens=length, limit_tokens=limit)
        max_tokens = min(order.max_tokens, MAX_ANSWER_TOKENS, engine.context_tokens - length)
        ticket = Ticket(
            next(self._numbers),
            order,
            max_tokens,
            AnswerText(order.stop),
            arrived=time.monotonic(),
            typed=order.characters or _count_characters(engine.vocabulary, order.prompt),
        )
        with self._lock:
            if self._state is not State.READY:
                raise self._refusal()
            waiting = len(self._tickets) - engine.answers
            own = [
                other for other in self._tickets.values() if order.learner and other.learner == order.learner
            ]
            if len(own) >= MAX_LEARNER_REQUESTS:
                place = max(other.place for other in own)
                raise LearnerBusy(waiting=max(0, waiting), place=place, retry_after_seconds=RETRY_SECONDS)
            if waiting >= self._waiting_limit:
                raise QueueFull(waiting=waiting, place=waiting + 1, retry_after_seconds=RETRY_SECONDS)
            ticket.place = max(0, waiting) + 1
            self._tickets[ticket.number] = ticket
            self._inbox.put(ticket)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Nobody reads the answer any more. Harmless when it has ended."""
        self._inbox.put(ticket.number)

    def stop(self) -> bool:
        """Tell everyone who waits, and end. False when the thread is stuck in a load or a step."""
        with self._lock:
            if self._state in (State.LOADING, State.READY):
                self._state = State.STOPPING
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Free the model; only after `stop`, and when no other thread uses the vocabulary any more."""
        # After a fault the memory cannot be trusted, not even to be freed.
        if self._engine is not None and self._state is not State.FAILED:
            self._engine.close()
            self._engine = None

    def _refusal(self) -> ModelsError:
        if self._state is State.LOADING:
            return ModelLoading()
        return self._failure or EngineStopping()

    # --- the engine's thread ---

    def _run(self) -> None:
        try:
            self._engine = self._load()
            with self._lock:
                if self._state is State.LOADING:
                    self._state = State.READY
            _Steps(self._engine, self._inbox, self._metrics, self._forget).run()
        except ModelsError as error:
            logger.error("engine failed: %s", error)  # noqa: TRY400 - our errors say all in one line
            self._end(State.FAILED, error)
        except Exception:
            logger.exception("engine failed")
            self._end(State.FAILED, EngineDied())
        else:
            self._end(State.STOPPING, EngineStopping())

    def _end(self, state: State, error: ModelsError) -> None:
        with self._lock:
            self._state = state
            self._failure = error
            left = list(self._tickets.values())
            self._tickets.clear()
        for ticket in left:
            ticket.events.put(Failed(error))
        self._metrics.active.set(0)
        self._metrics.waiting.set(0)
        self.ended.set()

    def _forget(self, number: int) -> None:
        with self._lock:
            self._tickets.pop(number, None)


class _Steps:
    """What the engine's thread does, over and over."""

    def __init__(
        self,
        engine: Engine,
        inbox: SimpleQueue[Ticket | int | None],
        metrics: EngineMetrics,
        forget: Callable[[int], None],
    ) -> None:
        self._engine = engine
        self._vocabulary = engine.vocabulary
        self._inbox = inbox
        self._metrics = metrics
        self._forget = forget
        self._scheduler = Scheduler(
            engine.answers, engine.sequences, engine.cells, divisible=engine.divisible
        )
        self._tickets: dict[int, Ticket] = {}  # by number
        self._seated: dict[int, Ticket] = {}  # by sequence
        self._news: list[tuple[Ticket, Event]] = []  # handed out when the step is over
        metrics.cells.set(engine.cells)

    def run(self) -> None:
        while self._read_inbox():
            self._seat()
            spans = self._scheduler.plan()
            if spans:
                self._step(spans)

    def _read_inbox(self) -> bool:
        """Take all messages; wait for one only when there is nothing to do. False = stop."""
        changed = False
        while True:
            try:
                message = self._inbox.get(block=self._scheduler.is_idle())
            except Empty:
                if changed:
                    self._count()
                return True
            if message is None:
                return False
            if isinstance(message, Ticket):
                self._tickets[message.number] = message
                self._scheduler.arrive(_request(message))
                changed = True
                continue
            ticket = self._tickets.get(message)
            if ticket is not None:
                self._leave(ticket, "cancelled")
                # Counted now and not below: the inbox may be waited on next.
                self._count()

    def _seat(self) -> None:
        seated = self._scheduler.admit(time.monotonic())
        self._apply_changes()
        for slot in seated:
            ticket = self._tickets[slot.request.number]
            self._seated[slot.sequence] = ticket
            self._engine.begin(slot.sequence, ticket.order.sampling)
            ticket.place = 0
            ticket.started = time.monotonic()
            self._metrics.wait_seconds.observe(ticket.started - ticket.arrived)
            self._metrics.shared_tokens.inc(slot.shared)
        if seated:
            self._count()

    def _apply_changes(self) -> None:
        """The engine follows the books."""
        for change in self._scheduler.memory.take_changes():
            if isinstance(change, Share):
                self._engine.share(change.source, change.target, change.tokens)
            else:
                self._engine.free(change.sequence)

    def _count(self) -> None:
        scheduler = self._scheduler
        waiting = scheduler.queue(time.monotonic())
        for place, request in enumerate(waiting, start=1):
            self._tickets[request.number].place = place
        self._metrics.active.set(scheduler.active)
        self._metrics.paused.set(len(scheduler.paused))
        self._metrics.waiting.set(len(waiting))
        kept = scheduler.memory.kept_cells
        self._metrics.cells_kept.set(kept)
        self._metrics.cells_reserved.set(scheduler.memory.account.reserved - kept)

    def _step(self, spans: Sequence[Span]) -> None:
        began = time.monotonic()
        try:
            self._decode(spans)
        except EngineOutOfCells:
            # The account says this cannot be; if it is, the least and newest pays and the rest go on.
            self._fail(max(self._scheduler.slots, key=lambda slot: (slot.turn_priority, slot.request.number)))
        except EngineRefusedRows:
            self._step_one_by_one(spans)
        else:
            self._harvest(spans)
        self._metrics.step_seconds.observe(time.monotonic() - began)
        # Handed out only now: every reader we wake wants Python's lock, which sampling would have to win
        # back for each sequence; the next decode gives it away for a long time anyway.
        for ticket, event in self._news:
            ticket.events.put(event)
        self._news.clear()

    def _decode(self, spans: Sequence[Span]) -> None:
        try:
            self._engine.decode(spans)
        except EngineOutOfCells:
            # Whatever nobody runs on goes first.
            self._scheduler.memory.empty_shelf()
            self._apply_changes()
            self._engine.decode(spans)

    def _step_one_by_one(self, spans: Sequence[Span]) -> None:
        """One request's rows are bad: find it, so that only it fails."""
        for span in spans:
            try:
                self._engine.decode([span])
            except (EngineRefusedRows, EngineOutOfCells):
                self._fail(self._scheduler.find_slot(span.sequence))
            else:
                self._harvest([span])

    def _harvest(self, spans: Sequence[Span]) -> None:
        """The spans are decoded: choose the next tokens and hand out the text."""
        for span in spans:
            self._scheduler.advance(span)
            if span.wants_token:
                self._take_token(span.sequence, self._engine.sample(span.sequence))

    def _take_token(self, sequence: int, token: int) -> None:
        ticket = self._seated[sequence]
        if not ticket.first_token:
            ticket.first_token = time.monotonic()
            self._metrics.first_token_seconds.observe(ticket.first_token - ticket.arrived)
            self._metrics.prompt_tokens.inc(len(ticket.order.prompt))
        if self._vocabulary.is_end(token):
            self._finish(ticket, "stop")
            return
        ticket.tokens += 1
        text = ticket.answer.feed(self._vocabulary.piece(token))
        if text:
            self._news.append((ticket, Text(text)))
        ticket.characters += len(text)
        may_go_on = self._scheduler.answer(sequence, token, len(text))
        if ticket.answer.stopped:
            self._finish(ticket, "stop")
        elif not may_go_on or 0 < ticket.order.max_characters <= ticket.characters:
            self._finish(ticket, "length")

    def _finish(self, ticket: Ticket, reason: str) -> None:
        rest = ticket.answer.finish()
        if rest:
            self._news.append((ticket, Text(rest)))
        self._metrics.answer_tokens.inc(ticket.tokens)
        self._leave(ticket, reason, keep=True)
        self._count()
        waited, first = ticket.started - ticket.arrived, ticket.first_token - ticket.arrived
        end = Finished(reason, len(ticket.order.prompt), ticket.tokens, waited, first)
        self._news.append((ticket, end))

    def _fail(self, slot: Slot) -> None:
        ticket = self._tickets[slot.request.number]
        self._leave(ticket, "failed")
        self._count()
        self._news.append((ticket, Failed(AnswerFailed())))

    def _leave(self, ticket: Ticket, outcome: str, *, keep: bool = False) -> None:
        """Give back everything the request held, in the engine and in the books."""
        slot = self._scheduler.leave(ticket.number, keep=keep)
        self._apply_changes()
        if slot is not None:
            del self._seated[slot.sequence]
        del self._tickets[ticket.number]
        self._forget(ticket.number)
        self._metrics.requests.labels(outcome).inc()


def _request(ticket: Ticket) -> Request:
    order = ticket.order
    return Request(
        ticket.number,
        list(order.prompt),
        ticket.max_tokens,
        learner=order.learner,
        priority=order.priority,
        prefix_tokens=min(order.prefix_tokens, len(order.prompt) - 1),
        characters=ticket.typed,
        arrived=ticket.arrived,
    )


def _count_characters(vocabulary: Vocabulary, prompt: Sequence[int]) -> int:
    return len(b"".join(map(vocabulary.piece, prompt)).decode(errors="replace"))
