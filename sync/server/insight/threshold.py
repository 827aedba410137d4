"""What of the rows may be shown: nothing that fewer than ten learners or five schools stand behind.

One rule for pages, exports and the API. Rows are counted in cells of one fixed
partition (a day or a month, a kind of school, a language, a measure), and a
cell is told in blocks: a block is whole or not told at all, it is never taken
back, and every number in it is nothing or at least ten. So whatever somebody
adds up, subtracts or compares with yesterday's page is again a sum of whole
blocks. Decision 0039 argues it. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sync.generalise import MOST_OF_ONE, TELLING_CIRCLE, K

# Of fewer schools the figures would be one school's results, and the schools could guess each other's.
FEWEST_BOXES = 5
# The same share that one learner may have of a circle on the box: of one school more would be its results.
MOST_OF_ONE_BOX = MOST_OF_ONE


@dataclass
class Portion:
    """What one box adds to one number: its rows, and how many learners at least stand behind them."""

    rows: int = 0
    learners: int = 0

    def add(self, rows: int, learners: int) -> None:
        """More rows of the same box may be of the same learners, so these do not add up."""
        self.rows += rows
        self.learners = max(self.learners, learners)


@dataclass
class Block:
    """Everything that waits to be told of one cell: by part of its measure, and by box."""

    parts: dict[str, dict[int, Portion]] = field(default_factory=dict)

    def add(self, part: str, box: int, rows: int, learners: int) -> None:
        self.parts.setdefault(part, {}).setdefault(box, Portion()).add(rows, learners)

    def rows(self, part: str) -> int:
        return sum(portion.rows for portion in self.parts.get(part, {}).values())

    def rows_by_box(self) -> Counter[int]:
        counted: Counter[int] = Counter()
        for boxes in self.parts.values():
            for box, portion in boxes.items():
                counted[box] += portion.rows
        return counted

    def learners(self) -> int:
        """At least so many learners are in it: of each box those of its widest part."""
        widest: dict[int, int] = {}
        for boxes in self.parts.values():
            for box, portion in boxes.items():
                widest[box] = max(widest.get(box, 0), portion.learners)
        return sum(widest.values())


def may_tell(block: Block) -> bool:
    """Say whether a block may be told.

    Enough schools, none of them most of it; and every part that has anything has ten rows of ten
    learners. A part that has nothing says something of all who are in the others: then they are twenty.
    """
    by_box = block.rows_by_box()
    if len(by_box) < FEWEST_BOXES or max(by_box.values()) > MOST_OF_ONE_BOX * sum(by_box.values()):
        return False
    told = [boxes for part, boxes in block.parts.items() if block.rows(part)]
    if not all(_is_wide(boxes) for boxes in told):
        return False
    return len(told) > 1 or block.learners() >= TELLING_CIRCLE


def _is_wide(boxes: Mapping[int, Portion]) -> bool:
    rows = sum(portion.rows for portion in boxes.values())
    return rows >= K and sum(portion.learners for portion in boxes.values()) >= K


# How many learners stand behind the rows of a batch -----------------------------------


@dataclass(frozen=True)
class Circle:
    """Rows of one batch that are alike in everything that was sent."""

    kind: str | None
    rows: int
    is_bare: bool  # only the kind is left, or not even that


def learners_of(circles: Iterable[Circle]) -> int:
    """Return how many learners stand at least behind a circle that is not bare, of this batch.

    A box makes its circles of ten learners or more (`sync/generalise.py`) and does not say of how many.
    A learner's circle of fewer than ten rows cannot be one: that box, or its program, does not do what we
    count on, and then only one learner is certain, whatever it sends.
    """
    for circle in circles:
        if circle.kind in LEARNERS_KINDS and not circle.is_bare and circle.rows < K:
            return 1
    return K


# A bare row may be of any one learner.
LEARNERS_OF_BARE = 1

# Rows of these kinds are of one learner each; of the others one row stands for a lesson or a machine.
LEARNERS_KINDS = frozenset(
    {
        "learner_joined",
        "question_asked",
        "answer_finished",
        "attempt_checked",
        "question_refused",
        "hand_back",
    }
)
