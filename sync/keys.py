"""The keys of this machine: the only module that reads and writes key files.

A key is made once and never replaced by a second start; its file is private to
the account that made it and is on the disk before anything relies on it. Key
files of two machines must differ: a copied card must not bring them along.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import MLKEM768X25519PrivateKey, MLKEM768X25519PublicKey

from sync.errors import DiskFull, FileNotSaved, KeyDamaged, KeyExposed, KeyMissing

KID_BYTES = 8
SIGNING_SEED_BYTES = 32
SIGNING_PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64
MLKEM_SEED_BYTES = 64
MLKEM_PUBLIC_BYTES = 1184
X25519_BYTES = 32
DESK_SECRET_BYTES = 32
SEALING_SEED_BYTES = MLKEM_SEED_BYTES + X25519_BYTES
SEALING_PUBLIC_BYTES = MLKEM_PUBLIC_BYTES + X25519_BYTES

_NO_SPACE = {28, 122}  # ENOSPC, EDQUOT

K = TypeVar("K")


def key_id(public: bytes) -> bytes:
    """Return the short name of a public key."""
    return hashlib.sha256(public).digest()[:KID_BYTES]


@dataclass(frozen=True)
class SigningKey:
    """An Ed25519 key: the box's own, or the one a region signs receipts with."""

    _private: Ed25519PrivateKey

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def public(self) -> bytes:
        return self._private.public_key().public_bytes_raw()

    @property
    def kid(self) -> bytes:
        return key_id(self.public)

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid.hex()})"


