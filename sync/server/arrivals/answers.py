"""What a box is told: receipts for what is stored, the order in force, the time, its own standing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sync.reply import MAX_RECEIPTS, Notice, Question, write_reply
from sync.server.arrivals.inbox import sign_for
from sync.server.desk import offers
from sync.server.storage.identity import Region
from sync.server.storage.store import Box, Store


def answer_receipts(
    store: Store,
    region: Region,
    box: Box,
    epoch: bytes,
    receipts: Sequence[bytes],
    now: datetime,
    nonce: bytes = b"",
    *,
    reads_desk: bool = False,
    reported: int | None = None,
) -> bytes:
    """Return the reply to envelopes that are stored; `reported` is the number of the order the box has."""
    order = offers.find_offer(store.db, region.keys.desk, box, now, reads_desk=reads_desk, reported=reported)
    return write_reply(_notice(store, box, epoch, now, nonce), receipts, order, region.keys.receipts)


def answer_question(
    store: Store, region: Region, box: Box, question: Question, now: datetime, *, reads_desk: bool = False
) -> bytes:
    """Return what is new for a box: its missing receipts too, for they may have been lost on the way."""
    store.touch_box(box, now)
    receipts = missed_receipts(store, region, box, question)
    return answer_receipts(
        *(store, region, box, question.epoch, receipts, now, question.nonce),
        reads_desk=reads_desk,
        reported=question.policy_version,
    )


def missed_receipts(store: Store, region: Region, box: Box, question: Question) -> list[bytes]:
    """Return receipts for what is stored and the box holds none for."""
    rows = store.ledger_rows(box, question.epoch, question.oldest_seq, question.next_seq, MAX_RECEIPTS)
    return [sign_for(row, box, region.keys) for row in rows]


def _notice(store: Store, box: Box, epoch: bytes, now: datetime, nonce: bytes) -> Notice:
    at = now.replace(microsecond=0)
    return Notice(box.kid, at, epoch, store.highest_seq(box, epoch), store.key_list_number(), nonce)
