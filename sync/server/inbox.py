"""An envelope arrives: open it, prove its sender, store it once, promise it.

The rules (`judge`, `find_remarks`) are pure; `receive` applies them inside one
transaction, so the ledger row and its events are there together or not at all,
and a receipt is signed only for what is stored. The same envelope again gets
the same receipt and counts nothing. Keeps out: HTTP, SQL.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NoReturn

from sync.batch import NO_PREVIOUS, Batch, unpack_rows
from sync.envelope import open_envelope, recipients, verify_sender
from sync.errors import BatchFork, BatchMalformed, BoxNotApproved, BoxRevoked, RefusedEnvelope, UnknownBox
from sync.keys import RegionKeys
from sync.receipt import Receipt, sign_receipt
from sync.server.store import Box, LedgerRow, Store


class Verdict(Enum):
    """What an envelope is to the ledger."""

    NEW = "new"
    AGAIN = "again"
    FORK = "fork"


REMARK_FORK = "fork"  # one number, two contents: perhaps a copied card
REMARK_GAP = "gap"  # a batch came before the one ahead of it
REMARK_CHAIN = "chain"  # it does not follow from the batch before it
REMARK_EPOCH = "epoch"  # a second history of one box: restored from a backup, or a copied card


def judge(stored: LedgerRow | None, sha256: bytes) -> Verdict:
    """Compare with what is stored under the same box, epoch and number."""
    if stored is None:
        return Verdict.NEW
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


def receive(
    store: Store, keys: RegionKeys, region_id: bytes, sender: Box | None, blob: bytes, now: datetime
) -> Stored:
    """Store an envelope once. Without a sender (on a stick there is no token) the name inside counts;
    either way only the signature proves it."""
    opened = open_envelope(blob, keys.find_opening(recipients(blob)), region_id)
    known = sender or store.find_box_by_kid(opened.claimed_kid)
    if known is None or opened.claimed_kid != known.kid:
        raise UnknownBox
    if known.is_revoked:
        raise BoxRevoked
    sender = known
    batch = verify_sender(opened, sender.device_key)
    events = unpack_rows(batch.payload)
    if len(events) != batch.events:
        raise BatchMalformed
    sha256 = hashlib.sha256(blob).digest()
    if not sender.is_approved:
        _hold(store, sender, sha256, blob, now)
    with store.transaction():
        store.touch_box(sender, now)
        stored = store.find_ledger_row(sender, batch.epoch, batch.seq)
        verdict = judge(stored, sha256)
        if verdict is Verdict.FORK:
            store.add_remark(sender, batch.epoch, batch.seq, REMARK_FORK, sha256, now)
        if verdict is Verdict.NEW:
            stored = _ledger_row(store, sender, batch, opened.blob_id, sha256, now)
            store.add_batch(sender, stored, events)
            if opened.nation is not None:
                # Not ours to open: it goes on as it came.
                store.add_nation_letter(sender, batch.epoch, batch.seq, opened.nation.to_bytes())
            before = store.find_ledger_row(sender, batch.epoch, batch.seq - 1)
            after = store.find_ledger_row(sender, batch.epoch, batch.seq + 1)
            remarks = find_remarks(stored, before, after)
            if store.has_other_epoch(sender, batch.epoch):
                remarks.append(REMARK_EPOCH)
            for remark in remarks:
                store.add_remark(sender, batch.epoch, batch.seq, remark, sha256, now)
    # The alarm is committed by now; raising earlier would have rolled it back.
    if stored is None or verdict is Verdict.FORK:
        raise BatchFork
    return Stored(sender, batch.epoch, sign_for(stored, sender, keys))


# A term of a box that nobody approves; past that its envelopes stay with it alone.
MAX_HELD = 100


def _hold(store: Store, sender: Box, sha256: bytes, blob: bytes, now: datetime) -> NoReturn:
    """Keep a genuine envelope for the day an operator approves its box. No receipt: the box keeps it, too."""
    if store.count_held(sender) < MAX_HELD:
        store.hold(sender, sha256, blob, now)
    store.touch_box(sender, now)
    raise BoxNotApproved


def _ledger_row(
    store: Store, sender: Box, batch: Batch, blob_id: bytes, sha256: bytes, now: datetime
) -> LedgerRow:
    return LedgerRow(
        epoch=batch.epoch,
        seq=batch.seq,
        lo=batch.lo,
        hi=batch.hi,
        blob_id=blob_id,
        sha256=sha256,
        previous_sha256=batch.previous_sha256,
        clock_quality=batch.clock_quality,
        contiguous_high=store.contiguous_high(sender, batch.epoch, coming=batch.seq),
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
