"""Open the box's one SQLite file, whole and at the newest schema.

The pragmas belong to `sync.database`, because the sync process opens the same file. Here the
migration sets of both rooms meet, and two faults that a class can meet are said in its words.
"""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlite_utils import Database

import sync.errors
import sync.schema
from appliance import schema
from appliance.errors import AlreadyRunning, DatabaseBusy, DiskFull
from sync.database import migrate, open_database, write_transaction

# Pages are drawn two or three at a time, however many phones ask.
CONNECTIONS_KEPT = 3
# So long a page waits for one of them before it opens another: a page that holds one for longer is waiting
# itself, for the disk or for another writer, and the next ones must not wait with it.
PATIENCE_SECONDS = 0.5
# Each connection reads pages into a cache of its own. The file lies in the system's memory anyway, so a
# quarter of a megabyte is enough, where SQLite would take two.
PAGE_CACHE_KIB = 256


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


class KeptConnections:
    """Connections that go from page to page: opening one costs as much as drawing a light page.

    One thread at a time has each of them. What comes back in the middle of something, or belongs to a file
    that is not there any more, is closed and never given out again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = threading.Condition()
        self._kept: list[tuple[Database, tuple[int, int]]] = []
        self._taken = 0

    def take(self) -> Database:
        file = self._file()
        with self._changed:
            if self._taken >= CONNECTIONS_KEPT:
                # Pages take milliseconds: thirty that come at once share a few, instead of opening thirty.
                self._changed.wait_for(lambda: bool(self._kept), PATIENCE_SECONDS)
            # The one that came back last has the freshest pages in its cache.
            db, of = self._kept.pop() if self._kept else (None, None)
            self._taken += 1
        if db is not None and of == file and file is not None:
            return db
        if db is not None:
            db.close()
        try:
            return self._opened()
        except BaseException:
            with self._changed:
                self._taken -= 1
            raise

    def _opened(self) -> Database:
        db = open_database(self._path, any_thread=True)
        db.execute(f"PRAGMA cache_size = -{PAGE_CACHE_KIB}")
        return db

    def give_back(self, db: Database, *, is_sound: bool) -> None:
        """Keep a connection for the next page, if nothing went wrong with it."""
        file = self._file()
        with self._changed:
            self._taken -= 1
            is_sound = is_sound and file is not None and not db.conn.in_transaction
            if is_sound and file is not None and len(self._kept) < CONNECTIONS_KEPT:
                self._kept.append((db, file))
                self._changed.notify()
                return
        db.close()

    def close(self) -> None:
        with self._changed:
            kept, self._kept = self._kept, []
        for db, _ in kept:
            db.close()

    def _file(self) -> tuple[int, int] | None:
        """Return which file lies at the path: after a restore it may be another one."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


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
