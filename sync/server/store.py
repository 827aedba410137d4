"""Where a region keeps what it was told: what its rooms ask of the database, in their words.

SQL is written here once for both databases (`sync/server/database`), and the tables stand in
`sync/server/schema`. One statement alone is its own transaction; what reads and then writes takes
`transaction()`. Keeps out: rules, keys, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sync.anonymise import LeavingRow
from sync.server.database import RegionDatabase, open_region_database
from sync.server.schema import EVENT_BEGINS, EVENT_FIELDS, migrate


@dataclass(frozen=True)
class Place:
    """Where a box stands, as far as operators said."""

    school: str = ""
    stratum: str = ""  # rural, urban
    size_class: str = ""  # small, large


@dataclass(frozen=True)
class Code:
    secret_sha256: bytes
    expires_at: datetime
    device_key: bytes | None = None
    sheet: str = ""  # codes that were printed together
    place: Place = Place()
    needs_approval: bool = False
    renews: str = ""  # the label of the box that gets new keys with it


@dataclass(frozen=True)
class Box:
    id: int
    label: str
    kid: bytes
    device_key: bytes
    token_sha256: bytes
    is_revoked: bool = False
    is_approved: bool = True  # what an unapproved box sends waits for an operator


@dataclass(frozen=True)
class LedgerRow:
    """One stored batch: enough to sign its receipt again, byte for byte."""

    epoch: bytes
    seq: int
    lo: int
    hi: int
    blob_id: bytes
    sha256: bytes
    previous_sha256: bytes
    clock_quality: int
    contiguous_high: int
    received_at: datetime


@dataclass(frozen=True)
class BoxLine:
    """One box as the region's page shows it."""

    label: str
    enrolled_at: datetime
    last_contact_at: datetime
    batches: int
    events: int
    missing: int  # batches the numbers say exist but that have not come
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Everything stored, counted."""

    by_kind: dict[str, int]
    by_language: dict[str, int]
    by_day: dict[date, int]


def open_store(address: str) -> Store:
    """Open the region's database for the calling thread; the caller closes it."""
    return Store(open_region_database(address))


