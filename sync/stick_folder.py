"""The folder SANDYQ on a stick: files with random names, whole or not there.

A stick is a stranger's disk: it may be full, read-only, torn, pulled out in the middle, or carry
links and files that are not ours. Only plain files with names of our form are read, never through
a link, and only up to a size; a file appears under its name when all of it is on the stick. Keeps
out: what is inside.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sync.envelope import MAX_ENVELOPE_BYTES
from sync.errors import StickFull, StickGone, StickMissing, StickReadOnly

FOLDER = "SANDYQ"
ENVELOPE, CALL, REPLY, ORDER, DESK, KEYS = "sb1", "sbq", "sbr", "sbp", "sbd", "sbk"
_OURS = re.compile(r"[0-9a-f]{32}\.(sb1|sbq|sbr|sbp|sbd|sbk)")
_TORN = re.compile(r"\.[0-9a-f]{32}\.tmp")
# A driver's stick of a whole district and a whole year; more is somebody's joke.
MAX_FILES = 20_000


class StickFolder:
    """The folder on one stick, opened once: it cannot be exchanged under our feet."""

    def __init__(self, root: Path, *, make: bool) -> None:
        with translated_faults(root):
            top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(FOLDER, dir_fd=top)
                        os.fsync(top)
                self._descriptor = os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            finally:
                os.close(top)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        os.close(self._descriptor)

    def names(self, kind: str) -> list[str]:
        """Return our files of one kind, in the order of their (random) names."""
        with translated_faults():
            listed = os.listdir(self._descriptor)  # noqa: PTH208 - by the open folder, not by its name
        ours = (name for name in listed if _OURS.fullmatch(name))
        return sorted(name for name in ours if name.endswith("." + kind))[:MAX_FILES]

    def read(self, name: str) -> bytes | None:
        """Return a whole file; None for a link, a folder, a device, or more than an envelope can be."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a named pipe must not make us wait
        with translated_faults():
            try:
                descriptor = os.open(name, flags, dir_fd=self._descriptor)
            except OSError as fault:
                if fault.errno in {errno.ELOOP, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENXIO}:
                    return None
                raise
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_ENVELOPE_BYTES:
                os.close(descriptor)
                return None
            with os.fdopen(descriptor, "rb") as file:
                return file.read(MAX_ENVELOPE_BYTES + 1)

    def write(self, kind: str, content: bytes) -> str:
        """Put a file on the stick under a fresh name; on return it is there for good."""
        number = secrets.token_hex(16)
        name, torn = f"{number}.{kind}", f".{number}.tmp"
        with translated_faults():
            try:
                self._write(torn, content)
                os.rename(torn, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
                os.fsync(self._descriptor)
            except OSError:
                with suppress(OSError):
                    os.unlink(torn, dir_fd=self._descriptor)
                raise
        return name

    def remove(self, name: str) -> None:
        """Take a file off the stick if that is possible; a copy that stays does no harm."""
        with suppress(OSError):
            os.unlink(name, dir_fd=self._descriptor)

    def sweep(self) -> None:
        """Take away what a stick that was pulled out kept of a half-written file."""
        with translated_faults():
            listed = os.listdir(self._descriptor)  # noqa: PTH208 - by the open folder, not by its name
        for name in filter(_TORN.fullmatch, listed):
            self.remove(name)

    def _write(self, name: str, content: bytes) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(name, flags, 0o600, dir_fd=self._descriptor)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)


@contextmanager
def translated_faults(root: Path | None = None) -> Iterator[None]:
    """Turn what a stick can do to us into this room's errors."""
    try:
        yield
    except OSError as fault:
        if fault.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise StickFull from fault
        if fault.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise StickReadOnly from fault
        missing = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
        if root is not None and fault.errno in missing:
            raise StickMissing(path=str(root)) from fault
        raise StickGone from fault
