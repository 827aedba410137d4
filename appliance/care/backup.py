"""Make a copy of the box's state that is proven to open, while lessons run.

The copy is taken by SQLite itself from one unchanging view, so no lesson waits for it; every page of it is
read (the daily check of the database); it is encrypted to the school's key, written whole or not at all,
read back, opened and checked again. Only then it counts, and only then older ones may go. No key of the box
is in it: a backup lets nobody send in this school's name (decision 0047).
"""

import errno
import fcntl
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from appliance.box import discovery
from appliance.care import (
    backup_book,
    backup_file,
    backup_folder,
    deleted_marks,
    rescue_offer,
    restore,
    soundness,
)
from appliance.care.backup_book import Proof
from appliance.care.backup_file import SETTINGS, Manifest
from appliance.care.backup_folder import DATABASE
from appliance.care.care_errors import (
    BackupDamaged,
    BackupNoRoomHere,
    BackupRunning,
    NothingToCopy,
    SourceDamaged,
)
from appliance.database import applied_migrations, prepare
from appliance.errors import N_
from appliance.lesson import deletion
from appliance.settings import Settings
from sync import boots
from sync.clock import Quality
from sync.database import open_database, translated_faults
from sync.errors import DatabaseDamaged
from sync.keys import ensure_school_seed, school_seeds

# Pages copied between two words of progress.
STEP_PAGES = 4096
# Beside the copies themselves: lessons go on writing meanwhile.
SPARE_BYTES = 64 << 20
# What a backup may swell to when it is opened, for the sentence about a full disk: measured about five.
SWELLS = 6
_WORK = ".work-"
LOOK_SECONDS = 0.5

COPYING, CHECKING, SEALING, READING = (
    N_("Copying the database …"),
    N_("Reading every page of the copy …"),
    N_("Encrypting and writing …"),
    N_("Reading it back and opening it …"),
)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A backup that was proven to open."""

    path: Path
    size: int
    manifest: Manifest
    dropped: tuple[str, ...]  # names of older ones that were removed


@dataclass(frozen=True)
class Opened:
    """A backup whose contents lie decrypted, whole and checked in a folder."""

    path: Path
    folder: Path
    manifest: Manifest


def create(settings: Settings, folder: Path | None, say: Say) -> Made:
    """Write a backup into a folder, or into the box's own, prove that it opens, and drop what is too old.

    Raises:
        the errors of `care_errors`; whatever happens, older backups stay as they were.
    """
    home = settings.home
    target = folder or own_folder(home)
    with alone(home):
        _prepare(settings)
        seed = ensure_school_seed(home)
        with workspace(home) as work:
            manifest = _snapshot(settings, work, say)
            name = backup_folder.free_name(target, manifest.box, manifest.made_at)
            path = _write(work, manifest, target, name, seed, say)
        say(READING)
        with workspace(home) as work, opened(home, path, work):
            size = path.stat().st_size
        is_elsewhere = backup_folder.is_elsewhere(target, home)
        backup_book.note(home, Proof(name, manifest.made_at, size, is_elsewhere))
        with closing(open_database(settings.sync.database_path)) as db:
            marks = deletion.marks(db) | deleted_marks.read(target)
        deleted_marks.add(target, marks)
        deleted_marks.add(own_folder(home), marks)
        dropped = _drop_old(home, path, manifest, is_elsewhere=is_elsewhere)
    return Made(path, size, manifest, dropped)


@contextmanager
def opened(home: Path, path: Path, work: Path, extra: bytes | None = None) -> Iterator[Opened]:
    """Decrypt a backup into a work folder and check all of it; `extra` is a key typed from paper.

    Raises:
        BackupForeign, BackupDamaged, BackupNotOne, BackupFolderGone.
    """
    seeds = [*school_seeds(home), *([extra] if extra else [])]
    plain = work / "plain.tar.gz"
    plain.touch(mode=0o600)
    with backup_folder.translated_faults(path.parent), path.open("rb") as source:
        size = path.stat().st_size
        _verify_room_here(work, size)
        with _room_kept(SWELLS * size), plain.open("r+b") as target:
            backup_file.decrypt(source, target, seeds, path.name)
            target.seek(0)
            manifest = backup_file.unpack(target, work, path.name)
    plain.unlink()
    if not soundness.is_whole(work / DATABASE):
        raise BackupDamaged(name=path.name)
    yield Opened(path, work, manifest)


def verify(home: Path, path: Path, extra: bytes | None = None) -> Manifest:
    """Really decrypt and check a backup, and return what it says about itself."""
    with alone(home), workspace(home) as work, opened(home, path, work, extra) as found:
        return found.manifest


def own_folder(home: Path) -> Path:
    """Return the box's own folder of backups, made if need be."""
    folder = home / backup_book.FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def new_seed(size: int) -> bytes:
    """Draw the number that a school's key is."""
    return secrets.token_bytes(size)


