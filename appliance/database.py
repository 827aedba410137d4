"""Open the box's one SQLite file, whole and at the newest schema.

The pragmas belong to `sync.database`, because the sync process opens the same file. Here the
migration sets of both rooms meet, and two faults that a class can meet are said in its words.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

import sync.errors
import sync.schema
from appliance import schema
from appliance.errors import AlreadyRunning, DatabaseBusy, DiskFull
from sync.database import migrate, open_database, write_transaction


def prepare(path: Path) -> None:
    """Bring the file to the newest schema; safe when two processes start at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with connection(path) as db:
        migrate(db, schema.migrations, *sync.schema.MIGRATIONS)


def applied_migrations(db: Database) -> set[str]:
    """Return what has made the tables what they are; a backup names it, so that no older program takes it."""
    rows = db.query("SELECT migration_set, name FROM _sqlite_migrations")
    return {f"{row['migration_set']}.{row['name']}" for row in rows}


@contextmanager
def connection(path: Path) -> Iterator[Database]:
    """Give one connection for one piece of work, and close it."""
    db = open_database(path)
    try:
        yield db
    finally:
        db.close()


@contextmanager
def saving(db: Database) -> Iterator[None]:
    """Commit everything inside, or nothing.

    Raises:
        DiskFull, DatabaseBusy: said for a class; other faults pass in the words of `sync.database`.
    """
    try:
        with write_transaction(db):
            yield
    except sync.errors.DiskFull as error:
        raise DiskFull from error
    except sync.errors.DatabaseBusy as error:
        raise DatabaseBusy from error


@contextmanager
def sole_server(home: Path) -> Iterator[None]:
    """Hold the folder for one web process: two would answer every waiting question twice.

    The kernel drops the lock when the process dies, also by SIGKILL.

    Raises:
        AlreadyRunning: another process holds it.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(home / "web.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(home=home) from error
        yield
    finally:
        os.close(handle)
