"""What the region orders: the stop switch, the budget of the line, how long things are kept.

An order is numbered and signed with the region's policy key, which the box was given at its
enrolment. The highest number ever seen wins and is on the disk before anything acts on it, so an
old "go" on a forgotten stick lifts no stop. A stop never expires; limits may, and then the
ordinary ones hold again: a box judges that by signed times alone, for its own clock may be wrong.
This module alone writes the table `region_policy`. Keeps out: how orders travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync import cbor
from sync.budget import DEFAULT_LIMITS, Limits
from sync.database import translated_faults, write_transaction
from sync.envelope import REGION_ID_BYTES
from sync.errors import PolicyForged, PolicyMalformed, PolicyOutdated
from sync.keys import SIGNATURE_BYTES, SigningKey, is_signed_by

VERSION = 1
# An order has about 60 bytes and a signature; it rides in every answer and must stay small.
MAX_POLICY_BYTES = 512
# How long a box keeps the row of a batch the region has confirmed, and raw events, when nothing
# else is ordered: a school year and the summer after it.
DEFAULT_RECEIPT_DAYS = 400
DEFAULT_RETENTION_DAYS = 400
_MAX_DAYS = 36_500
_SIGN = b"sandyq/sb1/policy"

migrations = Migrations("sync.policy")


@migrations()
def m001_region_policy(db: Database) -> None:
    """One order for each region this box ever belonged to; the newest accepted one is in force."""
    db.execute(
        """
        CREATE TABLE region_policy (
            region_id BLOB PRIMARY KEY,
            version INTEGER NOT NULL,
            accepted INTEGER NOT NULL,  -- 1, 2, 3, ...: no clock decides which is the newest
            document BLOB NOT NULL
        ) STRICT
        """
    )


@dataclass(frozen=True)
class Policy:
    """One order, as it was signed."""

    region_id: bytes
    version: int  # 1, 2, 3, ...
    issued_at: datetime
    expires_at: datetime | None = None  # of the limits; a stop has no end
    stop: bool = False  # no answers in any school until a higher number says otherwise
    limits: Limits = field(default=DEFAULT_LIMITS)
    retention_days: int = DEFAULT_RETENTION_DAYS  # raw events on the box
    receipt_days: int = DEFAULT_RECEIPT_DAYS  # rows of confirmed batches on the box

    def to_bytes(self) -> bytes:
        return cbor.write(
            [
                VERSION,
                self.region_id,
                self.version,
                int(self.issued_at.timestamp()),
                int(self.expires_at.timestamp()) if self.expires_at else None,
                self.stop,
                self.limits.as_numbers(),
                self.retention_days,
                self.receipt_days,
            ]
        )

    def limits_at(self, certain: datetime | None) -> Limits:
        """Return the limits in force, given a time that is surely past (None: nobody knows)."""
        is_over = self.expires_at is not None and certain is not None and certain > self.expires_at
        return DEFAULT_LIMITS if is_over else self.limits


def sign_policy(policy: Policy, key: SigningKey) -> bytes:
    """Return the order as it travels."""
    body = policy.to_bytes()
    return cbor.write([body, key.sign(_SIGN + body)])


def verify_policy(signed: bytes, policy_public: bytes, region_id: bytes) -> Policy:
    """Return the order if the region's policy key signed it for this region."""
    policy, body, signature = _read(signed)
    if policy.region_id != region_id or not is_signed_by(policy_public, signature, _SIGN + body):
        raise PolicyForged
    return policy


def current(db: Database) -> Policy | None:
    """Return the order in force, None when the region has never given one."""
    document = find_document(db)
    return _read(document)[0] if document else None


def find_document(db: Database) -> bytes | None:
    """Return the order in force as it was signed, to hand on."""
    with translated_faults():
        row = db.execute("SELECT document FROM region_policy ORDER BY accepted DESC LIMIT 1").fetchone()
    return row[0] if row else None


def accept(db: Database, signed: bytes, policy_public: bytes, region_id: bytes) -> Policy:
    """Keep a genuine order that is newer than all before it; the same one again changes nothing.

    Raises:
        PolicyMalformed, PolicyForged: it is not the region's.
        PolicyOutdated: a higher number was seen before, or this number with other words.
    """
    policy = verify_policy(signed, policy_public, region_id)
    with write_transaction(db):
        known = db.execute(
            "SELECT version, document FROM region_policy WHERE region_id = ?", [region_id]
        ).fetchone()
        if known is not None and known[1] == signed:
            return policy
        if known is not None and policy.version <= known[0]:
            raise PolicyOutdated(version=policy.version, known=known[0])
        db.execute(
            "INSERT OR REPLACE INTO region_policy"
            " VALUES (?, ?, (SELECT coalesce(max(accepted), 0) + 1 FROM region_policy), ?)",
            [region_id, policy.version, signed],
        )
    return policy


def _read(signed: bytes) -> tuple[Policy, bytes, bytes]:
    if len(signed) > MAX_POLICY_BYTES:
        raise PolicyMalformed
    try:
        document, signature = cbor.array(cbor.read(signed), 2)
        body = cbor.octets(document)
        fields = cbor.array(cbor.read(body), 9)
        cbor.whole(fields[0], VERSION, VERSION)
        if type(fields[5]) is not bool:
            raise PolicyMalformed
        policy = Policy(
            cbor.octets(fields[1], REGION_ID_BYTES),
            cbor.whole(fields[2], 1),
            cbor.moment(fields[3]),
            None if fields[4] is None else cbor.moment(fields[4]),
            fields[5],
            Limits.from_numbers([cbor.whole(number) for number in cbor.array(fields[6])]),
            cbor.whole(fields[7], 1, _MAX_DAYS),
            cbor.whole(fields[8], 1, _MAX_DAYS),
        )
        return policy, body, cbor.octets(signature, SIGNATURE_BYTES)
    except ValueError as fault:
        raise PolicyMalformed from fault
