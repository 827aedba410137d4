"""The box's side: be taken in by a region once, then send until nothing waits.

A run may be killed at any moment and started again: a batch is stored before it
is sent, the same bytes are sent again, and only a receipt the region signed
over them removes it. Nothing here holds a transaction while it waits for the
line. This module alone writes `enrolment.json`.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

from sqlite_utils import Database

from sync import boots, key_list, outbox, policy, schema
from sync.batch import Batch
from sync.clock import Quality
from sync.database import migrate, open_database
from sync.enrolment_code import mark_of, read_code
from sync.envelope import (
    CONTENT_KEY_BYTES,
    NATION_ROLE,
    REGION_ID_BYTES,
    REGION_ROLE,
    Recipient,
    seal,
)
from sync.errors import (
    AlreadyEnrolled,
    AnswerUnreadable,
    BatchFork,
    DeskForged,
    KeyDamaged,
    KeyListOutdated,
    NotEnrolled,
    PolicyForged,
    PolicyMalformed,
    PolicyOutdated,
    PolicyUnsigned,
    ReceiptForAnotherBatch,
    SyncError,
    WrongEpoch,
    WrongRegion,
)
from sync.keys import (
    SEALING_PUBLIC_BYTES,
    SIGNATURE_BYTES,
    SIGNING_PUBLIC_BYTES,
    SigningKey,
    ensure_device_key,
    get_device_key,
    is_nation_key_of,
    is_policy_key_of,
    read_private,
    region_fingerprint,
    save_private,
)
from sync.receipt import verify_receipt
from sync.reply import NONCE_BYTES, Question, Reply, read_reply
from sync.settings import SyncSettings
from sync.transport import HttpTransport, Pause, Transport, check_address, go_on

ENROLMENT_FILE = "enrolment.json"
MAX_NAME_LETTERS = 100
# An answer that took longer tells a time that is past; days are put right by it, not seconds.
FRESH_SECONDS = 300.0
# What the box proves when it signs its request: that it holds the key, and for this code only.
ENROL_CONTEXT = b"sandyq/enrol/1"


@dataclass(frozen=True)
class Enrolment:
    """Which region this box belongs to, and how it is recognised there."""

    region_url: str
    region_name: str
    region_id: bytes
    sealing_public: bytes
    receipt_public: bytes
    policy_public: bytes  # signs the region's orders; the receipt key vouched for it
    policy_proof: bytes
    box_label: str  # the random name the region's page shows
    token: str
    nation_public: bytes | None = None  # the region's receipt key vouched for it
    nation_proof: bytes = b""

    def __repr__(self) -> str:
        return f"Enrolment({self.region_name}, {self.box_label})"

    @property
    def recipient(self) -> Recipient:
        return Recipient(self.region_id, self.sealing_public, self.nation_public)


@dataclass(frozen=True)
class RunReport:
    """What one run brought to the region."""

    batches: int
    events: int
    waiting: int = 0  # events that stay until ten learners look alike or their week has passed


def find_enrolment(settings: SyncSettings) -> Enrolment | None:
    """Return the enrolment, or None before the box has one."""
    content = read_private(settings.home / ENROLMENT_FILE)
    if content is None:
        return None
    try:
        return _read_enrolment(json.loads(content))
    except (ValueError, AnswerUnreadable) as fault:
        raise KeyDamaged(name=ENROLMENT_FILE) from fault


def get_enrolment(settings: SyncSettings) -> Enrolment:
    """Return the enrolment; raise before the box has one."""
    enrolment = find_enrolment(settings)
    if enrolment is None:
        raise NotEnrolled
    return enrolment


def enrol(settings: SyncSettings, region_url: str, code: str) -> Enrolment:
    """Join the region that issued the code. After a lost answer the same code works again."""
    url, typed = check_address(region_url), read_code(code)
    before = find_enrolment(settings)
    # Batches already sealed to one region cannot be opened by another.
    if before is not None and mark_of(_fingerprint(before)) != typed.mark:
        raise AlreadyEnrolled
    device = ensure_device_key(settings.home)
    request = {
        "code": typed.secret,
        "device_key": _text(device.public),
        "proof": _text(device.sign(ENROL_CONTEXT + typed.secret.encode())),
        "software": version("sandyq"),
    }
    answer = HttpTransport(url).enrol(request)
    enrolment = _read_enrolment(answer | {"region_url": url})
    if mark_of(_fingerprint(enrolment)) != typed.mark:
        raise WrongRegion
    save_enrolment(settings, enrolment)
    return enrolment


def save_enrolment(settings: SyncSettings, enrolment: Enrolment) -> None:
    """Keep the enrolment where `find_enrolment` looks for it."""
    content = json.dumps(_as_record(enrolment), indent=1).encode()
    save_private(settings.home / ENROLMENT_FILE, content, replace=True)


def open_outbox(settings: SyncSettings) -> Database:
    """Open the box's database with the outbox's tables in place; the caller closes it."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    db = open_database(settings.database_path)
    try:
        migrate(db, *schema.MIGRATIONS)
    except BaseException:
        db.close()
        raise
    return db


