"""Is the database whole? A quick look at every start, a full one every day.

A start must not keep a class waiting, so the quick look ends after a few seconds and then says that it did
not see everything; the day's backup reads every page of its copy. What it finds is noted in a
file beside the database, because a damaged one cannot be trusted to remember it.
"""

import sqlite3
import time
from pathlib import Path

from sync.database import open_database
from sync.errors import DatabaseDamaged, DatabaseUnavailable
from sync.keys import save_private, sync_folder

# Five seconds read some hundred megabytes of a good card: more than a school's year.
QUICK_SECONDS = 5.0
# Virtual machine steps of SQLite between two looks at the clock; a look costs nothing beside them.
STEPS_BETWEEN_LOOKS = 20_000
# The low byte of SQLite's error number; the rest only details it.
PRIMARY_CODE = 0xFF
DAMAGE_NOTE = "database-damaged"


def is_damaged(path: Path, seconds: float = QUICK_SECONDS) -> bool | None:
    """Return whether the file is damaged; None when the time was too short to read all of it.

    Raises:
        DatabaseUnavailable, DatabaseBusy: it could not be read at all, which says nothing about it.
    """
    if not path.exists():
        return False
    try:
        db = open_database(path)
    except DatabaseDamaged:
        return True
    deadline = time.monotonic() + seconds
    try:
        db.conn.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_BETWEEN_LOOKS)
        return not _is_whole(db.conn, "quick_check")
    except sqlite3.OperationalError as fault:
        if fault.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return None
        # Blocks that the card cannot read any more are lost, whatever they held.
        if fault.sqlite_errorcode & PRIMARY_CODE == sqlite3.SQLITE_IOERR:
            return True
        raise DatabaseUnavailable from fault
    finally:
        db.close()


def is_whole(path: Path) -> bool:
    """Read every page and index of a file that nobody else uses."""
    # A plain connection: the pragmas of the box would make side files beside a copy.
    connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro&immutable=1", uri=True)
    try:
        return _is_whole(connection, "integrity_check")
    except sqlite3.DatabaseError:
        return False
    finally:
        connection.close()


def _is_whole(connection: sqlite3.Connection, check: str) -> bool:
    try:
        rows = connection.execute(f"PRAGMA {check}(1)").fetchall()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        return False
    return bool(rows == [("ok",)])


def note_damage(home: Path) -> None:
    """Remember until the next start, which offers the restore."""
    save_private(home / DAMAGE_NOTE, b"", replace=True)


def is_damage_noted(home: Path) -> bool:
    return (home / DAMAGE_NOTE).exists()


def forget_damage(home: Path) -> None:
    (home / DAMAGE_NOTE).unlink(missing_ok=True)
    sync_folder(home)
