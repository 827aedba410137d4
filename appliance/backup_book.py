"""What is known of the backups that were proven to open: a small file, because the database may be lost.

The only writer of `backups/book.json`.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sync.keys import read_private, save_private

FOLDER = "backups"
_NAME = "book.json"


@dataclass(frozen=True)
class Proof:
    """One backup that was written, read back, opened and found whole."""

    name: str  # of the file
    made_at: datetime
    size: int
    is_elsewhere: bool  # on another disk than the box's own


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
