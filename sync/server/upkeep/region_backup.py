"""A whole region in one encrypted file, and a fresh region made from it.

What is written is one moment of the database, whichever kind it is, with the region's keys: a backup
without them would open no envelope. It is encrypted with age to keys that lie elsewhere, so the file may
lie anywhere; any `age` program opens it. A restore fills an empty database, of either kind, in one
transaction, and counts. Orders written afterwards take higher numbers than boxes can have seen. The only
module of the region that knows `pyrage`. Keeps out: terminals.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import cbor2
import pyrage

from sync.errors import FileNotSaved
from sync.keys import read_private, save_private, sync_folder
from sync.region_errors import (
    BackupKeyWrong,
    RegionBackupDamaged,
    RegionBackupNewer,
    RegionThere,
    TargetNotEmpty,
)
from sync.server.desk import drafts
from sync.server.nation import forward
from sync.server.people import audit
from sync.server.storage.database import RegionDatabase, absolute_address
from sync.server.storage.identity import IDENTITY_FILE, Region, get_region
from sync.server.storage.schema import migrate
from sync.server.storage.store import open_store
from sync.settings import RegionSettings

FORM = "sandyq region backup 1"
ROWS_AT_ONCE = 500
_BLOCK = 64 * 1024
_LENGTH_BYTES = 4
MAX_RECORD_BYTES = 256 * 1024 * 1024  # 500 letters to the nation, the largest rows there are, have 33 MB
# Written new by the schema of the restored region, or true of the old database alone.
_OWN = ("region_migration", "region_move")
# Who was logged in is nobody's business a week later, and must not be logged in again.
_LEFT_OUT = ("operator_login", "operator_try")
AGE_START = b"age-encryption.org/v1\n"


@dataclass(frozen=True)
class Contents:
    """What a backup holds."""

    region_id: str
    name: str
    made_at: datetime
    rows: dict[str, int]


def new_backup_key(path: Path) -> str:
    """Make the key that opens backups in a private file; return its public half."""
    identity = pyrage.x25519.Identity.generate()
    if not save_private(path, f"{identity}\n".encode(), replace=False):
        raise FileNotSaved(name=path.name)
    return str(identity.to_public())


# Writing -------------------------------------------------------------------------------------------


def write_backup(region: Region, target: Path, recipients: Iterable[str], now: datetime) -> Contents:
    """Write the region into a file that appears under its name when all of it is on the disk."""
    try:
        keys = [pyrage.x25519.Recipient.from_str(text) for text in recipients]
    except pyrage.RecipientError as fault:
        raise BackupKeyWrong from fault
    store = open_store(region.database)
    temporary = target.with_name(f".{target.name}.part")
    counted: dict[str, int] = {}
    try:
        store.migrate()
        with _private(temporary) as file:
            pyrage.encrypt_io(_Reader(_packed(_records(store.db, region, now, counted))), file, keys)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
        audit.append(
            store.db, region.keys.desk, now, audit.CONSOLE, "backup_written", rows=sum(counted.values())
        )
    except (OSError, pyrage.EncryptError) as fault:
        raise FileNotSaved(name=target.name) from fault
    finally:
        temporary.unlink(missing_ok=True)
        store.close()
    return Contents(region.id.hex(), region.name, now, counted)


def _records(
    db: RegionDatabase, region: Region, now: datetime, counted: dict[str, int]
) -> Iterator[dict[str, Any]]:
    yield {
        "form": FORM,
        "region_id": region.id.hex(),
        "name": region.name,
        "made_at": now.isoformat(),
        "software": version("sandyq"),
        "identity": read_private(region.folder / IDENTITY_FILE),
        "keys": {path.name: read_private(path) for path in sorted((region.folder / "keys").glob("*.key"))},
        # Without these the nation would see another region, with boxes it has never met.
        "nation": _files_below(region.folder / forward.FOLDER),
    }
    with db.snapshot():
        tables = [name for name in db.tables() if name not in (*_OWN, *_LEFT_OUT)]
        yield {"migrations": [row[0] for row in db.rows("SELECT name FROM region_migration ORDER BY name")]}
        for table in tables:
            columns = list(db.columns(table))
            counted[table] = 0
            for rows in _parts(db.each(f"SELECT {', '.join(columns)} FROM {table}")):  # noqa: S608 - our own words
                counted[table] += len(rows)
                yield {"table": table, "columns": columns, "rows": rows}
    yield {"end": counted}


def _files_below(folder: Path) -> dict[str, bytes | None]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): read_private(path) for path in files}


def _parts(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[list[Any]]]:
    part: list[list[Any]] = []
    for row in rows:
        part.append([bytes(value) if isinstance(value, memoryview) else value for value in row])
        if len(part) == ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _packed(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    packer = zlib.compressobj(6)
    for record in records:
        written = cbor2.dumps(record)
        yield packer.compress(len(written).to_bytes(_LENGTH_BYTES, "big") + written)
    yield packer.flush()


class _Reader:
    """Pieces as they are made, in the form the library reads: the whole is never in memory."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        taken, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return taken


# Reading -------------------------------------------------------------------------------------------


def restore_backup(
    settings: RegionSettings,
    source: Path,
    identity_file: Path,
    address: str,
    now: datetime,
    tell: Callable[[str], None],
) -> Contents:
    """Make the region of a backup here, with an empty database; nothing is there until all of it is.

    Raises:
        RegionThere, TargetNotEmpty: something would be overwritten.
        BackupKeyWrong, RegionBackupDamaged, RegionBackupNewer: it cannot be restored.
    """
    if (settings.folder / IDENTITY_FILE).exists():
        raise RegionThere
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plain = settings.folder / ".restore.part"
    try:
        _decrypt(source, plain, identity_file)
        with plain.open("rb") as file:
            return _fill(settings, _unpacked(file), address, now, tell)
    finally:
        plain.unlink(missing_ok=True)


