"""The second thing an operator must have: a code of six digits from a telephone, or one from a list.

The secret behind the codes is sealed before it is stored, so that a copy of the database opens no
account; a code is taken once. The picture to scan is drawn here, no other server sees it. The only
module of the region that knows `twofactor`. Keeps out: tables, HTTP.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime

import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from sync.enrolment_code import ALPHABET
from sync.errors import KeyDamaged
from sync.keys import SecretKey

SECRET_BYTES = 20  # as long as the hash: RFC 4226, section 4
DIGITS = 6
STEP_SECONDS = 30
# A telephone's clock may be half a minute off, in both directions.
STEPS_ASIDE = 1
RECOVERY_CODES = 8
RECOVERY_LETTERS = 12  # 60 bits, and only their proof under the region's key is kept
_NONCE_BYTES = 12
_SEAL = b"sandyq/region/second-factor/1"
_RECOVERY = b"sandyq/region/recovery/1"


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def find_step(secret: bytes, typed: str, now: datetime, last_step: int) -> int | None:
    """Return the half minute this code is of, None when it is wrong or was used.

    Every half minute is looked at, so that the time taken does not tell which one was near.
    """
    totp, found = _totp(secret), None
    current = int(now.timestamp()) // STEP_SECONDS
    for step in range(current - STEPS_ASIDE, current + STEPS_ASIDE + 1):
        try:
            totp.verify(typed.encode(), step * STEP_SECONDS)
        except InvalidToken:
            continue
        found = step
    return found if found is not None and found > last_step else None


def generate(secret: bytes, at: datetime) -> str:
    """Return the code a telephone shows at this moment."""
    return _totp(secret).generate(int(at.timestamp())).decode()


def letters(secret: bytes) -> str:
    """Return the secret for whoever cannot scan."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def drawing(secret: bytes, name: str, region: str) -> str:
    """Return the QR code that authenticator apps scan, as SVG."""
    uri = _totp(secret).get_provisioning_uri(name, f"Sandyq {region}")
    drawn = segno.make(uri, error="m")
    return str(drawn.svg_inline(border=4, svgclass="qr", lineclass=None, omitsize=True, light="#fff"))


def seal(secret: bytes, name: str, key: SecretKey) -> bytes:
    """Return the secret as it is stored: closed for this account with a key that is not stored with it."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + ChaCha20Poly1305(key.mac(_SEAL, b"")).encrypt(nonce, secret, _SEAL + name.encode())


def unseal(sealed: bytes, name: str, key: SecretKey) -> bytes:
    """Return the secret of this account; raise when it was moved from another one."""
    nonce, closed = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
    try:
        return ChaCha20Poly1305(key.mac(_SEAL, b"")).decrypt(nonce, closed, _SEAL + name.encode())
    except InvalidTag as fault:
        raise KeyDamaged(name="desk.key") from fault


def new_recovery_codes() -> list[str]:
    """Return the codes for a sheet of paper; each opens once, for the day the telephone is lost."""
    return [_grouped() for _ in range(RECOVERY_CODES)]


def recovery_proof(typed: str, name: str, key: SecretKey) -> bytes | None:
    """Return what is kept of a recovery code; None when this cannot be one."""
    plain = "".join(letter for letter in typed.upper() if letter.isalnum())
    plain = plain.translate(str.maketrans("ILO", "110"))
    if len(plain) != RECOVERY_LETTERS:
        return None
    return key.mac(_RECOVERY, name.encode() + b"\0" + plain.encode())


def _grouped() -> str:
    code = "".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_LETTERS))
    return "-".join(code[at : at + 4] for at in range(0, RECOVERY_LETTERS, 4))


def _totp(secret: bytes) -> TOTP:
    # SHA-1 is what every authenticator app speaks; the code's strength does not rest on collisions.
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303
