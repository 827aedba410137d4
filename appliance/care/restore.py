"""Put a backup in the place of the box's database: nothing is overwritten and nothing counted twice.

The backup is opened and checked first; then it begins a new epoch (what waited in it may have been sent
since: decisions 0011, 0047), loses again whoever was deleted after it was made, and ends all log-ins. Only
then it is exchanged for the present database, which is kept aside with its log for 30 days. The exchange is
written down before it begins and goes on after any power cut. Keys are never touched: first boot makes each
machine's own.
"""

import json
import os
import re
import secrets
import shutil
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlite_utils import Database

from appliance import database
from appliance.care import backup_book, backup_folder, soundness
from appliance.care.backup_book import Restored
from appliance.care.care_errors import BackupTooNew, BackupTooOld, ClassesThere, PagesRunning
from appliance.errors import AlreadyRunning
from appliance.lesson import deletion
from appliance.people import access
from appliance.settings import FILE_NAME, Settings
from sync import boots, client, outbox, policy
from sync.clock import BUILT
from sync.database import open_database
from sync.errors import SyncError
from sync.keys import read_private, save_private, sync_folder

# Present in each database that ever held a class.
_OF_CLASSES = "school_class"
_SIDE_FILES = ("", "-wal", "-shm")
_MARKER = "exchange.json"
_STAGED = "staged"
_ASIDE = "set-aside-"
_STAMP = "%Y%m%dT%H%M%SZ"
_ASIDE_NAME = re.compile(_ASIDE + r"(\d{8}T\d{6}Z)-[0-9a-f]{4}")


@dataclass(frozen=True)
class Restoring:
    """What a restore found and did, for the sentence about it."""

    made_at: datetime
    days: int
    classes: int
    learners: int
    deleted_again: int
    set_aside_events: int
    kept_aside: Path | None


@dataclass(frozen=True)
class Found:
    """An opened and checked backup, as `backup.opened` leaves it in a folder."""

    name: str
    folder: Path
    made_at: datetime
    is_sure: bool  # the time was confirmed when it was made
    box: str
    migrations: tuple[str, ...]
    classes: int
    learners: int

    @property
    def certain_at(self) -> datetime:
        """The latest time that is surely past, as far as the backup knows."""
        return self.made_at if self.is_sure else BUILT


@dataclass(frozen=True)
class Wish:
    """What whoever restores has agreed to."""

    replaces_classes: bool = False
    takes_old: bool = False


def restore(settings: Settings, found: Found, wish: Wish, marks: set[str]) -> Restoring:
    """Exchange the box's database for the one in the folder; `marks` are of learners known as deleted.

    Raises:
        PagesRunning, ClassesThere, BackupTooOld, BackupTooNew: nothing was changed.
    """
    try:
        with database.sole_server(settings.home):
            return exchange(settings, found, wish, marks)
    except AlreadyRunning as error:
        raise PagesRunning from error


def exchange(settings: Settings, found: Found, wish: Wish, marks: set[str]) -> Restoring:
    """The same for who holds the state folder already, as the pages do when they show the rescue page."""
    finish_exchange(settings)
    present = _look_at_present(settings)
    if present.has_classes and not wish.replaces_classes:
        raise ClassesThere
    age = max(timedelta(0), present.now - found.made_at)
    if age > backup_folder.KEEP and not wish.takes_old:
        raise BackupTooOld(name=found.name, days=age.days)
    staged = _stage(settings.home, found)
    deleted, aside = _make_fit(settings, staged, found, present, marks)
    boxes = {found.box, *backup_book.former_boxes(settings.home)}
    kept = _begin_exchange(settings, Restored(found.made_at, present.now, tuple(sorted(boxes))))
    return Restoring(found.made_at, age.days, found.classes, found.learners, deleted, aside, kept)


@dataclass(frozen=True)
class _Present:
    """What of the box's database, if it can still be read, must not go back in time."""

    now: datetime
    floor: datetime
    has_classes: bool = False
    marks: frozenset[str] = frozenset()
    order: bytes | None = None


def _look_at_present(settings: Settings) -> _Present:
    path = settings.sync.database_path
    if path.exists():
        try:
            # Who deletes a learner and whether there is a class is asked of whatever can still be read.
            with closing(open_database(path)) as db:
                tables = set(db.table_names())
                moment, floor = boots.now(db), boots.floor(db)
                return _Present(
                    moment.at or floor,
                    floor,
                    has_classes=_OF_CLASSES in tables and db.table(_OF_CLASSES).count > 0,
                    marks=frozenset(deletion.marks(db)) if "deleted_learner" in tables else frozenset(),
                    order=policy.find_document(db),
                )
        except (SyncError, sqlite3.DatabaseError):
            pass
    now = boots.read().wall
    return _Present(now, BUILT)


