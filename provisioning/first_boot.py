"""Make a blank state folder into this box: its own keys, its own name.

Promises: every box has keys that no other box has, also when its card was copied; running it again changes
nothing; it may be cut at any moment and the next run makes it whole. What a copy brought along is moved
aside, never used and never deleted; of its waiting events sync/outbox sends none (decision 0011). Keeps out:
how keys are made (sync/keys), enrolment at the region, lessons: the pages start without it.

Files it owns, below the home: `box.json` (name and device id, for whoever announces the box) and
`first-boot/` (the machine the ids belong to, stamps, the marker of an unfinished move), `codes.json` (the
hotspot's password and the code of the first start).
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from provisioning.errors import StateFolderUnusable
from provisioning.hardware import Machine, is_same_machine, recognise
from provisioning.steps import (
    Step,
    alone,
    forget_steps,
    make_folder,
    move_durably,
    sync_folder,
    take_steps,
    write_durably,
)
from sync.client import open_outbox
from sync.errors import KeyMissing
from sync.keys import device_id, ensure_device_key
from sync.outbox import EPOCH_BYTES, begin_epoch
from sync.settings import SyncSettings

Record = TypeVar("Record")

NAME_PREFIX = "sandyq-"

# 65,536 names: enough to tell the boxes of one school apart, short enough for a poster. The id is the
# device id.
NAME_CHARACTERS = 4

# What must never be the same on two cards, and is moved aside together.
IDENTITY_FILES = ("keys/device", "enrolment.json", "box.json", "codes.json")

# Not mistaken for each other on a screen across a room: no i, l, o, 0, 1. network_rules knows the form.
CODE_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
# Typed once, by a teacher who reads it off a screen; wrong tries are braked like PINs.
SETUP_DIGITS = 6


@dataclass(frozen=True)
class Box:
    """Who this box is."""

    name: str
    device_id: str


@dataclass(frozen=True)
class Codes:
    """What this box alone knows and people must type."""

    wifi_password: str
    setup_code: str


@dataclass(frozen=True)
class FirstBoot:
    """What one run found or did."""

    box: Box
    steps_taken: tuple[str, ...]
    moved_aside: Path | None  # where the ids of another machine went


@dataclass(frozen=True)
class Move:
    """Where the ids of another machine go, and the epoch under which this box counts from now on."""

    into: str
    epoch: bytes


def prepare_box(home: Path, machine: Machine) -> FirstBoot:
    """Take every step of the first start that this box has not taken yet."""
    try:
        folder = home / "first-boot"
        make_folder(home)
        make_folder(folder)
        with alone(folder):
            moved_aside = _keep_only_own_identity(home, machine)
            steps = take_steps(folder, _steps(home))
            return FirstBoot(_get_box(home), tuple(steps), moved_aside)
    except OSError as error:
        raise StateFolderUnusable(path=home, reason=error.strerror or str(error)) from error


def find_box(home: Path) -> Box | None:
    """Return who this box is, or None before its first start."""
    return _read_record(home / "box.json", lambda record: Box(record["name"], record["device_id"]))


def _steps(home: Path) -> list[Step]:
    return [
        Step("device-key", lambda: _make_device_key(home), lambda: _has_device_key(home)),
        Step("name", lambda: _give_name(home), lambda: _has_own_name(home)),
        Step("codes", lambda: _make_codes(home), lambda: find_codes(home) is not None),
    ]


def _make_device_key(home: Path) -> None:
    # Private from the start: sync/keys promises this only for the folder of the key itself.
    make_folder(home / "keys")
    ensure_device_key(home)


def _has_device_key(home: Path) -> bool:
    try:
        device_id(home)
    except KeyMissing:
        return False
    return True


def _give_name(home: Path) -> None:
    write_durably(home / "box.json", json.dumps(asdict(_own_box(home))).encode())


def _has_own_name(home: Path) -> bool:
    # The key's folder may have been lost and made anew since the name was given.
    return find_box(home) == _own_box(home)


def find_codes(home: Path) -> Codes | None:
    """Return the box's own random codes, or None before its first start."""
    return _read_record(
        home / "codes.json", lambda record: Codes(record["wifi_password"], record["setup_code"])
    )


