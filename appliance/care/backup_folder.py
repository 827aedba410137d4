"""The folder that backups lie in, on a stick or on the box: whole files or none, and old ones go.

A file appears under its name only when all of it is on the disk. Whatever a stick does to us becomes an error
with a next step. Only files with names of our form are ever touched.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from appliance.care.care_errors import (
    BackupFolderFull,
    BackupFolderGone,
    BackupFolderMissing,
    BackupFolderReadOnly,
    BackupNotFound,
)

# docs/privacy.md promises it: whoever is deleted is in no backup of this box after this many days.
KEEP = timedelta(days=30)
# On the box itself: enough to go back before a fault that nobody noticed for some days.
MOST_HERE = 5
_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"sandyq-([0-9a-z]{1,16})-(\d{8}T\d{6}Z)\.age")
_TORN = re.compile(r"\.sandyq-backup-[0-9a-f]{16}\.part")
MEGABYTE = 1 << 20
DATABASE = "box.sqlite"


@dataclass(frozen=True)
class BackupFile:
    """A file with a name of ours; what is in it is known only when it was opened."""

    path: Path
    box: str
    stamped_at: datetime


def name_for(box: str, made_at: datetime) -> str:
    letters = "".join(letter for letter in box.lower().removeprefix("sandyq-") if letter.isalnum())[:16]
    return f"sandyq-{letters or 'box'}-{made_at.astimezone(UTC).strftime(_STAMP)}.age"


def free_name(folder: Path, box: str, made_at: datetime) -> str:
    """Return a name that nothing has: a backup never takes the place of another."""
    while (folder / name_for(box, made_at)).exists():
        made_at += timedelta(seconds=1)
    return name_for(box, made_at)


def backups_in(folder: Path) -> list[BackupFile]:
    """Return the backups of a folder, the newest first."""
    with translated_faults(folder), os.scandir(folder) as entries:
        # A link or a pipe that somebody gave our name is not opened.
        found = [read_name(Path(one.path)) for one in entries if one.is_file(follow_symlinks=False)]
    return sorted((one for one in found if one), key=lambda one: one.stamped_at, reverse=True)


def find(place: Path) -> list[Path]:
    """Return the file that was named, or the backups of the folder that was named, the newest first.

    Raises:
        BackupNotFound, BackupFolderMissing: there is none.
    """
    if place.is_dir():
        found = [one.path for one in backups_in(place)]
        if not found:
            raise BackupNotFound(path=place)
        return found
    if not place.is_file():
        raise (
            BackupNotFound(path=place) if place.suffix or place.exists() else BackupFolderMissing(path=place)
        )
    return [place]


@contextmanager
def writing(folder: Path, name: str, size: int) -> Iterator[BinaryIO]:
    """Give a file to fill; it gets its name when the block ends well, and nothing stays of it otherwise."""
    with translated_faults(folder, size):
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        torn = f".sandyq-backup-{secrets.token_hex(8)}.part"
        try:
            _sweep(top)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(torn, flags, 0o600, dir_fd=top), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                # What is read back for the proof must come from the stick, not from memory.
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            os.rename(torn, name, src_dir_fd=top, dst_dir_fd=top)
            with suppress(
                OSError
            ):  # some sticks' file systems know no folder to save; the file itself is saved
                os.fsync(top)
        except BaseException:
            with suppress(OSError):
                os.unlink(torn, dir_fd=top)
            raise
        finally:
            os.close(top)


def drop_old(folder: Path, boxes: set[str], newest: BackupFile, most: int | None = None) -> list[str]:
    """Remove this box's backups that are older than we promise, never the newest; return their names."""
    own = [one for one in backups_in(folder) if one.box in boxes and one.path != newest.path]
    old = [one for one in own if newest.stamped_at - one.stamped_at > KEEP]
    kept = [one for one in own if one not in old and one.stamped_at <= newest.stamped_at]
    old += kept[most - 1 :] if most else []
    for one in old:
        with translated_faults(folder):
            one.path.unlink(missing_ok=True)
    return [one.path.name for one in old]


def is_elsewhere(folder: Path, home: Path) -> bool:
    """Whether the folder is on another disk than the box's state."""
    return folder.stat().st_dev != home.stat().st_dev


def verify_room(folder: Path, size: int) -> None:
    """Raise BackupFolderFull before anything is written when it cannot end well."""
    with translated_faults(folder):
        room = os.statvfs(folder)
    # A place that counts no blocks is no disk; writing there will say so.
    if room.f_blocks and room.f_bavail * room.f_frsize < size:
        raise BackupFolderFull(path=folder, megabytes=-(-size // MEGABYTE))


@contextmanager
def translated_faults(folder: Path, size: int = 0) -> Iterator[None]:
    """Turn what a stick can do to us into errors with a next step."""
    try:
        yield
    except OSError as fault:
        if fault.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise BackupFolderFull(path=folder, megabytes=-(-size // MEGABYTE)) from fault
        if fault.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise BackupFolderReadOnly(path=folder) from fault
        if fault.errno in {errno.ENOENT, errno.ENOTDIR} and not folder.is_dir():
            raise BackupFolderMissing(path=folder) from fault
        raise BackupFolderGone from fault


def _sweep(top: int) -> None:
    """Take away what a pulled stick or a killed backup left half-written."""
    for name in os.listdir(top):
        if _TORN.fullmatch(name):
            with suppress(OSError):
                os.unlink(name, dir_fd=top)


def read_name(path: Path) -> BackupFile | None:
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    try:
        return BackupFile(path, match[1], datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC))
    except ValueError:
        return None
