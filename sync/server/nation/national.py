"""The nation's inbox: a region's parcel arrives, is stored once, opened, and added up once.

Stored and promised before it is opened, as everywhere: a letter that cannot be opened yet (its key is
elsewhere) waits, one that was altered is named and counted for nothing. A letter is known by its bytes, a
week by the box's alias, so nothing counts twice, whoever sends it again. When a letter is counted its bytes
go: what stays are sums. This module alone writes `national_region`, `national_letter`, `national_week`,
`national_count` and `national_statement`, and in the same transactions what is summed up of them:
`national_day` and `national_total`. `national_accounts` reads them. Keeps out: HTTP, which box an alias is
(nobody here can know).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sync.batch import Batch
from sync.envelope import (
    letter_header,
    letter_recipients,
    open_envelope,
    open_nation_letter,
    recipients,
    verify_sender,
)
from sync.errors import BatchFork, BatchMalformed, BoxNotApproved, BoxRevoked, RefusedEnvelope
from sync.keys import OpeningKey, RegionKeys
from sync.nation import NationSection, read_section
from sync.parcel import Parcel, Statement, digest_of, read_parcel, read_statement, verify_statement
from sync.region_errors import RegionNamedTwice, UnknownBox
from sync.server.arrivals.inbox import (
    REMARK_EPOCH,
    REMARK_FORK,
    Stored,
    Verdict,
    find_remarks,
    judge,
    sign_for,
)
from sync.server.nation.national_counts import Place, Sum, add_section
from sync.server.storage.store import Box, LedgerRow, Store

# What became of a letter.
WAITS = "waits"
COUNTED = "counted"
AGAIN = "again"  # its weeks were told before, by this box or under this envelope's name
ALTERED = "altered"  # it does not open, or holds no counts
FOREIGN = "foreign"  # it was sealed for another region

REMARK_STATEMENT = "statement"  # two accounts of one day


def receive(
    store: Store, keys: RegionKeys, nation_id: bytes, sender: Box | None, blob: bytes, now: datetime
) -> Stored:
    """Store a parcel once; the same again gets the same receipt."""
    opened = open_envelope(blob, keys.find_opening(recipients(blob)), nation_id)
    known = sender or store.find_box_by_kid(opened.claimed_kid)
    if known is None or opened.claimed_kid != known.kid:
        raise UnknownBox
    if known.is_revoked:
        raise BoxRevoked
    if not known.is_approved:
        raise BoxNotApproved
    batch = verify_sender(opened, known.device_key)
    parcel = read_parcel(batch.payload)
    if parcel.items != batch.events:
        raise BatchMalformed
    for signed in parcel.statements:
        verify_statement(signed, known.device_key, parcel.region_id)
    sha256 = hashlib.sha256(blob).digest()
    with store.transaction():
        _take_name(store, known, parcel.region_id)
        store.touch_box(known, now)
        stored = store.find_ledger_row(known, batch.epoch, batch.seq)
        verdict = judge(stored, sha256)
        if verdict is Verdict.FORK:
            store.add_remark(known, batch.epoch, batch.seq, REMARK_FORK, sha256, now)
        if verdict is Verdict.NEW:
            stored = _store(store, known, batch, parcel, opened.blob_id, sha256, now)
    if stored is None or verdict is Verdict.FORK:
        raise BatchFork
    return Stored(known, batch.epoch, sign_for(stored, known, keys))


def _take_name(store: Store, sender: Box, region_id: bytes) -> None:
    """A sender speaks for one region, and a region has one sender."""
    store.db.execute(
        "INSERT INTO national_region (box_id, region_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [sender.id, region_id],
    )
    holders = store.db.rows(
        "SELECT box_id, region_id FROM national_region WHERE box_id = ? OR region_id = ?",
        [sender.id, region_id],
    )
    if holders != [(sender.id, region_id)]:
        raise RegionNamedTwice


def _store(
    store: Store, sender: Box, batch: Batch, parcel: Parcel, blob_id: bytes, sha256: bytes, now: datetime
) -> LedgerRow:
    row = LedgerRow(
        epoch=batch.epoch,
        seq=batch.seq,
        lo=batch.lo,
        hi=batch.hi,
        blob_id=blob_id,
        sha256=sha256,
        previous_sha256=batch.previous_sha256,
        clock_quality=batch.clock_quality,
        contiguous_high=store.contiguous_high(sender, batch.epoch, coming=batch.seq),
        received_at=now.replace(microsecond=0),
    )
    store.add_batch(sender, row, [])
    store.db.execute_many(
        "INSERT INTO national_letter (box_id, sha256, alias, stratum, size_class, day, received_at, letter,"
        " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        [
            [
                *(sender.id, letter.sha256, letter.alias, letter.stratum, letter.size_class),
                *(letter.day.isoformat(), now.isoformat(), letter.letter, WAITS),
            ]
            for letter in parcel.letters
        ],
    )
    _sum_up_days(store, {(sender.id, letter.day.isoformat()) for letter in parcel.letters})
    remarks = _keep_statements(store, sender, parcel)
    _settle_days(store, sender, parcel)
    before = store.find_ledger_row(sender, batch.epoch, batch.seq - 1)
    after = store.find_ledger_row(sender, batch.epoch, batch.seq + 1)
    remarks += find_remarks(row, before, after)
    if store.has_other_epoch(sender, batch.epoch):
        remarks.append(REMARK_EPOCH)
    for remark in remarks:
        store.add_remark(sender, batch.epoch, batch.seq, remark, sha256, now)
    return row


def _sum_up_days(store: Store, days: Iterable[tuple[int, str]]) -> None:
    """Count the letters of these days of these regions anew: a day has some hundred."""
    for place in sorted(days):
        store.db.execute("DELETE FROM national_day WHERE box_id = ? AND day = ?", place)
        store.db.execute(
            "INSERT INTO national_day (box_id, day, state, letters) SELECT box_id, day, state, count(*)"
            " FROM national_letter WHERE box_id = ? AND day = ? GROUP BY box_id, day, state",
            place,
        )


def _keep_statements(store: Store, sender: Box, parcel: Parcel) -> list[str]:
    """Keep the first account of a day; another one of the same day is an alarm."""
    remarks: list[str] = []
    for signed in parcel.statements:
        day = verify_statement(signed, sender.device_key, parcel.region_id).day.isoformat()
        store.db.execute(
            "INSERT INTO national_statement (box_id, day, signer, document) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            [sender.id, day, sender.device_key, signed],
        )
        kept = store.db.row(
            "SELECT document FROM national_statement WHERE box_id = ? AND day = ?", [sender.id, day]
        )
        if kept is None or kept[0] != signed:
            remarks.append(REMARK_STATEMENT)
    return remarks


def _settle_days(store: Store, sender: Box, parcel: Parcel) -> None:
    """Compare every day that this parcel speaks of, and note where both hold the same letters."""
    days = {letter.day for letter in parcel.letters}
    days |= {read_statement(signed).day for signed in parcel.statements}
    for day in days:
        place = [sender.id, day.isoformat()]
        kept = store.db.row("SELECT document FROM national_statement WHERE box_id = ? AND day = ?", place)
        if kept is None:
            continue
        held = store.db.rows("SELECT sha256 FROM national_letter WHERE box_id = ? AND day = ?", place)
        agrees = are_those_stated(read_statement(kept[0]), [sha256 for (sha256,) in held])
        store.db.execute(
            "UPDATE national_statement SET agreed = ? WHERE box_id = ? AND day = ?",
            [len(held) if agrees else None, *place],
        )


def are_those_stated(stated: Statement, held: list[bytes]) -> bool:
    """Say whether these are exactly the letters that the region says it sent."""
    return len(held) == stated.letters and digest_of(held) == stated.digest


# Opening and adding up -------------------------------------------------------------------


@dataclass(frozen=True)
class CountReport:
    """What became of the letters that waited."""

    counted: int = 0
    again: int = 0
    altered: int = 0
    foreign: int = 0
    waiting: int = 0  # their key is not here


LETTERS_AT_ONCE = 500


def count_waiting(store: Store, keys: RegionKeys) -> CountReport:
    """Open what waits and add it up, some hundred letters a transaction; safe to kill and repeat."""
    found: Counter[str] = Counter()
    past: tuple[int, bytes] = (0, b"")
    ring = _Ring(keys)
    while True:
        with store.transaction():
            rows = store.db.rows(
                "SELECT box_id, sha256, alias, stratum, size_class, day, letter FROM national_letter"
                " WHERE state = ? AND (box_id > ? OR (box_id = ? AND sha256 > ?))"
                " ORDER BY box_id, sha256 LIMIT ?",
                [WAITS, past[0], *past, LETTERS_AT_ONCE],
            )
            if not rows:
                return CountReport(found[COUNTED], found[AGAIN], found[ALTERED], found[FOREIGN], found[WAITS])
            found.update(_count(store, ring, rows))
        past = (rows[-1][0], rows[-1][1])


class _Ring:
    """The nation's opening keys, each read once."""

    def __init__(self, keys: RegionKeys) -> None:
        self._keys = keys
        self._known: dict[bytes, OpeningKey] = {}

    def find(self, kids: Iterable[bytes]) -> OpeningKey | None:
        wanted = list(kids)
        for kid in wanted:
            if kid in self._known:
                return self._known[kid]
        key = self._keys.find_opening(wanted)
        self._known[key.kid] = key
        return key if key.kid in wanted else None