def _make_codes(home: Path) -> None:
    letters = "".join(secrets.choice(CODE_LETTERS) for _ in range(10))
    digits = "".join(secrets.choice("0123456789") for _ in range(SETUP_DIGITS))
    codes = Codes(f"{letters[:5]}-{letters[5:]}", digits)
    write_durably(home / "codes.json", json.dumps(asdict(codes)).encode())


def _own_box(home: Path) -> Box:
    own_id = device_id(home)
    digest = hashlib.sha256(f"sandyq name {own_id}".encode()).hexdigest()
    return Box(NAME_PREFIX + digest[:NAME_CHARACTERS], own_id)


def _get_box(home: Path) -> Box:
    box = find_box(home)
    if box is None:
        raise StateFolderUnusable(path=home, reason="box.json")
    return box


def _keep_only_own_identity(home: Path, machine: Machine) -> Path | None:
    """Leave no ids in place but this machine's own, and write down whose they are before any is made."""
    moved_aside = _finish_move(home)
    known = _find_known_machine(home)
    is_known = known is not None and is_same_machine(known, machine)
    # Ids without a record are ids nobody can vouch for: the record is always written first.
    if not is_known and any((home / name).exists() for name in IDENTITY_FILES):
        _start_move(home)
        moved_aside = _finish_move(home)
    record = recognise(known, machine) if known is not None and is_known else machine
    if record != known:
        write_durably(_machine_record(home), json.dumps(asdict(record)).encode())
    return moved_aside


def _start_move(home: Path) -> None:
    make_folder(home / "keys")
    number = 1
    while (home / f"keys/revoked-{number}").exists():
        number += 1
    # Place and epoch are decided once and written down, so that a cut move goes on to the same ones.
    record = {"into": f"revoked-{number}", "epoch": secrets.token_hex(EPOCH_BYTES)}
    write_durably(_move_marker(home), json.dumps(record).encode())


def _finish_move(home: Path) -> Path | None:
    """Carry out the move that the marker asks for; every part of it may have happened already."""
    marker = _move_marker(home)
    move = _read_record(
        marker, lambda record: Move(Path(record["into"]).name, bytes.fromhex(record["epoch"]))
    )
    if move is None:
        return None
    # First of all: from here on no key, old or new, can send what the original may send.
    _set_events_aside(home, move.epoch)
    target = home / "keys" / move.into
    make_folder(target)
    for name in IDENTITY_FILES:
        move_durably(home / name, target / Path(name).name)
    forget_steps(marker.parent)
    # The record goes before the marker: without a marker it would vouch for ids that are made after it.
    _machine_record(home).unlink(missing_ok=True)
    sync_folder(marker.parent)
    marker.unlink()
    sync_folder(marker.parent)
    return target


def _set_events_aside(home: Path, epoch: bytes) -> None:
    settings = SyncSettings(home)
    if not settings.database_path.exists():
        return  # the pages never started here: there is nothing to set aside
    db = open_outbox(settings)
    try:
        begin_epoch(db, epoch)
    finally:
        db.close()


def _find_known_machine(home: Path) -> Machine | None:
    return _read_record(
        _machine_record(home),
        lambda record: Machine(record["system"], record["board_serial"], tuple(record["network_addresses"])),
    )


def _machine_record(home: Path) -> Path:
    return home / "first-boot/machine.json"


def _move_marker(home: Path) -> Path:
    return home / "first-boot/moving-aside.json"


def _read_record(path: Path, build: Callable[[dict[str, Any]], Record]) -> Record | None:
    """Return the record, or None when it is missing or so damaged that it proves nothing."""
    try:
        return build(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
