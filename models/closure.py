"""The note that closes the engine for a school class, as during an exam. The one owner of its format.

The box's pages write it, the engine reads it before and during each answer, and both outlive each
other's restarts. Promises: a note that cannot be read closes everything; while anything is closed, only
the groups that the note names as open pass, so that a request without a group, or with an invented one,
does not. No note at all means that nobody has ever closed anything.
"""

import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from models.errors import StoreUnwritable
from models.notes import sync_folder

NAME = "closure.json"
FORMAT = "sandyq-closure-1"
# A box knows a few classes; a larger file is not ours.
MAX_BYTES = 1 << 20
_PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class Closure:
    """Who may not be answered now. Groups are opaque: the engine never learns a class's name."""

    closed: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()  # the other groups of this box; counts only while one is closed
    is_readable: bool = True

    @property
    def is_empty(self) -> bool:
        return self.is_readable and not self.closed

    def refuses(self, group: str) -> bool:
        return not self.is_empty and (not self.is_readable or group not in self.open - self.closed)


UNREADABLE = Closure(is_readable=False)


def read_closure(home: Path) -> Closure:
    """Return the note as it stands; never raises. Not cached: a clock set back must not hide a change."""
    try:
        with path_in(home).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Closure()
    except OSError:
        return UNREADABLE
    return _parse(content)


def write_closure(home: Path, closed: Iterable[str], still_open: Iterable[str] = ()) -> None:
    """Replace the note; when this returns, the engine's next look and every later start see it.

    Raises:
        StoreUnwritable: it was not replaced.
    """
    path = path_in(home)
    note = {"format": FORMAT, "closed": sorted(closed), "open": sorted(still_open)}
    draft = path.with_name(f".{NAME}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE)
        try:
            with os.fdopen(number, "w", encoding="ascii") as file:
                file.write(json.dumps(note) + "\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise StoreUnwritable(path=path.parent, detail=error.strerror or str(error)) from error


def path_in(home: Path) -> Path:
    # Beside the engine's key: of the home this is the folder that the engine's unit sees.
    return home / "models" / NAME


def _parse(content: bytes) -> Closure:
    try:
        note = json.loads(content)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(note, dict) or set(note) != {"format", "closed", "open"} or note["format"] != FORMAT:
        return UNREADABLE
    for groups in (note["closed"], note["open"]):
        if not isinstance(groups, list) or not all(group and isinstance(group, str) for group in groups):
            return UNREADABLE
    return Closure(frozenset(note["closed"]), frozenset(note["open"]))
