"""A disk in memory that loses power: what was not synced is dropped and torn, sector by sector.

An `apsw` VFS. A write stays in a cache until the file is synced; at a cut each unsynced sector of 512
bytes is kept or lost by chance, so that writes come out torn and in another order than they were made.
Not modelled: directory entries, and cards that say "synced" and lie.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import apsw
from sqlite_utils import Database

SECTOR = 512


class PowerCut(Exception):
    """The machine is off."""


@dataclass
class DiskFile:
    durable: bytearray = field(default_factory=bytearray)
    cached: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)  # a write, or a new length

    def write(self, offset: int, data: bytes) -> None:
        _put(self.cached, offset, data)
        for at in range(0, len(data), SECTOR):
            self.pending.append((offset + at, data[at : at + SECTOR]))

    def truncate(self, size: int) -> None:
        del self.cached[size:]
        self.pending.append(size)

    def sync(self) -> None:
        self.durable = bytearray(self.cached)
        self.pending.clear()

    def lose_power(self, chance: random.Random) -> None:
        for change in self.pending:
            if chance.random() < 0.5:
                continue
            if isinstance(change, int):
                del self.durable[change:]
            else:
                _put(self.durable, *change)
        self.pending.clear()
        self.cached = bytearray(self.durable)


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class Disk:
    """The files of one machine; `cut_after` changes from now the power goes."""

    def __init__(self) -> None:
        self.files: dict[str, DiskFile] = {}
        self.is_off = False
        self._changes_left: int | None = None

    def cut_after(self, changes: int) -> None:
        self._changes_left = changes

    def change(self) -> None:
        if self._changes_left is not None:
            self._changes_left -= 1
            self.is_off = self.is_off or self._changes_left <= 0
        if self.is_off:
            raise PowerCut

    def power_up(self, chance: random.Random) -> None:
        for file in self.files.values():
            file.lose_power(chance)
        self.is_off, self._changes_left = False, None

    def copy(self) -> Disk:
        """The same card again, as it was last synced."""
        other = Disk()
        for name, file in self.files.items():
            other.files[name] = DiskFile(bytearray(file.cached), bytearray(file.cached))
        return other


class _OpenFile:
    def __init__(self, disk: Disk, file: DiskFile) -> None:
        self._disk, self._file = disk, file

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's names
        return bytes(self._file.cached[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._disk.change()
        self._file.write(offset, bytes(data))

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._disk.change()
        self._file.truncate(size)

    def xSync(self, _flags: int) -> None:  # noqa: N802
        self._disk.change()
        self._file.sync()

    def xFileSize(self) -> int:  # noqa: N802
        return len(self._file.cached)

    def xLock(self, _level: int) -> None:  # noqa: N802
        pass

    def xUnlock(self, _level: int) -> None:  # noqa: N802
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xClose(self) -> None:  # noqa: N802
        pass

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        return 0  # promises nothing: no atomic writes, no safe append

    def xFileControl(self, _op: int, _pointer: int) -> bool:  # noqa: N802
        return False


class PowerVfs(apsw.VFS):
    """SQLite's door to a `Disk`."""

    def __init__(self, name: str) -> None:
        self.disk = Disk()
        self.title = name
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        path = str(name.filename() if isinstance(name, apsw.URIFilename) else name)
        flags[1] = flags[0]
        return _OpenFile(self.disk, self.disk.files.setdefault(path, DiskFile()))

    def xDelete(self, filename: str, _syncdir: bool) -> None:  # noqa: N802
        self.disk.change()
        self.disk.files.pop(filename, None)

    def xAccess(self, pathname: str, _flags: int) -> bool:  # noqa: N802
        return pathname in self.disk.files and bool(self.disk.files[pathname].cached)

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        return name


class _Cursor:
    def __init__(self, connection: apsw.Connection, cursor: apsw.Cursor) -> None:
        self.description: Sequence[tuple[Any, ...]] = ()
        with suppress(apsw.ExecutionCompleteError):  # no rows, nothing to name
            self.description = cursor.get_description()
        # apsw runs a statement as its rows are asked for; sqlite3 runs it at once.
        self._rows = list(cursor)
        self._at = 0
        self.lastrowid = connection.last_insert_rowid()
        self.rowcount = connection.changes()

    def fetchone(self) -> Any:
        if self._at >= len(self._rows):
            return None
        self._at += 1
        return self._rows[self._at - 1]

    def fetchall(self) -> list[Any]:
        rest = self._rows[self._at :]
        self._at = len(self._rows)
        return rest

    def __iter__(self) -> Any:
        return iter(self.fetchall())


class _Connection:
    """What our code uses of `sqlite3.Connection`, over apsw's own SQLite with our disk below."""

    def __init__(self, vfs: str) -> None:
        self._inner = apsw.Connection("box.sqlite", vfs=vfs)

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> _Cursor:
        return _Cursor(self._inner, self._inner.execute(sql, tuple(parameters)))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        for row in rows:
            self.execute(sql, row)

    @property
    def in_transaction(self) -> bool:
        return self._inner.in_transaction

    def close(self) -> None:
        with suppress(apsw.Error, PowerCut):
            self._inner.close()


def open_on(vfs: PowerVfs, synchronous: str = "FULL") -> Database:
    """Open as `sync.database` does, but for the shared memory of the log: one connection has the file."""
    connection = _Connection(vfs.title)
    for pragma in (
        "locking_mode = EXCLUSIVE",
        "journal_mode = WAL",
        f"synchronous = {synchronous}",
        "foreign_keys = ON",
        "secure_delete = ON",
        "wal_autocheckpoint = 12",  # small, so that cuts fall into folding the log in as well
    ):
        connection.execute(f"PRAGMA {pragma}")
    database = Database.__new__(Database)
    Database.__init__(database, memory=True)
    database.conn.close()
    database.conn = connection  # type: ignore[assignment]
    return database
