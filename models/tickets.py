"""What a request wants, and its side of the counter.

The worker's thread puts events into a ticket; the thread that serves the learner takes them out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from models.answer import AnswerText
from models.errors import ModelsError
from models.protocol import Priority, Sampling


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
    head_tokens: int = 0  # leading tokens of the first message, where others may begin alike
    characters: int = 0  # the learner typed; what fairness charges, never tokens. 0 = count the prompt's
    max_characters: int = 0  # of the answer, equal for every language; 0 = no limit


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
    deaths: int = 0  # of the engine, while it held this request
    characters: int = 0
    max_characters: int = 0  # 0 = no limit
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