def run(settings: SyncSettings, *, is_early: bool = False) -> RunReport:
    """Send everything that may leave; raise when the region cannot be reached or refuses."""
    enrolment, device = get_enrolment(settings), get_device_key(settings.home)
    db = open_outbox(settings)
    try:
        with HttpTransport(enrolment.region_url, enrolment.token) as line:
            return send_all(db, device, enrolment, line, is_early=is_early)
    finally:
        db.close()


def send_all(
    db: Database,
    device: SigningKey,
    enrolment: Enrolment,
    transport: Transport,
    pause: Pause = go_on,
    *,
    now: datetime | None = None,
    is_early: bool = False,
) -> RunReport:
    """Ask what is new; then send the oldest batch, settle it, cut the next, until nothing more may leave."""
    batches = events = 0
    has_asked = False
    while True:
        waiting = outbox.find_oldest_sealed(db)
        if waiting is None:
            # Before anything is sealed the box wants to know the time and whether its history is its
            # own. A batch that is sealed already was sent without asking.
            if not has_asked:
                ask(db, device, enrolment, transport)
                outbox.put_days_right(db, _ceiling(db))
                has_asked = True
                continue
            if not cut_next(db, device, enrolment, now=now, is_early=is_early):
                tidy(db)
                return RunReport(batches, events, outbox.status(db).waiting_events)
            continue
        pause()
        try:
            reply = transport.send(waiting.sealed, pause)
        except (BatchFork, WrongEpoch):
            # Another machine has used this number, or this epoch: what is ours from here on is in doubt.
            outbox.part_ways(db, waiting)
            raise
        if waiting.id not in hear(db, device, enrolment, reply):
            raise ReceiptForAnotherBatch
        batches, events = batches + 1, events + waiting.events


def ask(db: Database, device: SigningKey, enrolment: Enrolment, transport: Transport) -> None:
    """Ask what is new, and set the clock by the answer if it was not long under way."""
    asked = question(db, enrolment.region_id)
    before = boots.read()
    told = transport.ask(asked.to_bytes())
    after = boots.read()
    hear(db, device, enrolment, told)
    notice = read_reply(told, enrolment.receipt_public, device.kid).notice
    is_fresh = after.boot == before.boot and after.seconds - before.seconds <= FRESH_SECONDS
    # Without our own nonce it is an answer from another day that somebody kept.
    if is_fresh and notice.nonce == asked.nonce:
        boots.anchor(db, after, notice.server_time)
    if notice.keys_number > asked.keys_number:
        signed = transport.fetch_keys()
        with suppress(KeyListOutdated):  # published again while we asked, and a stick was faster
            key_list.accept(db, signed, enrolment.policy_public, enrolment.region_id)


def seal_waiting(db: Database, device: SigningKey, enrolment: Enrolment) -> None:
    """Seal all that waits, for a stick."""
    outbox.put_days_right(db, _ceiling(db))
    while cut_next(db, device, enrolment):
        pass


def cut_next(
    db: Database,
    device: SigningKey,
    enrolment: Enrolment,
    *,
    now: datetime | None = None,
    is_early: bool = False,
) -> bool:
    """Seal the next batch to the region and the nation; False when nothing more may leave."""

    def seal_for_region(batch: Batch, blob_id: bytes) -> bytes:
        keys = {name: secrets.token_bytes(CONTENT_KEY_BYTES) for name in ("content_key", "nation_key")}
        return seal(batch, device, to, blob_id=blob_id, **keys)

    moment, to = boots.now(db), recipient(db, enrolment)
    return outbox.cut_batch(
        db,
        device.kid,
        seal_for_region,
        now=now or moment.at,
        is_early=is_early,
        with_nation=to.nation_public is not None,
        clock_quality=moment.quality,
    )


def recipient(db: Database, enrolment: Enrolment) -> Recipient:
    """Return whom to seal to now: the keys of the month by the time this box trusts, else the first ones."""
    listed = key_list.current(db, enrolment.region_id)
    now = boots.now(db).at
    if listed is None or now is None:
        return enrolment.recipient
    return Recipient(
        enrolment.region_id,
        listed.find(REGION_ROLE, now) or enrolment.sealing_public,
        listed.find(NATION_ROLE, now) or enrolment.nation_public,
    )


def _ceiling(db: Database) -> datetime | None:
    """Return the time now if it is certain: nothing was recorded after it."""
    moment = boots.now(db)
    return moment.at if moment.quality is Quality.CONFIRMED else None


