"""Envelopes that arrive in pieces: each piece is on the disk before its offset is told.

An upload is named by the box and the SHA-256 of the whole, so that a box whose line broke finds
it again without being told a name. What stays unfinished is bounded, per box and in all, and
swept when it is old. Keeps out: HTTP, what is inside.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sync.envelope import MAX_ENVELOPE_BYTES
from sync.errors import DatabaseUnavailable, DiskFull, EnvelopeOversized
from sync.keys import sync_folder
from sync.region_errors import UploadDamaged, UploadOffsetWrong, UploadsFull, UploadUnknown

MAX_PIECE_BYTES = 16_000  # a broken line repeats at most this; 6.4 seconds at 20 kbit/s
MAX_UPLOADS_OF_A_BOX = 4  # it sends one after the other; the rest were given up
MAX_BYTES_IN_ALL = 1 << 30
MAX_AGE = timedelta(days=14)  # a line that was away longer starts this envelope again
SWEEP_EVERY = timedelta(hours=1)

_NO_SPACE = {28, 122}  # ENOSPC, EDQUOT


@dataclass(frozen=True)
class Progress:
    """How much of an upload is on the disk; the whole once it is complete."""

    offset: int
    whole: bytes | None = None


class Uploads:
    """The folder of unfinished envelopes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._next_sweep: datetime | None = None

    def begin(self, box: str, sha256: bytes, length: int, now: datetime) -> int:
        """Make room for an envelope, or find what is there of it; return where to go on."""
        if not 1 <= length <= MAX_ENVELOPE_BYTES:
            raise EnvelopeOversized(limit_bytes=MAX_ENVELOPE_BYTES)
        with _translated_faults():
            self._sweep(now)
            known = self._find(box, sha256)
            if known is not None and _length(known) == length:
                return known.stat().st_size
            self._make_room(box, length)
            path = self._path(box, sha256, length)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            for folder in (path.parent, self._folder):
                sync_folder(folder)
        return 0

    def offset(self, box: str, sha256: bytes) -> tuple[int, int]:
        """Return how many bytes are kept, and of how many; raise for an upload nobody began."""
        with _translated_faults():
            path = self._get(box, sha256)
            return path.stat().st_size, _length(path)

    def append(self, box: str, sha256: bytes, offset: int, piece: bytes) -> Progress:
        """Keep a piece that fits exactly behind what is there; it is on the disk on return."""
        if len(piece) > MAX_PIECE_BYTES:
            raise EnvelopeOversized(limit_bytes=MAX_PIECE_BYTES)
        with _translated_faults(), _locked(self._get(box, sha256)) as descriptor:
            path = self._get(box, sha256)
            kept = os.fstat(descriptor).st_size
            if offset != kept:
                raise UploadOffsetWrong(offset=kept)
            if kept + len(piece) > _length(path):
                raise EnvelopeOversized(limit_bytes=_length(path))
            _write_all(descriptor, piece, kept)
            if kept + len(piece) < _length(path):
                return Progress(kept + len(piece))
            whole = path.read_bytes()
            if hashlib.sha256(whole).digest() != sha256:
                path.unlink()
                raise UploadDamaged
            return Progress(len(whole), whole)

    def discard(self, box: str, sha256: bytes) -> None:
        """Forget an upload: it is stored elsewhere by now, or was refused."""
        path = self._find(box, sha256)
        if path is not None:
            path.unlink(missing_ok=True)

    # What is kept

    def _path(self, box: str, sha256: bytes, length: int) -> Path:
        return self._folder / box / f"{sha256.hex()}-{length}.part"

    def _find(self, box: str, sha256: bytes) -> Path | None:
        return next((self._folder / box).glob(f"{sha256.hex()}-*.part"), None)

    def _get(self, box: str, sha256: bytes) -> Path:
        path = self._find(box, sha256)
        if path is None:
            raise UploadUnknown
        return path

    def _make_room(self, box: str, length: int) -> None:
        own = sorted((self._folder / box).glob("*.part"), key=lambda path: path.stat().st_mtime)
        for path in own[: max(0, len(own) + 1 - MAX_UPLOADS_OF_A_BOX)]:
            path.unlink(missing_ok=True)
        # Lengths as declared, not as arrived: what was promised must fit as well.
        if sum(map(_length, self._folder.glob("*/*.part"))) + length > MAX_BYTES_IN_ALL:
            raise UploadsFull

    def _sweep(self, now: datetime) -> None:
        if self._next_sweep is not None and now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_EVERY
        for path in self._folder.glob("*/*.part"):
            if path.stat().st_mtime < (now - MAX_AGE).timestamp():
                path.unlink(missing_ok=True)


def _length(path: Path) -> int:
    return int(path.stem.rpartition("-")[2])


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """One piece at a time: a box that repeats itself may meet its own first try."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes, offset: int) -> None:
    try:
        written = 0
        while written < len(piece):
            written += os.pwrite(descriptor, piece[written:], offset + written)
        os.fsync(descriptor)
    except OSError:
        # What was told before must stay true: a half-written piece is taken back.
        os.ftruncate(descriptor, offset)
        raise


@contextmanager
def _translated_faults() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as fault:
        raise UploadUnknown from fault
    except OSError as fault:
        raise (DiskFull if fault.errno in _NO_SPACE else DatabaseUnavailable) from fault
