"""The region's own outbox: what waits for the nation, and one run that sends it.

The way up is a box's way (`sync/client`), one level higher: a parcel is cut, numbered and sealed in one
transaction, the same bytes are sent until the nation's receipt comes, and the same run may be killed at any
moment and started again. What differs is what a doubt costs: a letter has random keys inside, so the nation
knows it again by its bytes, and a region in doubt (restored from a backup, copied, its nation restored) sends
again instead of holding back. This module alone writes `forward_state`, `forward_parcel` and
`forward_statement`, and takes old letters out of `nation_letter`. Keeps out: what is in a letter.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sync import client
from sync.batch import CLOCK_CONFIRMED, EPOCH_BYTES, NO_PREVIOUS, Batch
from sync.client import Enrolment
from sync.envelope import BLOB_ID_BYTES, CONTENT_KEY_BYTES, REGION_ROLE, Recipient, seal
from sync.errors import BatchFork, KeyListMalformed, ReceiptForAnotherBatch
from sync.key_list import KeyList, verify_list
from sync.keys import SigningKey, ensure_alias_key, get_device_key
from sync.parcel import (
    MAX_ITEMS,
    ForwardedLetter,
    Parcel,
    alias_of,
    fill_parcel,
    write_parcel,
)
from sync.receipt import verify_receipt
from sync.reply import NONCE_BYTES, Question, read_reply
from sync.server.nation.forward_statements import say_finished_days
from sync.server.storage.identity import Region, name_nation
from sync.server.storage.store import Store
from sync.settings import SyncSettings
from sync.transport import Transport

FOLDER = "nation"  # beside the region's keys: who it is to the nation
# So long the nation may be restored from a backup and ask again; a box has let go of the letter by then.
LETTERS_KEPT = timedelta(days=60)


@dataclass(frozen=True)
class ForwardReport:
    """What one run brought to the nation."""

    parcels: int
    letters: int
    statements: int


@dataclass(frozen=True)
class SealedParcel:
    """A parcel on its way: the bytes that are sent, again and again, until a receipt comes."""

    epoch: bytes
    seq: int
    letters: int
    statements: int
    sealed: bytes


def settings_of(region: Region) -> SyncSettings:
    """Return where the region keeps who it is to the nation."""
    return SyncSettings(home=region.folder / FOLDER)


def join(region: Region, nation_url: str, code: str) -> Enrolment:
    """Be taken in by a nation. Boxes that enrol from now on seal their counts to its key."""
    enrolment = client.enrol(settings_of(region), nation_url, code)
    name_nation(region.folder, enrolment.sealing_public)
    return enrolment


def run(store: Store, region: Region, line: Transport, now: datetime) -> ForwardReport:
    """Send all that waits. Raises when the nation cannot be reached or refuses."""
    own = _Own.of(region)
    begin(store)
    _ask(store, own, line)
    parcels = letters = statements = 0
    while True:
        waiting = find_oldest_sealed(store)
        if waiting is None:
            if not cut(store, region, own, now):
                drop_old_letters(store, now)
                return ForwardReport(parcels, letters, statements)
            continue
        try:
            told = line.send(waiting.sealed)
        except BatchFork:
            # Another server uses our numbers: all that is not confirmed goes again, under numbers of our own.
            begin_anew(store, waiting.seq)
            raise
        if (waiting.epoch, waiting.seq) not in _hear(store, own, told):
            raise ReceiptForAnotherBatch
        parcels, letters = parcels + 1, letters + waiting.letters
        statements += waiting.statements


# Who the region is to the nation ------------------------------------------------------


@dataclass(frozen=True)
class _Own:
    home: Path
    enrolment: Enrolment
    device: SigningKey

    @classmethod
    def of(cls, region: Region) -> _Own:
        settings = settings_of(region)
        return cls(settings.home, client.get_enrolment(settings), get_device_key(settings.home))


def _ask(store: Store, own: _Own, line: Transport) -> None:
    """Ask where our history stands before anything new is cut, and for receipts that were lost."""
    epoch, next_seq, oldest, keys_number = _standing(store)
    asked = Question(epoch, next_seq, oldest, 0, keys_number, secrets.token_bytes(NONCE_BYTES))
    told = line.ask(asked.to_bytes())
    _hear(store, own, told)
    reply = read_reply(told, own.enrolment.receipt_public, own.device.kid)
    if reply.notice.keys_number > keys_number:
        _take_keys(store, own, line.fetch_keys())


def _take_keys(store: Store, own: _Own, signed: bytes) -> None:
    keys = verify_list(signed, own.enrolment.policy_public, own.enrolment.region_id)
    with store.transaction():
        store.db.execute(
            "UPDATE forward_state SET keys_number = ?, keys_document = ? WHERE id = 1 AND keys_number < ?",
            [keys.number, signed, keys.number],
        )


def nation_keys(store: Store, region: Region) -> KeyList | None:
    """Return the nation's newest list of keys, as far as this region has heard of one."""
    enrolment = client.find_enrolment(settings_of(region))
    found = store.db.row("SELECT keys_document FROM forward_state WHERE id = 1")
    if enrolment is None or found is None or found[0] is None:
        return None
    with suppress(KeyListMalformed):
        return verify_list(found[0], enrolment.policy_public, enrolment.region_id)
    return None


