"""SB1: the sealed form in which a batch travels, by wire or in a pocket.

Whoever carries an envelope learns the region it goes to and its rough size; the
box's name, numbers and signature are inside. Only a batch whose sender is
proven comes out: `open_envelope` gives something that must still pass
`verify_sender`. A second section is the nation's: the region carries it on and
cannot read it. Every refusal has its own error. docs/envelope.md describes the
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
NATION_ROLE = "N"
REGION_ID_BYTES = 16
BLOB_ID_BYTES = 16
CONTENT_KEY_BYTES = 32
COMMIT_BYTES = 32
_ROLES = ([REGION_ROLE], [REGION_ROLE, NATION_ROLE])

# A short lesson and a shorter one must look alike.
LEAST_PADDED_BYTES = 256
LENGTH_BYTES = 4
# The largest body padded by at most 12 %, and a second section and headers beside it.
MAX_ENVELOPE_BYTES = 2 * (MAX_BODY_BYTES * 9 // 8 + 4096)
# A nation's section of 64 kB, padded, with its header and its key; docs/envelope.md section 5.
MAX_LETTER_BYTES = 80 * 1024

_START = b"\x83\x63SB1"  # an array of three that begins with our magic
_WRAP = b"sandyq/sb1/wrap"
_SIGN = b"sandyq/sb1/sig"
_COMMIT = b"sb1-commit"
_ONLY_NONCE = bytes(12)  # safe because a content key seals exactly one section
_HPKE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@dataclass(frozen=True)
class Recipient:
    """The region a box seals to, and the nation behind it when its key is known."""

    region_id: bytes
    sealing_public: bytes
    nation_public: bytes | None = None


@dataclass(frozen=True)
class NationLetter:
    """The nation's section as it travels on: with the header it was sealed under."""

    header: bytes
    cap: bytes
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Return the form in which a region keeps it and sends it on."""
        return cbor.write([self.header, self.cap, self.sealed])


@dataclass(frozen=True)
class Opened:
    """An opened envelope whose sender is not proven yet: only the claim may be read."""

    blob_id: bytes
    claimed_kid: bytes
    nation: NationLetter | None
    _body: bytes
    _signature: bytes
    _signed: bytes

    @property
    def claimed_place(self) -> tuple[bytes, bytes, int]:
        """Box, epoch and number as they stand inside: good for putting envelopes in order, no more."""
        batch = read_batch(self._body)
        return batch.box_kid, batch.epoch, batch.seq


def seal(
    batch: Batch,
    device: SigningKey,
    recipient: Recipient,
    *,
    blob_id: bytes,
    content_key: bytes,
    nation_key: bytes = b"",
) -> bytes:
    """Return the envelope. The random values are used once and never again.

    `nation_key` is the content key of the nation's section, wanted when the batch has one.
    """
    to = [(REGION_ROLE, recipient.sealing_public, content_key)]
    if batch.nation and recipient.nation_public is not None:
        to.append((NATION_ROLE, recipient.nation_public, nation_key))
    kids = [key_id(public) for _, public, _ in to]
    listed = [[role, key_id(public), _commit(key)] for role, public, key in to]
    header = cbor.write([VERSION, SUITE, recipient.region_id, blob_id, listed])
    # The nation's first: the region's holds a signature over it.
    others = [_seal_section(header, public, key, batch.nation) for _, public, key in to[1:]]
    body = batch.to_bytes()
    signature = device.sign(_signed_message(header, kids, body, others))
    own = _seal_section(header, recipient.sealing_public, content_key, body + signature)
    return cbor.write([MAGIC, header, [list(own), *(list(section) for section in others)]])


def recipients(blob: bytes) -> list[bytes]:
    """Return the names of the keys an envelope was sealed to."""
    return _read_outer(blob)[0].kids


def open_envelope(blob: bytes, key: OpeningKey, region_id: bytes) -> Opened:
    """Open the section that is ours, or say why not."""
    header, header_bytes, sections = _read_outer(blob)
    if header.region_id != region_id or key.kid not in header.kids:
        raise WrongRecipient
    at = header.kids.index(key.kid)
    if header.roles[at] != REGION_ROLE:
        raise WrongRecipient
    plain = unpad(_open_section(header, header_bytes, sections[at], key))
    if len(plain) <= SIGNATURE_BYTES:
        raise EnvelopeMalformed
    body, signature = plain[:-SIGNATURE_BYTES], plain[-SIGNATURE_BYTES:]
    others = [section for place, section in enumerate(sections) if place != at]
    nation = NationLetter(header_bytes, *others[0]) if others and NATION_ROLE in header.roles else None
    message = _signed_message(header_bytes, header.kids, body, others)
    return Opened(header.blob_id, read_batch(body).box_kid, nation, body, signature, message)


def open_nation_letter(letter: bytes, key: OpeningKey) -> bytes:
    """Return what a box told the nation. Who the box is stands nowhere in it: the region vouches."""
    try:
        header_bytes, cap, sealed = (cbor.octets(part) for part in cbor.array(cbor.read(letter), 3))
        header = _read_header(header_bytes)
    except cbor.NotOurCbor as fault:
        raise EnvelopeMalformed from fault
    if (NATION_ROLE, key.kid) not in zip(header.roles, header.kids, strict=True):
        raise WrongRecipient
    return unpad(_open_section(header, header_bytes, (cap, sealed), key))


def letter_header(letter: bytes) -> tuple[bytes, bytes]:
    """Return the region and the blob id under which a nation's letter was sealed, without opening it."""
    try:
        header = _read_header(cbor.octets(cbor.array(cbor.read(letter), 3)[0]))
    except cbor.NotOurCbor as fault:
        raise EnvelopeMalformed from fault
    return header.region_id, header.blob_id


