"""Small facts kept as JSON beside the models: measurements, digests of first sight, files that loaded.

A note is whole or absent: it is written beside its place and renamed. A note that cannot be read counts
as empty, because each of them can be made again; a folder that cannot be written (the engine's unit
sees the models read-only) costs only the memory of the note.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

NOTE_MODE = 0o644  # no secrets; the engine may run as another account than the one that pulled


def read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        logger.warning("the note %s cannot be read: %s", path, error)
        return {}
    return note if isinstance(note, dict) else {}


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Replace the note at once; raises OSError."""
    # Two processes may write the same note; each has a part of its own, and the last whole one stays.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(note, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
            os.fchmod(file.fileno(), NOTE_MODE)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """A new name survives a power cut only when the folder itself is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_note(path: Path, note: dict[str, Any]) -> bool:
    """Write it where that is possible; False, and a line in the log, where it is not."""
    try:
        write_note(path, note)
    except OSError as error:
        logger.info("%s is not kept: %s", path.name, error.strerror or error)
        return False
    return True
