"""Who owns which cells of the model's memory.

Pure. One cell holds one token. A request reserves all it may ever need before it starts, so running
out in the middle of an answer is a fault of the engine and never of arithmetic.
"""


class CellAccount:
    def __init__(self, total: int) -> None:
        self.total = total
        self._owners: dict[int, int] = {}
        self._reserved = 0

    @property
    def reserved(self) -> int:
        return self._reserved

    @property
    def free(self) -> int:
        return self.total - self._reserved

    def reserve(self, owner: int, cells: int) -> bool:
        """Reserve and return True, or change nothing and return False."""
        if owner in self._owners or cells <= 0:
            raise ValueError(f"owner {owner} cannot reserve {cells} cells")
        if cells > self.free:
            return False
        self._owners[owner] = cells
        self._reserved += cells
        return True

    def release(self, owner: int) -> None:
        self._reserved -= self._owners.pop(owner)
