"""Where a region keeps what it was told: what its rooms ask of the database, in their words.

SQL is written here once for both databases (`sync/server/storage/database`), and the tables stand in
`sync/server/storage/schema`. One statement alone is its own transaction; what reads and then writes takes
`transaction()`. Keeps out: rules, keys, HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from itertools import chain

from sync.anonymise import LeavingRow
from sync.batch import Columns, columns_of
from sync.server.storage.database import open_region_database
from sync.server.storage.event_rows import EVENT_COLUMNS, rows_from_columns
from sync.server.storage.neighbours import LEDGER_COLUMNS, LedgerPlace, Neighbours, read_ledger_row
from sync.server.storage.records import Box, BoxLine, Code, Counted, Counts, LedgerRow, Place
from sync.server.storage.schema import migrate
from sync.server.storage.store_boxes import BoxTables

# A room that speaks to the store finds its records here.
__all__ = ["Box", "BoxLine", "Code", "Counts", "LedgerRow", "Place", "Store", "open_store"]


def open_store(address: str) -> Store:
    """Open the region's database for the calling thread; the caller closes it."""
    return Store(open_region_database(address))


class Store(BoxTables):
    """The region's database. Read-then-write work goes inside `transaction()`."""

    def close(self) -> None:
        self.db.close()

    def migrate(self) -> None:
        migrate(self.db)

    # Batches

    def find_ledger_row(self, box: Box, epoch: bytes, seq: int) -> LedgerRow | None:
        return self._find_ledger_row("epoch = ? AND seq = ?", (box.id, epoch, seq))

    def find_stored(self, box: Box, sha256: bytes) -> LedgerRow | None:
        """Return the stored batch with these sealed bytes."""
        return self._find_ledger_row("sha256 = ?", (box.id, sha256))

    def _find_ledger_row(self, condition: str, params: Sequence[object]) -> LedgerRow | None:
        row = self.db.row(
            f"SELECT {LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND {condition}",  # noqa: S608 - our own words
            params,
        )
        return read_ledger_row(row) if row else None

    def contiguous_high(self, box: Box, epoch: bytes, coming: int) -> int:
        """Return the number up to which every batch of the epoch is stored once `coming` is."""
        return self.neighbours([(box.id, epoch, coming)]).contiguous_high(box, epoch, coming)

    def has_other_epoch(self, box: Box, epoch: bytes) -> bool:
        return self.neighbours([(box.id, epoch, 0)]).has_other_epoch(box, epoch)

    def count_received(self, box: Box, day: date) -> int:
        """Return how many batches of a box came on a day."""
        return self._count(
            "SELECT count(*) FROM ledger WHERE box_id = ? AND received_day = ?", (box.id, day.isoformat())
        )

    def count_batches(self) -> int:
        return self._count("SELECT count(*) FROM ledger")

    def highest_seq(self, box: Box, epoch: bytes) -> int:
        return self._count(
            "SELECT coalesce(max(seq), 0) FROM ledger WHERE box_id = ? AND epoch = ?", (box.id, epoch)
        )

    def ledger_rows(self, box: Box, epoch: bytes, first: int, end: int, limit: int) -> list[LedgerRow]:
        """Return the oldest stored batches of an epoch with `first <= seq < end`."""
        rows = self.db.rows(
            f"SELECT {LEDGER_COLUMNS} FROM ledger WHERE box_id = ? AND epoch = ?"  # noqa: S608 - our own words
            " AND seq >= ? AND seq < ? ORDER BY seq LIMIT ?",
            (box.id, epoch, first, end, limit),
        )
        return [read_ledger_row(row) for row in rows]

    def neighbours(self, places: Sequence[LedgerPlace]) -> Neighbours:
        """Read at once what the ledger holds around some places."""
        return Neighbours(self.db, places)

    def add_batch(self, box: Box, row: LedgerRow, events: Iterable[LeavingRow]) -> None:
        """Store the ledger row and its events together or not at all."""
        self.add_batches([(box, row, columns_of(tuple(events)))])

    def add_batches(self, batches: Sequence[tuple[Box, LedgerRow, Columns]]) -> None:
        """Store ledger rows and their events together or not at all."""
        with self.transaction():
            # The write lock is ours, so the next numbers are ours as well: no gap, and none comes later.
            first = 1 + self._count("SELECT coalesce(max(number), 0) FROM ledger")
            numbered = [(box, row, first + at, columns) for at, (box, row, columns) in enumerate(batches)]
            self.db.execute_many(
                f"INSERT INTO ledger (box_id, {LEDGER_COLUMNS}, received_day, number)"  # noqa: S608 - our own words
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(box.id, row.epoch, row.seq, row.lo, row.hi, row.blob_id, row.sha256),
                        *(row.previous_sha256, row.clock_quality, row.contiguous_high),
                        *(row.received_at.isoformat(), _day(row), number),
                    )
                    for box, row, number, _ in numbered
                ],
            )
            for day in sorted({_day(row) for _, row, _, _ in numbered}):
                self.db.ensure_partition("event", day)
            self.db.copy_rows(
                "event",
                EVENT_COLUMNS,
                chain.from_iterable(
                    rows_from_columns((box.id, row.epoch, row.seq, number, _day(row)), columns)
                    for box, row, number, columns in numbered
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

    def counted(self) -> Counted:
        """Return how much there is. Read for every visit of Prometheus: indexes and the ledger only."""
        boxes = self._count("SELECT count(*) FROM box WHERE revoked_at IS NULL")
        row = self.db.row(_COUNTED) or (0, 0, 0)
        return Counted(boxes, *map(int, row))

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


def _day(row: LedgerRow) -> str:
    return row.received_at.astimezone(UTC).date().isoformat()


_TELLS_ITS_DAY = "day IS NOT NULL AND span = 0"  # a week's Monday is not that Monday

_COUNTED = """
SELECT coalesce(sum(batches), 0), coalesce(sum(events), 0), coalesce(sum(missing), 0) FROM (
    SELECT count(*) AS batches, sum(hi - lo + 1) AS events, max(seq) - count(*) AS missing
    FROM ledger GROUP BY box_id, epoch
) AS epochs
"""

_BOX_LINES = """
SELECT box.id, label, enrolled_at, last_contact_at,
       coalesce(sum(epochs.batches), 0), coalesce(sum(epochs.events), 0), coalesce(sum(epochs.missing), 0)
FROM box LEFT JOIN (
    SELECT box_id, count(*) AS batches, sum(hi - lo + 1) AS events, max(seq) - count(*) AS missing
    FROM ledger GROUP BY box_id, epoch
) AS epochs ON epochs.box_id = box.id
GROUP BY box.id ORDER BY last_contact_at DESC, label
"""
