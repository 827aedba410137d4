"""An envelope arrives: open it, prove its sender, store it once, promise it.

The rules (`judge`, `find_remarks`) are pure; `receive` applies them inside one
transaction, so the ledger row and its events are there together or not at all,
and a receipt is signed only for what is stored. The same envelope again gets
the same receipt and counts nothing. `receive` is made of three steps, so that many
envelopes may share a transaction (`ingest`). Keeps out: HTTP, SQL.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sync.batch import NO_PREVIOUS, Batch, Columns, unpack_columns
from sync.envelope import NationLetter, Opened, is_signed_with, open_envelope, recipients, verify_sender
from sync.errors import (
    BatchFork,
    BatchMalformed,
    BoxNotApproved,
    BoxRevoked,
    ForgedSignature,
    RefusedEnvelope,
    WrongEpoch,
)
from sync.keys import RegionKeys
from sync.receipt import Receipt, sign_receipt
from sync.region_errors import EnvelopeReplayed, EnvelopeResigned, UnknownBox
from sync.server.storage.neighbours import Neighbours
from sync.server.storage.store import Box, LedgerRow, Store


class Verdict(Enum):
    """What an envelope is to the ledger."""

    NEW = "new"
    AGAIN = "again"
    FORK = "fork"
    FOREIGN = "foreign"  # new, in an epoch that another box began


REMARK_FORK = "fork"  # one number, two contents: perhaps a copied card
REMARK_GAP = "gap"  # a batch came before the one ahead of it
REMARK_CHAIN = "chain"  # it does not follow from the batch before it
REMARK_EPOCH = "epoch"  # a second history of one box: restored from a backup, or a copied card
REMARK_FOREIGN = "foreign"  # the history of another box: a copied card that was enrolled anew


def judge(stored: LedgerRow | None, sha256: bytes, *, is_foreign: bool = False) -> Verdict:
    """Compare with what is stored under the same box, epoch and number."""
    if stored is None:
        # An epoch is drawn by chance: a second box has it from a copied card, and may send the same events.
        return Verdict.FOREIGN if is_foreign else Verdict.NEW
    return Verdict.AGAIN if stored.sha256 == sha256 else Verdict.FORK


def find_remarks(row: LedgerRow, before: LedgerRow | None, after: LedgerRow | None) -> list[str]:
    """Say what looks wrong with a new batch beside its neighbours. It is stored all the same."""
    remarks = []
    if row.seq > 1 and before is None:
        remarks.append(REMARK_GAP)
    is_first_whole = row.seq > 1 or (row.lo == 1 and row.previous_sha256 == NO_PREVIOUS)
    if not (is_first_whole and _follows(before, row) and _follows(row, after)):
        remarks.append(REMARK_CHAIN)
    return remarks


@dataclass(frozen=True)
class Stored:
    """An envelope that is in the ledger, now or before, and the promise of it."""

    sender: Box
    epoch: bytes
    receipt: bytes


def claimed_place(keys: RegionKeys, region_id: bytes, blob: bytes) -> tuple[bytes, bytes, int]:
    """Return where an envelope says it belongs, so that a stick's are stored in their order; nothing for
    one that will be refused."""
    try:
        return open_envelope(blob, keys.find_opening(recipients(blob)), region_id).claimed_place
    except RefusedEnvelope:
        return b"", b"", 0


@dataclass(frozen=True)
class Arrival:
    """An envelope whose sender is proven and whose rows were read; nothing of it is stored yet."""

    sender: Box
    batch: Batch
    blob_id: bytes
    sha256: bytes
    events: Columns
    nation: NationLetter | None


@dataclass(frozen=True)
class Kept:
    """What became of an arrival inside a transaction that is not committed yet."""

    arrival: Arrival
    verdict: Verdict
    row: LedgerRow | None  # what is stored under its number, now or before


def receive(
    store: Store, keys: RegionKeys, region_id: bytes, sender: Box | None, blob: bytes, now: datetime
) -> Stored:
    """Store an envelope once. Without a sender (on a stick there is no token) the name inside counts;
    either way only the signature proves it."""
    arrival = read_arrival(keys, region_id, sender, blob, store.find_box_by_kid)
    hold_unapproved(store, arrival, blob, now)
    with store.transaction():
        kept = keep_all(store, [arrival], now)
    return promise(kept[0], keys)


FindBox = Callable[[bytes], Box | None]


def read_arrival(
    keys: RegionKeys, region_id: bytes, sender: Box | None, blob: bytes, find_box: FindBox
) -> Arrival:
    """Open an envelope and prove its sender: the work that needs no transaction. Who brought it over the
    line must have written it; on a stick the name inside is looked up."""
    opened = open_envelope(blob, keys.find_opening(recipients(blob)), region_id)
    known = sender or find_box(opened.claimed_kid)
    if known is None:
        raise UnknownBox
    if opened.claimed_kid != known.kid:
        raise _not_its_own(opened, known, find_box(opened.claimed_kid))
    if known.is_revoked:
        raise BoxRevoked
    batch = verify_sender(opened, known.device_key)
    events = unpack_columns(batch.payload)
    if events.count != batch.events:
        raise BatchMalformed
    return Arrival(known, batch, opened.blob_id, hashlib.sha256(blob).digest(), events, opened.nation)


def _not_its_own(opened: Opened, bringer: Box, named: Box | None) -> RefusedEnvelope:
    """Say why a box may not bring an envelope that names somebody else."""
    if is_signed_with(opened, bringer.device_key):
        return EnvelopeResigned()
    if named is None:
        return UnknownBox()
    return EnvelopeReplayed() if is_signed_with(opened, named.device_key) else ForgedSignature()


def keep_all(store: Store, arrivals: Sequence[Arrival], now: datetime) -> list[Kept]:
    """Store what is new, in the caller's transaction: it is there when that is committed, not before."""
    around = store.neighbours([(one.sender.id, one.batch.epoch, one.batch.seq) for one in arrivals])
    kept = [_judged(around, arrival, now) for arrival in arrivals]
    new = [(one.arrival, one.row) for one in kept if one.verdict is Verdict.NEW and one.row is not None]
    store.touch_boxes((one.arrival.sender for one in kept if one.verdict not in _ALARMS), now)
    store.add_batches([(arrival.sender, row, arrival.events) for arrival, row in new])
    for arrival, row in new:
        if arrival.nation is not None:
            # Not ours to open: it goes on as it came.
            store.add_nation_letter(arrival.sender, row.epoch, row.seq, arrival.nation.to_bytes())
        for remark in _remarks(around, arrival.sender, row):
            store.add_remark(arrival.sender, row.epoch, row.seq, remark, row.sha256, now)
    for one in kept:
        if one.verdict in _ALARMS:
            batch, sha256, remark = one.arrival.batch, one.arrival.sha256, _ALARMS[one.verdict]
            store.add_remark(one.arrival.sender, batch.epoch, batch.seq, remark, sha256, now)
    return kept


