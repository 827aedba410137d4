"""Who gets the next rows of the engine.

Pure: requests arrive and leave, each step asks for a plan. First come, first served: a request waits
until a sequence and all the cells it may ever need are free, and nobody overtakes it, so nobody
starves. In a step every running answer gets its one row first; prompts share what is left, so a long
prompt never holds up the others' text.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.kv import CellAccount
from models.protocol import Span

# Flash attention on the CPU skips other learners' cells row by row up to 63 rows, but from 64 on only
# in whole tiles, where a mixed step would compute everybody's memory. 60 is the largest multiple of
# 4 below: the packed kernels work on 4 rows at a time and do the remainder one by one.
MIXED_STEP_ROWS = 60
# A request that is alone holds up nobody, and has no other cells to skip: larger steps read the weights
# less often (192 instead of 171 tokens a second, SmolLM2-135M on one core).
PREFILL_STEP_ROWS = 256


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    prompt: Sequence[int]
    max_tokens: int

    @property
    def cells(self) -> int:
        return len(self.prompt) + self.max_tokens


@dataclass(slots=True)
class Slot:
    """A request's seat in the engine."""

    request: Request
    sequence: int
    decoded: int = 0  # tokens already in the engine's memory
    answered: int = 0
    next_token: int = -1  # chosen but not decoded yet; meaningful once the prompt is in

    @property
    def prompt_left(self) -> int:
        return len(self.request.prompt) - self.decoded


class Scheduler:
    def __init__(self, sequences: int, cells: int) -> None:
        self.account = CellAccount(cells)
        self._free_sequences = list(range(sequences - 1, -1, -1))
        self._waiting: deque[Request] = deque()
        self._slots: dict[int, Slot] = {}  # by sequence, oldest first

    @property
    def waiting(self) -> Sequence[Request]:
        return self._waiting

    @property
    def slots(self) -> Iterator[Slot]:
        return iter(self._slots.values())

    @property
    def active(self) -> int:
        return len(self._slots)

    def is_idle(self) -> bool:
        return not self._slots and not self._waiting

    def arrive(self, request: Request) -> None:
        if not request.prompt or request.max_tokens < 1 or request.cells > self.account.total:
            raise ValueError(f"request {request.number} can never run")
        self._waiting.append(request)

    def admit(self) -> list[Slot]:
        """Seat those whose turn has come."""
        seated = []
        while self._waiting and self._free_sequences:
            request = self._waiting[0]
            if not self.account.reserve(request.number, request.cells):
                break
            self._waiting.popleft()
            slot = Slot(request, self._free_sequences.pop())
            self._slots[slot.sequence] = slot
            seated.append(slot)
        return seated

    def plan(self) -> list[Span]:
        """The spans of the next step: one row for each running answer, then prompts, oldest first."""
        spans = [
            Span(slot.sequence, slot.decoded, (slot.next_token,), wants_token=True)
            for slot in self._slots.values()
            if slot.prompt_left <= 0
        ]
        room = PREFILL_STEP_ROWS if len(self._slots) == 1 else MIXED_STEP_ROWS - len(spans)
        for slot in self._slots.values():
            if room <= 0:
                break
            rows = min(slot.prompt_left, room)
            if rows <= 0:
                continue
            chunk = slot.request.prompt[slot.decoded : slot.decoded + rows]
            spans.append(Span(slot.sequence, slot.decoded, chunk, wants_token=rows == slot.prompt_left))
            room -= rows
        return spans

    def advance(self, span: Span) -> None:
        """The span is in the engine's memory now."""
        self._slots[span.sequence].decoded += len(span.tokens)

    def answer(self, sequence: int, token: int) -> bool:
        """Note the chosen token; False when it was the last one allowed."""
        slot = self._slots[sequence]
        slot.next_token = token
        slot.answered += 1
        return slot.answered < slot.request.max_tokens

    def leave(self, number: int) -> Slot | None:
        """Finished, failed or cancelled: forget the request and return its slot, whose sequence is free."""
        for slot in self._slots.values():
            if slot.request.number == number:
                del self._slots[slot.sequence]
                self._free_sequences.append(slot.sequence)
                self.account.release(number)
                return slot
        for request in self._waiting:
            if request.number == number:
                self._waiting.remove(request)
                break
        return None