def _decrypt(source: Path, plain: Path, identity_file: Path) -> None:
    try:
        lines = (read_private(identity_file) or b"").decode("ascii").splitlines()
        identities = [pyrage.x25519.Identity.from_str(line.strip()) for line in lines if line[:4] == "AGE-"]
    except (UnicodeDecodeError, pyrage.IdentityError) as fault:
        raise BackupKeyWrong from fault
    if not identities:
        raise BackupKeyWrong
    plain.unlink(missing_ok=True)
    with source.open("rb") as sealed, _private(plain) as target:
        if sealed.read(len(AGE_START)) != AGE_START:
            raise RegionBackupDamaged(name=source.name)
        sealed.seek(0)
        try:
            pyrage.decrypt_io(sealed, target, identities)
        except pyrage.DecryptError as fault:
            if "No matching keys" in str(fault):
                raise BackupKeyWrong from fault
            raise RegionBackupDamaged(name=source.name) from fault
        except OSError as fault:
            raise RegionBackupDamaged(name=source.name) from fault


def _unpacked(file: BinaryIO) -> Iterator[dict[str, Any]]:
    """Yield the records; a backup that ends early raises."""
    stream = _Reader(_inflated(file))
    try:
        while True:
            length = int.from_bytes(stream.read(_LENGTH_BYTES), "big")
            record = cbor2.loads(stream.read(length)) if 0 < length <= MAX_RECORD_BYTES else None
            if not isinstance(record, dict):
                raise RegionBackupDamaged(name="")
            yield record
            if "end" in record:
                return
    except (cbor2.CBORDecodeError, zlib.error, EOFError) as fault:
        raise RegionBackupDamaged(name="") from fault


def _inflated(file: BinaryIO) -> Iterator[bytes]:
    unpacker = zlib.decompressobj()
    while block := file.read(_BLOCK):
        yield unpacker.decompress(block)
    yield unpacker.flush()


def _fill(
    settings: RegionSettings,
    records: Iterator[dict[str, Any]],
    address: str,
    now: datetime,
    tell: Callable[[str], None],
) -> Contents:
    head = next(records)
    if head.get("form") != FORM:
        raise RegionBackupDamaged(name="")
    where = absolute_address(address or settings.database, settings.folder / "region.sqlite")
    counted: dict[str, int] = {}
    store = open_store(where)
    try:
        migrate(store.db)
        if any(store.db.row(f"SELECT 1 FROM {table} LIMIT 1") for table in ("box", "ledger", "audit")):  # noqa: S608
            raise TargetNotEmpty
        with store.db.transaction():
            for table in reversed([name for name in store.db.tables() if name not in _OWN]):
                if store.db.row(f"SELECT 1 FROM {table} LIMIT 1"):  # noqa: S608 - what the schema began with
                    store.db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own words
            _take_rows(store.db, records, counted, tell)
            store.db.keep_numbering()
        _take_keys(settings, head, where)
        region = get_region(settings)
        audit.append(store.db, region.keys.desk, now, audit.CONSOLE, "backup_restored", head["made_at"])
        drafts.skip_numbers(store.db, now)
    finally:
        store.close()
    return Contents(head["region_id"], head["name"], datetime.fromisoformat(head["made_at"]), counted)


def _take_rows(
    db: RegionDatabase,
    records: Iterator[dict[str, Any]],
    counted: dict[str, int],
    tell: Callable[[str], None],
) -> None:
    ours = {row[0] for row in db.rows("SELECT name FROM region_migration")}
    for record in records:
        if "migrations" in record and not ours.issuperset(record["migrations"]):
            raise RegionBackupNewer
        if "end" in record:
            if {table: count for table, count in record["end"].items() if count} != counted:
                raise RegionBackupDamaged(name="")
            return
        if "table" in record:
            _take_part(db, record["table"], record["columns"], record["rows"])
            if record["table"] not in counted:
                tell(record["table"])
            counted[record["table"]] = counted.get(record["table"], 0) + len(record["rows"])
    raise RegionBackupDamaged(name="")


def _take_part(db: RegionDatabase, table: str, columns: list[str], rows: list[list[Any]]) -> None:
    there = db.columns(table)
    if not there or not there.keys() >= set(columns):
        raise RegionBackupNewer
    if "received_day" in columns and table == "event":
        at = columns.index("received_day")
        for day in sorted({row[at] for row in rows}):
            db.ensure_partition("event", day)
    db.copy_rows(table, columns, rows)


def _take_keys(settings: RegionSettings, head: dict[str, Any], address: str) -> None:
    """The identity comes last: before it there is no region here."""
    for name, content in head["keys"].items():
        if "/" in name or not name.endswith(".key"):
            raise RegionBackupDamaged(name="")
        save_private(settings.folder / "keys" / name, content, replace=True)
    for name, content in head.get("nation", {}).items():
        if ".." in name.split("/") or name.startswith("/"):
            raise RegionBackupDamaged(name="")
        save_private(settings.folder / forward.FOLDER / name, content, replace=True)
    identity = json.loads(head["identity"]) | {"database": address}
    text = json.dumps(identity, ensure_ascii=False, indent=1).encode()
    save_private(settings.folder / IDENTITY_FILE, text, replace=False)


def _private(path: Path) -> BinaryIO:
    """Open a new file that only this account reads."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