Letter = tuple[int, bytes, bytes, str, str, str, bytes]  # region, hash, alias, stratum, size, day, sealed


def _count(store: Store, ring: _Ring, rows: Iterable[Letter]) -> Counter[str]:
    """Count these letters; all in the caller's transaction."""
    states: Counter[str] = Counter()
    sums: dict[int, dict[Place, Sum]] = {}
    names: dict[int, bytes] = {}
    ends: list[tuple[str, int, bytes]] = []
    days: set[tuple[int, str]] = set()
    for box_id, sha256, alias, stratum, size_class, day, letter in rows:
        if box_id not in names:
            names[box_id] = store.db.rows("SELECT region_id FROM national_region WHERE box_id = ?", [box_id])[
                0
            ][0]
        state, section = _open(ring, names[box_id], letter)
        if section is not None:
            weeks = _fresh_weeks(store, box_id, alias, section)
            state = COUNTED if weeks else AGAIN
            add_section(sums.setdefault(box_id, {}), stratum, size_class, section, weeks)
        states[state] += 1
        if state != WAITS:
            ends.append((state, box_id, sha256))
            days.add((box_id, day))
    _add_sums(store, sums)
    # Only what was refused keeps its bytes: somebody will want to look at it.
    store.db.execute_many(
        "UPDATE national_letter SET state = ?, letter = CASE WHEN ? IN ('counted', 'again') THEN NULL"
        " ELSE letter END WHERE box_id = ? AND sha256 = ?",
        [(state, state, box_id, sha256) for state, box_id, sha256 in ends],
    )
    _sum_up_days(store, days)
    return states