def is_signed_by(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether the holder of a public key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@dataclass(frozen=True)
class OpeningKey:
    """The region's secret half: opens what was sealed to it."""

    private: MLKEM768X25519PrivateKey
    public: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> OpeningKey:
        kem = MLKEM768PrivateKey.from_seed_bytes(seed[:MLKEM_SEED_BYTES])
        curve = X25519PrivateKey.from_private_bytes(seed[MLKEM_SEED_BYTES:])
        public = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
        return cls(MLKEM768X25519PrivateKey(kem, curve), public)

    @property
    def kid(self) -> bytes:
        return key_id(self.public)

    def __repr__(self) -> str:
        return f"OpeningKey({self.kid.hex()})"


@dataclass(frozen=True)
class SecretKey:
    """Bytes that only a region's own programs know: with them it proves what its database alone could not."""

    _secret: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> SecretKey:
        return cls(seed)

    def mac(self, purpose: bytes, message: bytes) -> bytes:
        """Return 32 bytes nobody without the key can tell; other purposes give others."""
        framed = len(purpose).to_bytes(2, "big") + purpose + message
        return hmac.digest(self._secret, framed, "sha256")

    def __repr__(self) -> str:
        return "SecretKey()"


def sealing_key(public: bytes) -> MLKEM768X25519PublicKey:
    """Return the public half in the form the sealing library wants; ValueError when it is none."""
    if len(public) != SEALING_PUBLIC_BYTES:
        raise ValueError("a sealing key has 1,216 bytes")
    return MLKEM768X25519PublicKey(
        MLKEM768PublicKey.from_public_bytes(public[:MLKEM_PUBLIC_BYTES]),
        X25519PublicKey.from_public_bytes(public[MLKEM_PUBLIC_BYTES:]),
    )


# The box -----------------------------------------------------------------------------


def ensure_device_key(home: Path) -> SigningKey:
    """Return the box's key, making it on the first start."""
    return _ensure(_device_path(home), "device", SIGNING_SEED_BYTES, SigningKey.from_seed)


def get_device_key(home: Path) -> SigningKey:
    """Return the box's key; raise when first boot has not made it."""
    return SigningKey.from_seed(_read(_device_path(home), "device", SIGNING_SEED_BYTES))


def device_id(home: Path) -> str:
    """Return the name by which a region knows this box's key."""
    return get_device_key(home).kid.hex()


def _device_path(home: Path) -> Path:
    return home / "keys" / "device" / "signing.key"


# The region ---------------------------------------------------------------------------


_MONTH = re.compile(r"month-(\d{4}-(?:0[1-9]|1[0-2]))\.key")


@dataclass(frozen=True)
class MonthKeys:
    """The opening keys a region makes every month, each in its file; a server finds new ones by itself."""

    _folder: Path

    def ensure(self, month: str) -> OpeningKey:
        """Return the key of a month such as 2026-12, making it the first time."""
        return _ensure(self._path(month), "opening", SEALING_SEED_BYTES, OpeningKey.from_seed)

    def names(self) -> list[str]:
        found = (_MONTH.fullmatch(path.name) for path in self._folder.glob("month-*.key"))
        return sorted(match[1] for match in found if match)

    def find(self, kids: Sequence[bytes]) -> OpeningKey | None:
        """Return the key with one of these names; the newest month is the likeliest."""
        for month in reversed(self.names()):
            key = OpeningKey.from_seed(_read(self._path(month), "opening", SEALING_SEED_BYTES))
            if key.kid in kids:
                return key
        return None

    def destroy(self, month: str) -> None:
        """What was sealed to this key is closed for ever, also to whoever steals the disk."""
        path = self._path(month)
        path.unlink(missing_ok=True)
        sync_folder(path.parent)

    def _path(self, month: str) -> Path:
        return self._folder / f"month-{month}.key"


@dataclass(frozen=True)
class RegionKeys:
    """What a region opens envelopes with, and what it signs receipts and orders with."""

    opening: OpeningKey
    receipts: SigningKey
    policy: SigningKey
    months: MonthKeys
    desk: SecretKey  # of operators' second factors, forms and record

    def find_opening(self, kids: Sequence[bytes]) -> OpeningKey:
        """Return the key one of these names; the first key of all when none does."""
        if self.opening.kid in kids:
            return self.opening
        return self.months.find(kids) or self.opening


def ensure_region_keys(folder: Path) -> RegionKeys:
    """Return the region's keys, making them the first time."""
    return RegionKeys(
        _ensure(folder / "keys" / "opening.key", "opening", SEALING_SEED_BYTES, OpeningKey.from_seed),
        _ensure(folder / "keys" / "receipts.key", "receipts", SIGNING_SEED_BYTES, SigningKey.from_seed),
        _ensure(folder / "keys" / "policy.key", "policy", SIGNING_SEED_BYTES, SigningKey.from_seed),
        MonthKeys(folder / "keys"),
        _ensure_desk_secret(folder),
    )


def get_region_keys(folder: Path) -> RegionKeys:
    """Return the region's keys; raise when `region init` has not made them."""
    return RegionKeys(
        OpeningKey.from_seed(_read(folder / "keys" / "opening.key", "opening", SEALING_SEED_BYTES)),
        SigningKey.from_seed(_read(folder / "keys" / "receipts.key", "receipts", SIGNING_SEED_BYTES)),
        # A region made before there were orders has none yet.
        _ensure(folder / "keys" / "policy.key", "policy", SIGNING_SEED_BYTES, SigningKey.from_seed),
        MonthKeys(folder / "keys"),
        _ensure_desk_secret(folder),
    )


ALIAS_KEY_BYTES = 32


def ensure_alias_key(folder: Path) -> bytes:
    """Return the key by which a region hides its boxes' names from the nation, making it the first time."""
    return _ensure(folder / "keys" / "alias.key", "alias", ALIAS_KEY_BYTES, bytes)


def _ensure_desk_secret(folder: Path) -> SecretKey:
    return _ensure(folder / "keys" / "desk.key", "desk", DESK_SECRET_BYTES, SecretKey.from_seed)


def region_fingerprint(sealing_public: bytes, receipt_public: bytes) -> bytes:
    """Return what an enrolment code pins: both public keys of a region at once."""
    return hashlib.sha256(b"sandyq/region/1" + sealing_public + receipt_public).digest()


# The receipt key, which the enrolment code pins, vouches for the policy key; a region may then
# keep the policy key elsewhere than on the server that answers.
_VOUCH = b"sandyq/region/policy-key/1"


def vouch_for_policy_key(keys: RegionKeys, region_id: bytes) -> bytes:
    """Return the proof that the policy key belongs to the region."""
    return keys.receipts.sign(_VOUCH + region_id + keys.policy.public)


def is_policy_key_of(region_id: bytes, receipt_public: bytes, policy_public: bytes, proof: bytes) -> bool:
    """Say whether the region's receipt key vouches for this policy key."""
    return is_signed_by(receipt_public, proof, _VOUCH + region_id + policy_public)


# The nation's key comes to a box through its region, which vouches for it with the receipt key that
# the enrolment code pins.
_VOUCH_FOR_NATION = b"sandyq/region/nation-key/1"


def vouch_for_nation_key(keys: RegionKeys, region_id: bytes, nation_public: bytes) -> bytes:
    """Return the proof that a region names this key as the nation's."""
    return keys.receipts.sign(_VOUCH_FOR_NATION + region_id + nation_public)


def is_nation_key_of(region_id: bytes, receipt_public: bytes, nation_public: bytes, proof: bytes) -> bool:
    """Say whether the region's receipt key vouches for this key."""
    return is_signed_by(receipt_public, proof, _VOUCH_FOR_NATION + region_id + nation_public)


# The school ------------------------------------------------------------------------------


SCHOOL_SEED_BYTES = 16
_OLD_SCHOOL_KEY = re.compile(r"old-([0-9a-f]{16})\.key")


def ensure_school_seed(home: Path) -> bytes:
    """Return the key that backups are made to, making it the first time; the school has it on paper, too."""
    return _ensure(_school_path(home), "school", SCHOOL_SEED_BYTES, bytes)


def school_seeds(home: Path) -> list[bytes]:
    """Return every key that opens a backup of this school, the present one first."""
    folder = _school_path(home).parent
    old = sorted(path for path in folder.glob("old-*.key") if _OLD_SCHOOL_KEY.fullmatch(path.name))
    present = [_school_path(home)] if _school_path(home).exists() else []
    return [_read(path, "school", SCHOOL_SEED_BYTES) for path in (*present, *old)]


def change_school_seed(home: Path, seed: bytes) -> None:
    """Make backups to another key from now on; those made before still open with their own."""
    path = _school_path(home)
    present = read_private(path)
    if present is not None:
        before = _read(path, "school", SCHOOL_SEED_BYTES)
        if before == seed:
            return
        save_private(path.with_name(f"old-{key_id(before).hex()}.key"), present, replace=True)
    save_private(path, _line("school", seed), replace=True)


def _school_path(home: Path) -> Path:
    return home / "keys" / "school" / "backup.key"


# The desk: keys of people, each on a stick or machine that is kept away from any line -----------


def make_desk_key(path: Path) -> SigningKey:
    """Make a holder's key in a file of its own; a file that is there already is never overwritten."""
    if not save_private(path, _line("signer", secrets.token_bytes(SIGNING_SEED_BYTES)), replace=False):
        raise FileNotSaved(name=path.name)
    return read_desk_key(path)


def read_desk_key(path: Path) -> SigningKey:
    return SigningKey.from_seed(_read(path, "signer", SIGNING_SEED_BYTES))


# Private files --------------------------------------------------------------------------


def save_private(path: Path, content: bytes, *, replace: bool) -> bool:
    """Write a file only this account can read, and make it survive a power cut.

    Without `replace` an existing file is left as it is and False is returned, so two
    programs that start at once agree on one key.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            _write_new(temporary, content)
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
        sync_folder(path.parent.parent)
    except OSError as fault:
        if fault.errno in _NO_SPACE:
            raise DiskFull from fault
        raise FileNotSaved(name=path.name) from fault
    return True


def read_private(path: Path) -> bytes | None:
    """Return the file, None when there is none; raise when other accounts could read it."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise KeyExposed(name=path.name)
            return file.read()
    except FileNotFoundError:
        return None


def _write_new(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """A new name is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _ensure(path: Path, purpose: str, length: int, load: Callable[[bytes], K]) -> K:
    if read_private(path) is None:
        save_private(path, _line(purpose, secrets.token_bytes(length)), replace=False)
    return load(_read(path, purpose, length))


def _read(path: Path, purpose: str, length: int) -> bytes:
    content = read_private(path)
    if content is None:
        raise KeyMissing(name=path.name)
    try:
        seed = bytes.fromhex(content.decode("ascii").split()[-1])
    except (ValueError, IndexError) as fault:
        raise KeyDamaged(name=path.name) from fault
    if len(seed) != length or content != _line(purpose, seed):
        raise KeyDamaged(name=path.name)
    return seed


def _line(purpose: str, seed: bytes) -> bytes:
    return f"sandyq-key-1 {purpose} {seed.hex()}\n".encode("ascii")
