"""A stick comes to the region: store its envelopes, and put receipts and the order back on it.

Nothing is taken off the stick but replies of ours that a newer one replaces: the boxes clear away
what has done its work. The same stick again changes nothing. Keeps out: SQL, HTTP.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sync.call import NONCE_BYTES, Call, open_call, open_reply, recipient, seal_reply, verify_caller
from sync.errors import EnvelopeTruncated, RefusedEnvelope
from sync.region_errors import UnknownBox
from sync.reply import MAX_RECEIPTS
from sync.server.arrivals import answers, inbox
from sync.server.desk import offers
from sync.server.storage.identity import Region
from sync.server.storage.store import Box, Store
from sync.stick_folder import CALL, DESK, ENVELOPE, KEYS, ORDER, REPLY, StickFolder


@dataclass
class StickReport:
    """What one stick brought and took."""

    stored: int = 0  # envelopes that were new
    known: int = 0  # copies of what is stored
    refused: Counter[str] = field(default_factory=Counter)  # by the key of the reason
    replies: int = 0


def import_stick(store: Store, region: Region, root: Path, now: datetime) -> StickReport:
    """Store what is on the stick, then answer every box that left a call on it."""
    report = StickReport()
    with StickFolder(root, make=False) as stick:
        receipts: dict[int, list[bytes]] = {}
        # Their names are random; out of order each would be noted as one that came before its elder.
        for name in sorted(
            stick.names(ENVELOPE),
            key=lambda name: inbox.claimed_place(region.keys, region.id, stick.read(name) or b""),
        ):
            _take(store, region, stick.read(name), now, receipts, report)
        old = {name: stick.read(name) or b"" for name in stick.names(REPLY)}
        for name in stick.names(CALL):
            answered = _answer(store, region, stick, stick.read(name), now, receipts, report)
            if answered is not None:
                for reply in [reply for reply, blob in old.items() if open_reply(blob, answered.reply_key)]:
                    stick.remove(reply)
        _leave(stick, ORDER, store.find_policy())
        _leave(stick, DESK, offers.for_everybody(store.db))
        _leave(stick, KEYS, store.find_key_list())
    return report


def _take(
    store: Store,
    region: Region,
    blob: bytes | None,
    now: datetime,
    receipts: dict[int, list[bytes]],
    report: StickReport,
) -> None:
    if blob is None:
        report.refused["not_a_file"] += 1
        return
    try:
        before = store.count_batches()
        stored = inbox.receive(store, region.keys, region.id, None, blob, now)
    except RefusedEnvelope as error:
        report.refused[error.key] += 1
        return
    receipts.setdefault(stored.sender.id, []).append(stored.receipt)
    if store.count_batches() > before:
        report.stored += 1
    else:
        report.known += 1


def _answer(
    store: Store,
    region: Region,
    stick: StickFolder,
    blob: bytes | None,
    now: datetime,
    receipts: dict[int, list[bytes]],
    report: StickReport,
) -> Call | None:
    """Put one reply on the stick: receipts for what it carried and for what came before by other ways."""
    try:
        box, call = _read_call(store, region, blob)
    except RefusedEnvelope as error:
        report.refused[error.key] += 1
        return None
    earlier = answers.missed_receipts(store, region, box, call.question)
    both = list(dict.fromkeys([*receipts.get(box.id, []), *earlier]))[:MAX_RECEIPTS]
    told = answers.answer_receipts(store, region, box, call.question.epoch, both, now)
    stick.write(REPLY, seal_reply(told, call.reply_key, secrets.token_bytes(NONCE_BYTES)))
    report.replies += 1
    return call


def _read_call(store: Store, region: Region, blob: bytes | None) -> tuple[Box, Call]:
    if not blob:
        raise EnvelopeTruncated
    opened = open_call(blob, region.keys.find_opening([recipient(blob)]), region.id)
    box = store.find_box_by_kid(opened.claimed_kid)
    if box is None:
        raise UnknownBox
    return box, verify_caller(opened, box.device_key)


def _leave(stick: StickFolder, kind: str, newest: bytes | None) -> None:
    """The newest order and list ride on every stick, for boxes that never left a call on it as well."""
    older = stick.names(kind)
    if newest is None or any(stick.read(name) == newest for name in older):
        return
    stick.write(kind, newest)
    # A stranger's stick may carry anything under this name; what is not the newest is worthless.
    for name in older:
        stick.remove(name)
