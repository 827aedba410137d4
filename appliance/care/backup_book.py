"""What is known of the backups that were proven to open: a small file, because the database may be lost.

The only writer of `book.json`, `restored.json` and `sheet-seen` in `backups/`.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sync.keys import read_private, save_private

FOLDER = "backups"
_NAME = "book.json"
_RESTORED = "restored.json"
_SHEET_SEEN = "sheet-seen"


@dataclass(frozen=True)
class Proof:
    """One backup that was written, read back, opened and found whole."""

    name: str  # of the file
    made_at: datetime
    size: int
    is_elsewhere: bool  # on another disk than the box's own


@dataclass(frozen=True)
class Restored:
    """From which backup this box's state comes; `is_checked` once the teacher has looked at the learners."""

    made_at: datetime
    restored_at: datetime
    boxes: tuple[str, ...]  # whose backups these are: they age out as our own do
    is_checked: bool = False


def find_restored(home: Path) -> Restored | None:
    try:
        record = json.loads(read_private(home / FOLDER / _RESTORED) or b"null")
        return read_restored(record) if record else None
    except (ValueError, TypeError, KeyError):
        return None


def note_restored(home: Path, restored: Restored) -> None:
    content = json.dumps(as_record(restored)).encode()
    save_private(home / FOLDER / _RESTORED, content, replace=True)


def as_record(restored: Restored) -> dict[str, Any]:
    times = {name: getattr(restored, name).isoformat() for name in ("made_at", "restored_at")}
    return asdict(restored) | times


def read_restored(record: dict[str, Any]) -> Restored:
    return Restored(
        datetime.fromisoformat(record["made_at"]),
        datetime.fromisoformat(record["restored_at"]),
        tuple(map(str, record["boxes"])),
        bool(record["is_checked"]),
    )


def is_sheet_seen(home: Path) -> bool:
    """Whether somebody has ever opened the sheet with the code of the present key."""
    return (home / FOLDER / _SHEET_SEEN).exists()


def note_sheet_seen(home: Path) -> None:
    save_private(home / FOLDER / _SHEET_SEEN, b"", replace=True)


def forget_sheet(home: Path) -> None:
    """The key was made anew: the sheet that was printed opens older backups only."""
    (home / FOLDER / _SHEET_SEEN).unlink(missing_ok=True)


def former_boxes(home: Path) -> set[str]:
    restored = find_restored(home)
    return set(restored.boxes) if restored else set()


def find_newest(home: Path) -> Proof | None:
    proofs = _read(home)
    return max(proofs, key=lambda proof: proof.made_at, default=None)


def find_newest_elsewhere(home: Path) -> Proof | None:
    return max(
        (one for one in _read(home) if one.is_elsewhere), key=lambda proof: proof.made_at, default=None
    )


def note(home: Path, proof: Proof) -> None:
    """Keep the newest of each kind."""
    others = [one for one in _read(home) if one.is_elsewhere != proof.is_elsewhere]
    records = [asdict(one) | {"made_at": one.made_at.isoformat()} for one in (*others, proof)]
    save_private(home / FOLDER / _NAME, json.dumps(records).encode(), replace=True)


def _read(home: Path) -> list[Proof]:
    """Return what is known; a damaged book knows nothing."""
    try:
        records = json.loads(read_private(home / FOLDER / _NAME) or b"[]")
        return [Proof(**one | {"made_at": datetime.fromisoformat(one["made_at"])}) for one in records]
    except (ValueError, TypeError, KeyError):
        return []
