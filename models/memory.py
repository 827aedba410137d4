"""Sequence numbers and cells: what a request gets, what it shares, what is kept and what must go.

Pure: the books. What the engine has to do for them is queued as changes, to be carried out in order before
anything else is decoded.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from models.kv import CellAccount
from models.prefixes import (
    MAX_FINISHED,
    MAX_LESSONS,
    MIN_SHARED_TOKENS,
    Kept,
    Shelf,
    common_length,
    most_shared,
)

# A step looks at the cells in the bin and skips them: a quarter of all costs about one per cent of its time.
BIN_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Free:
    """The engine shall forget the sequence."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Share:
    """The engine shall give the first tokens of `source` to `target` too."""

    source: int
    target: int
    tokens: int


Change = Free | Share


class Held(NamedTuple):
    """What a running sequence has in memory: so many of these tokens."""

    sequence: int
    tokens: list[int]
    decoded: int


class Memory:
    def __init__(self, sequences: int, cells: int, *, divisible: bool = True) -> None:
        self.account = CellAccount(cells)
        self.shelf = Shelf(divisible=divisible)
        self.divisible = divisible
        self.binned = 0  # cells that were given back, and that the engine puts nothing into yet
        self._free_sequences = list(range(sequences - 1, -1, -1))
        self._changes: list[Change] = []

    def take_changes(self) -> list[Change]:
        changes, self._changes = self._changes, []
        return changes

    @property
    def kept_cells(self) -> int:
        """Cells that only the shelf holds."""
        return self.account.freed_by(kept.sequence for kept in self.shelf)

    # --- running sequences ---

    def find_source(self, prompt: list[int], running: Iterable[Held]) -> tuple[int, int]:
        """The sequence that holds most of the prompt, and how much of it."""
        kept, length = self.shelf.longest(prompt)
        source = kept.sequence if kept else -1
        if self.divisible:
            for held in running:
                shared = min(held.decoded, common_length(held.tokens, prompt))
                if shared > length:
                    source, length = held.sequence, shared
        return source, min(length, most_shared(prompt))

    def can_spare_a_sequence(self) -> bool:
        """Is there one whose loss costs no lesson?"""
        return bool(self._free_sequences or self.shelf.finished())

    def open(self, prompt: list[int], cells: int, running: Iterable[Held]) -> tuple[int, int] | None:
        """A sequence with room to grow to so many cells, and how much of the prompt it holds already."""
        source, shared = self.find_source(prompt, running)
        sequence = self._take_sequence(spared=source)
        if sequence is None:
            # The only number left may be the very one that would be shared from.
            shared = 0
            sequence = self._take_sequence()
        if sequence is None:
            return None
        if shared:
            self._share(source, sequence, shared)
        # From here on the shared cells are the request's own: their first holder may go as well.
        if not self._clear(cells - shared) or not self.account.promise(sequence, cells - shared):
            self.close(sequence)
            return None
        self._note_lesson(prompt, sequence, shared)
        return sequence, shared

    def close(self, sequence: int) -> None:
        used = self.account.used
        self.account.release(sequence)
        self.binned += used - self.account.used
        self._free_sequences.append(sequence)
        self._changes.append(Free(sequence))

    # --- what stays ---

    def _note_lesson(self, prompt: list[int], sequence: int, shared: int) -> None:
        """Two requests begin alike: that is a lesson, and it stays when both have left."""
        if shared < MIN_SHARED_TOKENS:
            return
        if not self.divisible:
            self._note_checkpoint(prompt)
            return
        if not self.shelf.covers(prompt, shared):
            self.keep_lesson(sequence, prompt[:shared], uses=2)
            return
        lesson = max(self.shelf.lessons(), key=lambda kept: common_length(kept.tokens, prompt), default=None)
        if lesson is not None:
            self.shelf.touch(lesson)

    def _note_checkpoint(self, prompt: list[int]) -> None:
        """What several went on from is a lesson; a conversation is gone on with once."""
        kept, _ = self.shelf.longest(prompt)
        if kept is not None:
            self.shelf.touch(kept)
            kept.is_lesson = kept.is_lesson or kept.uses > 1

    def keep_lesson(self, sequence: int, tokens: list[int], *, uses: int = 1) -> None:
        """The running sequence begins with these: they stay without it."""
        holder = self._take_lesson_sequence()
        if holder is not None:
            self._share(sequence, holder, len(tokens))
            self.shelf.put(Kept(holder, tokens, is_lesson=True, uses=uses))

    def keep_finished(self, sequence: int, tokens: list[int]) -> None:
        finished = self.shelf.finished()
        if len(finished) >= MAX_FINISHED:
            self.forget(finished[0].sequence)
        if tokens and self.can_spare_a_sequence():
            holder = self._take_sequence()
            if holder is not None:
                self._share(sequence, holder, len(tokens))
                self.shelf.put(Kept(holder, tokens, is_lesson=False))

    def adopt_lesson(self, tokens: list[int]) -> int | None:
        """A lesson comes from a file: the sequence it may fill, or None when there is no room for it."""
        holder = self._take_lesson_sequence()
        if holder is None:
            return None
        if not self._clear(len(tokens)) or not self.account.adopt(holder, len(tokens)):
            self._free_sequences.append(holder)
            return None
        self.shelf.put(Kept(holder, tokens, is_lesson=True, uses=1, is_saved=True))
        return holder

    def forget(self, sequence: int) -> None:
        """Take a kept sequence from the shelf."""
        self.shelf.drop(sequence)
        self.close(sequence)

    def forget_finished_below_holes(self) -> bool:
        """Let go of finished conversations once the engine's bin is worth emptying; False while it is not.

        Emptied, it leaves holes before them, and who went on with one would be written before its own past.
        """
        if self.binned < BIN_SHARE * self.account.total:
            return False
        self._forget_finished()
        return True

    def sweep(self, prompts: Iterable[list[int]], worth_tokens: int) -> bool:
        """Nobody runs and these come: let go of finished conversations, unless somebody goes on with one."""
        if not self.divisible:
            # They show where prompts part, and unnamed checkpoints are among them; few layers of
            # such a model look at the cells.
            return False
        finished = {kept.sequence for kept in self.shelf.finished()}
        sources = (self.find_source(prompt, ()) for prompt in prompts)
        if not (finished or self.binned) or any(
            source in finished and shared >= worth_tokens for source, shared in sources
        ):
            return False
        self._forget_finished()
        return True

    def empty_shelf(self) -> None:
        """The engine has fewer cells than the books say: give back all that nobody runs on."""
        for kept in list(self.shelf):
            self.forget(kept.sequence)

    # --- helpers ---

    def _forget_finished(self) -> None:
        """And the engine's bin is emptied with them."""
        for kept in self.shelf.finished():
            self.forget(kept.sequence)
        self.binned = 0

    def _take_lesson_sequence(self) -> int | None:
        lessons = self.shelf.lessons()
        if len(lessons) >= MAX_LESSONS:
            self.forget(lessons[0].sequence)
        return self._take_sequence() if self.can_spare_a_sequence() else None

    def _take_sequence(self, spared: int = -1) -> int | None:
        if not self._free_sequences:
            victims = self.shelf.victims({spared})
            if not victims:
                return None
            self.forget(victims[0].sequence)
        return self._free_sequences.pop()

    def _clear(self, cells: int) -> bool:
        """See to it that so many cells are free; change nothing when it is not possible."""
        missing = cells - self.account.free
        if missing <= 0:
            return True
        victims = [kept.sequence for kept in self.shelf.victims()]
        if self.account.freed_by(victims) < missing:
            return False
        chosen: list[int] = []
        freed = 0
        for sequence in victims:
            would_free = self.account.freed_by([*chosen, sequence])
            if would_free > freed:  # not one whose cells are all in use by others
                chosen.append(sequence)
                freed = would_free
            if freed >= missing:
                break
        # Where kept sequences begin alike, the last to go frees what the others seemed not to hold.
        for sequence in [victim for victim in victims if victim not in chosen]:
            if freed >= missing:
                break
            chosen.append(sequence)
            freed = self.account.freed_by(chosen)
        for sequence in chosen:
            self.forget(sequence)
        return True

    def _share(self, source: int, target: int, tokens: int) -> None:
        self.account.share(source, target, tokens)
        self._changes.append(Share(source, target, tokens))
