"""Which sequences stay in the engine's memory after their requests, and what a new one shares with them.

Pure. Two kinds stay: lessons (a prefix that requests have in common, or that a caller named) and finished
conversations (the learner may go on). When cells or sequence numbers run short, finished ones go first, then
lessons, each the longest unused first; what is running is not on this shelf and never goes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

# Below this a prefix is the chat template's head or two questions that begin alike; decoding it again costs
# less than a step.
MIN_SHARED_TOKENS = 32
# Lessons of one school day, in all languages; each is a sequence number.
MAX_LESSONS = 8
# Conversations that went on within the last minutes; each step looks at all cells up to the last used one,
# so what nobody needs is not kept for long.
MAX_FINISHED = 8


@dataclass(slots=True, eq=False)
class Kept:
    sequence: int
    tokens: Sequence[int]
    is_lesson: bool
    uses: int = 0  # requests that shared it
    is_saved: bool = field(default=False)  # on disk, or not worth another try


def common_length(left: Sequence[int], right: Sequence[int]) -> int:
    """How many tokens both begin with. Halving and comparing slices runs in C, not token by token."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low + 1 < high:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    # Here `low` tokens agree and the first `high` do not; they are neighbours or nothing agrees at all.
    return low


def most_shared(prompt: Sequence[int]) -> int:
    """How much of a prompt need not be read: all but two tokens.

    The row of the last one tells the answer's first word, and alone it would tell it another way than in
    company (decision 0033).
    """
    return max(0, len(prompt) - 2)


class Shelf:
    def __init__(self, *, divisible: bool = True) -> None:
        self._divisible = divisible
        self._kept: dict[int, Kept] = {}  # by sequence, longest unused first

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Kept]:
        return iter(self._kept.values())

    def lessons(self) -> list[Kept]:
        return [kept for kept in self if kept.is_lesson]

    def finished(self) -> list[Kept]:
        return [kept for kept in self if not kept.is_lesson]

    def longest(self, prompt: Sequence[int]) -> tuple[Kept | None, int]:
        """The kept sequence that shares most with the prompt, and how many tokens."""
        best: Kept | None = None
        length = 0
        for kept in self:
            shared = common_length(kept.tokens, prompt)
            if not self._divisible and not len(kept.tokens) == shared <= most_shared(prompt):
                continue
            # Of equals the lesson: it is what must look used.
            if shared > length or (shared == length and best is not None and kept.is_lesson):
                best, length = kept, shared
        return best, length

    def covers(self, prompt: Sequence[int], tokens: int) -> bool:
        """Is so much of the prompt on the shelf as a lesson, or nearly so?

        Nearly helps nobody where a state is shared whole or not at all: there, whatever is kept counts.
        """
        if not self._divisible:
            wanted = prompt[:tokens]
            return any(kept.tokens == wanted for kept in self)
        near = tokens - MIN_SHARED_TOKENS
        return any(common_length(kept.tokens, prompt) > near for kept in self.lessons())

    def put(self, kept: Kept) -> None:
        self._kept[kept.sequence] = kept

    def longest_common(self, prompt: Sequence[int]) -> int:
        """With how many tokens some kept sequence begins like the prompt."""
        return max((common_length(kept.tokens, prompt) for kept in self), default=0)

    def touch(self, kept: Kept) -> None:
        """Somebody shares it: it goes to the safe end, and so does each lesson it begins with."""
        for other in self.lessons():
            if other is not kept and common_length(other.tokens, kept.tokens) == len(other.tokens):
                self._kept[other.sequence] = self._kept.pop(other.sequence)
        kept.uses += 1
        self._kept[kept.sequence] = self._kept.pop(kept.sequence)

    def drop(self, sequence: int) -> None:
        del self._kept[sequence]

    def victims(self, spared: Iterable[int] = ()) -> list[Kept]:
        """In the order in which they may go."""
        spared = set(spared)
        return [kept for kept in (*self.finished(), *self.lessons()) if kept.sequence not in spared]
