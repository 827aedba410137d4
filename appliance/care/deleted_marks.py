"""By what a restore recognises learners who were deleted after the backup was made, kept beside the backups.

The database remembers them as well, but it may be the thing that is lost. Digests of random numbers: who
finds the file learns how many learners were deleted, nothing else. The only owner of `sandyq-deleted.json`.
"""

import json
import re
from pathlib import Path

from appliance.care import backup_book, backup_folder

NAME = "sandyq-deleted.json"
_MARK = re.compile(r"[0-9a-f]{64}")
# Every child of a large school, many times over; more is not ours.
MAX_BYTES = 4 << 20


def read(folder: Path) -> set[str]:
    """Return the marks that lie in a folder; a damaged file brings none."""
    try:
        with (folder / NAME).open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError):
        return set()
    texts = (one for one in found if isinstance(one, str)) if isinstance(found, list) else ()
    return {one for one in texts if _MARK.fullmatch(one)}


def read_at_home(home: Path) -> set[str]:
    return read(home / backup_book.FOLDER)


def add_at_home(home: Path, marks: set[str]) -> None:
    """Put marks beside the backups on the box itself."""
    folder = home / backup_book.FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    add(folder, marks)


def add(folder: Path, marks: set[str]) -> None:
    """Put marks beside those that lie there already.

    Raises:
        the errors of a folder that takes no files.
    """
    known = read(folder)
    if marks <= known:
        return
    content = json.dumps(sorted(known | marks)).encode()
    with backup_folder.writing(folder, NAME, len(content)) as file:
        file.write(content)