def months_of_nation(store: Store, region: Region) -> dict[str, bytes]:
    """Return the nation's keys by month, for the region's own list: boxes seal its section to them."""
    keys = nation_keys(store, region)
    listed = keys.keys if keys else ()
    return {f"{key.since:%Y-%m}": key.public for key in listed if key.role == REGION_ROLE}


def _recipient(store: Store, region: Region, own: _Own, now: datetime) -> Recipient:
    keys = nation_keys(store, region)
    listed = keys.find(REGION_ROLE, now) if keys else None
    return Recipient(own.enrolment.region_id, listed or own.enrolment.sealing_public)


# The outbox -----------------------------------------------------------------------------


def begin(store: Store) -> None:
    """Draw the first epoch; a second time changes nothing."""
    with store.transaction():
        store.db.execute(
            "INSERT INTO forward_state (id, epoch, next_seq, next_number, previous_sha256)"
            " VALUES (1, ?, 1, 1, ?) ON CONFLICT DO NOTHING",
            [secrets.token_bytes(EPOCH_BYTES), NO_PREVIOUS],
        )


def _standing(store: Store) -> tuple[bytes, int, int, int]:
    epoch, next_seq, keys_number, oldest = store.db.rows(
        "SELECT s.epoch, s.next_seq, s.keys_number, (SELECT min(p.seq) FROM forward_parcel p"
        " WHERE p.epoch = s.epoch AND p.receipt IS NULL) FROM forward_state s WHERE s.id = 1"
    )[0]
    return epoch, next_seq, oldest or next_seq, keys_number


def find_oldest_sealed(store: Store) -> SealedParcel | None:
    """Return the parcel to send next."""
    found = store.db.row(
        "SELECT epoch, seq, letters, statements, sealed FROM forward_parcel WHERE receipt IS NULL"
        " ORDER BY seq LIMIT 1"
    )
    return SealedParcel(*found) if found else None


def cut(store: Store, region: Region, own: _Own, now: datetime) -> bool:
    """Number, seal and store the oldest letters, and the statements of finished days behind them, in one
    transaction; False when nothing waits."""
    recipient = _recipient(store, region, own, now)
    alias_key = ensure_alias_key(own.home)
    with store.transaction():
        say_finished_days(store, region.id, own.device, now)
        taken, waiting = _waiting_letters(store, alias_key)
        said = store.db.rows(
            "SELECT day, document FROM forward_statement WHERE seq IS NULL ORDER BY day LIMIT ?", [MAX_ITEMS]
        )
        parcel = fill_parcel(region.id, waiting, [document for _, document in said])
        if parcel is None:
            return False
        through = taken[len(parcel.letters) - 1] if parcel.letters else None
        epoch, seq = _store_parcel(store, own, recipient, parcel, through)
        store.db.execute_many(
            "UPDATE forward_statement SET epoch = ?, seq = ? WHERE day = ?",
            [[epoch, seq, day] for day, _ in said[: len(parcel.statements)]],
        )
    return True


