"""Open the newest backup that is whole and lay it out for the rescue page: `python -m appliance.care.stage`.

Its own process, because the pages must not carry the cipher in their memory. Looks on the box and on the
sticks that are plugged in. Lays out `backups/offer/` (the decrypted, checked database and what it is), or an
offer of nothing. Changes nothing else. The only writer of that folder.
"""

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from appliance.care import backup, backup_book, backup_folder, deleted_marks
from appliance.care.backup_cli import found_in
from appliance.care.rescue_offer import FOLDER, NOTE, as_record
from appliance.errors import ApplianceError
from appliance.settings import Settings, read_settings
from sync.errors import SyncError
from sync.keys import save_private

log = logging.getLogger(__name__)

# Where the unit of a plugged-in stick mounts it.
STICKS = Path("/run/sandyq-sticks")
# A stick that was plugged in at the start may be getting a backup; on a slow one that takes minutes.
PATIENCE_SECONDS = 600.0


def stage(settings: Settings, sticks: Path = STICKS) -> bool:
    """Lay out the newest whole backup; False when there is none that this box can open."""
    home = settings.home
    offer = backup.own_folder(home) / FOLDER
    with backup.alone(home, PATIENCE_SECONDS):
        for one in _candidates(home, sticks):
            try:
                with backup.workspace(home) as work, backup.opened(home, one.path, work) as opened:
                    shutil.rmtree(offer, ignore_errors=True)
                    found = found_in(opened)
                    marks = sorted(deleted_marks.read(one.path.parent))
                    record = as_record(found) | {"marks": marks}
                    os.rename(work, offer)  # noqa: PTH104 - a folder we are inside of keeps its Path
                    _save(offer, record)
                    return True
            except (ApplianceError, SyncError) as error:
                log.warning("%s", error)
        shutil.rmtree(offer, ignore_errors=True)
        offer.mkdir(mode=0o700)
        _save(offer, {})
    return False


def _candidates(home: Path, sticks: Path) -> Iterator[backup_folder.BackupFile]:
    """Yield every backup in reach, the newest first."""
    folders = [home / backup_book.FOLDER, *sorted(sticks.glob("*")), *sorted(sticks.glob("*/*"))]
    found = []
    for folder in folders:
        try:
            found += backup_folder.backups_in(folder) if folder.is_dir() else []
        except ApplianceError as error:
            log.warning("%s", error)
    yield from sorted(found, key=lambda one: one.stamped_at, reverse=True)


def _save(offer: Path, record: dict[str, Any]) -> None:
    save_private(offer / NOTE, json.dumps(record).encode(), replace=True)


if __name__ == "__main__":
    sys.exit(0 if stage(read_settings()) else 1)