def tidy(db: Database) -> None:
    """Keep rows of confirmed batches as long as the region orders; only signed times decide."""
    order = policy.current(db)
    days = order.receipt_days if order else policy.DEFAULT_RECEIPT_DAYS
    outbox.forget_receipted(db, boots.floor(db) - timedelta(days=days))


def question(db: Database, region_id: bytes) -> Question:
    """Return what a box tells of its standing when it asks what is new."""
    epoch, next_seq, oldest_seq = outbox.standing(db)
    order = policy.current(db)
    nonce = secrets.token_bytes(NONCE_BYTES)
    keys = key_list.current(db, region_id)
    numbers = (order.version if order else 0, keys.number if keys else 0)
    return Question(epoch, next_seq, oldest_seq, *numbers, nonce)


def hear(db: Database, device: SigningKey, enrolment: Enrolment, told: bytes) -> set[int]:
    """Take in a region's reply, by wire or by stick; return the batches it let go.

    The order comes first: a stop must not wait for anything that may be wrong with the rest.
    """
    reply = read_reply(told, enrolment.receipt_public, device.kid)
    refused = _follow(db, enrolment, reply)
    receipts = [(verify_receipt(signed, enrolment.receipt_public), signed) for signed in reply.receipts]
    settled = {
        outbox.settle(db, receipt, signed) for receipt, signed in receipts if receipt.box_kid == device.kid
    }
    boots.raise_floor(db, max([reply.notice.server_time, *(receipt.server_time for receipt, _ in receipts)]))
    outbox.compare_standing(db, reply.notice.epoch, reply.notice.high)
    if refused is not None:
        raise refused
    return {batch_id for batch_id in settled if batch_id is not None}


def _follow(db: Database, enrolment: Enrolment, reply: Reply) -> SyncError | None:
    """Keep the region's order if it is newer; return why not when it is not the region's at all."""
    if reply.policy is None:
        return None
    try:
        policy.accept(db, reply.policy, enrolment.policy_public, enrolment.region_id)
    except PolicyOutdated:
        return None  # an answer or a stick that was long under way
    except (DeskForged, PolicyForged, PolicyMalformed, PolicyUnsigned) as error:
        return error
    return None


# The file and the answer: the same names, checked the same way ------------------------


def _as_record(enrolment: Enrolment) -> dict[str, str]:
    nation = (
        {"nation_key": _text(enrolment.nation_public), "nation_proof": _text(enrolment.nation_proof)}
        if enrolment.nation_public is not None
        else {}
    )
    return nation | {
        "region_url": enrolment.region_url,
        "region_name": enrolment.region_name,
        "region_id": _text(enrolment.region_id),
        "sealing_key": _text(enrolment.sealing_public),
        "receipt_key": _text(enrolment.receipt_public),
        "policy_key": _text(enrolment.policy_public),
        "policy_proof": _text(enrolment.policy_proof),
        "box_label": enrolment.box_label,
        "token": enrolment.token,
    }


def _read_enrolment(record: dict[str, Any]) -> Enrolment:
    enrolment = Enrolment(
        _word(record, "region_url"),
        _word(record, "region_name")[:MAX_NAME_LETTERS],
        _octets(record, "region_id", REGION_ID_BYTES),
        _octets(record, "sealing_key", SEALING_PUBLIC_BYTES),
        _octets(record, "receipt_key", SIGNING_PUBLIC_BYTES),
        _octets(record, "policy_key", SIGNING_PUBLIC_BYTES),
        _octets(record, "policy_proof", SIGNATURE_BYTES),
        _word(record, "box_label")[:MAX_NAME_LETTERS],
        _word(record, "token"),
        _octets(record, "nation_key", SEALING_PUBLIC_BYTES) if "nation_key" in record else None,
        _octets(record, "nation_proof", SIGNATURE_BYTES) if "nation_key" in record else b"",
    )
    is_policy_proven = is_policy_key_of(
        enrolment.region_id, enrolment.receipt_public, enrolment.policy_public, enrolment.policy_proof
    )
    if not is_policy_proven or not _is_nation_proven(enrolment):
        raise WrongRegion
    return enrolment


def _is_nation_proven(enrolment: Enrolment) -> bool:
    """A region that wanted to read the nation's section could name a key of its own: it must sign."""
    return enrolment.nation_public is None or is_nation_key_of(
        enrolment.region_id, enrolment.receipt_public, enrolment.nation_public, enrolment.nation_proof
    )


def _fingerprint(enrolment: Enrolment) -> bytes:
    return region_fingerprint(enrolment.sealing_public, enrolment.receipt_public)


def _word(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    # A line break in the token would let an answer add headers to our requests.
    if not isinstance(value, str) or not value or not value.isprintable():
        raise AnswerUnreadable
    return value


def _octets(record: dict[str, Any], name: str, length: int) -> bytes:
    try:
        value = base64.b64decode(_word(record, name), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise AnswerUnreadable from fault
    if len(value) != length:
        raise AnswerUnreadable
    return value


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
