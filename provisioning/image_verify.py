"""Is this file a whole image of ours? Asked before two hundred cards are flashed with it.

Reads all of it once, packed or not. Promises: only reads; a file that was cut short, changed or is something
else is refused with the reason. Keeps out: whether the system in it is a good one; tests start it for that.
"""

import hashlib
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from provisioning.errors import ImageRefused
from provisioning.image_files import READ_BYTES
from provisioning.layouts import Layout, disk_id, layout_for
from provisioning.programs import require_programs

SUMS_SUFFIX = ".sha256"
PACKED_SUFFIX = ".zst"

# Where the tables keep the disk's own id: GPT in its header in the second sector, MBR before its first entry.
GPT_HEADER, GPT_DISK_ID = 512, 512 + 56
GPT_MAGIC = b"EFI PART"
MBR_DISK_ID = 440
HEAD_BYTES = 4096


@dataclass(frozen=True)
class VerifiedImage:
    """What is known of a good image."""

    board: str
    image_bytes: int
    sha256: str
    compared: bool  # with the digest that came with it


def verify_image(path: Path) -> VerifiedImage:
    """Read the whole image; return what it is, or raise ImageRefused."""
    if not path.is_file():
        raise ImageRefused(path=path, reason="there is no such file")
    head, size, digest = _read(path)
    layout = _layout_of(head)
    if layout is None:
        raise ImageRefused(path=path, reason="it has not the partition table of a Sandyq image")
    if size != layout.size_bytes:
        raise ImageRefused(path=path, reason=f"it has {size} bytes instead of {layout.size_bytes}")
    wanted = _wanted_digest(path)
    if wanted is not None and wanted != digest:
        raise ImageRefused(path=path, reason="its SHA-256 is not the one that came with it")
    return VerifiedImage(layout.board, size, digest, compared=wanted is not None)


def _read(path: Path) -> tuple[bytes, int, str]:
    whole, size, head = hashlib.sha256(), 0, b""
    with _opened(path) as file:
        while block := file.read(READ_BYTES):
            head = head or block[:HEAD_BYTES]
            size += len(block)
            whole.update(block)
    return head, size, whole.hexdigest()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """Open an image, unpacking it on the way where it is packed."""
    if path.suffix != PACKED_SUFFIX:
        with path.open("rb") as file:
            yield file
        return
    require_programs(["zstd"])
    with subprocess.Popen(
        ["zstd", "-q", "-d", "-c", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as unpacking:
        if unpacking.stdout is None or unpacking.stderr is None:
            raise ImageRefused(path=path, reason="zstd does not answer")
        yield unpacking.stdout
        words = unpacking.stderr.read().decode("utf-8", "replace").strip()
    if unpacking.returncode != 0:
        raise ImageRefused(path=path, reason=words.rpartition(": ")[2] or "it cannot be unpacked")


def _layout_of(head: bytes) -> Layout | None:
    """Return the layout whose disk id stands at the beginning of the image."""
    if head[GPT_HEADER : GPT_HEADER + len(GPT_MAGIC)] == GPT_MAGIC:
        # GPT writes the first three groups of an id with the small end first.
        found = str(uuid.UUID(bytes_le=head[GPT_DISK_ID : GPT_DISK_ID + 16]))
    else:
        found = f"0x{int.from_bytes(head[MBR_DISK_ID : MBR_DISK_ID + 4], 'little'):08x}"
    return next((lay for lay in map(layout_for, ("pc", "vm", "rpi")) if disk_id(lay) == found), None)


def _wanted_digest(path: Path) -> str | None:
    """Return the digest of the unpacked image from the list that lies beside it."""
    name = path.name.removesuffix(PACKED_SUFFIX)
    sums = path.with_name(name + SUMS_SUFFIX)
    if not sums.is_file():
        return None
    lines = [line.split() for line in sums.read_text("utf-8", "replace").splitlines()]
    return next((words[0] for words in lines if words[1:] == [name]), None)
