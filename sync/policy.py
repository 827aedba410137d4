"""What the region orders: the stop switch, the budget of the line, how long things are kept.

An order is numbered and signed with the region's policy key, which the box was given at its
enrolment. The highest number ever seen wins and is on the disk before anything acts on it, so an
old "go" on a forgotten stick lifts no stop. A stop never expires; limits may, and then the
ordinary ones hold again: a box judges that by signed times alone, for its own clock may be wrong.
Once a region has a desk (`sync/desk`), the policy key alone gives no order any more.
This module alone writes the tables `region_policy` and `region_desk`. Keeps out: how orders travel.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from sync import cbor, desk
from sync.budget import DEFAULT_LIMITS, Limits
from sync.database import translated_faults, write_transaction
from sync.desk import Desk, Signed
from sync.envelope import REGION_ID_BYTES
from sync.errors import PolicyForged, PolicyMalformed, PolicyOutdated, PolicySuperseded, PolicyUnsigned
from sync.keys import SIGNATURE_BYTES, SigningKey, is_signed_by

VERSION = 1  # signed by the policy key
DESK_VERSION = 2  # signed by keys of a desk
# An order has about 60 bytes and a signature; it rides in every answer and must stay small.
MAX_POLICY_BYTES = 512
# How long a box keeps the row of a batch the region has confirmed, and raw events, when nothing
# else is ordered: a school year and the summer after it.
DEFAULT_RECEIPT_DAYS = 400
DEFAULT_RETENTION_DAYS = 400
# A single stolen key must not stop with a number so high that no later order could lift it.
MOST_AHEAD = 1000
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # of an order that was never given
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


@migrations()
def m002_region_desk(db: Database) -> None:
    """Whose signatures a region's orders need; and a stop that fewer keys gave, beside the order in force."""
    db.execute(
        "CREATE TABLE region_desk"
        " (region_id BLOB PRIMARY KEY, number INTEGER NOT NULL, body BLOB NOT NULL) STRICT"
    )
    db.execute("ALTER TABLE region_policy ADD COLUMN stop_version INTEGER NOT NULL DEFAULT 0")


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
    is_drill: bool = False  # nothing changes: it shows how fast a stop would arrive
    desk: int = 0  # the number of the desk that signs it; 0: the policy key does

    def to_bytes(self) -> bytes:
        return cbor.write(
            [
                DESK_VERSION if self.desk else VERSION,
                self.region_id,
                self.version,
                int(self.issued_at.timestamp()),
                int(self.expires_at.timestamp()) if self.expires_at else None,
                self.stop,
                self.limits.as_numbers(),
                self.retention_days,
                self.receipt_days,
                *([self.is_drill, self.desk] if self.desk else []),
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
    with translated_faults():
        row = db.execute(
            "SELECT region_id, version, document, stop_version FROM region_policy"
            " ORDER BY accepted DESC LIMIT 1"
        ).fetchone()
    if row is None:
        return None
    region_id, version, document, stop_version = row
    order = read_order(document) if document else Policy(region_id, version, BEGINNING)
    # Whoever may only stop changes nothing else.
    return replace(order, version=stop_version, stop=True) if stop_version > version else order


def find_document(db: Database) -> bytes | None:
    """Return the order in force as it was signed, to hand on."""
    with translated_faults():
        row = db.execute("SELECT document FROM region_policy ORDER BY accepted DESC LIMIT 1").fetchone()
    return row[0] if row and row[0] else None


def find_desk(db: Database, region_id: bytes) -> Desk | None:
    """Return whose signatures a region's orders need; None while its policy key is enough."""
    with translated_faults():
        row = db.execute("SELECT body FROM region_desk WHERE region_id = ?", [region_id]).fetchone()
    return desk.read_desk(row[0]) if row else None


def accept(db: Database, signed: bytes, policy_public: bytes, region_id: bytes) -> Policy | None:
    """Keep a genuine order that is newer than all before it; the same one again changes nothing.

    Raises:
        PolicyMalformed, PolicyForged, DeskForged: it is not the region's.
        PolicyUnsigned: keys of the desk are missing.
        PolicyOutdated: a higher number was seen before, this number with other words, or the region's
            orders need a desk now (PolicySuperseded).
    """
    if desk.is_bundle(signed):
        return _accept_of_desk(db, signed, policy_public, region_id)
    policy = verify_policy(signed, policy_public, region_id)
    with write_transaction(db):
        if find_desk(db, region_id) is not None:
            raise PolicySuperseded(version=policy.version, known=policy.version)
        _keep(db, policy, signed)
    return policy


def _accept_of_desk(db: Database, signed: bytes, policy_public: bytes, region_id: bytes) -> Policy | None:
    bundle = desk.read_bundle(signed)
    trusted = _follow_desks(db, bundle.desks, policy_public, region_id)
    if bundle.order is None:
        return None
    if trusted is None:
        raise PolicyForged
    order, count = verify_order(bundle.order, trusted, region_id)
    with write_transaction(db):
        if count >= trusted.needed:
            _keep(db, order, bundle.order.to_bytes())
        else:
            _keep_stop(db, order)
    return order


def verify_order(signed: Signed, trusted: Desk, region_id: bytes) -> tuple[Policy, int]:
    """Return an order of a desk, and how many keys of the trusted desk signed it; enough at least to stop."""
    order = _read_body(signed.body)
    if order.region_id != region_id or order.desk != trusted.number:
        raise PolicyForged
    count = trusted.count(desk.SIGN_ORDER, signed)
    needed = trusted.needed_to_stop if order.stop else trusted.needed
    if count < needed:
        raise PolicyUnsigned(signatures=count, needed=needed)
    return order, count


def _follow_desks(
    db: Database, desks: tuple[Signed, ...], policy_public: bytes, region_id: bytes
) -> Desk | None:
    """Take over each desk that the one before vouches for; what is known already is passed over."""
    with write_transaction(db):
        trusted = find_desk(db, region_id)
        for signed in desks:
            if trusted is not None and desk.read_desk(signed.body).number <= trusted.number:
                continue
            trusted = desk.verify_desk(signed, trusted, policy_public, region_id)
            db.execute(
                "INSERT OR REPLACE INTO region_desk VALUES (?, ?, ?)",
                [region_id, trusted.number, signed.body],
            )
    return trusted


def _keep(db: Database, policy: Policy, document: bytes) -> None:
    known = _known(db, policy.region_id)
    if known is not None and known[2] == document:
        return
    if known is not None and not _is_newer(policy, known):
        raise PolicyOutdated(version=policy.version, known=max(known[:2]))
    stop_version = known[1] if known else 0
    db.execute(
        "INSERT OR REPLACE INTO region_policy (region_id, version, accepted, document, stop_version)"
        " VALUES (?, ?, (SELECT coalesce(max(accepted), 0) + 1 FROM region_policy), ?, ?)",
        [policy.region_id, policy.version, document, stop_version],
    )


def _keep_stop(db: Database, order: Policy) -> None:
    """Raise the stop and leave everything else as it is."""
    known = _known(db, order.region_id)
    if known is not None and order.version <= max(known[:2]):
        if order.version == known[1] or (order.version == known[0] and read_order(known[2]).stop):
            return
        raise PolicyOutdated(version=order.version, known=max(known[:2]))
    if order.version > (max(known[:2]) if known else 0) + MOST_AHEAD:
        raise PolicyForged
    if known is None:
        db.execute(
            "INSERT INTO region_policy (region_id, version, accepted, document, stop_version)"
            " VALUES (?, 0, (SELECT coalesce(max(accepted), 0) + 1 FROM region_policy), ?, ?)",
            [order.region_id, b"", order.version],
        )
    db.execute(
        "UPDATE region_policy SET stop_version = ? WHERE region_id = ?", [order.version, order.region_id]
    )


def _is_newer(policy: Policy, known: tuple[int, int, bytes]) -> bool:
    version, stop_version, document = known
    if policy.version == stop_version > version and policy.stop:
        return True  # a second key has signed the same stop
    if policy.version == version == max(version, stop_version) and policy.desk and document:
        return read_order(document).desk == 0  # the desk says again what the policy key alone had said
    return policy.version > max(version, stop_version)


def _known(db: Database, region_id: bytes) -> tuple[int, int, bytes] | None:
    row: tuple[int, int, bytes] | None = db.execute(
        "SELECT version, stop_version, document FROM region_policy WHERE region_id = ?", [region_id]
    ).fetchone()
    return row


def read_order(document: bytes) -> Policy:
    """Return an order as it is kept, without checking who signed it.

    Raises:
        PolicyMalformed: it is no order.
    """
    try:
        body, signatures = cbor.array(cbor.read(document), 2)
        if type(signatures) is list:
            return _read_body(cbor.octets(body))
    except ValueError as fault:
        raise PolicyMalformed from fault
    return _read(document)[0]


def read_body(body: bytes) -> Policy:
    """Return the words of an order, of the policy key or of a desk."""
    return _read_body(body)


def _read(signed: bytes) -> tuple[Policy, bytes, bytes]:
    if len(signed) > MAX_POLICY_BYTES:
        raise PolicyMalformed
    try:
        document, signature = cbor.array(cbor.read(signed), 2)
        body = cbor.octets(document)
        policy = _read_body(body)
        if policy.desk:
            raise PolicyMalformed
        return policy, body, cbor.octets(signature, SIGNATURE_BYTES)
    except ValueError as fault:
        raise PolicyMalformed from fault


def _read_body(body: bytes) -> Policy:
    try:
        fields = cbor.array(cbor.read(body))
        form = cbor.whole(fields[0] if fields else None, VERSION, DESK_VERSION)
        fields = cbor.array(fields, 11 if form == DESK_VERSION else 9)
        flags = [fields[5], *fields[9:10]]
        if any(type(flag) is not bool for flag in flags):
            raise PolicyMalformed
        return Policy(
            cbor.octets(fields[1], REGION_ID_BYTES),
            cbor.whole(fields[2], 1),
            cbor.moment(fields[3]),
            None if fields[4] is None else cbor.moment(fields[4]),
            fields[5],
            Limits.from_numbers([cbor.whole(number) for number in cbor.array(fields[6])]),
            cbor.whole(fields[7], 1, _MAX_DAYS),
            cbor.whole(fields[8], 1, _MAX_DAYS),
            *([fields[9], cbor.whole(fields[10], 1)] if form == DESK_VERSION else []),
        )
    except ValueError as fault:
        raise PolicyMalformed from fault
