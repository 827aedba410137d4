"""What goes with an image file: packed form, map of its blocks, digests, and the list that the Imager reads.

Formats: bmap 2.0 (bmaptool writes only the blocks that hold something, and checks each); `sha256sum`'s
lines; Raspberry Pi Imager's list version 4. Keeps out: what an image is.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

BLOCK_BYTES = 4096
READ_BYTES = 1 << 20

# The form in which bmaptool expects the digest of its own file to be left out.
_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class Range:
    """Blocks that hold something, from the first to the last, with the digest of their bytes."""

    first: int
    last: int
    sha256: str


def find_ranges(image: Path) -> list[Range]:
    """Return the parts of a sparse file that hold something, in whole blocks."""
    ranges = []
    with image.open("rb") as file:
        for start, end in _data_extents(file.fileno(), image.stat().st_size):
            ranges.append(
                Range(start // BLOCK_BYTES, (end - 1) // BLOCK_BYTES, _digest(file.fileno(), start, end))
            )
    return ranges


def _data_extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where data lies, widened to whole blocks and joined where they touch."""
    at, pending = 0, (0, 0)
    while at < size:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
        except OSError:
            break  # nothing but holes up to the end
        end = os.lseek(handle, start, os.SEEK_HOLE)
        start -= start % BLOCK_BYTES
        end = min(size, -(-end // BLOCK_BYTES) * BLOCK_BYTES)
        if start <= pending[1] and pending[1]:
            pending = (pending[0], end)
        else:
            if pending[1]:
                yield pending
            pending = (start, end)
        at = end
    if pending[1]:
        yield pending


def _digest(handle: int, start: int, end: int) -> str:
    whole = hashlib.sha256()
    while start < end:
        block = os.pread(handle, min(READ_BYTES, end - start), start)
        whole.update(block)
        start += len(block)
    return whole.hexdigest()


def bmap_text(size_bytes: int, ranges: list[Range]) -> str:
    """Return the bmap file of an image; its own digest is counted with zeros in its place."""
    mapped = sum(r.last - r.first + 1 for r in ranges)
    lines = "\n".join(
        f'        <Range chksum="{r.sha256}"> {r.first}-{r.last} </Range>'
        if r.last > r.first
        else f'        <Range chksum="{r.sha256}"> {r.first} </Range>'
        for r in ranges
    )
    text = f"""<?xml version="1.0" ?>
<bmap version="2.0">
    <ImageSize> {size_bytes} </ImageSize>
    <BlockSize> {BLOCK_BYTES} </BlockSize>
    <BlocksCount> {-(-size_bytes // BLOCK_BYTES)} </BlocksCount>
    <MappedBlocksCount> {mapped} </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> {_NO_DIGEST} </BmapFileChecksum>
    <BlockMap>
{lines}
    </BlockMap>
</bmap>
"""
    return text.replace(_NO_DIGEST, hashlib.sha256(text.encode()).hexdigest())


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sums_text(digests: Mapping[str, str]) -> str:
    """Return lines that `sha256sum --check` understands."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def imager_list(
    *, name: str, version: str, board: str, packed: Path, image_bytes: int, image_sha256: str, date: str
) -> str:
    """Return the list that Raspberry Pi Imager opens: without it, it takes an image for an unknown one."""
    devices = {"rpi": ["pi5-64bit", "pi4-64bit"]}.get(board, [])
    entry: dict[str, Any] = {
        "name": name,
        "description": escape(f"Sandyq {version}: a classroom box without internet"),
        "url": packed.name,
        "release_date": date,
        "extract_size": image_bytes,
        "extract_sha256": image_sha256,
        "image_download_size": packed.stat().st_size,
        "image_download_sha256": file_digest(packed),
        # Settings come from sandyq.toml, not from the Imager's own questions.
        "init_format": "none",
        "devices": devices,
    }
    return json.dumps({"imager": {"latest_version": "2.0.0"}, "os_list": [entry]}, indent=2) + "\n"
