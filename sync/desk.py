"""The desk of a region: whose signatures an order needs, so that no single key changes every school.

A region that has published a desk gives orders with two of three keys that lie on no server. Its boxes
then refuse what carries fewer, also from the region's own policy key. Stopping is less than changing:
an order that stops needs one key (decision 0038), and of such an order a box takes the stop alone.
The first desk is vouched for by the policy key, every later one by the desk before it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sync import cbor
from sync.envelope import REGION_ID_BYTES
from sync.errors import DeskForged, PolicyMalformed
from sync.keys import (
    KID_BYTES,
    SIGNATURE_BYTES,
    SIGNING_PUBLIC_BYTES,
    SigningKey,
    is_signed_by,
    key_id,
)

VERSION = 1
MAGIC = "SD1"
MAX_KEYS = 9
# Three keys and six signatures are 600 bytes; a chain of six desks is twenty years of changes.
MAX_BUNDLE_BYTES = 4096
SIGN_DESK = b"sandyq/sb1/desk"
SIGN_ORDER = b"sandyq/sb1/order"


@dataclass(frozen=True)
class Signature:
    """Whose it is, and the bytes."""

    kid: bytes
    signature: bytes


@dataclass(frozen=True)
class Signed:
    """Words and who signed them, not yet checked."""

    body: bytes
    signatures: tuple[Signature, ...]

    def to_record(self) -> list[object]:
        return [self.body, [[each.kid, each.signature] for each in self.signatures]]

    def to_bytes(self) -> bytes:
        return cbor.write(self.to_record())


@dataclass(frozen=True)
class Desk:
    """Whose signatures count, and how many of them."""

    region_id: bytes
    number: int  # 1, 2, 3, ...
    needed: int
    needed_to_stop: int
    keys: tuple[bytes, ...]

    def to_bytes(self) -> bytes:
        return cbor.write(
            [VERSION, self.region_id, self.number, self.needed, self.needed_to_stop, list(self.keys)]
        )

    def count(self, purpose: bytes, signed: Signed) -> int:
        """Return how many different keys of this desk signed these words."""
        return _count(self.keys, purpose, signed)


@dataclass(frozen=True)
class Bundle:
    """What a box needs to follow an order of a desk: the chain of desks, and the order."""

    desks: tuple[Signed, ...]
    order: Signed | None

    def to_bytes(self) -> bytes:
        order = self.order.to_record() if self.order else None
        return cbor.write([MAGIC, [desk.to_record() for desk in self.desks], order])


def sign(body: bytes, purpose: bytes, key: SigningKey) -> Signature:
    return Signature(key.kid, key.sign(purpose + body))


def read_desk(body: bytes) -> Desk:
    """Return the words of a desk if they have the right form.

    Raises:
        PolicyMalformed: they have not.
    """
    try:
        version, region_id, number, needed, needed_to_stop, listed = cbor.array(cbor.read(body), 6)
        cbor.whole(version, VERSION, VERSION)
        keys = tuple(cbor.octets(key, SIGNING_PUBLIC_BYTES) for key in cbor.array(listed))
        if len(set(keys)) != len(keys) or not 1 <= len(keys) <= MAX_KEYS:
            raise PolicyMalformed
        at_most = len(keys)
        most_to_stop = cbor.whole(needed, 1, at_most)
        return Desk(
            cbor.octets(region_id, REGION_ID_BYTES),
            cbor.whole(number, 1),
            most_to_stop,
            cbor.whole(needed_to_stop, 1, most_to_stop),
            keys,
        )
    except cbor.NotOurCbor as fault:
        raise PolicyMalformed from fault


def verify_desk(signed: Signed, before: Desk | None, policy_public: bytes, region_id: bytes) -> Desk:
    """Return the desk if its own keys exist, and whoever was trusted until now vouches for it.

    Raises:
        DeskForged: it is not this region's, or somebody who must has not signed.
    """
    desk = read_desk(signed.body)
    if desk.region_id != region_id or desk.number != (before.number if before else 0) + 1:
        raise DeskForged
    # Keys that are lost already, or were never anybody's, would lock the region out of its own boxes.
    if desk.count(SIGN_DESK, signed) < desk.needed:
        raise DeskForged
    vouching, needed = (before.keys, before.needed) if before else ((policy_public,), 1)
    if _count(vouching, SIGN_DESK, signed) < needed:
        raise DeskForged
    return desk


def read_signed(record: object) -> Signed:
    """Return words with their signatures if they have the right form; raises `cbor.NotOurCbor`."""
    body, listed = cbor.array(record, 2)
    return Signed(cbor.octets(body), tuple(_read_signature(each) for each in cbor.array(listed)))


def is_bundle(data: bytes) -> bool:
    """Say whether these are orders of a desk, and not of the policy key alone."""
    return data[:5] == b"\x83cSD1"


def read_bundle(data: bytes) -> Bundle:
    """Return desks and order, not yet checked.

    Raises:
        PolicyMalformed: it is no bundle.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise PolicyMalformed
    try:
        magic, desks, order = cbor.array(cbor.read(data), 3)
        if magic != MAGIC:
            raise PolicyMalformed
        return Bundle(
            tuple(read_signed(desk) for desk in cbor.array(desks)),
            None if order is None else read_signed(order),
        )
    except cbor.NotOurCbor as fault:
        raise PolicyMalformed from fault


def _read_signature(record: object) -> Signature:
    kid, signature = cbor.array(record, 2)
    return Signature(cbor.octets(kid, KID_BYTES), cbor.octets(signature, SIGNATURE_BYTES))


def _count(keys: Sequence[bytes], purpose: bytes, signed: Signed) -> int:
    by_kid = {key_id(public): public for public in keys}
    good = {
        each.kid
        for each in signed.signatures
        if each.kid in by_kid and is_signed_by(by_kid[each.kid], each.signature, purpose + signed.body)
    }
    return len(good)