# Refused, but an operator should look at it.
_ALARMS = {Verdict.FORK: REMARK_FORK, Verdict.FOREIGN: REMARK_FOREIGN}


def promise(kept: Kept, keys: RegionKeys) -> Stored:
    """Sign the receipt of what is committed; the alarm of a fork is committed by now as well."""
    if kept.verdict is Verdict.FOREIGN:
        raise WrongEpoch
    if kept.row is None or kept.verdict is Verdict.FORK:
        raise BatchFork
    sender = kept.arrival.sender
    return Stored(sender, kept.row.epoch, sign_for(kept.row, sender, keys))


# A term of a box that nobody approves; past that its envelopes stay with it alone.
MAX_HELD = 100


def hold_unapproved(store: Store, arrival: Arrival, blob: bytes, now: datetime) -> None:
    """Keep a genuine envelope for the day an operator approves its box. No receipt: the box keeps it, too."""
    sender = arrival.sender
    if sender.is_approved:
        return
    if store.count_held(sender) < MAX_HELD:
        store.hold(sender, arrival.sha256, blob, now)
    store.touch_box(sender, now)
    raise BoxNotApproved


def _judged(around: Neighbours, arrival: Arrival, now: datetime) -> Kept:
    sender, batch = arrival.sender, arrival.batch
    stored = around.find(sender, batch.epoch, batch.seq)
    verdict = judge(stored, arrival.sha256, is_foreign=around.is_of_another(sender, batch.epoch))
    if verdict is Verdict.NEW:
        stored = _ledger_row(arrival, around.contiguous_high(sender, batch.epoch, coming=batch.seq), now)
        around.add(sender, stored)
    return Kept(arrival, verdict, stored)


def _remarks(around: Neighbours, sender: Box, row: LedgerRow) -> list[str]:
    before = around.find(sender, row.epoch, row.seq - 1)
    after = around.find(sender, row.epoch, row.seq + 1)
    remarks = find_remarks(row, before, after)
    return [*remarks, REMARK_EPOCH] if around.has_other_epoch(sender, row.epoch) else remarks


def _ledger_row(arrival: Arrival, contiguous_high: int, now: datetime) -> LedgerRow:
    batch = arrival.batch
    return LedgerRow(
        epoch=batch.epoch,
        seq=batch.seq,
        lo=batch.lo,
        hi=batch.hi,
        blob_id=arrival.blob_id,
        sha256=arrival.sha256,
        previous_sha256=batch.previous_sha256,
        clock_quality=batch.clock_quality,
        contiguous_high=contiguous_high,
        # A receipt tells whole seconds, and a repeated one must tell the same.
        received_at=now.replace(microsecond=0),
    )


def sign_for(row: LedgerRow, sender: Box, keys: RegionKeys) -> bytes:
    """Return the receipt of a stored batch."""
    return sign_receipt(_receipt(row, sender, keys), keys.receipts)


def _receipt(row: LedgerRow, sender: Box, keys: RegionKeys) -> Receipt:
    """Built from the stored row alone, so that a repeat is the same to the last byte."""
    return Receipt(
        blob_id=row.blob_id,
        sha256=row.sha256,
        box_kid=sender.kid,
        epoch=row.epoch,
        seq=row.seq,
        events=row.hi - row.lo + 1,
        contiguous_high=row.contiguous_high,
        server_time=row.received_at,
        region_kid=keys.receipts.kid,
    )


def _follows(before: LedgerRow | None, after: LedgerRow | None) -> bool:
    if before is None or after is None:
        return True
    return after.previous_sha256 == before.sha256 and after.lo == before.hi + 1