def _open(ring: _Ring, region_id: bytes, letter: bytes) -> tuple[str, NationSection | None]:
    try:
        if letter_header(letter)[0] != region_id:
            return FOREIGN, None
        key = ring.find(letter_recipients(letter))
        if key is None:
            return WAITS, None
        return COUNTED, read_section(open_nation_letter(letter, key))
    except RefusedEnvelope:
        return ALTERED, None


def _fresh_weeks(store: Store, box_id: int, alias: bytes, section: NationSection) -> list[date]:
    """Take the weeks that this box never told before. A box restored from a backup may tell one again,
    with other noise: it must not count twice."""
    return [
        week.monday
        for week in section.weeks
        if store.db.execute(
            "INSERT INTO national_week (box_id, alias, week) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            [box_id, alias, week.monday.isoformat()],
        )
    ]


def _add_sums(store: Store, sums: dict[int, dict[Place, Sum]]) -> None:
    store.db.execute_many(
        "INSERT INTO national_count (box_id, stratum, size_class, week, grade, cell, total, draws)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (box_id, stratum, size_class, week, grade, cell)"
        " DO UPDATE SET total = national_count.total + excluded.total,"
        " draws = national_count.draws + excluded.draws",
        [
            (box_id, stratum, size, monday.isoformat(), grade, cell, found.total, found.draws)
            for box_id, places in sums.items()
            for (stratum, size, monday, grade, cell), found in places.items()
        ],
    )
    country: dict[tuple[str, str], Sum] = {}
    for places in sums.values():
        for (_, _, monday, _, cell), found in places.items():
            both = country.setdefault((monday.isoformat(), cell), Sum())
            both.total, both.draws = both.total + found.total, both.draws + found.draws
    store.db.execute_many(
        "INSERT INTO national_total (week, cell, total, draws) VALUES (?, ?, ?, ?) ON CONFLICT (week, cell)"
        " DO UPDATE SET total = national_total.total + excluded.total,"
        " draws = national_total.draws + excluded.draws",
        [(*place, both.total, both.draws) for place, both in country.items()],
    )
