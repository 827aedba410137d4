"""The one thread that owns the engine, and the counter where requests are handed in.

Other threads only put messages into the inbox and read their own ticket's events. A cancelled request
leaves before the next step. A fault of one request fails that request. When the engine dies or hangs, it
is renewed: whoever has read nothing yet waits on without noticing, the others are told. After several
deaths everyone is told and the worker ends: the process must be started anew.
"""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum
from queue import SimpleQueue

from models.answer import AnswerText
from models.errors import (
    EngineDied,
    EngineStopping,
    LearnerBusy,
    ModelLoading,
    ModelsError,
    PromptTooLong,
    QueueFull,
)
from models.estimate import LONGEST_WAIT_SECONDS, retry_seconds
from models.metrics import EngineMetrics
from models.prefix_files import PrefixFiles
from models.protocol import Engine, Priority, Vocabulary
from models.steps import Steps
from models.tickets import Event, Failed, Finished, Order, Text, Ticket
from models.tuning import Tuner
from models.watchdog import Watchdog

__all__ = ["Event", "Failed", "Finished", "Order", "State", "Text", "Ticket", "Worker"]

logger = logging.getLogger(__name__)

# A prompt that leaves less room than this for its answer is refused: half a sentence helps nobody.
MIN_ANSWER_TOKENS = 32
# One request may not reserve the memory of a whole class by asking for an endless answer.
MAX_ANSWER_TOKENS = 1024
# One being answered and one waiting: who asks more only stands in the way, of nobody but oneself.
MAX_LEARNER_REQUESTS = 2
# A step takes well under a second; loading a large model cannot be interrupted and is not waited for.
STOP_SECONDS = 5.0


# An engine that dies again and again is broken in a way that only a new process can mend.
MAX_RENEWALS = 3
# A request that two engines died with is suspect.
MAX_DEATHS = 1
# What the supervisor sees when a step neither ended nor aborted.
EXIT_HUNG = 70


class State(Enum):
    LOADING = "loading"
    READY = "ok"
    STOPPING = "stopping"
    FAILED = "failed"


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
        self.wait_seconds = 0.0  # until the first word of whoever would come now, as the engine's thread says
        # Whoever loads a measured engine leaves its tuner here, on the engine's own thread.
        self.tuner: Tuner | None = None
        self.files: PrefixFiles | None = None  # likewise: where lessons outlive the process
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
            max_characters=order.max_characters,
        )
        with self._lock:
            if self._state is not State.READY:
                raise self._refusal()
            waiting = max(0, len(self._tickets) - engine.answers)
            self._check_queue(order, waiting)
            ticket.place, ticket.estimate_seconds = waiting + 1, self.wait_seconds
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

    def _check_queue(self, order: Order, waiting: int) -> None:
        """Refuse what would only wait in vain."""
        retry = retry_seconds(self.wait_seconds)
        own = [other for other in self._tickets.values() if order.learner and other.learner == order.learner]
        if len(own) >= MAX_LEARNER_REQUESTS:
            place = max(other.place for other in own)
            raise LearnerBusy(waiting=waiting, place=place, retry_after_seconds=retry)
        is_too_long = self.wait_seconds > LONGEST_WAIT_SECONDS and order.priority is not Priority.TEACHER
        if waiting >= self._waiting_limit or is_too_long:
            raise QueueFull(waiting=waiting, place=waiting + 1, retry_after_seconds=retry)

    def _refusal(self) -> ModelsError:
        if self._state is State.LOADING:
            return ModelLoading()
        return self._failure or EngineStopping()

    # --- the engine's thread ---

    def _run(self) -> None:
        watchdog: Watchdog | None = None
        try:
            engine = self._engine = self._load()
            slowest = self.tuner.slowest_row_seconds if self.tuner else 0.0
            watchdog = Watchdog(engine.abort, _give_up, slowest)
            with self._lock:
                if self._state is State.LOADING:
                    self._state = State.READY
            self._work(engine, watchdog)
        except ModelsError as error:
            logger.error("engine failed: %s", error)  # noqa: TRY400 - our errors say all in one line
            self._end(State.FAILED, error)
        except Exception:
            logger.exception("engine failed")
            self._end(State.FAILED, EngineDied())
        else:
            self._end(State.STOPPING, EngineStopping())
        finally:
            if watchdog is not None:
                watchdog.close()

    def _work(self, engine: Engine, watchdog: Watchdog) -> None:
        """Run steps; when the engine dies, begin anew with all who have read nothing yet."""
        for is_last in [False] * MAX_RENEWALS + [True]:
            steps = Steps(
                engine,
                self._inbox,
                self._metrics,
                self._forget,
                self._tell_wait,
                self.tuner,
                watchdog.watch,
                files=self.files,
            )
            try:
                steps.run()
            except EngineDied as error:
                if is_last:
                    raise
                logger.error("the engine is renewed: %s", error.key)  # noqa: TRY400 - our errors say all in one line
                engine.renew()
                for ticket in steps.left():
                    self._carry_over(ticket)
            else:
                return

    def _carry_over(self, ticket: Ticket) -> None:
        """Let a request begin again, unless somebody has read of it or it has been there twice."""
        ticket.deaths += bool(ticket.started)
        if ticket.tokens or ticket.deaths > MAX_DEATHS:
            self._forget(ticket.number)
            ticket.events.put(Failed(EngineDied()))
            return
        ticket.started, ticket.place = 0.0, 1
        self._inbox.put(ticket)

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

    def _tell_wait(self, seconds: float) -> None:
        self.wait_seconds = seconds

    def _forget(self, number: int) -> None:
        with self._lock:
            self._tickets.pop(number, None)


def _give_up() -> None:
    # Nothing in this process can be stopped in order any more: its one important thread is lost in C.
    logger.critical("a step hangs and does not abort: the process ends and must be started anew")
    os._exit(EXIT_HUNG)


def _count_characters(vocabulary: Vocabulary, prompt: Sequence[int]) -> int:
    return len(b"".join(map(vocabulary.piece, prompt)).decode(errors="replace"))
