"""What lies ready for the rescue page: a backup that was opened and checked by another process.

`stage` lays it out, the rescue page shows it and hands it to `restore`. Light: no cipher, no pages.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from appliance.care import backup_book
from appliance.care.backup_folder import DATABASE
from appliance.care.restore import Found
from sync.keys import read_private

FOLDER = "offer"
NOTE = "offer.json"


@dataclass(frozen=True)
class Offer:
    """The backup, and who must not come back with it."""

    found: Found
    marks: frozenset[str]


def find_offer(home: Path) -> Offer | None:
    """Return the offer, None when no backup could be opened or nobody has looked yet."""
    folder = home / backup_book.FOLDER / FOLDER
    try:
        record = json.loads(read_private(folder / NOTE) or b"{}")
    except ValueError:
        return None
    if not record or not (folder / DATABASE).exists():
        return None
    return Offer(_read(record, folder), frozenset(record["marks"]))


def as_record(found: Found) -> dict[str, Any]:
    return {
        "name": found.name,
        "made_at": found.made_at.isoformat(),
        "is_sure": found.is_sure,
        "box": found.box,
        "migrations": list(found.migrations),
        "classes": found.classes,
        "learners": found.learners,
    }


def _read(record: dict[str, Any], folder: Path) -> Found:
    return Found(
        name=record["name"],
        folder=folder,
        made_at=datetime.fromisoformat(record["made_at"]),
        is_sure=record["is_sure"],
        box=record["box"],
        migrations=tuple(record["migrations"]),
        classes=record["classes"],
        learners=record["learners"],
    )