def _store_parcel(
    store: Store, own: _Own, recipient: Recipient, parcel: Parcel, through: int | None
) -> tuple[bytes, int]:
    epoch, seq, number, previous, before = store.db.rows(
        "SELECT epoch, next_seq, next_number, previous_sha256, taken_through FROM forward_state WHERE id = 1"
    )[0]
    last = number + parcel.items - 1
    payload = write_parcel(parcel)
    batch = Batch(own.device.kid, epoch, seq, previous, number, last, CLOCK_CONFIRMED, payload)
    blob_id, content_key = secrets.token_bytes(BLOB_ID_BYTES), secrets.token_bytes(CONTENT_KEY_BYTES)
    sealed = seal(batch, own.device, recipient, blob_id=blob_id, content_key=content_key)
    sha256 = hashlib.sha256(sealed).digest()
    store.db.execute(
        "INSERT INTO forward_parcel (epoch, seq, items, letters, statements, taken_after, blob_id, sha256,"
        " sealed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            *(epoch, seq, parcel.items, len(parcel.letters), len(parcel.statements)),
            *(before, blob_id, sha256, sealed),
        ],
    )
    store.db.execute(
        "UPDATE forward_state SET next_seq = ?, next_number = ?, previous_sha256 = ?, taken_through = ?"
        " WHERE id = 1",
        [seq + 1, last + 1, sha256, through or before],
    )
    return epoch, seq


def _waiting_letters(store: Store, alias_key: bytes) -> tuple[list[int], Iterator[ForwardedLetter]]:
    """Return the letters behind the last one taken, in the order in which they came, and their numbers."""
    rows = store.db.rows(
        "SELECT l.number, b.label, coalesce(p.stratum, ''), coalesce(p.size_class, ''), l.received_day,"
        " n.letter"
        " FROM ledger l JOIN nation_letter n ON n.box_id = l.box_id AND n.epoch = l.epoch AND n.seq = l.seq"
        " JOIN box b ON b.id = l.box_id LEFT JOIN box_place p ON p.box_id = l.box_id AND p.since ="
        " (SELECT max(q.since) FROM box_place q WHERE q.box_id = l.box_id AND q.since <= l.received_at)"
        " WHERE l.number > (SELECT taken_through FROM forward_state WHERE id = 1)"
        " ORDER BY l.number LIMIT ?",
        [MAX_ITEMS],
    )
    letters = (
        ForwardedLetter(alias_of(alias_key, label), stratum, size, date.fromisoformat(day), letter)
        for _, label, stratum, size, day, letter in rows
    )
    return [row[0] for row in rows], letters


# Receipts and doubts ----------------------------------------------------------------------


def _hear(store: Store, own: _Own, told: bytes) -> set[tuple[bytes, int]]:
    """Take in the nation's reply; return the parcels it confirms."""
    reply = read_reply(told, own.enrolment.receipt_public, own.device.kid)
    settled: set[tuple[bytes, int]] = set()
    for signed in reply.receipts:
        receipt = verify_receipt(signed, own.enrolment.receipt_public)
        if receipt.box_kid != own.device.kid:
            continue
        known = store.db.execute(
            "UPDATE forward_parcel SET sealed = NULL, receipt = ?, receipted_at = ?"
            " WHERE epoch = ? AND seq = ? AND items = ? AND blob_id = ? AND sha256 = ?",
            [
                *(signed, receipt.server_time.isoformat(), receipt.epoch, receipt.seq),
                *(receipt.events, receipt.blob_id, receipt.sha256),
            ],
        )
        if known:
            settled.add((receipt.epoch, receipt.seq))
    _compare_standing(store, reply.notice.epoch, reply.notice.high)
    return settled


