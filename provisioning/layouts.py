"""How partitions lie on an image, as values: what starts where, of what kind, and sfdisk's words for it.

The same on every board: a small FAT partition that any computer can write settings on, two systems (a and b)
of which one runs and the other waits for an update or for a fall-back, and one data partition at the very
end, because only the last can grow with the card. A PC finds its way with GPT and an EFI partition; a
Raspberry Pi needs MBR with all FAT partitions first (its firmware's way of starting one of two systems does
not work with GPT on a Pi 4).

Pure. Keeps out: files, and what stands in the partitions.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SECTOR_BYTES = 512
MEBIBYTE = 1 << 20
SECTORS_PER_MIB = MEBIBYTE // SECTOR_BYTES

# Where partitioning tools begin by custom; erase blocks of cards are whole fractions of it.
FIRST_MIB = 1
# GPT keeps its second copy in the last 33 sectors.
GPT_TAIL_MIB = 1
# A logical partition of MBR is preceded by its own small table.
LOGICAL_GAP_MIB = 1

ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
ROOT_X86_TYPE = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
FAT16_MBR, FAT32_MBR, EXTENDED_MBR, LINUX_MBR = "e", "c", "f", "83"

# The names that partitions and file systems go by, on the box too.
SETTINGS, ROOT_A, ROOT_B, DATA = "settings", "root-a", "root-b", "data"

# All ids of one image follow from this one and the board: two builds of the same sources are the same bytes.
_NAMESPACE = uuid.UUID("5a9e1d2c-7f2b-4b43-9f26-0c1ad5a3d9b1")


@dataclass(frozen=True)
class Partition:
    """One partition: its name, size and kind, and where it begins."""

    name: str
    size_mib: int
    kind: str
    file_system: str  # fat16, fat32, ext4, or nothing for a box of other partitions
    number: int
    start_mib: int

    @property
    def start_sector(self) -> int:
        return self.start_mib * SECTORS_PER_MIB

    @property
    def start_bytes(self) -> int:
        return self.start_mib * MEBIBYTE

    @property
    def size_bytes(self) -> int:
        return self.size_mib * MEBIBYTE


@dataclass(frozen=True)
class Layout:
    """The partitions of one image, in order."""

    board: str
    table: str  # gpt or dos, as sfdisk says it
    partitions: tuple[Partition, ...]
    size_mib: int

    @property
    def size_bytes(self) -> int:
        return self.size_mib * MEBIBYTE

    def get(self, name: str) -> Partition:
        """Return the partition of this name; a layout without it is a mistake in the code."""
        return next(p for p in self.partitions if p.name == name)


@dataclass(frozen=True)
class Sizes:
    """How large the partitions are, in MiB: systems grow with releases, so a slot has room to spare."""

    settings: int = 256  # on a PC: both kernels with their first steps, 80 MB each
    boot: int = 256  # on a Pi: firmware, kernels and overlays of one system
    root: int = 1280
    data: int = 512  # the model and first lessons; grows to the whole card at the first start


PI_SETTINGS_MIB = 64  # a file for settings, a file for results, and which system starts


def layout_for(board: str, sizes: Sizes | None = None) -> Layout:
    """Return the layout of a board's image."""
    return (_pi_layout if board == "rpi" else _pc_layout)(board, sizes or Sizes())


def _pc_layout(board: str, sizes: Sizes) -> Layout:
    wanted = (
        (SETTINGS, sizes.settings, ESP_TYPE, "fat32"),
        (ROOT_A, sizes.root, ROOT_X86_TYPE, "ext4"),
        (ROOT_B, sizes.root, ROOT_X86_TYPE, ""),
        (DATA, sizes.data, LINUX_TYPE, "ext4"),
    )
    partitions = []
    start = FIRST_MIB
    for number, (name, size, kind, file_system) in enumerate(wanted, start=1):
        partitions.append(Partition(name, size, kind, file_system, number, start))
        start += size
    return Layout(board, "gpt", tuple(partitions), start + GPT_TAIL_MIB)


def _pi_layout(board: str, sizes: Sizes) -> Layout:
    first = (
        (SETTINGS, PI_SETTINGS_MIB, FAT16_MBR, "fat16"),
        ("boot-a", sizes.boot, FAT32_MBR, "fat32"),
        ("boot-b", sizes.boot, FAT32_MBR, "fat32"),
    )
    logical = ((ROOT_A, sizes.root, "ext4"), (ROOT_B, sizes.root, ""), (DATA, sizes.data, "ext4"))
    partitions = []
    start = FIRST_MIB
    for number, (name, size, kind, file_system) in enumerate(first, start=1):
        partitions.append(Partition(name, size, kind, file_system, number, start))
        start += size
    inside = sum(size + LOGICAL_GAP_MIB for _, size, _ in logical)
    partitions.append(Partition("extended", inside, EXTENDED_MBR, "", 4, start))
    for number, (name, size, file_system) in enumerate(logical, start=5):
        partitions.append(Partition(name, size, LINUX_MBR, file_system, number, start + LOGICAL_GAP_MIB))
        start += LOGICAL_GAP_MIB + size
    return Layout(board, "dos", tuple(partitions), start)


def sfdisk_script(layout: Layout) -> str:
    """Return what sfdisk reads to write this table."""
    lines = [f"label: {layout.table}", f"label-id: {disk_id(layout)}", "unit: sectors", ""]
    for part in layout.partitions:
        words = [f"start={part.start_sector}", f"size={part.size_mib * SECTORS_PER_MIB}", f"type={part.kind}"]
        if layout.table == "gpt":
            words += [f"uuid={unique_id(layout.board, part.name)}", f'name="{part.name}"']
        lines.append(", ".join(words))
    return "\n".join(lines) + "\n"


def disk_id(layout: Layout) -> str:
    """Return the disk's own id: 32 bits in hexadecimal for MBR, a UUID for GPT."""
    whole = unique_id(layout.board, "disk")
    return f"0x{whole.hex[:8]}" if layout.table == "dos" else str(whole)


def unique_id(board: str, name: str) -> uuid.UUID:
    """Return the id of a partition or file system of this board's images, always the same one."""
    return uuid.uuid5(_NAMESPACE, f"{board} {name}")


def root_argument(layout: Layout, slot: str) -> str:
    """Return how the kernel is told which partition is its root."""
    root = layout.get(f"root-{slot}")
    if layout.table == "gpt":
        return f"root=PARTLABEL={root.name}"
    # MBR partitions have no names; the kernel knows them by the disk's id and their number.
    return f"root=PARTUUID={disk_id(layout)[2:]}-{root.number:02d}"


def overlapping(partitions: Sequence[Partition]) -> list[tuple[str, str]]:
    """Return pairs of partitions that share room; the extended one may hold the logical ones."""
    solid = sorted((p for p in partitions if p.kind != EXTENDED_MBR), key=lambda p: p.start_mib)
    return [
        (before.name, after.name)
        for before, after in pairwise(solid)
        if before.start_mib + before.size_mib > after.start_mib
    ]
