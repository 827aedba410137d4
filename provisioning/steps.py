"""Take the steps of the first start, each once, through any number of power cuts.

Promises: a file written here is either the old one or the new one, whole; a step is stamped only after what
it made is on the card; a stamp is not believed when what it stands for is gone. Keeps out: what the steps
do.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provisioning.errors import FirstBootRunning

PRIVATE_FOLDER = 0o700  # nothing below the home is anybody else's business
PRIVATE_FILE = 0o600

STAMP_SUFFIX = ".done"


@dataclass(frozen=True)
class Step:
    """Something made once for this box; `make` may be cut anywhere and is then run again from its start."""

    name: str
    make: Callable[[], None]
    is_whole: Callable[[], bool]


def take_steps(folder: Path, steps: Sequence[Step]) -> list[str]:
    """Take the steps in order, leaving out those already taken; return the names of those taken now."""
    taken = []
    for step in steps:
        stamp = folder / f"{step.name}{STAMP_SUFFIX}"
        # A file system check after a power cut can remove a file and leave its stamp.
        if stamp.exists() and step.is_whole():
            continue
        step.make()
        write_durably(stamp, b"")
        taken.append(step.name)
    return taken


def forget_steps(folder: Path) -> None:
    """Remove every stamp, so that the next run takes all steps again."""
    for stamp in folder.glob(f"*{STAMP_SUFFIX}"):
        stamp.unlink()
    sync_folder(folder)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder against a second run; the kernel lets go when the process dies, however it dies."""
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FirstBootRunning from error
        yield
    finally:
        os.close(handle)


def make_folder(path: Path) -> None:
    """Make a private folder that is still there after a power cut."""
    if not path.is_dir():
        path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        sync_folder(path.parent)


def write_durably(path: Path, content: bytes) -> None:
    """Write a private file so that a power cut leaves the old one or the new one."""
    # One fixed name: leftovers of a cut are overwritten by the next try instead of gathering.
    draft = path.with_name(f".{path.name}.tmp")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE_FILE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)
    draft.replace(path)
    sync_folder(path.parent)


def read_record(path: Path) -> dict[str, Any]:
    """Return what a JSON file holds; nothing where it is missing or no record, for then it is made anew."""
    try:
        return parse_record(path.read_bytes())
    except OSError:
        return {}


def parse_record(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def move_durably(source: Path, target: Path) -> None:
    """Move a file or folder if it is still there: a cut run may have moved it already."""
    if not source.exists():
        return
    source.rename(target)
    # Target first: power lost between the two leaves the thing under two names rather than none.
    sync_folder(target.parent)
    sync_folder(source.parent)


def sync_folder(path: Path) -> None:
    """Put a folder's names on the card: a rename alone may still be only in memory."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
