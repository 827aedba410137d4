"""What a disk holds after a power cut, rebuilt from a record of every write (QEMU's blklogwrites).

A disk with a cache promises only this: what was written before the last completed flush is there. Of all that
came later any part may be there or not, in any order, and a write may stop between two sectors. So a cut is
rebuilt as: everything up to the last flush before it, then of the rest a random choice, some of it torn.
"""

import mmap
import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The format of the kernel's dm-log-writes, which QEMU writes too.
_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD = 1, 2, 4

SECTOR_BYTES = 512

# Of the writes that no flush has covered: how many reach the disk at all, and how many of those only in part.
KEEP_SHARE = 0.5
TORN_SHARE = 0.25


@dataclass(frozen=True)
class Write:
    """One entry of the record: where on the disk, how much, and where its bytes lie in the log."""

    sector: int
    sectors: int
    flags: int
    offset: int


def entries_so_far(log: Path) -> int:
    """Return how many entries the record has at this moment."""
    with log.open("rb") as file:
        head = file.read(_SUPER.size)
    if len(head) < _SUPER.size:
        return 0
    magic, _, count, _ = _SUPER.unpack(head)
    if magic != _MAGIC:
        raise AssertionError("this is no record of writes")
    return int(count)


def read_log(log: Path) -> list[Write]:
    """Return all entries of the record, in the order in which they were written."""
    writes = []
    with log.open("rb") as file:
        _, _, count, sector_size = _SUPER.unpack(file.read(_SUPER.size))
        at = sector_size
        for _ in range(count):
            file.seek(at)
            sector, sectors, flags, _length = _ENTRY.unpack(file.read(_ENTRY.size))
            writes.append(Write(sector, sectors, flags, at + sector_size))
            at += sector_size
            if not flags & DISCARD:
                at += sectors * SECTOR_BYTES
    return writes


class Replay:
    """Rebuilds one partition as cuts left it; cuts must be asked for in rising order."""

    def __init__(self, disk: Path, log: Path, first_byte: int, size_bytes: int) -> None:
        self._first, self._size = first_byte, size_bytes
        with disk.open("rb") as file:
            file.seek(first_byte)
            self._durable = bytearray(file.read(size_bytes))
        self.writes = read_log(log)
        self._applied = 0
        with log.open("rb") as file:
            self._log = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def cut(self, at: int, dice: random.Random, target: Path) -> None:
        """Write the partition as a cut after `at` entries leaves it."""
        flushed = max((i + 1 for i in range(self._applied, at) if self.writes[i].flags & FLUSH), default=None)
        if flushed is not None:
            for write in self.writes[self._applied : flushed]:
                self._put(self._durable, write)
            self._applied = flushed
        disk = bytearray(self._durable)
        self._scatter(disk, self.writes[self._applied : at], dice)
        target.write_bytes(disk)

    def _scatter(self, disk: bytearray, open_writes: Sequence[Write], dice: random.Random) -> None:
        order = list(open_writes)
        dice.shuffle(order)
        for write in order:
            if write.flags & FUA:
                self._put(disk, write)  # written through: acknowledged means there
            elif dice.random() < KEEP_SHARE:
                sectors = write.sectors
                if dice.random() < TORN_SHARE:
                    sectors = dice.randrange(sectors + 1)
                self._put(disk, write, sectors)

    def _put(self, disk: bytearray, write: Write, sectors: int | None = None) -> None:
        length = (write.sectors if sectors is None else sectors) * SECTOR_BYTES
        start = write.sector * SECTOR_BYTES - self._first
        if write.flags & DISCARD or start + length <= 0 or start >= self._size:
            return
        begin, end = max(0, start), min(self._size, start + length)
        source = write.offset + (begin - start)
        disk[begin:end] = self._log[source : source + (end - begin)]
