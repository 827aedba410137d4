"""What a region answers a box: receipts, its order, the time, and how far it has come.

The same reply travels over the wire and, sealed, on a stick. The notice in it is signed for one
box, so a box learns the time and where its own history stands at the region from nobody else.
docs/envelope.md describes the bytes. Pure: keys and times are passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sync import cbor
from sync.batch import EPOCH_BYTES, KID_BYTES
from sync.desk import MAX_BUNDLE_BYTES
from sync.errors import ReplyForged, ReplyMalformed
from sync.keys import SIGNATURE_BYTES, SigningKey, is_signed_by
from sync.receipt import MAX_RECEIPT_BYTES

MAGIC = "SR1"
NONCE_BYTES = 8
VERSION = 1
# A stick that was long under way brings many receipts; more than these wait for the next one.
MAX_RECEIPTS = 200
MAX_REPLY_BYTES = 64 * 1024
_SIGN = b"sandyq/sb1/notice"


@dataclass(frozen=True)
class Question:
    """Where a box stands when it asks what is new."""

    epoch: bytes
    next_seq: int  # the number its next batch will have
    oldest_seq: int  # of the batches it holds no receipt for; `next_seq` when it holds them all
    policy_version: int  # 0: none
    keys_number: int  # of the newest list of keys it has; 0: none
    nonce: bytes = b""  # drawn for this question; it comes back in the notice

    def to_bytes(self) -> bytes:
        numbers = [self.next_seq, self.oldest_seq, self.policy_version, self.keys_number]
        return cbor.write([VERSION, self.epoch, *numbers, self.nonce])


def read_question(data: bytes) -> Question:
    """Return the question if it has the right form."""
    try:
        fields = cbor.array(cbor.read(data), 7)
        cbor.whole(fields[0], VERSION, VERSION)
        return Question(
            cbor.octets(fields[1], EPOCH_BYTES),
            cbor.whole(fields[2], 1),
            cbor.whole(fields[3], 1, fields[2] if type(fields[2]) is int else 1),
            cbor.whole(fields[4]),
            cbor.whole(fields[5]),
            _nonce(fields[6]),
        )
    except cbor.NotOurCbor as fault:
        raise ReplyMalformed from fault


@dataclass(frozen=True)
class Notice:
    """What the region says of one box's history, and when."""

    box_kid: bytes
    server_time: datetime
    epoch: bytes  # the one that was asked about
    high: int  # the highest number stored of it; 0: nothing
    keys_number: int  # of the region's newest list of keys
    nonce: bytes = b""  # of the question this answers: a time without it may be an old one

    def to_bytes(self) -> bytes:
        at = int(self.server_time.timestamp())
        return cbor.write([VERSION, self.box_kid, at, self.epoch, self.high, self.keys_number, self.nonce])


@dataclass(frozen=True)
class Reply:
    """A notice with what rides along; receipts and order carry their own signatures."""

    notice: Notice
    receipts: tuple[bytes, ...]
    policy: bytes | None


def write_reply(
    notice: Notice, receipts: Sequence[bytes], policy: bytes | None, receipt_key: SigningKey
) -> bytes:
    """Return the reply as it travels."""
    body = notice.to_bytes()
    signature = receipt_key.sign(_SIGN + body)
    return cbor.write([MAGIC, body, signature, list(receipts[:MAX_RECEIPTS]), policy])


def read_reply(data: bytes, receipt_public: bytes, box_kid: bytes) -> Reply:
    """Return the reply if the region signed its notice for this box."""
    if len(data) > MAX_REPLY_BYTES:
        raise ReplyMalformed
    try:
        magic, body, signature, receipts, policy = cbor.array(cbor.read(data), 5)
        if magic != MAGIC:
            raise ReplyMalformed
        cbor.octets(signature, SIGNATURE_BYTES)
        notice = _read_notice(cbor.octets(body))
        signed = tuple(cbor.octets(receipt) for receipt in cbor.array(receipts))
        order = None if policy is None else cbor.octets(policy)
    except cbor.NotOurCbor as fault:
        raise ReplyMalformed from fault
    if len(signed) > MAX_RECEIPTS or max(map(len, signed), default=0) > MAX_RECEIPT_BYTES:
        raise ReplyMalformed
    if order is not None and len(order) > MAX_BUNDLE_BYTES:
        raise ReplyMalformed
    if notice.box_kid != box_kid or not is_signed_by(receipt_public, signature, _SIGN + body):
        raise ReplyForged
    return Reply(notice, signed, order)


def _read_notice(body: bytes) -> Notice:
    fields = cbor.array(cbor.read(body), 7)
    cbor.whole(fields[0], VERSION, VERSION)
    return Notice(
        cbor.octets(fields[1], KID_BYTES),
        cbor.moment(fields[2]),
        cbor.octets(fields[3], EPOCH_BYTES),
        cbor.whole(fields[4]),
        cbor.whole(fields[5]),
        _nonce(fields[6]),
    )


def _nonce(value: object) -> bytes:
    nonce = cbor.octets(value)
    return cbor.octets(nonce, NONCE_BYTES if nonce else 0)