def _stage(home: Path, found: Found) -> Path:
    """Move the checked database to where the exchange takes it from."""
    folder = home / backup_book.FOLDER / _STAGED
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    staged = folder / backup_folder.DATABASE
    (found.folder / backup_folder.DATABASE).rename(staged)
    if not found.migrations or not set(found.migrations) <= _known_migrations(folder):
        raise BackupTooNew(name=found.name)
    settings = found.folder / FILE_NAME
    if settings.exists() and not (home / FILE_NAME).exists():
        save_private(home / FILE_NAME, settings.read_bytes(), replace=False)
    return staged


def _known_migrations(folder: Path) -> set[str]:
    """Return what this version of the program makes of an empty file."""
    empty = folder / "empty.sqlite"
    database.prepare(empty)
    with closing(open_database(empty)) as db:
        known = database.applied_migrations(db)
    for suffix in _SIDE_FILES:
        (folder / (empty.name + suffix)).unlink(missing_ok=True)
    return known


def _make_fit(
    settings: Settings, staged: Path, found: Found, present: _Present, marks: set[str]
) -> tuple[int, int]:
    """Make the copy a history of its own; return how many were deleted again, and set aside."""
    database.prepare(staged)
    with closing(open_database(staged)) as db:
        outbox.begin_epoch(db, secrets.token_bytes(outbox.EPOCH_BYTES))
        boots.raise_floor(db, max(present.floor, found.certain_at))
        known = marks | present.marks
        deleted = deletion.delete_again(db, known, now=present.now)
        deletion.add_marks(db, known, now=present.now)
        access.end_all_logins(db)
        _keep_order(settings, db, present)
        if deleted:
            deletion.clean(db, now=present.now)
        aside = outbox.status(db).set_aside_events
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with staged.open("rb") as file:
        os.fsync(file.fileno())
    # Its name as well: what the marker promises must be there after a power cut.
    sync_folder(staged.parent)
    return deleted, aside


def _keep_order(settings: Settings, db: Database, present: _Present) -> None:
    """An order of the region that was seen stays in force: a restore must not lift a stop."""
    enrolment = client.find_enrolment(settings.sync)
    if enrolment is not None and present.order is not None:
        with suppress(SyncError):  # the backup has this one or a newer one already
            policy.accept(db, present.order, enrolment.policy_public, enrolment.region_id)


def _begin_exchange(settings: Settings, restored: Restored) -> Path | None:
    """Write down what is about to happen, then do it; return where the present database went."""
    path = settings.sync.database_path
    name = f"{_ASIDE}{restored.restored_at.astimezone(UTC).strftime(_STAMP)}-{secrets.token_hex(2)}"
    record = {"aside": name, "restored": backup_book.as_record(restored)}
    save_private(_marker(settings.home), json.dumps(record).encode(), replace=True)
    was_there = path.exists()
    finish_exchange(settings)
    return settings.home / name if was_there else None


def finish_exchange(settings: Settings) -> None:
    """Carry out an exchange that was begun; after a power cut every part of it may have happened already."""
    home, path = settings.home, settings.sync.database_path
    marker = _marker(home)
    content = read_private(marker)
    if content is None:
        return
    record = json.loads(content)
    aside = home / Path(str(record["aside"])).name
    staged = home / backup_book.FOLDER / _STAGED / path.name
    if staged.exists():
        aside.mkdir(mode=0o700, exist_ok=True)
        for suffix in _SIDE_FILES:
            _move_aside(path.with_name(path.name + suffix), aside)
        sync_folder(aside)
        staged.rename(path)
        sync_folder(path.parent)
    backup_book.note_restored(home, backup_book.read_restored(record["restored"]))
    soundness.forget_damage(home)
    shutil.rmtree(staged.parent, ignore_errors=True)
    marker.unlink(missing_ok=True)
    sync_folder(marker.parent)


def drop_set_aside(home: Path, now: datetime) -> list[str]:
    """Remove what was kept aside longer than backups are: names of deleted learners may stand in it."""
    dropped = []
    for folder in home.glob(f"{_ASIDE}*"):
        match = _ASIDE_NAME.fullmatch(folder.name)
        kept_since = datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC) if match else now
        if now - kept_since > backup_folder.KEEP:
            shutil.rmtree(folder, ignore_errors=True)
            dropped.append(folder.name)
    return dropped


def _move_aside(path: Path, aside: Path) -> None:
    """Move a file if it is still there; what a cut run moved already is never overwritten."""
    if not path.exists():
        return
    target, number = aside / path.name, 1
    while target.exists():
        target, number = aside / f"{path.name}.{number}", number + 1
    path.rename(target)


def _marker(home: Path) -> Path:
    return home / backup_book.FOLDER / _MARKER
