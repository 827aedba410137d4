"""SB1: the sealed form in which a batch travels, by wire or in a pocket.

Whoever carries an envelope learns the region it goes to and its rough size; the
box's name, numbers and signature are inside. Only a batch whose sender is
proven comes out: `open_envelope` gives something that must still pass
`verify_sender`. Every refusal has its own error. docs/envelope.md describes the
bytes; tests/vectors/ holds examples. Keeps out: storage, network, rows.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sync import cbor
from sync.batch import KID_BYTES, MAX_BODY_BYTES, Batch, read_batch
from sync.errors import (
    EnvelopeAltered,
    EnvelopeMalformed,
    EnvelopeOversized,
    EnvelopeTruncated,
    ForgedSignature,
    UnknownSuite,
    UnknownVersion,
    WrongRecipient,
)
from sync.keys import SIGNATURE_BYTES, OpeningKey, SigningKey, is_signed_by, key_id, sealing_key

MAGIC = "SB1"
VERSION = 1
# One byte for the day the hybrid's draft changes: 1 is HPKE 0x647A, HKDF-SHA256, ChaCha20-Poly1305.
SUITE = 1
REGION_ROLE = "R"
REGION_ID_BYTES = 16
BLOB_ID_BYTES = 16
CONTENT_KEY_BYTES = 32
COMMIT_BYTES = 32
MAX_SECTIONS = 2  # the region's, and later the nation's

# A short lesson and a shorter one must look alike.
LEAST_PADDED_BYTES = 256
LENGTH_BYTES = 4
# The largest body padded by at most 12 %, and a second section and headers beside it.
MAX_ENVELOPE_BYTES = 2 * (MAX_BODY_BYTES * 9 // 8 + 4096)

_START = b"\x83\x63SB1"  # an array of three that begins with our magic
_WRAP = b"sandyq/sb1/wrap"
_SIGN = b"sandyq/sb1/sig"
_COMMIT = b"sb1-commit"
_ONLY_NONCE = bytes(12)  # safe because a content key seals exactly one section
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True)
class Recipient:
    """The region a box seals to."""

    region_id: bytes
    sealing_public: bytes


@dataclass(frozen=True)
class Opened:
    """An opened envelope whose sender is not proven yet: only the claim may be read."""

    blob_id: bytes
    claimed_kid: bytes
    _body: bytes
    _signature: bytes
    _signed: bytes


def seal(
    batch: Batch, device: SigningKey, recipient: Recipient, *, blob_id: bytes, content_key: bytes
) -> bytes:
    """Return the envelope. Both random values are used once and never again."""
    kid = key_id(recipient.sealing_public)
    commit = _commit(content_key)
    header = cbor.write([VERSION, SUITE, recipient.region_id, blob_id, [[REGION_ROLE, kid, commit]]])
    cap = _HPKE.encrypt(content_key, sealing_key(recipient.sealing_public), info=_wrap_info(header, kid))
    body = batch.to_bytes()
    plain = body + device.sign(_signed_message(header, [kid], body))
    sealed = ChaCha20Poly1305(content_key).encrypt(_ONLY_NONCE, pad(plain), header)
    return cbor.write([MAGIC, header, [[cap, sealed]]])


def open_envelope(blob: bytes, key: OpeningKey, region_id: bytes) -> Opened:
    """Open the section that is ours, or say why not."""
    header, header_bytes, sections = _read_outer(blob)
    if header.region_id != region_id or key.kid not in header.kids:
        raise WrongRecipient
    at = header.kids.index(key.kid)
    cap, sealed = sections[at]
    try:
        content_key = _HPKE.decrypt(cap, key.private, info=_wrap_info(header_bytes, key.kid))
        if not hmac.compare_digest(_commit(content_key), header.commits[at]):
            raise EnvelopeAltered
        padded = ChaCha20Poly1305(content_key).decrypt(_ONLY_NONCE, sealed, header_bytes)
    except (InvalidTag, ValueError) as fault:
        raise EnvelopeAltered from fault
    plain = unpad(padded)
    body, signature = plain[:-SIGNATURE_BYTES], plain[-SIGNATURE_BYTES:]
    message = _signed_message(header_bytes, header.kids, body)
    return Opened(header.blob_id, read_batch(body).box_kid, body, signature, message)


def verify_sender(opened: Opened, device_public: bytes) -> Batch:
    """Return the batch if the box with this key made it for exactly these recipients."""
    is_named = hmac.compare_digest(key_id(device_public), opened.claimed_kid)
    if not is_named or not is_signed_by(device_public, opened._signature, opened._signed):
        raise ForgedSignature
    return read_batch(opened._body)


# Padding -------------------------------------------------------------------------------


def padded_length(length: int) -> int:
    """Padmé: few sizes, at most 12 % more, so that a size says little about a day."""
    if length <= LEAST_PADDED_BYTES:
        return LEAST_PADDED_BYTES
    exponent = length.bit_length() - 1
    free_bits = exponent - exponent.bit_length()
    step = 1 << free_bits
    return (length + step - 1) // step * step


def pad(plain: bytes) -> bytes:
    """Return length, content and zeros."""
    framed = len(plain).to_bytes(LENGTH_BYTES, "big") + plain
    return framed.ljust(padded_length(len(framed)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Return the content; refuse any other padding than ours, which could carry a secret message."""
    length = int.from_bytes(padded[:LENGTH_BYTES], "big")
    plain = padded[LENGTH_BYTES : LENGTH_BYTES + length]
    if len(plain) != length or length <= SIGNATURE_BYTES or pad(plain) != padded:
        raise EnvelopeMalformed
    return plain


