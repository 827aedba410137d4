"""Carry batches on a stick: the same bytes as by wire, any number of sticks, in any order.

What lies on a stick is sealed and has a random name and a padded size; copies do no harm, a lost
stick loses nothing: the box lets go of a batch only for its receipt. What came back on a stick is
heard first, then what waits is put on it. `visit` is what a plugged-in stick starts.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from sync import client, key_list, outbox, policy, stick_book
from sync.call import REPLY_KEY_BYTES, Call, open_reply, seal_call
from sync.client import Enrolment
from sync.errors import (
    DeskForged,
    KeyListForged,
    KeyListMalformed,
    KeyListOutdated,
    PolicyForged,
    PolicyMalformed,
    PolicyOutdated,
    PolicyUnsigned,
    StickMissing,
    SyncError,
)
from sync.keys import SigningKey, get_device_key
from sync.settings import SyncSettings
from sync.stick_book import StickVisit
from sync.stick_folder import CALL, DESK, ENVELOPE, KEYS, ORDER, REPLY, StickFolder


@dataclass(frozen=True)
class Exported:
    """What was put on a stick."""

    written: int
    already_there: int


@dataclass(frozen=True)
class Imported:
    """What a stick brought back."""

    replies: int
    confirmed: int  # batches
    damaged: int


def last_run(db: Database) -> StickVisit | None:
    """Return what the last stick brought and took, for the teacher's page."""
    return stick_book.find_last_visit(db)


def visit(settings: SyncSettings, root: Path) -> StickVisit:
    """Hear what a stick brings, put on it what waits, and note how it went."""
    enrolment, device = client.get_enrolment(settings), get_device_key(settings.home)
    db = client.open_outbox(settings)
    try:
        return _visit(db, device, enrolment, root)
    finally:
        db.close()


def _visit(db: Database, device: SigningKey, enrolment: Enrolment, root: Path) -> StickVisit:
    brought, taken, fault = Imported(0, 0, 0), Exported(0, 0), None
    try:
        brought = import_stick(db, device, enrolment, root)
        taken = export_stick(db, device, enrolment, root)
    except SyncError as error:
        fault = error
    visit = StickVisit(
        datetime.now(UTC),
        taken.written + taken.already_there,
        brought.confirmed,
        brought.damaged,
        fault.key if fault else None,
    )
    stick_book.note_visit(db, visit)
    if fault is not None:
        raise fault
    return visit


def export_stick(db: Database, device: SigningKey, enrolment: Enrolment, root: Path) -> Exported:
    """Seal what waits and put every batch without a receipt on the stick."""
    with StickFolder(root, make=True) as stick:
        stick.sweep()
        client.seal_waiting(db, device, enrolment)
        there, written, already = set(stick.names(ENVELOPE)), 0, 0
        for batch in outbox.sealed_batches(db):
            if _has_copy(db, stick, batch, there):
                already += 1
                continue
            # The name is noted after the file is there: a copy nobody remembers does no harm.
            stick_book.note_file(db, stick.write(ENVELOPE, batch.sealed), batch.id)
            written += 1
        _call(db, device, enrolment, stick)
    return Exported(written, already)


def import_stick(db: Database, device: SigningKey, enrolment: Enrolment, root: Path) -> Imported:
    """Take in replies and orders, and clear away what has done its work."""
    try:
        stick = StickFolder(root, make=False)
    except StickMissing:
        if not root.is_dir():
            raise
        return Imported(0, 0, 0)  # a stick that was never here
    with stick:
        damaged = _follow_orders(db, enrolment, stick)
        replies, confirmed = 0, 0
        calls = stick_book.waiting_calls(db)
        for name in stick.names(REPLY):
            blob = stick.read(name) or b""
            call, told = _find_call(calls, blob)
            if call is None or told is None:
                continue  # another box's, or ours and damaged: nobody can tell
            confirmed += len(client.hear(db, device, enrolment, told))
            replies += 1
            for done in (name, call.name):
                stick.remove(done)
            stick_book.forget_call(db, call)
            calls.remove(call)
        for name in stick_book.finished_files(db) & set(stick.names(ENVELOPE)):
            stick.remove(name)
            stick_book.forget_file(db, name)
        client.tidy(db)
    return Imported(replies, confirmed, damaged)


def _find_call(
    calls: list[stick_book.WaitingCall], blob: bytes
) -> tuple[stick_book.WaitingCall | None, bytes | None]:
    for call in calls:
        told = open_reply(blob, call.reply_key)
        if told is not None:
            return call, told
    return None, None


def _has_copy(db: Database, stick: StickFolder, batch: outbox.SealedBatch, there: set[str]) -> bool:
    """Say whether the batch lies whole on this stick already; a torn copy does not count."""
    return any(stick.read(name) == batch.sealed for name in stick_book.files_of(db, batch.id) & there)


def _call(db: Database, device: SigningKey, enrolment: Enrolment, stick: StickFolder) -> None:
    """Leave one call on the stick; the one this box left before asked for less."""
    before = {call.name for call in stick_book.waiting_calls(db)} & set(stick.names(CALL))
    call = Call(device.kid, secrets.token_bytes(REPLY_KEY_BYTES), client.question(db, enrolment.region_id))
    # Killed between the two, nobody can open the reply; the next call brings the same and more.
    sealed = seal_call(call, device, client.recipient(db, enrolment))
    stick_book.note_call(db, stick.write(CALL, sealed), call.reply_key)
    for name in before:
        stick.remove(name)


def _follow_orders(db: Database, enrolment: Enrolment, stick: StickFolder) -> int:
    """Keep the newest of the region's orders and lists; return how many files are none."""
    damaged = 0
    for kind, accept in ((DESK, policy.accept), (ORDER, policy.accept), (KEYS, key_list.accept)):
        for name in stick.names(kind):
            try:
                accept(db, stick.read(name) or b"", enrolment.policy_public, enrolment.region_id)
            except (PolicyOutdated, KeyListOutdated):
                continue  # a stick that was long under way
            except (
                *(DeskForged, PolicyForged, PolicyMalformed, PolicyUnsigned),
                *(KeyListForged, KeyListMalformed),
            ):
                damaged += 1
    return damaged