class Store:
    """The region's database. Read-then-write work goes inside `transaction()`."""

    def __init__(self, db: RegionDatabase) -> None:
        self.db = db

    def close(self) -> None:
        self.db.close()

    def migrate(self) -> None:
        migrate(self.db)

    def transaction(self) -> AbstractContextManager[None]:
        return self.db.transaction()

    # Enrolment

    def add_codes(self, codes: Iterable[Code]) -> None:
        self.db.execute_many(
            f"INSERT INTO code ({_CODE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own words
            [
                (
                    *(code.secret_sha256, code.expires_at.isoformat(), code.device_key, code.sheet),
                    *(code.place.school, code.place.stratum, code.place.size_class),
                    *(int(code.needs_approval), code.renews),
                )
                for code in codes
            ],
        )

    def find_code(self, secret_sha256: bytes, now: datetime) -> Code | None:
        """Return the code with this hash while it lives, and drop those whose time is over."""
        self.db.execute("DELETE FROM code WHERE expires_at <= ?", (now.isoformat(),))
        row = self.db.row(
            f"SELECT {_CODE_COLUMNS} FROM code WHERE secret_sha256 = ?",  # noqa: S608 - our own words
            (secret_sha256,),
        )
        return _read_code(row) if row else None

    def codes(self) -> list[Code]:
        """Return every code that is kept, those of one sheet together."""
        rows = self.db.rows(
            f"SELECT {_CODE_COLUMNS} FROM code ORDER BY sheet, expires_at, secret_sha256"  # noqa: S608 - our own words
        )
        return [_read_code(row) for row in rows]

    def bind_code(self, code: Code, device_key: bytes) -> None:
        self.db.execute(
            "UPDATE code SET device_key = ? WHERE secret_sha256 = ?", (device_key, code.secret_sha256)
        )

    def find_box_by_kid(self, kid: bytes) -> Box | None:
        return self._find_box("kid = ?", kid)

    def find_box_by_label(self, label: str) -> Box | None:
        return self._find_box("label = ?", label)

    def add_box(
        self,
        label: str,
        kid: bytes,
        device_key: bytes,
        token_sha256: bytes,
        software: str,
        now: datetime,
        *,
        is_approved: bool = True,
    ) -> None:
        self.db.execute(
            "INSERT INTO box (label, kid, device_key, token_sha256, software, enrolled_at,"
            " last_contact_at, approved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(label, kid, device_key, token_sha256, software, now.isoformat(), now.isoformat()),
                now.isoformat() if is_approved else None,
            ),
        )

    def renew_box(self, box: Box, token_sha256: bytes, software: str, now: datetime) -> None:
        self.db.execute(
            "UPDATE box SET token_sha256 = ?, software = ?, last_contact_at = ? WHERE id = ?",
            (token_sha256, software, now.isoformat(), box.id),
        )

    def rekey_box(self, box: Box, kid: bytes, device_key: bytes, now: datetime) -> None:
        """Give a box another key. Its name and history stay; the old key is noted and believed no more."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO box_key (box_id, kid, ended_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (box.id, box.kid, now.isoformat()),
            )
            self.db.execute(
                "UPDATE box SET kid = ?, device_key = ?, revoked_at = NULL WHERE id = ?",
                (kid, device_key, box.id),
            )

    def has_ended(self, kid: bytes) -> bool:
        """Say whether this key was some box's before it got another."""
        return self.db.row("SELECT 1 FROM box_key WHERE kid = ?", (kid,)) is not None

    def approve_box(self, box: Box, now: datetime) -> None:
        self.db.execute(
            "UPDATE box SET approved_at = ? WHERE id = ? AND approved_at IS NULL", (now.isoformat(), box.id)
        )

    def move_box(self, box: Box, place: Place, now: datetime) -> None:
        """Say where a box stands from now on; where it stood before is kept."""
        # A ledger row tells whole seconds; what comes in this one came from the new place.
        since = now.replace(microsecond=0).isoformat()
        with self.transaction():
            self.db.execute(
                "UPDATE box SET school = ?, stratum = ?, size_class = ? WHERE id = ?",
                (place.school, place.stratum, place.size_class, box.id),
            )
            self.db.execute(
                "INSERT INTO box_place (box_id, since, school, stratum, size_class) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (box_id, since) DO UPDATE SET school = excluded.school,"
                " stratum = excluded.stratum, size_class = excluded.size_class",
                (box.id, since, place.school, place.stratum, place.size_class),
            )

    def places(self, box: Box) -> list[tuple[datetime, Place]]:
        """Return where a box stood since when, the newest first."""
        rows = self.db.rows(
            "SELECT since, school, stratum, size_class FROM box_place WHERE box_id = ? ORDER BY since DESC",
            (box.id,),
        )
        return [(datetime.fromisoformat(since), Place(*place)) for since, *place in rows]

    def revoke_box(self, box: Box, now: datetime) -> None:
        self.db.execute("UPDATE box SET revoked_at = ? WHERE id = ?", (now.isoformat(), box.id))

    def touch_box(self, box: Box, now: datetime) -> None:
        self.db.execute("UPDATE box SET last_contact_at = ? WHERE id = ?", (now.isoformat(), box.id))

    def _find_box(self, condition: str, value: bytes | str) -> Box | None:
        row = self.db.row(
            "SELECT id, label, kid, device_key, token_sha256, revoked_at IS NOT NULL,"  # noqa: S608 - our own words
            f" approved_at IS NOT NULL FROM box WHERE {condition}",
            (value,),
        )
        return replace(Box(*row), is_revoked=bool(row[-2]), is_approved=bool(row[-1])) if row else None

    def hold(self, box: Box, sha256: bytes, envelope: bytes, now: datetime) -> None:
        """Keep an envelope of a box that nobody approved yet; the same again changes nothing."""
        self.db.execute(
            "INSERT INTO held_envelope (box_id, sha256, held_at, envelope) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (box.id, sha256, now.isoformat(), envelope),
        )

    def count_held(self, box: Box) -> int:
        return self._count("SELECT count(*) FROM held_envelope WHERE box_id = ?", (box.id,))

    def held(self, box: Box) -> list[bytes]:
        """Return what waits for the approval of a box, in the order in which it came."""
        rows = self.db.rows(
            "SELECT envelope FROM held_envelope WHERE box_id = ? ORDER BY held_at, sha256", (box.id,)
        )
        return [row[0] for row in rows]

    def let_go(self, box: Box, sha256: bytes) -> None:
        self.db.execute("DELETE FROM held_envelope WHERE box_id = ? AND sha256 = ?", (box.id, sha256))

    # Batches

    def find_ledger_row(self, box: Box, epoch: bytes, seq: int) -> LedgerRow | None:
        return self._find_ledger_row("epoch = ? AND seq = ?", (box.id, epoch, seq))

    def find_stored(self, box: Box, sha256: bytes) -> LedgerRow | None:
        """Return the stored batch with these sealed bytes."""
        return self._find_ledger_row("sha256 = ?", (box.id, sha256))

    def _find_ledger_row(self, condition: str, params: Sequence[object]) -> LedgerRow | None:
        row = self.db.row(
            f"SELECT {_LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND {condition}",  # noqa: S608 - our own words
            params,
        )
        return _read_ledger_row(row) if row else None

    def contiguous_high(self, box: Box, epoch: bytes, coming: int) -> int:
        """Return the number up to which every batch of the epoch is stored once `coming` is."""
        high = self._count(
            "SELECT coalesce(max(contiguous_high), 0) FROM ledger WHERE box_id = ? AND epoch = ?",
            (box.id, epoch),
        )
        while high + 1 == coming or self.find_ledger_row(box, epoch, high + 1) is not None:
            high += 1
        return high

    def has_other_epoch(self, box: Box, epoch: bytes) -> bool:
        found = self.db.row("SELECT 1 FROM ledger WHERE box_id = ? AND epoch <> ? LIMIT 1", (box.id, epoch))
        return found is not None

    def count_batches(self) -> int:
        return self._count("SELECT count(*) FROM ledger")

    def highest_seq(self, box: Box, epoch: bytes) -> int:
        return self._count(
            "SELECT coalesce(max(seq), 0) FROM ledger WHERE box_id = ? AND epoch = ?", (box.id, epoch)
        )

    def ledger_rows(self, box: Box, epoch: bytes, first: int, end: int, limit: int) -> list[LedgerRow]:
        """Return the oldest stored batches of an epoch with `first <= seq < end`."""
        rows = self.db.rows(
            f"SELECT {_LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND epoch = ?"  # noqa: S608 - our own words
            " AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
            (box.id, epoch, first, end, limit),
        )
        return [_read_ledger_row(row) for row in rows]

    def add_batch(self, box: Box, row: LedgerRow, events: Iterable[LeavingRow]) -> None:
        """Store the ledger row and its events together or not at all."""
        with self.transaction():
            number = self.add_ledger_row(box, row)
            self.add_events(row.received_at, [(box, row, number, events)])

    def add_ledger_row(self, box: Box, row: LedgerRow) -> int:
        """Store a batch's place in the history; its events come in the same transaction."""
        day = row.received_at.astimezone(UTC).date().isoformat()
        # The write lock is ours, so the next number is ours as well: no gap, and none comes later.
        added = self.db.row(
            f"INSERT INTO ledger (box_id, {_LEDGER_COLUMNS}, received_day, number)"  # noqa: S608 - our own words
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
            " (SELECT coalesce(max(number), 0) + 1 FROM ledger)) RETURNING number",
            (
                *(box.id, row.epoch, row.seq, row.lo, row.hi, row.blob_id, row.sha256),
                *(row.previous_sha256, row.clock_quality, row.contiguous_high),
                *(row.received_at.isoformat(), day),
            ),
        )
        return int(added[0]) if added else 0

    def add_events(
        self, received_at: datetime, batches: Sequence[tuple[Box, LedgerRow, int, Iterable[LeavingRow]]]
    ) -> None:
        """Store the events of batches that arrived at one moment."""
        day = received_at.astimezone(UTC).date().isoformat()
        self.db.ensure_partition("event", day)
        self.db.copy_rows(
            "event",
            (*EVENT_BEGINS, *EVENT_FIELDS),
            (
                (
                    *(box.id, row.epoch, row.seq, number, day, event.kind, event.session),
                    *(event.day.isoformat() if event.day else None, int(event.span)),
                    *(event.fields.get(name) for name in EVENT_FIELDS),
                )
                for box, row, number, events in batches
                for event in events
            ),
        )

    def add_nation_letter(self, box: Box, epoch: bytes, seq: int, letter: bytes) -> None:
        """Keep the nation's section as it came, unopened, to be sent on."""
        self.db.execute("INSERT INTO nation_letter VALUES (?, ?, ?, ?)", (box.id, epoch, seq, letter))

    def nation_letters(self) -> list[bytes]:
        """Return what waits for the nation, oldest first."""
        rows = self.db.rows(
            "SELECT letter FROM nation_letter JOIN ledger USING (box_id, epoch, seq) ORDER BY number"
        )
        return [row[0] for row in rows]

    def add_remark(self, box: Box, epoch: bytes, seq: int, remark: str, sha256: bytes, now: datetime) -> None:
        """Note once what looked wrong; the same again changes nothing."""
        self.db.execute(
            "INSERT INTO remark VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (box.id, epoch, seq, remark, sha256, now.isoformat()),
        )

    # Orders

    def find_policy(self) -> bytes | None:
        """Return the newest order as it was signed."""
        row = self.db.row("SELECT document FROM policy ORDER BY version DESC LIMIT 1")
        return row[0] if row else None

    def add_policy(self, version: int, document: bytes) -> None:
        self.db.execute("INSERT INTO policy VALUES (?, ?)", (version, document))

    def find_key_list(self) -> bytes | None:
        """Return the newest list of keys as it was signed."""
        row = self.db.row("SELECT document FROM key_list ORDER BY number DESC LIMIT 1")
        return row[0] if row else None

    def key_list_number(self) -> int:
        return self._count("SELECT coalesce(max(number), 0) FROM key_list")

    def add_key_list(self, number: int, document: bytes) -> None:
        self.db.execute("INSERT INTO key_list VALUES (?, ?)", (number, document))

    # What is shown

    def box_lines(self) -> list[BoxLine]:
        remarks: dict[int, list[str]] = {}
        for box_id, remark in self.db.rows("SELECT DISTINCT box_id, remark FROM remark ORDER BY 2"):
            remarks.setdefault(box_id, []).append(remark)
        return [
            BoxLine(
                label,
                datetime.fromisoformat(enrolled).astimezone(UTC),
                datetime.fromisoformat(contact).astimezone(UTC),
                *(batches, events, missing),
                tuple(remarks.get(box_id, ())),
            )
            for box_id, label, enrolled, contact, batches, events, missing in self.db.rows(_BOX_LINES)
        ]

    def counts(self) -> Counts:
        return Counts(
            self._count_by("coalesce(kind, '')"),
            self._count_by("coalesce(language, '')"),
            {date.fromisoformat(day): count for day, count in self._count_by("day", _TELLS_ITS_DAY).items()},
        )

    def _count_by(self, column: str, condition: str = "true") -> dict[str, int]:
        return dict(
            self.db.rows(
                f"SELECT {column}, count(*) FROM event WHERE {condition} GROUP BY 1 ORDER BY 1"  # noqa: S608 - our own words
            )
        )

    def _count(self, sql: str, params: Sequence[object] = ()) -> int:
        row = self.db.row(sql, params)
        return int(row[0]) if row else 0