# Parts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Header:
    region_id: bytes
    blob_id: bytes
    kids: list[bytes]
    commits: list[bytes]


def _read_outer(blob: bytes) -> tuple[_Header, bytes, list[tuple[bytes, bytes]]]:
    if len(blob) > MAX_ENVELOPE_BYTES:
        raise EnvelopeOversized(limit_bytes=MAX_ENVELOPE_BYTES)
    # Something else entirely is not "an envelope cut short".
    if blob[: len(_START)] != _START[: len(blob)]:
        raise EnvelopeMalformed
    try:
        magic, header_bytes, sections = cbor.array(cbor.read(blob), 3)
        if magic != MAGIC:
            raise EnvelopeMalformed
        header = _read_header(cbor.octets(header_bytes))
        parts = [
            (cbor.octets(cap), cbor.octets(sealed))
            for cap, sealed in (cbor.array(section, 2) for section in cbor.array(sections, len(header.kids)))
        ]
    except cbor.CutShort as fault:
        raise EnvelopeTruncated from fault
    except cbor.NotOurCbor as fault:
        raise EnvelopeMalformed from fault
    return header, header_bytes, parts


def _read_header(header: bytes) -> _Header:
    fields = cbor.array(_whole_record(header))
    # Version and suite first: what follows them may differ in a version we do not know.
    if fields[:1] != [VERSION]:
        raise UnknownVersion
    if fields[1:2] != [SUITE]:
        raise UnknownSuite
    _, _, region_id, blob_id, recipients = cbor.array(fields, 5)
    kids, commits = [], []
    for recipient in cbor.array(recipients):
        role, kid, commit = cbor.array(recipient, 3)
        if not isinstance(role, str):
            raise EnvelopeMalformed
        kids.append(cbor.octets(kid, KID_BYTES))
        commits.append(cbor.octets(commit, COMMIT_BYTES))
    if not 1 <= len(kids) <= MAX_SECTIONS or len(set(kids)) != len(kids):
        raise EnvelopeMalformed
    return _Header(
        cbor.octets(region_id, REGION_ID_BYTES), cbor.octets(blob_id, BLOB_ID_BYTES), kids, commits
    )


def _whole_record(data: bytes) -> object:
    """A record inside a complete one that ends early is damage, not a cut."""
    try:
        return cbor.read(data)
    except cbor.CutShort as fault:
        raise EnvelopeMalformed from fault


def _wrap_info(header: bytes, kid: bytes) -> bytes:
    return _WRAP + hashlib.sha256(header).digest() + kid


def _commit(content_key: bytes) -> bytes:
    """Binds the section to one key: no second key opens the same bytes to another text."""
    return hashlib.sha256(_COMMIT + content_key).digest()


def _signed_message(header: bytes, kids: list[bytes], body: bytes) -> bytes:
    """Names the recipients, so that a region cannot pass a box's batch on as its own mail."""
    return _SIGN + hashlib.sha256(header).digest() + b"".join(kids) + hashlib.sha256(body).digest()
