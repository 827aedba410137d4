"""Which boxes belong to the region, and how they prove it.

An operator gives out a code; a box spends it once and gets a token. Only hashes
of codes and tokens are kept, comparisons take the same time whatever they find,
and guessing is slowed down. Keeps out: HTTP, SQL.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sync.client import ENROL_CONTEXT
from sync.enrolment_code import ALPHABET, EnrolmentCode, make_code
from sync.errors import BoxRevoked, CodeRefused, TokenRefused, TooManyCodes
from sync.keys import (
    SIGNATURE_BYTES,
    SIGNING_PUBLIC_BYTES,
    RegionKeys,
    is_signed_by,
    key_id,
    region_fingerprint,
)
from sync.region_errors import BadRequest, DeviceNotProven, UnknownLabel
from sync.server.storage.store import Box, Code, Store

# A technician drives to the school within these days; a forgotten note is worthless after.
CODE_LIFETIME = timedelta(days=3)
TOKEN_BYTES = 32
LABEL_LETTERS = 5  # 33 million labels: no two of a region's boxes look alike
MAX_SOFTWARE_LETTERS = 40

WRONG_CODES_WINDOW = timedelta(minutes=10)
MAX_WRONG_CODES = 10  # from one address: a person mistypes three times, not ten
MAX_WRONG_CODES_IN_ALL = 100  # from all addresses together


def issue_code(store: Store, keys: RegionKeys, now: datetime) -> tuple[EnrolmentCode, datetime]:
    """Return a fresh code and the time it expires; only its hash is kept."""
    fingerprint = region_fingerprint(keys.opening.public, keys.receipts.public)
    code = make_code(secrets.token_bytes(16), fingerprint)
    expires_at = now + CODE_LIFETIME
    store.add_codes([Code(hash_of(code.secret), expires_at)])
    return code, expires_at


@dataclass(frozen=True)
class EnrolmentRequest:
    """What a box sends."""

    code: str
    device_key: bytes
    proof: bytes
    software: str


def read_request(record: object) -> EnrolmentRequest:
    """Return the request if it has the right form."""
    if not isinstance(record, dict):
        raise BadRequest
    fields = [record.get(name) for name in ("code", "device_key", "proof", "software")]
    code, device_key, proof, software = (value if isinstance(value, str) else "" for value in fields)
    if not code or not software.isprintable() or len(software) > MAX_SOFTWARE_LETTERS:
        raise BadRequest
    return EnrolmentRequest(
        code,
        _octets(device_key, SIGNING_PUBLIC_BYTES),
        _octets(proof, SIGNATURE_BYTES),
        software,
    )


@dataclass(frozen=True)
class Admission:
    """What a newly enrolled box is told."""

    label: str
    token: str

    def __repr__(self) -> str:
        return f"Admission({self.label})"


def enrol(store: Store, request: EnrolmentRequest, now: datetime) -> Admission:
    """Take a box in. The box that used a code may use it again while it lives: its answer may
    have been lost. It then gets a new token and keeps its label."""
    if not is_signed_by(request.device_key, request.proof, ENROL_CONTEXT + request.code.encode()):
        raise DeviceNotProven
    secret = secrets.token_urlsafe(TOKEN_BYTES)
    with store.transaction():
        # A look-up by hash: what its time tells is of no use to whoever guesses the code itself.
        code = store.find_code(hash_of(request.code), now)
        if code is None or code.device_key not in {None, request.device_key}:
            raise CodeRefused
        store.bind_code(code, request.device_key)
        box = _known_box(store, code, request, now) or _new_box(store, code, request, now)
        store.renew_box(box, hash_of(secret), request.software, now)
    return Admission(box.label, f"{box.label}.{secret}")


def _known_box(store: Store, code: Code, request: EnrolmentRequest, now: datetime) -> Box | None:
    """Return the box that comes again: with the key it had, or with a new one and a code made for it."""
    kid = key_id(request.device_key)
    box = store.find_box_by_kid(kid)
    if box is not None:
        if box.is_revoked:
            raise BoxRevoked
        return box
    if store.has_ended(kid):
        raise BoxRevoked
    renewed = store.find_box_by_label(code.renews) if code.renews else None
    if renewed is not None:
        store.rekey_box(renewed, kid, request.device_key, now)
    return renewed


def _new_box(store: Store, code: Code, request: EnrolmentRequest, now: datetime) -> Box:
    label = _fresh_label(store)
    kid = key_id(request.device_key)
    # Nobody knows its token before the caller has set one.
    store.add_box(
        *(label, kid, request.device_key, b"", request.software, now), is_approved=not code.needs_approval
    )
    box = store.find_box_by_label(label)
    if box is None:
        raise UnknownLabel(label=label)
    store.move_box(box, code.place, now)
    return box


def get_box_by_token(store: Store, token: str) -> Box:
    """Return the box a token belongs to."""
    label, _, secret = token.partition(".")
    box = store.find_box_by_label(label)
    # Compare even when no such box exists, so that an answer's time tells nothing.
    known = box.token_sha256 if box else bytes(32)
    if not hmac.compare_digest(known, hash_of(secret)) or box is None:
        raise TokenRefused
    if box.is_revoked:
        raise BoxRevoked
    return box


def revoke(store: Store, label: str, now: datetime) -> Box:
    """Believe nothing more that is signed with this box's key; what was stored stays."""
    box = store.find_box_by_label(label)
    if box is None:
        raise UnknownLabel(label=label)
    store.revoke_box(box, now)
    return box


@dataclass
class WrongCodes:
    """Counts wrong codes for a while, per address and in all. The caller holds a lock."""

    _tries: deque[tuple[datetime, str]] = field(default_factory=deque)

    def check(self, address: str, now: datetime) -> None:
        """Raise while an address, or everybody, has tried too often."""
        while self._tries and self._tries[0][0] <= now - WRONG_CODES_WINDOW:
            self._tries.popleft()
        own = [at for at, who in self._tries if who == address]
        everybody = [at for at, _ in self._tries]
        for tries, most in ((own, MAX_WRONG_CODES), (everybody, MAX_WRONG_CODES_IN_ALL)):
            if len(tries) >= most:
                wait = tries[len(tries) - most] + WRONG_CODES_WINDOW - now
                raise TooManyCodes(wait_seconds=int(wait.total_seconds()) + 1)

    def note(self, address: str, now: datetime) -> None:
        self._tries.append((now, address))


def _fresh_label(store: Store) -> str:
    while True:
        label = "B-" + "".join(secrets.choice(ALPHABET) for _ in range(LABEL_LETTERS))
        if store.find_box_by_label(label) is None:
            return label


def _octets(text: str, length: int) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise BadRequest from fault
    if len(value) != length:
        raise BadRequest
    return value


def hash_of(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
