"""A request and its seat: what it brings, how far it has come, and which rows of it come next.

Pure. Who gets a seat and when its rows are decoded is the scheduler's to say.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import pairwise

from models.protocol import Priority, Span

# Tiles are several times faster a row (decision 0032). A long prompt is read with them, in steps of its own
# of just one tile, because they hold up everybody's text; only the rest of it joins the others.
READING_ROWS = 64


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    prompt: list[int]
    max_tokens: int
    learner: str = ""  # "" = nobody in particular, different from all others
    priority: Priority = Priority.LEARNER
    prefix_tokens: int = 0  # the caller says that so much will be shared
    head_tokens: int = 0  # the first message: so much may be shared
    characters: int = 0  # typed; what fairness charges
    is_whole_prompt: bool = False  # nobody said what was typed: the characters are all of the prompt's
    arrived: float = 0.0

    @property
    def cells(self) -> int:
        return len(self.prompt) + self.max_tokens

    @property
    def key(self) -> Hashable:
        return self.learner or self.number


@dataclass(slots=True, eq=False)
class Slot:
    """A request's seat in the engine."""

    request: Request
    sequence: int
    tokens: list[int]  # the prompt, then what was answered
    shared: int  # leading tokens it did not have to decode
    decoded: int  # tokens in the engine's memory
    readings: tuple[range, ...] = ()  # positions that are read in steps of their own
    checkpoint: int = 0  # leading tokens after which what cannot be divided is kept; 0 = nowhere
    answered: int = 0
    turn_priority: int = Priority.LEARNER  # by which it got its row; age may have raised it
    turn_characters: int = 0  # written since then
    pauses: int = 0
    paused_at: float = 0.0
    commons: dict[int, int] = field(default_factory=dict)  # with those who wait, by number

    @property
    def own_rows(self) -> int:
        """What its prompt brought that nobody had."""
        return len(self.request.prompt) - self.shared

    @property
    def tokens_left(self) -> int:
        return self.request.max_tokens - self.answered

    @property
    def prompt_left(self) -> int:
        return len(self.request.prompt) - self.decoded

    @property
    def long_rows(self) -> int:
        """Rows that come next and are read in steps of their own."""
        return next((part.stop - self.decoded for part in self.readings if self.decoded in part), 0)

    @property
    def short_rows(self) -> int:
        """Rows of the prompt that come next and join the others' step."""
        if self.long_rows:
            return 0
        starts = (part.start - self.decoded for part in self.readings if part.start > self.decoded)
        return min(starts, default=self.prompt_left)


def prompt_span(slot: Slot, rows: int) -> Span:
    chunk = slot.tokens[slot.decoded : slot.decoded + rows]
    return Span(slot.sequence, slot.decoded, chunk, wants_token=rows == slot.prompt_left)


def readings(shared: int, lesson: int, end: int) -> tuple[range, ...]:
    """What is read in steps of its own: whole tiles of the lesson, and whole tiles of what follows it.

    Decided by the prompt and where its lesson ends, not by who else is there: a question on a lesson that is
    read with it goes the same way as one on a lesson that is in memory.
    """
    cuts = [shared, *([lesson] if shared < lesson < end else []), end]
    tiles = ((start, _whole_tiles(stop - start)) for start, stop in pairwise(cuts))
    return tuple(range(start, start + rows) for start, rows in tiles if rows)


def _whole_tiles(rows: int) -> int:
    # A row that is left over might be alone in its step: the last tile is given up for it.
    tiles, rest = divmod(rows, READING_ROWS)
    return (tiles - (tiles > 0 and rest == 1)) * READING_ROWS
