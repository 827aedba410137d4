"""What a box puts on a stick to be answered: where it stands, and a key for the reply.

Sealed to the region and signed inside, so that whoever finds a stick learns no box's name. The
reply is sealed with the key from the call: it opens in one box only, and nothing on two sticks is
alike. docs/envelope.md describes the bytes. Pure: keys and chance are passed in.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sync import cbor
from sync.batch import KID_BYTES
from sync.envelope import (
    REGION_ID_BYTES,
    SUITE,
    Recipient,
    hpke_open,
    hpke_seal,
    pad,
    unpad,
)
from sync.errors import (
    EnvelopeAltered,
    EnvelopeMalformed,
    ForgedSignature,
    RefusedEnvelope,
    UnknownSuite,
    UnknownVersion,
    WrongRecipient,
)
from sync.keys import SIGNATURE_BYTES, OpeningKey, SigningKey, is_signed_by, key_id
from sync.reply import Question, read_question

MAGIC = "SQ1"
VERSION = 1
REPLY_KEY_BYTES = 32
NONCE_BYTES = 12
MAX_CALL_BYTES = 4096
_WRAP = b"sandyq/sb1/call"
_SIGN = b"sandyq/sb1/call-sig"
_REPLY = b"sandyq/sb1/stick-reply"


@dataclass(frozen=True)
class Call:
    """A question and the key its reply is to be sealed with."""

    box_kid: bytes
    reply_key: bytes
    question: Question

    def __repr__(self) -> str:
        return f"Call({self.box_kid.hex()})"


@dataclass(frozen=True)
class OpenedCall:
    """A call whose sender is not proven yet: only the claim may be read."""

    claimed_kid: bytes
    _body: bytes
    _signature: bytes
    _signed: bytes


def seal_call(call: Call, device: SigningKey, recipient: Recipient) -> bytes:
    """Return the call as it lies on a stick."""
    kid = key_id(recipient.sealing_public)
    header = cbor.write([VERSION, SUITE, recipient.region_id, kid])
    body = cbor.write([call.box_kid, call.reply_key, call.question.to_bytes()])
    plain = pad(body + device.sign(_signed_message(header, body)))
    return cbor.write([MAGIC, header, hpke_seal(plain, recipient.sealing_public, _info(header))])


def recipient(blob: bytes) -> bytes:
    """Return the name of the key a call was sealed to; nothing when it is none."""
    try:
        kid = cbor.array(cbor.read(cbor.octets(cbor.array(cbor.read(blob), 3)[1])), 4)[3]
    except cbor.NotOurCbor:
        return b""
    return kid if isinstance(kid, bytes) else b""


def open_call(blob: bytes, key: OpeningKey, region_id: bytes) -> OpenedCall:
    """Open a call to this region, or say why not."""
    try:
        if len(blob) > MAX_CALL_BYTES:
            raise EnvelopeMalformed
        magic, header, sealed = cbor.array(cbor.read(blob), 3)
        fields = cbor.array(cbor.read(cbor.octets(header)))
        if magic != MAGIC:
            raise EnvelopeMalformed
        if fields[:1] != [VERSION]:
            raise UnknownVersion
        if fields[1:2] != [SUITE]:
            raise UnknownSuite
        _, _, named, kid = cbor.array(fields, 4)
        if (cbor.octets(named, REGION_ID_BYTES), cbor.octets(kid, KID_BYTES)) != (region_id, key.kid):
            raise WrongRecipient
        plain = unpad(hpke_open(cbor.octets(sealed), key, _info(header)))
        body, signature = plain[:-SIGNATURE_BYTES], plain[-SIGNATURE_BYTES:]
        return OpenedCall(_read(body).box_kid, body, signature, _signed_message(header, body))
    except cbor.NotOurCbor as fault:
        raise EnvelopeMalformed from fault


def verify_caller(opened: OpenedCall, device_public: bytes) -> Call:
    """Return the call if the box with this key made it."""
    if not is_signed_by(device_public, opened._signature, opened._signed):
        raise ForgedSignature
    return _read(opened._body)


def seal_reply(reply: bytes, reply_key: bytes, nonce: bytes) -> bytes:
    """Return a reply as it lies on a stick; the nonce is drawn anew for each."""
    return nonce + ChaCha20Poly1305(reply_key).encrypt(nonce, pad(reply), _REPLY)


def open_reply(blob: bytes, reply_key: bytes) -> bytes | None:
    """Return the reply, None when it was sealed with another key or damaged."""
    try:
        return unpad(ChaCha20Poly1305(reply_key).decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], _REPLY))
    except (InvalidTag, ValueError, RefusedEnvelope):
        return None


def _read(body: bytes) -> Call:
    try:
        kid, reply_key, question = cbor.array(cbor.read(body), 3)
        return Call(
            cbor.octets(kid, KID_BYTES),
            cbor.octets(reply_key, REPLY_KEY_BYTES),
            read_question(cbor.octets(question)),
        )
    except cbor.NotOurCbor as fault:
        raise EnvelopeAltered from fault


def _info(header: bytes) -> bytes:
    return _WRAP + hashlib.sha256(header).digest()


def _signed_message(header: bytes, body: bytes) -> bytes:
    return _SIGN + hashlib.sha256(header).digest() + hashlib.sha256(body).digest()
