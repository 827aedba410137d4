"""The region's list of keys: which key to seal to from which month on, published half a year ahead.

An envelope that is caught today must not be opened with a key stolen in two years: the region makes a
new pair every month and destroys old ones. The list is signed with the policy key and numbered; the
highest number ever seen wins. A box takes the newest key whose month has come, by the time it trusts.
This module alone writes the table `region_keys`. Keeps out: secret keys, how lists travel.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync import cbor
from sync.database import translated_faults, write_transaction
from sync.envelope import NATION_ROLE, REGION_ID_BYTES, REGION_ROLE
from sync.errors import KeyListForged, KeyListMalformed, KeyListOutdated
from sync.keys import SEALING_PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, is_signed_by

VERSION = 1
MAX_KEYS = 24  # a year of both, and 29 kB; half a year is usual
MAX_LIST_BYTES = 32 * 1024
_SIGN = b"sandyq/sb1/keys"

migrations = Migrations("sync.key_list")


@migrations()
def m001_region_keys(db: Database) -> None:
    """One list for each region this box ever belonged to."""
    db.execute(
        "CREATE TABLE region_keys"
        " (region_id BLOB PRIMARY KEY, number INTEGER NOT NULL, document BLOB NOT NULL) STRICT"
    )


@dataclass(frozen=True)
class ListedKey:
    """A public key and the moment from which it is used."""

    role: str  # "R" the region's, "N" the nation's
    since: datetime
    public: bytes


@dataclass(frozen=True)
class KeyList:
    """One list, as it was signed."""

    region_id: bytes
    number: int  # 1, 2, 3, ...
    keys: tuple[ListedKey, ...]

    def to_bytes(self) -> bytes:
        listed = [[key.role, int(key.since.timestamp()), key.public] for key in self.keys]
        return cbor.write([VERSION, self.region_id, self.number, listed])

    def find(self, role: str, now: datetime) -> bytes | None:
        """Return the newest key of a role whose time has come."""
        begun = [key for key in self.keys if key.role == role and key.since <= now]
        return max(begun, key=lambda key: key.since).public if begun else None


def sign_list(keys: KeyList, policy_key: SigningKey) -> bytes:
    """Return the list as it travels."""
    body = keys.to_bytes()
    return cbor.write([body, policy_key.sign(_SIGN + body)])


def verify_list(signed: bytes, policy_public: bytes, region_id: bytes) -> KeyList:
    """Return the list if the region's policy key signed it for this region."""
    keys, body, signature = _read(signed)
    if keys.region_id != region_id or not is_signed_by(policy_public, signature, _SIGN + body):
        raise KeyListForged
    return keys


def accept(db: Database, signed: bytes, policy_public: bytes, region_id: bytes) -> KeyList:
    """Keep a genuine list that is newer than all before it; the same one again changes nothing."""
    keys = verify_list(signed, policy_public, region_id)
    with write_transaction(db):
        row = db.execute(
            "SELECT number, document FROM region_keys WHERE region_id = ?", [region_id]
        ).fetchone()
        if row is not None and row[1] == signed:
            return keys
        if row is not None and keys.number <= row[0]:
            raise KeyListOutdated(number=keys.number, known=row[0])
        db.execute("INSERT OR REPLACE INTO region_keys VALUES (?, ?, ?)", [region_id, keys.number, signed])
    return keys


def current(db: Database, region_id: bytes) -> KeyList | None:
    """Return the newest list of a region, None before the first."""
    with translated_faults():
        row = db.execute("SELECT document FROM region_keys WHERE region_id = ?", [region_id]).fetchone()
    return _read(row[0])[0] if row else None


def _read(signed: bytes) -> tuple[KeyList, bytes, bytes]:
    if len(signed) > MAX_LIST_BYTES:
        raise KeyListMalformed
    try:
        document, signature = cbor.array(cbor.read(signed), 2)
        body = cbor.octets(document)
        version, region_id, number, listed = cbor.array(cbor.read(body), 4)
        cbor.whole(version, VERSION, VERSION)
        keys = tuple(_read_key(entry) for entry in cbor.array(listed))
        if len(keys) > MAX_KEYS:
            raise KeyListMalformed
        found = KeyList(cbor.octets(region_id, REGION_ID_BYTES), cbor.whole(number, 1), keys)
        return found, body, cbor.octets(signature, SIGNATURE_BYTES)
    except cbor.NotOurCbor as fault:
        raise KeyListMalformed from fault


def _read_key(entry: object) -> ListedKey:
    role, since, public = cbor.array(entry, 3)
    if role not in (REGION_ROLE, NATION_ROLE):
        raise KeyListMalformed
    at = cbor.moment(since)
    return ListedKey(role, at, cbor.octets(public, SEALING_PUBLIC_BYTES))
