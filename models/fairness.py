"""Whose turn it is: classes of requests, and inside a class a counter of text for each learner.

Pure. After the virtual token counter of Sheng et al. (OSDI 2024, arXiv 2401.00588), with one change: what is
counted is text, never tokens. A Kazakh word costs 5.3 tokens in common vocabularies, a Russian one 2.6, an
English one 1.2; counted by tokens, Kazakh-speaking children would stand at the back of every queue.
One unit is the engine's work for one written character, averaged over the whole class.
"""

from collections.abc import Collection, Hashable
from dataclasses import dataclass

from models.protocol import Priority

# An answer that others wait for runs on until its learner is so far ahead, then it pauses: about a line on a
# phone. Shorter slices keep more half-written answers in memory, longer ones make the last child wait for
# its first word.
SLICE_CHARACTERS = 64
# Whoever has waited so long goes first in its class, oldest first: counters alone could pass a learner over
# for ever while new ones keep coming. Background work becomes a learner's after it.
AGE_SECONDS = 60.0
# Counters of absent learners who are ahead; a school has fewer.
MAX_COUNTERS = 4096
# Until it is measured: decoding a typed character costs a small part of writing one.
TYPED_WEIGHT = 0.15


@dataclass(frozen=True, slots=True, order=True)
class Rank:
    """Smaller goes first."""

    priority: int
    is_young: bool
    counter: float  # of the aged: since when they wait
    number: int

    def is_ahead_of(self, other: "Rank") -> bool:
        """Clearly enough to take the other's place in the middle of its answer."""
        if self.priority != other.priority:
            return self.priority < other.priority
        return not self.is_young or other.counter - self.counter >= SLICE_CHARACTERS


class Ledger:
    """The counters of one class."""

    def __init__(self) -> None:
        self._counters: dict[Hashable, float] = {}
        self._present: dict[Hashable, int] = {}  # requests of each learner who waits or is served
        self._floor = 0.0

    def counter(self, key: Hashable) -> float:
        return self._counters.get(key, self._floor)

    @property
    def is_present(self) -> bool:
        return bool(self._present)

    def enter(self, key: Hashable) -> None:
        """A newcomer starts beside the one who has had least, not with the credit of a long absence."""
        self._raise_floor()
        count = self._present.get(key, 0)
        if not count:
            self._counters[key] = max(self.counter(key), self._floor)
        self._present[key] = count + 1

    def leave(self, key: Hashable) -> None:
        self._raise_floor()
        self._present[key] -= 1
        if self._present[key]:
            return
        del self._present[key]
        if not self._present:
            # Nobody is left to whom anything is owed.
            self._counters.clear()
            self._floor = 0.0
        elif self._counters[key] <= self._floor or len(self._counters) > MAX_COUNTERS:
            del self._counters[key]

    def charge(self, key: Hashable, units: float) -> None:
        self._counters[key] += units

    def _raise_floor(self) -> None:
        least = min((self._counters[key] for key in self._present), default=self._floor)
        self._floor = max(self._floor, least)


class Fairness:
    """All classes, each with its own ledger."""

    def __init__(self) -> None:
        self._ledgers = {priority: Ledger() for priority in Priority}
        self.typed_weight = TYPED_WEIGHT

    def is_present(self, priority: Priority) -> bool:
        """Is anybody of this class here?"""
        return self._ledgers[priority].is_present

    def enter(self, priority: Priority, key: Hashable) -> None:
        self._ledgers[priority].enter(key)

    def leave(self, priority: Priority, key: Hashable) -> None:
        self._ledgers[priority].leave(key)

    def charge_typed(self, priority: Priority, key: Hashable, characters: float) -> None:
        self._ledgers[priority].charge(key, characters * self.typed_weight)

    def charge_written(self, priority: Priority, key: Hashable, characters: int) -> None:
        self._ledgers[priority].charge(key, characters)

    def rank(self, priority: Priority, key: Hashable, number: int, waited_seconds: float) -> Rank:
        if waited_seconds >= AGE_SECONDS:
            risen = min(priority, Priority.LEARNER)  # background work goes with the learners from now on
            return Rank(risen, False, -waited_seconds, number)  # noqa: FBT003
        return Rank(priority, True, self._ledgers[priority].counter(key), number)  # noqa: FBT003


def cap(priority: int, waiting: Collection[int], rows: int) -> int:
    """How many rows the class may have while these classes wait.

    Teachers get at most half of them while learners wait; background work at most a quarter, and none while
    anybody else waits.
    """
    if priority == Priority.TEACHER and Priority.LEARNER in waiting:
        return max(1, rows // 2)
    if priority == Priority.BACKGROUND:
        return 0 if set(waiting) - {Priority.BACKGROUND} else max(1, rows // 4)
    return rows
