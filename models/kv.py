"""Who holds which cells of the model's memory.

Pure. One cell holds one token; a prefix that many sequences share is counted once, and its cells are free
when the last of them lets go. A request is promised all it may ever need before it starts, so running out
in the middle of an answer is a fault of the engine and never of arithmetic.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class _Run:
    """Neighbouring cells that the same sequences hold."""

    cells: int
    holders: int


class CellAccount:
    def __init__(self, total: int) -> None:
        self.total = total
        self._runs: dict[int, list[_Run]] = {}  # by sequence, in the order of their tokens
        self._promises: dict[int, int] = {}
        self.used = 0
        self.promised = 0

    @property
    def reserved(self) -> int:
        return self.used + self.promised

    @property
    def free(self) -> int:
        return self.total - self.reserved

    def held(self, sequence: int) -> int:
        return sum(run.cells for run in self._runs.get(sequence, ()))

    def promise(self, sequence: int, cells: int) -> bool:
        """Keep cells for what the sequence will grow by; False, and nothing changes, if there are none."""
        if sequence in self._promises or cells <= 0:
            raise ValueError(f"sequence {sequence} cannot be promised {cells} cells")
        if cells > self.free:
            return False
        self._promises[sequence] = cells
        self.promised += cells
        return True

    def grow(self, sequence: int, cells: int) -> None:
        """Tokens were decoded: what was promised is used now."""
        if cells > self._promises.get(sequence, 0):
            raise ValueError(f"sequence {sequence} grew by {cells} cells that nobody promised")
        self._promises[sequence] -= cells
        self.promised -= cells
        self._add(sequence, cells)

    def adopt(self, sequence: int, cells: int) -> bool:
        """The empty sequence gets cells of its own all at once, from a file; False if there are none."""
        if self._runs.get(sequence) or cells <= 0:
            raise ValueError(f"sequence {sequence} cannot adopt {cells} cells")
        if cells > self.free:
            return False
        self._add(sequence, cells)
        return True

    def share(self, source: int, target: int, cells: int) -> None:
        """The first cells of `source` belong to the empty `target` too."""
        if self._runs.get(target) or not 0 < cells <= self.held(source):
            raise ValueError(f"sequence {target} cannot share {cells} cells of {source}")
        shared: list[_Run] = []
        for run in list(self._runs[source]):
            if cells <= 0:
                break
            if run.cells > cells:
                self._split(run, cells)
            run.holders += 1
            shared.append(run)
            cells -= run.cells
        self._runs[target] = shared

    def break_promise(self, sequence: int) -> None:
        """The sequence grows no more; what it holds stays."""
        self.promised -= self._promises.pop(sequence, 0)

    def release(self, sequence: int) -> None:
        """The sequence is gone. Harmless when it held nothing."""
        self.break_promise(sequence)
        for run in self._runs.pop(sequence, ()):
            run.holders -= 1
            if not run.holders:
                self.used -= run.cells

    def freed_by(self, sequences: Iterable[int]) -> int:
        """How many cells would be free if all these let go."""
        holds = Counter(run for sequence in sequences for run in self._runs.get(sequence, ()))
        return sum(run.cells for run, count in holds.items() if count == run.holders)

    def _add(self, sequence: int, cells: int) -> None:
        self.used += cells
        runs = self._runs.setdefault(sequence, [])
        if runs and runs[-1].holders == 1:
            runs[-1].cells += cells
        else:
            runs.append(_Run(cells, 1))

    def _split(self, run: _Run, cells: int) -> None:
        rest = _Run(run.cells - cells, run.holders)
        run.cells = cells
        for runs in self._runs.values():
            if run in runs:
                runs.insert(runs.index(run) + 1, rest)
