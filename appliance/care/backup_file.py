"""One backup as bytes: a tar.gz with a list of contents, in an age file encrypted to the school's key.

Any `age` program with the key opens it: `age -d -i KEY FILE | tar xz`. Promises: what is opened here is whole
and is what was put in, or an error says that it is not. The only file that knows `pyrage`; the pages never
import it.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyrage

from appliance.care import school_key
from appliance.care.backup_folder import DATABASE
from appliance.care.care_errors import BackupDamaged, BackupForeign, BackupNotOne

FORMAT = "sandyq-backup-1"
SETTINGS = "sandyq.toml"
MANIFEST = "manifest.json"
CONTENTS = (DATABASE, SETTINGS)
AGE_START = b"age-encryption.org/v1\n"
# Zeros squeeze a thousandfold; a stranger's file must not fill the card. A school's year stays far below.
MAX_UNPACKED_BYTES = 8 << 30
BLOCK_BYTES = 1 << 20
# The words of rage for a file whose every recipient is somebody else.
_NO_KEY_FITS = "No matching keys"


class Writable(Protocol):
    """All that is asked of what decrypted bytes go to."""

    def write(self, block: bytes, /) -> int: ...


@dataclass(frozen=True)
class Manifest:
    """What a backup says about itself, inside the encryption."""

    made_at: datetime
    clock_quality: str
    box: str
    software: str
    migrations: tuple[str, ...]
    classes: int
    learners: int


def pack(folder: Path, manifest: Manifest, target: BinaryIO) -> None:
    """Write the contents of a folder as one compressed stream; each file with its digest in the list."""
    there = [folder / name for name in CONTENTS if (folder / name).exists()]
    listed = {path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)} for path in there}
    record = asdict(manifest) | {"format": FORMAT, "made_at": manifest.made_at.isoformat(), "files": listed}
    note = folder / MANIFEST
    note.write_bytes(json.dumps(record).encode())
    with tarfile.open(fileobj=target, mode="w:gz", compresslevel=6) as archive:
        for path in (note, *there):
            info = archive.gettarinfo(path, path.name)
            # Whose account it was is nobody's business, and may have a name.
            info.uid = info.gid = 0
            info.uname = info.gname = ""
            with path.open("rb") as file:
                archive.addfile(info, file)


def encrypt(source: BinaryIO, target: BinaryIO, seed: bytes) -> None:
    """Encrypt to the school's key.

    Raises:
        OSError: the target's or the source's own fault, which the library would hide.
    """
    recipient = pyrage.x25519.Identity.from_str(school_key.to_identity(seed)).to_public()
    reader, writer = _Watched(source), _Watched(target)
    try:
        pyrage.encrypt_io(reader, writer, [recipient])
    except pyrage.EncryptError as error:
        raise (writer.fault or reader.fault or OSError(str(error))) from error


def decrypt(source: BinaryIO, target: Writable, seeds: Sequence[bytes], name: str) -> None:
    """Decrypt all of it with the first key that fits.

    Raises:
        BackupForeign, BackupDamaged, BackupNotOne: with the file's name.
        OSError: the source or the target failed.
    """
    if source.read(len(AGE_START)) != AGE_START:
        raise BackupNotOne(name=name)
    source.seek(0)
    identities = [pyrage.x25519.Identity.from_str(school_key.to_identity(seed)) for seed in seeds]
    if not identities:
        raise BackupForeign(name=name)
    reader, writer = _Watched(source), _Watched(target)
    try:
        pyrage.decrypt_io(reader, writer, identities)
    except pyrage.DecryptError as error:
        if _NO_KEY_FITS in str(error):
            raise BackupForeign(name=name) from error
        raise (reader.fault or writer.fault or BackupDamaged(name=name)) from error
    except OSError as error:
        # Also how the library says that a piece was changed or is missing.
        raise (reader.fault or writer.fault or BackupDamaged(name=name)) from error


def needs_another_key(source: BinaryIO, seeds: Iterable[bytes]) -> bool:
    """Say whether none of the keys fits, by the head of the file; any other fault is told by opening it.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        decrypt(source, _Shut(), list(seeds), "")
    except BackupForeign:
        return True
    except (_EnoughSeen, BackupDamaged, BackupNotOne):
        return False
    return False


def unpack(source: BinaryIO, folder: Path, name: str) -> Manifest:
    """Put the files into a folder and compare each with the list.

    Raises:
        BackupDamaged, BackupNotOne: with the file's name.
        OSError: the folder's disk failed.
    """
    try:
        with tarfile.open(fileobj=source, mode="r:gz") as archive:
            record = _read_list(archive, name)
            while (member := archive.next()) is not None:
                _take(archive, member, folder, record["files"], name)
    except (tarfile.TarError, EOFError, UnicodeDecodeError) as error:
        raise BackupDamaged(name=name) from error
    missing = [one for one in record["files"] if not (folder / one).is_file()]
    if missing or DATABASE not in record["files"]:
        raise BackupDamaged(name=name)
    return _manifest_of(record, name)


def _read_list(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    member = archive.next()
    file = archive.extractfile(member) if member and member.name == MANIFEST else None
    if file is None:
        raise BackupNotOne(name=name)
    with suppress(ValueError, TypeError):
        record: dict[str, Any] = json.loads(file.read(BLOCK_BYTES))
        if record.get("format") == FORMAT and isinstance(record.get("files"), dict):
            return record
    raise BackupNotOne(name=name)


def _take(
    archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, listed: dict[str, Any], name: str
) -> None:
    """Copy one member out; names are looked up in our own list, never used as paths."""
    known = listed.get(member.name) if member.name in CONTENTS else None
    file = archive.extractfile(member) if known and member.isreg() else None
    if known is None or file is None or member.size > MAX_UNPACKED_BYTES:
        raise BackupDamaged(name=name)
    digest = hashlib.sha256()
    target = folder / member.name
    target.touch(mode=0o600)
    with target.open("wb") as copy:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
    if digest.hexdigest() != known.get("sha256") or member.size != known.get("bytes"):
        raise BackupDamaged(name=name)


def _manifest_of(record: dict[str, Any], name: str) -> Manifest:
    try:
        return Manifest(
            datetime.fromisoformat(record["made_at"]),
            str(record["clock_quality"]),
            str(record["box"]),
            str(record["software"]),
            tuple(map(str, record["migrations"])),
            int(record["classes"]),
            int(record["learners"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise BackupDamaged(name=name) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _EnoughSeen(OSError):
    """The first byte came through: the key fits."""


class _Shut:
    def write(self, _block: bytes) -> int:
        raise _EnoughSeen

    def flush(self) -> None:
        """Nothing was kept."""


class _Watched:
    """A file that remembers its own fault: the library turns it into words without a number."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.fault: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            block: bytes = self._file.read(size)
        except OSError as fault:
            self.fault = fault
            raise
        return block

    def write(self, block: bytes) -> int:
        try:
            return int(self._file.write(block))
        except OSError as fault:
            self.fault = fault
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as fault:
            self.fault = fault
            raise