def _compare_standing(store: Store, epoch: bytes, high: int) -> None:
    """Begin anew when the nation has more of this history than we made, or less than it confirmed.

    More: this database was restored, or the server copied. Less: the nation was restored. Whatever is
    sent a second time is known there by its bytes.
    """
    own, next_seq, _, _ = _standing(store)
    if epoch != own:
        return
    confirmed = store.db.rows(
        "SELECT coalesce(max(seq), 0) FROM forward_parcel WHERE epoch = ? AND receipt IS NOT NULL", [own]
    )[0][0]
    if high >= next_seq:
        begin_anew(store, confirmed + 1)
    elif high < confirmed:
        send_all_again(store)


def begin_anew(store: Store, first: int) -> None:
    """Number from 1 under a new epoch, and take the letters of all parcels from `first` on once more."""
    with store.transaction():
        epoch, taken = store.db.rows("SELECT epoch, taken_through FROM forward_state WHERE id = 1")[0]
        back = store.db.rows(
            "SELECT min(taken_after) FROM forward_parcel WHERE epoch = ? AND seq >= ?", [epoch, first]
        )[0][0]
        store.db.execute("DELETE FROM forward_parcel WHERE epoch = ? AND seq >= ?", [epoch, first])
        store.db.execute(
            "UPDATE forward_statement SET epoch = NULL, seq = NULL WHERE epoch = ? AND seq >= ?",
            [epoch, first],
        )
        store.db.execute(
            "UPDATE forward_state SET epoch = ?, next_seq = 1, next_number = 1, previous_sha256 = ?,"
            " taken_through = ? WHERE id = 1",
            [secrets.token_bytes(EPOCH_BYTES), NO_PREVIOUS, taken if back is None else min(back, taken)],
        )


def send_all_again(store: Store) -> None:
    """The nation lost something, and nobody knows what: take every letter and statement that is kept."""
    with store.transaction():
        store.db.execute("DELETE FROM forward_parcel")
        store.db.execute("UPDATE forward_statement SET epoch = NULL, seq = NULL")
        store.db.execute(
            "UPDATE forward_state SET epoch = ?, next_seq = 1, next_number = 1, previous_sha256 = ?,"
            " taken_through = 0 WHERE id = 1",
            [secrets.token_bytes(EPOCH_BYTES), NO_PREVIOUS],
        )


def drop_old_letters(store: Store, now: datetime) -> int:
    """Let go of letters that the nation confirmed long ago; return how many."""
    oldest = (now - LETTERS_KEPT).astimezone(UTC).date().isoformat()
    waiting = store.db.rows("SELECT min(taken_after) FROM forward_parcel WHERE receipt IS NULL")[0][0]
    taken = store.db.rows("SELECT taken_through FROM forward_state WHERE id = 1")[0][0]
    return store.db.execute(
        "DELETE FROM nation_letter WHERE EXISTS (SELECT 1 FROM ledger l WHERE l.box_id = nation_letter.box_id"
        " AND l.epoch = nation_letter.epoch AND l.seq = nation_letter.seq AND l.received_day < ?"
        " AND l.number <= ?)",
        [oldest, taken if waiting is None else waiting],
    )


@dataclass(frozen=True)
class ForwardStatus:
    """How far the region is with telling its nation."""

    waiting_letters: int
    sealed_parcels: int
    confirmed_parcels: int
    confirmed_letters: int
    last_receipt_at: str | None
    last_statement_day: str | None


def status(store: Store) -> ForwardStatus:
    waiting = store.db.rows(
        "SELECT count(*) FROM ledger l JOIN nation_letter n ON n.box_id = l.box_id AND n.epoch = l.epoch"
        " AND n.seq = l.seq WHERE l.number > coalesce((SELECT max(taken_through) FROM forward_state), 0)"
    )[0][0]
    sealed = store.db.rows("SELECT count(*) FROM forward_parcel WHERE receipt IS NULL")[0][0]
    done = store.db.rows(
        "SELECT count(*), coalesce(sum(letters), 0), max(receipted_at) FROM forward_parcel"
        " WHERE receipt IS NOT NULL"
    )[0]
    said = store.db.rows("SELECT max(day) FROM forward_statement")[0][0]
    return ForwardStatus(int(waiting), int(sealed), int(done[0]), int(done[1]), done[2], said)
