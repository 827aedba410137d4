"""The policy desk: what is written, who signed it, and what was released to the boxes.

A page or a command writes a draft and releases it; signing happens elsewhere, with keys that never
were on this machine. So a stolen account can write, and can hold back or hurry what was signed, and
changes nothing in any school by itself. Every step is in the record. The only writer of `draft`,
`draft_signature` and `desk`; of `desk_order` it writes the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sync import desk as desks
from sync.desk import SIGN_DESK, SIGN_ORDER, Desk, Signature, Signed, read_desk, verify_desk
from sync.errors import PolicyUnsigned
from sync.policy import Policy, read_body, read_order, sign_policy, verify_order
from sync.region_errors import (
    DeskMissing,
    DraftOutdated,
    SignatureUnknown,
    SigningFileWrong,
    StopAlone,
    UnknownDraft,
)
from sync.server.desk import offers
from sync.server.desk.rollout import WHOLE
from sync.server.desk.signing_file import DESK, ORDER, SigningFile
from sync.server.people import audit
from sync.server.storage.database import RegionDatabase
from sync.server.storage.identity import Region

# More than a region orders between two backups, and far below what a one-key stop may jump.
SKIPPED = 100
NEEDED = 2
NEEDED_TO_STOP = 1
_COLUMNS = "id, kind, body, version, made_by, made_at, closed"


@dataclass(frozen=True)
class Draft:
    """Words that wait for signatures."""

    id: int
    kind: str
    body: bytes
    version: int
    made_by: str
    made_at: datetime
    closed: str | None

    @property
    def order(self) -> Policy | None:
        return read_body(self.body) if self.kind == ORDER else None

    @property
    def desk(self) -> Desk | None:
        return read_desk(self.body) if self.kind == DESK else None


# Reading ------------------------------------------------------------------------------------------


def open_drafts(db: RegionDatabase) -> list[Draft]:
    rows = db.rows(f"SELECT {_COLUMNS} FROM draft WHERE closed IS NULL ORDER BY id DESC")  # noqa: S608 - our own words
    return [_draft(row) for row in rows]


def get_draft(db: RegionDatabase, draft_id: int) -> Draft:
    row = db.row(f"SELECT {_COLUMNS} FROM draft WHERE id = ?", [draft_id])  # noqa: S608 - our own words
    if row is None:
        raise UnknownDraft(number=draft_id)
    return _draft(row)


def in_force(db: RegionDatabase, region: Region) -> Policy:
    """Return the newest order that was not halted, by desk or policy key; number 0 before the first."""
    found = [released.order for released in offers.released(db) if not released.halted][:1]
    row = db.row("SELECT document FROM policy ORDER BY version DESC LIMIT 1")
    found += [read_order(row[0])] if row else []
    # The desk's own words count before those that were written out again for old boxes.
    return max(found, key=lambda order: (order.version, order.desk), default=_none(region))


def highest_version(db: RegionDatabase) -> int:
    row = db.row(
        "SELECT max(number) FROM (SELECT coalesce(max(version), 0) AS number FROM policy"
        " UNION ALL SELECT coalesce(max(version), 0) FROM desk_order) AS numbers"
    )
    return int(row[0]) if row else 0


def next_version(db: RegionDatabase) -> int:
    """Return a number no order and no draft ever had."""
    row = db.row("SELECT coalesce(max(version), 0) FROM draft WHERE kind = ?", [ORDER])
    return max(highest_version(db), int(row[0]) if row else 0) + 1


def skip_numbers(db: RegionDatabase, now: datetime) -> None:
    """After a restore boxes may have seen orders this region forgot: later ones must be above them."""
    version = next_version(db) - 1 + SKIPPED
    db.execute(
        "INSERT INTO draft (kind, body, version, made_by, made_at, closed, closed_at)"
        " VALUES (?, ?, ?, ?, ?, 'skipped', ?)",
        [ORDER, b"", version, audit.SYSTEM, now.isoformat(), now.isoformat()],
    )


def signatures(db: RegionDatabase, draft: Draft) -> Signed:
    rows = db.rows("SELECT kid, signature FROM draft_signature WHERE draft_id = ? ORDER BY kid", [draft.id])
    return Signed(draft.body, tuple(Signature(kid, signature) for kid, signature in rows))


def progress(db: RegionDatabase, region: Region, draft: Draft) -> tuple[int, int]:
    """Return how many signatures there are and how many are needed."""
    trusted = offers.find_desk(db)
    signed = signatures(db, draft)
    if draft.desk is not None:
        own = draft.desk.count(SIGN_DESK, signed)
        if trusted is None:
            return own, draft.desk.needed
        missing = max(draft.desk.needed - own, trusted.needed - trusted.count(SIGN_DESK, signed), 0)
        most = max(draft.desk.needed, trusted.needed)
        return most - missing, most
    if trusted is None or draft.order is None:
        return 0, NEEDED
    return trusted.count(SIGN_ORDER, signed), _needed(trusted, draft.order, in_force(db, region))


def _needed(trusted: Desk, order: Policy, last: Policy) -> int:
    """Return how many keys an order needs: fewer only if it stops and does nothing else."""
    only_stops = replace(
        last, stop=True, version=order.version, issued_at=order.issued_at, desk=order.desk, is_drill=False
    )
    return trusted.needed_to_stop if not last.stop and order == only_stops else trusted.needed


# Writing ------------------------------------------------------------------------------------------


def write_order(
    db: RegionDatabase,
    region: Region,
    by: str,
    now: datetime,
    *,
    changes: Mapping[str, Any],
    limits: Mapping[str, int],
    valid_days: int | None = None,
    is_drill: bool = False,
) -> Draft:
    """Write an order that waits for signatures; what is not named stays as it is in force."""
    with db.transaction():
        trusted = offers.find_desk(db)
        if trusted is None:
            raise DeskMissing
        last = in_force(db, region)
        if changes.get("stop") and not last.stop and (limits or valid_days or len(changes) > 1):
            # One key stops and changes nothing else; a page that says otherwise would lie.
            raise StopAlone
        expires_at = now + timedelta(days=valid_days) if valid_days else last.expires_at
        order = replace(
            last,
            version=next_version(db),
            issued_at=now.replace(microsecond=0),
            expires_at=expires_at.replace(microsecond=0) if expires_at else None,
            limits=replace(last.limits, **limits),
            is_drill=is_drill,
            desk=trusted.number,
            **changes,
        )
        return _write(db, region, ORDER, order.to_bytes(), order.version, by, now)


def write_desk(
    db: RegionDatabase,
    region: Region,
    keys: Sequence[bytes],
    by: str,
    now: datetime,
    needed: int = NEEDED,
    needed_to_stop: int = NEEDED_TO_STOP,
) -> Draft:
    """Write down whose signatures orders will need; the new keys sign it, and the desk before them."""
    with db.transaction():
        trusted = offers.find_desk(db)
        number = trusted.number + 1 if trusted else 1
        body = Desk(region.id, number, needed, needed_to_stop, tuple(keys)).to_bytes()
        read_desk(body)
        return _write(db, region, DESK, body, number, by, now)


def export(db: RegionDatabase, region: Region, draft: Draft) -> SigningFile:
    """Return the file for the key holders."""
    last = in_force(db, region)
    before = last.to_bytes() if last.version else b""
    return SigningFile(draft.kind, region.name, draft.body, before, signatures(db, draft).signatures)


def note_export(db: RegionDatabase, region: Region, draft: Draft, by: str, now: datetime) -> None:
    audit.append(db, region.keys.desk, now, by, f"{draft.kind}_exported", str(draft.id))


def bring_back(db: RegionDatabase, region: Region, file: SigningFile, by: str, now: datetime) -> Draft:
    """Keep the good signatures of a file that comes back.

    Raises:
        SigningFileWrong: these words were not written here. SignatureUnknown: it brings no new signature.
    """
    with db.transaction():
        row = db.row(
            f"SELECT {_COLUMNS} FROM draft WHERE body = ? AND closed IS NULL",  # noqa: S608 - our own words
            [file.body],
        )
        if row is None:
            raise SigningFileWrong
        draft = _draft(row)
        known = {each.kid for each in signatures(db, draft).signatures}
        good = [each for each in file.signatures if each.kid not in known and _counts(db, draft, each)]
        if not good:
            raise SignatureUnknown
        for each in good:
            db.execute("INSERT INTO draft_signature VALUES (?, ?, ?)", [draft.id, each.kid, each.signature])
            action = f"{draft.kind}_signed"
            holder = each.kid.hex()
            audit.append(db, region.keys.desk, now, by, action, str(draft.id), signed_with=holder)
    return draft


def release(
    db: RegionDatabase, region: Region, draft: Draft, by: str, now: datetime, share: int = WHOLE
) -> None:
    """Let the boxes be told. A stop and a drill go to everybody at once.

    Raises:
        PolicyUnsigned, DeskForged: signatures are missing. DraftOutdated: another order came between.
    """
    with db.transaction():
        if draft.closed is not None:
            raise DraftOutdated(number=draft.id)
        signed = signatures(db, draft)
        if draft.desk is not None:
            _release_desk(db, region, draft, signed)
        else:
            share = _release_order(db, region, draft, signed, by, now, share)
            # Their signers compared them with what was in force before: one might lift a stop unseen.
            db.execute(
                "UPDATE draft SET closed = 'outdated', closed_at = ? WHERE kind = ? AND closed IS NULL",
                [now.isoformat(), ORDER],
            )
        db.execute(
            "UPDATE draft SET closed = 'released', closed_at = ? WHERE id = ?", [now.isoformat(), draft.id]
        )
        audit.append(
            *(db, region.keys.desk, now, by, f"{draft.kind}_released", str(draft.version)), share=share
        )


def withdraw(db: RegionDatabase, region: Region, draft: Draft, by: str, now: datetime) -> None:
    """Put a draft aside; what was signed of it is released no more."""
    with db.transaction():
        db.execute(
            "UPDATE draft SET closed = 'withdrawn', closed_at = ? WHERE id = ? AND closed IS NULL",
            [now.isoformat(), draft.id],
        )
        audit.append(db, region.keys.desk, now, by, f"{draft.kind}_withdrawn", str(draft.id))


def widen(db: RegionDatabase, region: Region, version: int, share: int, by: str, now: datetime) -> None:
    """Tell more boxes; when all are told, also those that cannot read orders of a desk."""
    with db.transaction():
        offers.widen(db, region.keys.desk, version, share, by, now)
        _tell_old_boxes(db, region, offers.get_released(db, version))


def _release_desk(db: RegionDatabase, region: Region, draft: Draft, signed: Signed) -> None:
    chain = offers.desks(db)
    trusted = read_desk(chain[-1].body) if chain else None
    if trusted is None:
        # The server's own key vouches for the first desk, and for no other.
        own = desks.sign(draft.body, SIGN_DESK, region.keys.policy)
        signed = replace(signed, signatures=(*signed.signatures, own))
    desk = verify_desk(signed, trusted, region.keys.policy.public, region.id)
    db.execute("INSERT INTO desk VALUES (?, ?)", [desk.number, signed.to_bytes()])


def _release_order(
    db: RegionDatabase, region: Region, draft: Draft, signed: Signed, by: str, now: datetime, share: int
) -> int:
    trusted = offers.find_desk(db)
    if trusted is None:
        raise DeskMissing
    if draft.version <= highest_version(db):
        raise DraftOutdated(number=draft.id)
    order, count = verify_order(signed, trusted, region.id)
    needed = _needed(trusted, order, in_force(db, region))
    if count < needed:
        raise PolicyUnsigned(signatures=count, needed=needed)
    share = WHOLE if order.stop or order.is_drill else share
    db.execute(
        "INSERT INTO desk_order (version, document, share, begun_at, looked_at, released_by)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        [order.version, signed.to_bytes(), share, now.isoformat(), now.isoformat(), by],
    )
    _tell_old_boxes(db, region, offers.get_released(db, order.version))
    return share


def _tell_old_boxes(db: RegionDatabase, region: Region, released: offers.Released) -> None:
    """Write the order out once more, signed as before there was a desk, when everybody is to be told."""
    order = released.order
    if released.share < WHOLE or order.is_drill:
        return
    older = sign_policy(replace(order, desk=0, is_drill=False), region.keys.policy)
    db.execute("INSERT INTO policy VALUES (?, ?) ON CONFLICT (version) DO NOTHING", [order.version, older])


def _counts(db: RegionDatabase, draft: Draft, each: Signature) -> bool:
    """Say whether a signature is by a key whose signature is asked for."""
    trusted = offers.find_desk(db)
    signed = Signed(draft.body, (each,))
    asked = [desk for desk in (trusted, draft.desk) if desk is not None]
    purpose = SIGN_DESK if draft.kind == DESK else SIGN_ORDER
    return any(desk.count(purpose, signed) for desk in asked)


def _write(
    db: RegionDatabase, region: Region, kind: str, body: bytes, version: int, by: str, now: datetime
) -> Draft:
    row = db.row(
        "INSERT INTO draft (kind, body, version, made_by, made_at) VALUES (?, ?, ?, ?, ?) RETURNING id",
        [kind, body, version, by, now.isoformat()],
    )
    draft_id = int(row[0]) if row else 0
    audit.append(db, region.keys.desk, now, by, f"{kind}_written", str(draft_id), number=version)
    return get_draft(db, draft_id)


def _none(region: Region) -> Policy:
    return Policy(region.id, 0, datetime.fromisoformat("1970-01-01T00:00:00+00:00"))


def _draft(row: tuple[int, str, bytes, int, str, str, str | None]) -> Draft:
    draft_id, kind, body, version, made_by, made_at, closed = row
    return Draft(draft_id, kind, body, version, made_by, datetime.fromisoformat(made_at), closed)