_LEDGER_COLUMNS = (
    "epoch, seq, lo, hi, blob_id, sha256, previous_sha256, clock_quality, contiguous_high, received_at"
)


_CODE_COLUMNS = (
    "secret_sha256, expires_at, device_key, sheet, school, stratum, size_class, needs_approval, renews"
)


def _read_code(row: tuple[Any, ...]) -> Code:
    secret, expires_at, device_key, sheet, school, stratum, size_class, needs_approval, renews = row
    place = Place(school, stratum, size_class)
    return Code(
        *(secret, datetime.fromisoformat(expires_at), device_key, sheet, place), bool(needs_approval), renews
    )


def _read_ledger_row(row: tuple[Any, ...]) -> LedgerRow:
    fields = list(row)
    fields[-1] = datetime.fromisoformat(fields[-1])
    return LedgerRow(*fields)


_TELLS_ITS_DAY = "day IS NOT NULL AND span = 0"  # a week's Monday is not that Monday

_BOX_LINES = """
SELECT box.id, label, enrolled_at, last_contact_at,
       coalesce(sum(epochs.batches), 0), coalesce(sum(epochs.events), 0), coalesce(sum(epochs.missing), 0)
FROM box LEFT JOIN (
    SELECT box_id, count(*) AS batches, sum(hi - lo + 1) AS events, max(seq) - count(*) AS missing
    FROM ledger GROUP BY box_id, epoch
) AS epochs ON epochs.box_id = box.id
GROUP BY box.id ORDER BY last_contact_at DESC, label
"""
