"""Open SQLite so that what was committed survives a power cut.

The one owner of the pragmas and of write transactions, for the box and for the
region. Each thread and each process opens its own connection. Faults of SQLite
become sentences of this room inside `write_transaction`. Keeps out: tables.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import sqlite_utils
from sqlite_utils.migrations import Migrations

from sync.errors import DatabaseBusy, DatabaseDamaged, DatabaseUnavailable, DiskFull, SyncError

# A cut of a full batch holds the write lock for well under a second even on a slow card;
# past this something is stuck, and the learner's page should say so.
BUSY_TIMEOUT_SECONDS = 10.0
# A page has about thirty statements; each that a connection keeps ready weighs some kilobytes.
STATEMENTS_KEPT = 48

_FAULTS: dict[int, type[SyncError]] = {
    sqlite3.SQLITE_FULL: DiskFull,
    sqlite3.SQLITE_BUSY: DatabaseBusy,
    sqlite3.SQLITE_LOCKED: DatabaseBusy,
    sqlite3.SQLITE_CORRUPT: DatabaseDamaged,
    sqlite3.SQLITE_NOTADB: DatabaseDamaged,
    sqlite3.SQLITE_IOERR: DatabaseUnavailable,
    sqlite3.SQLITE_READONLY: DatabaseUnavailable,
    sqlite3.SQLITE_CANTOPEN: DatabaseUnavailable,
    sqlite3.SQLITE_PERM: DatabaseUnavailable,
}


def open_database(path: Path, *, any_thread: bool = False) -> sqlite_utils.Database:
    """Open (or create) the file; the caller closes it.

    It belongs to the calling thread, unless the caller sees to it that one thread at a time has it.
    """
    with translated_faults():
        _create_private(path)
        # isolation_level=None: Python never begins a transaction behind our back.
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            factory=_Connection,
            check_same_thread=not any_thread,
            cached_statements=STATEMENTS_KEPT,
        )
        connection.turn = _turn_of(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # FULL: of 600 simulated power cuts none lost a commit; NORMAL lost some in 452.
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            # A deleted name must not stay readable in the file's free pages.
            connection.execute("PRAGMA secure_delete = ON")
            return sqlite_utils.Database(connection)
        except BaseException:
            connection.close()
            raise


class _Connection(sqlite3.Connection):
    """A connection that knows the queue of those who write to its file."""

    turn: threading.Lock


# SQLite lets a writer that finds the file locked sleep and try again: of thirty at once the last one
# waited 1.8 seconds, where thirty commits take a tenth of that. Inside a process they queue here.
_turns: dict[str, threading.Lock] = {}
_turns_lock = threading.Lock()


def _turn_of(path: Path) -> threading.Lock:
    with _turns_lock:
        return _turns.setdefault(os.path.realpath(path), threading.Lock())


@contextmanager
def _in_turn(connection: sqlite3.Connection) -> Iterator[None]:
    turn = connection.turn if isinstance(connection, _Connection) else threading.Lock()
    if not turn.acquire(timeout=BUSY_TIMEOUT_SECONDS):
        raise DatabaseBusy
    try:
        yield
    finally:
        turn.release()


def _create_private(path: Path) -> None:
    """The file holds names: only this account reads it. SQLite gives its side files the same mode.

    A file that SQLite may have open is never opened here: closing any other handle on it would
    drop this process's POSIX locks, another process would fold the log back under our feet, and
    readers would see a damaged database (sqlite.org/howtocorrupt.html, section 2.2). So the empty
    file is made under another name and linked into place.
    """
    if path.exists():
        return
    made = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    try:
        os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            with suppress(FileExistsError):  # another process was faster: its file is as good
                os.link(made, path)
        finally:
            made.unlink()
    except OSError as fault:
        raise (DiskFull if fault.errno == errno.ENOSPC else DatabaseUnavailable) from fault


def migrate(db: sqlite_utils.Database, *sets: Migrations) -> None:
    """Apply what is pending, all or nothing, even when two processes start at once."""
    with translated_faults():
        if not any(migrations.pending(db) for migrations in sets):
            return
    with write_transaction(db):
        for migrations in sets:
            migrations.apply(db)


@contextmanager
def write_transaction(db: sqlite_utils.Database) -> Iterator[None]:
    """Take the write lock first, so that what is read stays true until it is written.

    `db.atomic()` inside nests as a savepoint; inside another transaction this nests too.
    """
    with translated_faults():
        if db.conn.in_transaction:
            with db.atomic():
                yield
            return
        with _in_turn(db.conn):
            db.conn.execute("BEGIN IMMEDIATE")
            try:
                yield
                db.conn.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled back already.
                if db.conn.in_transaction:
                    db.conn.execute("ROLLBACK")
                raise


@contextmanager
def translated_faults() -> Iterator[None]:
    """Turn SQLite's own faults into this room's errors; others pass as they are."""
    try:
        yield
    except sqlite3.Error as fault:
        error = _translate(fault)
        if error is None:
            raise
        raise error from fault


def _translate(fault: sqlite3.Error) -> SyncError | None:
    code: int | None = getattr(fault, "sqlite_errorcode", None)
    # The low byte is the primary code; the rest only details it.
    found = _FAULTS.get(code & 0xFF) if code is not None else None
    return found() if found else None