def letter_recipients(letter: bytes) -> list[bytes]:
    """Return the names of the keys a letter's envelope was sealed to."""
    try:
        return _read_header(cbor.octets(cbor.array(cbor.read(letter), 3)[0])).kids
    except cbor.NotOurCbor as fault:
        raise EnvelopeMalformed from fault


def verify_sender(opened: Opened, device_public: bytes) -> Batch:
    """Return the batch if the box with this key made it for exactly these recipients."""
    is_named = hmac.compare_digest(key_id(device_public), opened.claimed_kid)
    if not is_named or not is_signed_by(device_public, opened._signature, opened._signed):
        raise ForgedSignature
    return read_batch(opened._body)


def is_signed_with(opened: Opened, device_public: bytes) -> bool:
    """Say whose signature it is, whatever name the envelope bears: to name the reason of a refusal."""
    return is_signed_by(device_public, opened._signature, opened._signed)


# The same sealing for what else lies on a stick ------------------------------------------


def hpke_seal(plain: bytes, public: bytes, info: bytes) -> bytes:
    """Seal a short text to a region's key."""
    return _HPKE.encrypt(plain, sealing_key(public), info=info)


def hpke_open(sealed: bytes, key: OpeningKey, info: bytes) -> bytes:
    """Open it, or raise."""
    try:
        return _HPKE.decrypt(sealed, key.private, info=info)
    except (InvalidTag, ValueError) as fault:
        raise EnvelopeAltered from fault


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
    if len(plain) != length or not length or pad(plain) != padded:
        raise EnvelopeMalformed
    return plain


# Parts -----------------------------------------------------------------------------------

Section = tuple[bytes, bytes]


def _seal_section(header: bytes, public: bytes, content_key: bytes, plain: bytes) -> Section:
    cap = _HPKE.encrypt(content_key, sealing_key(public), info=_wrap_info(header, key_id(public)))
    return cap, ChaCha20Poly1305(content_key).encrypt(_ONLY_NONCE, pad(plain), header)


def _open_section(header: _Header, header_bytes: bytes, section: Section, key: OpeningKey) -> bytes:
    cap, sealed = section
    try:
        content_key = _HPKE.decrypt(cap, key.private, info=_wrap_info(header_bytes, key.kid))
        if not hmac.compare_digest(_commit(content_key), header.commits[header.kids.index(key.kid)]):
            raise EnvelopeAltered
        return ChaCha20Poly1305(content_key).decrypt(_ONLY_NONCE, sealed, header_bytes)
    except (InvalidTag, ValueError) as fault:
        raise EnvelopeAltered from fault


@dataclass(frozen=True)
class _Header:
    region_id: bytes
    blob_id: bytes
    roles: list[str]
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
    roles, kids, commits = [], [], []
    for recipient in cbor.array(recipients):
        role, kid, commit = cbor.array(recipient, 3)
        if not isinstance(role, str):
            raise EnvelopeMalformed
        roles.append(role)
        kids.append(cbor.octets(kid, KID_BYTES))
        commits.append(cbor.octets(commit, COMMIT_BYTES))
    if roles not in _ROLES or len(set(kids)) != len(kids):
        raise EnvelopeMalformed
    return _Header(
        cbor.octets(region_id, REGION_ID_BYTES), cbor.octets(blob_id, BLOB_ID_BYTES), roles, kids, commits
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


def _signed_message(header: bytes, kids: list[bytes], body: bytes, others: list[Section]) -> bytes:
    """Names the recipients, so that a region cannot pass a box's batch on as its own mail, and the
    other sections, so that nobody can put another in their place."""
    digests = (hashlib.sha256(part).digest() for part in (body, *(cap + sealed for cap, sealed in others)))
    return _SIGN + hashlib.sha256(header).digest() + b"".join(kids) + b"".join(digests)