@contextmanager
def alone(home: Path, patience_seconds: float = 0.0) -> Iterator[None]:
    """Hold off a second backup or restore; the kernel lets go when this process dies.

    Raises:
        BackupRunning: another process has it, and still had it when patience ended.
    """
    deadline = time.monotonic() + patience_seconds
    lock = os.open(own_folder(home) / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        while not _is_locked(lock):
            if time.monotonic() >= deadline:
                raise BackupRunning
            time.sleep(LOOK_SECONDS)
        yield
    finally:
        os.close(lock)


def _is_locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def workspace(home: Path) -> Iterator[Path]:
    """Give a private folder that is gone afterwards, also what a killed run left behind; inside `alone`."""
    parent = own_folder(home)
    for left in parent.glob(f"{_WORK}*"):
        shutil.rmtree(left, ignore_errors=True)
    work = parent / f"{_WORK}{secrets.token_hex(4)}"
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _prepare(settings: Settings) -> None:
    path = settings.sync.database_path
    if not path.exists():
        raise NothingToCopy
    try:
        prepare(path)
    except DatabaseDamaged as error:
        _give_up_damaged(settings.home, error)


def _snapshot(settings: Settings, work: Path, say: Say) -> Manifest:
    """Copy the database from one view of it, read all of the copy, and say what is in it."""
    source = settings.sync.database_path
    log = source.with_name(source.name + "-wal")
    size = source.stat().st_size + (log.stat().st_size if log.exists() else 0)
    _verify_room_here(work, 2 * size + SPARE_BYTES)
    say(COPYING)
    try:
        _copy_database(source, work / DATABASE)
    except DatabaseDamaged as error:
        _give_up_damaged(settings.home, error)
    say(CHECKING)
    if not soundness.is_whole(work / DATABASE):
        _give_up_damaged(settings.home, None)
    if (settings.home / SETTINGS).exists():
        shutil.copyfile(settings.home / SETTINGS, work / SETTINGS)
    with closing(open_database(source)) as db:
        moment = boots.now(db)
        return Manifest(
            made_at=(moment.at or datetime.now(UTC)).replace(microsecond=0),
            clock_quality=moment.quality.name.lower(),
            box=discovery.box_name(settings.home),
            software=version("sandyq"),
            migrations=tuple(sorted(applied_migrations(db))),
            classes=db.table("school_class").count,
            learners=db.table("learner").count,
        )


def _copy_database(source: Path, copy: Path) -> None:
    copy.touch(mode=0o600)
    with (
        translated_faults(),
        closing(open_database(source)) as db,
        closing(sqlite3.connect(copy)) as target,
    ):
        # One view for all steps: a lesson that goes on writing neither waits nor makes the copy begin anew.
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        db.conn.backup(target, pages=STEP_PAGES, sleep=0)
        db.execute("ROLLBACK")


def _give_up_damaged(home: Path, error: Exception | None) -> None:
    soundness.note_damage(home)
    raise SourceDamaged from error


def _write(work: Path, manifest: Manifest, target: Path, name: str, seed: bytes, say: Say) -> Path:
    packed = work / "packed.tar.gz"
    packed.touch(mode=0o600)
    with packed.open("r+b") as file:
        backup_file.pack(work, manifest, file)
    (work / DATABASE).unlink()
    size = packed.stat().st_size
    backup_folder.verify_room(target, size + size // 1024 + 4096)
    say(SEALING)
    with packed.open("rb") as source, backup_folder.writing(target, name, size) as file:
        backup_file.encrypt(source, file, seed)
    return target / name


def _drop_old(home: Path, path: Path, manifest: Manifest, *, is_elsewhere: bool) -> tuple[str, ...]:
    newest = backup_folder.read_name(path)
    # A box that does not know the date must not judge the age of anything.
    if newest is None or manifest.clock_quality == Quality.UNKNOWN.name.lower():
        return ()
    # A rescue that nobody went through with has laid out a whole database in clear.
    shutil.rmtree(own_folder(home) / rescue_offer.FOLDER, ignore_errors=True)
    restore.drop_set_aside(home, manifest.made_at)
    boxes = {newest.box, *backup_book.former_boxes(home)}
    most = None if is_elsewhere else backup_folder.MOST_HERE
    return tuple(backup_folder.drop_old(path.parent, boxes, newest, most))


@contextmanager
def _room_kept(size: int) -> Iterator[None]:
    """Reading a stick never fills a disk: when one is full here, it is the box's own."""
    try:
        yield
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BackupNoRoomHere(megabytes=-(-size // backup_folder.MEGABYTE)) from fault
        raise


def _verify_room_here(folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size:
        raise BackupNoRoomHere(megabytes=-(-size // backup_folder.MEGABYTE))
