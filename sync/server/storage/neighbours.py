"""What the ledger holds around some arrivals, read at once and kept up as they are added.

A group of fifty batches asks the database two questions instead of three hundred. Promises the
answers that asking one by one would give, inside one transaction. Keeps out: rules, writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sync.server.storage.database import RegionDatabase
from sync.server.storage.records import Box, LedgerRow

LEDGER_COLUMNS = (
    "epoch, seq, lo, hi, blob_id, sha256, previous_sha256, clock_quality, contiguous_high, received_at"
)
LedgerPlace = tuple[int, bytes, int]  # box, epoch, number inside it


def read_ledger_row(row: tuple[Any, ...]) -> LedgerRow:
    fields = list(row)
    fields[-1] = datetime.fromisoformat(fields[-1])
    return LedgerRow(*fields)


class Neighbours:
    """The rows at, before and after some places; how far an epoch is whole, and whose it is; other epochs."""

    def __init__(self, db: RegionDatabase, places: Sequence[LedgerPlace]) -> None:
        self._db = db
        around = {(box, epoch, at) for box, epoch, seq in places for at in (seq - 1, seq, seq + 1)}
        self._rows: dict[LedgerPlace, LedgerRow | None] = dict.fromkeys(around)
        self._read_rows(sorted(around))
        self._high: dict[tuple[int, bytes], int] = {}
        self._epochs: dict[int, set[bytes]] = {}
        self._first_of: dict[bytes, int] = {}  # the box that was the first to send in an epoch
        self._read_epochs(sorted({(box, epoch) for box, epoch, _ in places}))

    def find(self, box: Box, epoch: bytes, seq: int) -> LedgerRow | None:
        place = box.id, epoch, seq
        if place not in self._rows:
            self._rows[place] = None
            self._read_rows([place])
        return self._rows[place]

    def contiguous_high(self, box: Box, epoch: bytes, coming: int) -> int:
        """Return the number up to which every batch of the epoch is stored once `coming` is."""
        high = self._high.get((box.id, epoch), 0)
        while high + 1 == coming or self.find(box, epoch, high + 1) is not None:
            high += 1
        return high

    def has_other_epoch(self, box: Box, epoch: bytes) -> bool:
        return bool(self._epochs.get(box.id, set()) - {epoch})

    def is_of_another(self, box: Box, epoch: bytes) -> bool:
        return self._first_of.get(epoch, box.id) != box.id

    def add(self, box: Box, row: LedgerRow) -> None:
        """Know a row that is added in the same transaction."""
        self._rows[box.id, row.epoch, row.seq] = row
        self._high[box.id, row.epoch] = max(self._high.get((box.id, row.epoch), 0), row.contiguous_high)
        self._epochs.setdefault(box.id, set()).add(row.epoch)
        self._first_of.setdefault(row.epoch, box.id)

    def _read_rows(self, places: Sequence[LedgerPlace]) -> None:
        if not places:
            return
        asked = ", ".join(["(?, ?, ?)"] * len(places))
        for box_id, *row in self._db.rows(
            f"SELECT box_id, {LEDGER_COLUMNS} FROM ledger WHERE (box_id, epoch, seq) IN (VALUES {asked})",  # noqa: S608
            [value for place in places for value in place],
        ):
            found = read_ledger_row(tuple(row))
            self._rows[box_id, found.epoch, found.seq] = found

    def _read_epochs(self, pairs: Sequence[tuple[int, bytes]]) -> None:
        if not pairs:
            return
        asked = ", ".join(["(?, ?)"] * len(pairs))
        for box_id, epoch, high, first, last, sender in self._db.rows(
            _EPOCHS.format(asked=asked), [value for pair in pairs for value in pair]
        ):
            self._high[box_id, bytes(epoch)] = high
            self._epochs.setdefault(box_id, set()).update(
                found for found in (first, last) if found is not None
            )
            if sender is not None:
                self._first_of[bytes(epoch)] = sender


# Each answer is one step down an index, however long the box's history is.
_EPOCHS = """
SELECT asked.column1, asked.column2,
       (SELECT coalesce(max(contiguous_high), 0) FROM ledger
        WHERE box_id = asked.column1 AND epoch = asked.column2),
       (SELECT epoch FROM ledger WHERE box_id = asked.column1 ORDER BY epoch LIMIT 1),
       (SELECT epoch FROM ledger WHERE box_id = asked.column1 ORDER BY epoch DESC LIMIT 1),
       (SELECT box_id FROM ledger WHERE epoch = asked.column2 ORDER BY number LIMIT 1)
FROM (VALUES {asked}) AS asked
"""
