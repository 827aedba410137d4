"""The rebuilding of a disk after a cut keeps what a flush had covered, and only may keep the rest."""

import random
from pathlib import Path

from tests.provisioning.write_log import _ENTRY, _MAGIC, _SUPER, FLUSH, FUA, Replay, entries_so_far, read_log

SECTOR = 512
DISK_SECTORS = 16


def record(folder: Path, *writes: tuple[int, bytes, int]) -> tuple[Path, Path]:
    """Write a blank disk and a record of these writes: sector, bytes, flags."""
    disk, log = folder / "disk", folder / "log"
    disk.write_bytes(bytes(DISK_SECTORS * SECTOR))
    content = _SUPER.pack(_MAGIC, 1, len(writes), SECTOR).ljust(SECTOR, b"\0")
    for sector, data, flags in writes:
        content += _ENTRY.pack(sector, len(data) // SECTOR, flags, 0).ljust(SECTOR, b"\0") + data
    log.write_bytes(content)
    return disk, log


def sectors_after(folder: Path, disk: Path, log: Path, at: int, seed: int, first: int = 0) -> list[int]:
    size = DISK_SECTORS * SECTOR - first
    Replay(disk, log, first, size).cut(at, random.Random(seed), folder / "after")
    data = (folder / "after").read_bytes()
    return [data[i] for i in range(0, len(data), SECTOR)]


def test_the_record_is_read_in_order(tmp_path: Path) -> None:
    _, log = record(tmp_path, (3, b"a" * SECTOR, 0), (0, b"", FLUSH), (5, b"b" * 2 * SECTOR, FUA))
    assert entries_so_far(log) == 3
    found = [(w.sector, w.sectors, w.flags) for w in read_log(log)]
    assert found == [(3, 1, 0), (0, 0, FLUSH), (5, 2, FUA)]


def test_what_a_flush_covered_is_there_after_every_cut(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (3, b"a" * SECTOR, 0), (0, b"", FLUSH), (4, b"b" * SECTOR, 0))
    for seed in range(30):
        assert sectors_after(tmp_path, disk, log, 3, seed)[3] == ord("a")


def test_what_no_flush_covered_is_sometimes_lost_sometimes_there_and_sometimes_torn(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (4, b"b" * 2 * SECTOR, 0))
    seen = {tuple(sectors_after(tmp_path, disk, log, 1, seed)[4:6]) for seed in range(100)}
    assert seen == {(0, 0), (98, 98), (98, 0)}


def test_a_write_through_is_there_without_a_flush(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (4, b"b" * SECTOR, FUA))
    assert all(sectors_after(tmp_path, disk, log, 1, seed)[4] == 98 for seed in range(20))


def test_later_writes_may_be_there_without_earlier_ones(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (4, b"b" * SECTOR, 0), (5, b"c" * SECTOR, 0))
    seen = {tuple(sectors_after(tmp_path, disk, log, 2, seed)[4:6]) for seed in range(100)}
    assert (0, 99) in seen


def test_nothing_after_the_cut_is_there(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (4, b"b" * SECTOR, 0), (0, b"", FLUSH), (5, b"c" * SECTOR, 0))
    assert all(sectors_after(tmp_path, disk, log, 2, seed)[5] == 0 for seed in range(20))


def test_only_the_wanted_partition_is_rebuilt(tmp_path: Path) -> None:
    disk, log = record(tmp_path, (7, b"b" * 2 * SECTOR, 0), (0, b"", FLUSH))
    # It begins in the middle of the write.
    assert sectors_after(tmp_path, disk, log, 2, 1, first=8 * SECTOR)[0] == 98
