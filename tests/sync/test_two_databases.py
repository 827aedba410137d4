"""What a region promises holds in one SQLite file and in PostgreSQL: the same tests, a real server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest

from sync.anonymise import LeavingRow
from sync.errors import BatchFork, RegionUnreachable
from sync.event import Span
from sync.region_errors import UnknownDatabase
from sync.server.storage.database import RegionDatabase, open_region_database, shown_address
from sync.server.storage.schema import MIGRATIONS, Migration, migrate, step_back
from sync.server.storage.store import Box, LedgerRow, Store, open_store
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box as SchoolBox

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(region_address: str) -> Iterator[Store]:
    opened = open_store(region_address)
    opened.migrate()
    yield opened
    opened.close()


def box_of(store: Store, label: str = "B-7A7A7") -> Box:
    store.add_box(label, label.encode(), b"key", bytes(32), "0.1", NOW)
    box = store.find_box_by_label(label)
    if box is None:
        raise LookupError(label)
    return box


def ledger_row(seq: int, *, events: int = 1, at: datetime = NOW, epoch: bytes = b"epoch-01") -> LedgerRow:
    sha256 = seq.to_bytes(2) * 16
    return LedgerRow(epoch, seq, 1, events, bytes(16), sha256, bytes(32), 1, seq, at)


ROWS = (
    LeavingRow(None, None, None, {}),
    LeavingRow("question_asked", None, date(2026, 8, 31), {"language": "ru"}, Span.WEEK),
    LeavingRow("question_asked", 2, date(2026, 9, 2), {"characters": 5, "language": "kk"}),
)


def test_what_is_stored_comes_back_as_it_was(store: Store) -> None:
    box = box_of(store)
    assert box == Box(box.id, "B-7A7A7", b"B-7A7A7", b"key", bytes(32))
    store.add_batch(box, ledger_row(1, events=3), ROWS)
    assert store.find_ledger_row(box, b"epoch-01", 1) == ledger_row(1, events=3)
    assert store.find_stored(box, ledger_row(1).sha256) == ledger_row(1, events=3)
    told = store.db.rows(
        "SELECT kind, session, day, span, characters, language, number FROM event ORDER BY 1, 2"
    )
    assert sorted(told, key=str) == [
        ("question_asked", 2, "2026-09-02", 0, 5, "kk", 1),
        ("question_asked", None, "2026-08-31", 1, None, "ru", 1),
        (None, None, None, 0, None, None, 1),
    ]
    assert store.counts().by_kind == {"": 1, "question_asked": 2}
    line = store.box_lines()[0]
    assert (line.batches, line.events, line.missing) == (1, 3, 0)
    assert type(line.events) is int, "a sum is a whole number in both"


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    box = box_of(store)
    with pytest.raises(RuntimeError), store.transaction():
        store.add_batch(box, ledger_row(1, events=3), ROWS)
        raise RuntimeError
    assert store.count_batches() == 0
    assert store.db.rows("SELECT count(*) FROM event") == [(0,)]


def test_a_part_of_a_transaction_can_fail_alone(store: Store) -> None:
    box = box_of(store)
    with store.transaction():
        with pytest.raises(RuntimeError), store.transaction():
            store.add_batch(box, ledger_row(1), ROWS[:1])
            raise RuntimeError
        store.add_batch(box, ledger_row(2), ROWS[:1])
    assert store.highest_seq(box, b"epoch-01") == 2
    assert store.count_batches() == 1


def test_batches_are_numbered_without_a_gap_in_the_order_of_arrival(
    region_address: str, store: Store
) -> None:
    """Eight writers at once, each with its own connection, and some that fail in the middle."""
    boxes = [box_of(store, f"B-{number}") for number in range(8)]

    def write(box: Box) -> None:
        own = open_store(region_address)
        try:
            for seq in range(1, 9):
                if seq % 3 == 0:
                    with pytest.raises(RuntimeError), own.transaction():
                        own.add_batch(box, ledger_row(99), ROWS)
                        raise RuntimeError
                own.add_batch(box, ledger_row(seq, events=3), ROWS)
        finally:
            own.close()

    threads = [threading.Thread(target=write, args=(box,)) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.db.rows("SELECT number FROM ledger ORDER BY number") == [(n,) for n in range(1, 65)]
    assert store.db.rows("SELECT number, count(*) FROM event GROUP BY 1 ORDER BY 1") == [
        (n, 3) for n in range(1, 65)
    ]


def test_events_lie_by_the_day_they_were_received(store: Store) -> None:
    box = box_of(store)
    for seq, day in enumerate((1, 1, 2), start=1):
        store.add_batch(box, ledger_row(seq, at=NOW.replace(day=day)), ROWS[:1])
    days = store.db.rows("SELECT received_day, count(*) FROM event GROUP BY 1 ORDER BY 1")
    assert days == [("2026-09-01", 2), ("2026-09-02", 1)]
    if store.db.dialect == "postgresql":
        parts = store.db.rows(
            "SELECT relname FROM pg_class WHERE relname LIKE 'event_2026%' AND relkind = 'r'"
        )
        assert sorted(parts) == [("event_2026_09_01",), ("event_2026_09_02",)]


def test_words_of_sql_in_quotes_are_left_alone(store: Store) -> None:
    box_of(store)
    assert store.db.row(
        "SELECT 'a?b%c', label FROM box WHERE label LIKE 'B-%' AND label = ?", ("B-7A7A7",)
    ) == (
        "a?b%c",
        "B-7A7A7",
    )


# Migrations

EXTRA = Migration(
    "t901_extra",
    ("CREATE TABLE extra (id {id}, said TEXT NOT NULL, kept {bytes}) {strict}",),
    ("DROP TABLE extra",),
)


def test_a_migration_goes_forward_once_and_back_by_one(region_address: str) -> None:
    db = open_region_database(region_address)
    try:
        migrate(db, (*MIGRATIONS, EXTRA))
        migrate(db, (*MIGRATIONS, EXTRA))
        db.execute("INSERT INTO extra (said, kept) VALUES (?, ?)", ("сәлем", b"\0\xff"))
        assert db.rows("SELECT id, said, kept FROM extra") == [(1, "сәлем", b"\0\xff")]
        assert step_back(db, (*MIGRATIONS, EXTRA)) == EXTRA.name
        assert not db.columns("extra")
        migrate(db, (*MIGRATIONS, EXTRA))
        assert db.rows("SELECT id FROM extra") == []
    finally:
        db.close()


def test_every_migration_of_ours_goes_back_and_forward_again(region_address: str) -> None:
    db = open_region_database(region_address)
    try:
        migrate(db)
        tables = shape(db)
        undone = 0
        while step_back(db) is not None:
            undone += 1
        assert undone == len(MIGRATIONS) - 1, "before the first there is nothing to go back to"
        migrate(db)
        assert shape(db) == tables
    finally:
        db.close()


def test_a_migration_that_fails_changes_nothing(region_address: str) -> None:
    db = open_region_database(region_address)
    broken = Migration("t902_broken", ("CREATE TABLE half (id {id}) {strict}", "CREATE NONSENSE"), ())
    try:
        migrate(db)
        with pytest.raises(Exception, match=r"(?i)syntax"):
            migrate(db, (*MIGRATIONS, broken))
        assert not db.columns("half")
        migrate(db)
    finally:
        db.close()


def shape(db: RegionDatabase) -> dict[str, tuple[str, ...]]:
    return {table: tuple(db.columns(table)) for table in tables_of(db)}


def tables_of(db: RegionDatabase) -> list[str]:
    if db.dialect == "sqlite":
        found = db.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    else:
        found = db.rows(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"
        )
    return sorted(name for (name,) in found)


def unique_keys(db: RegionDatabase) -> list[tuple[str, set[str]]]:
    """Return every unique key of every table with its columns."""
    if db.dialect == "postgresql":
        return [
            (table, set(columns))
            for table, columns in db.rows(
                "SELECT c.relname, array_agg(a.attname::text) FROM pg_index i"
                " JOIN pg_class c ON c.oid = i.indrelid"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey::int2[])"
                " WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace"
                " GROUP BY c.relname, i.indexrelid"
            )
        ]
    keys = []
    for table in tables_of(db):
        primary = {name for name, pk in db.rows("SELECT name, pk FROM pragma_table_info(?)", (table,)) if pk}
        keys.append((table, primary))
        for index, is_unique in db.rows('SELECT name, "unique" FROM pragma_index_list(?)', (table,)):
            if is_unique:
                keys.append(
                    (table, {name for (name,) in db.rows("SELECT name FROM pragma_index_info(?)", (index,))})
                )
    return [(table, columns) for table, columns in keys if columns]


# One row, how far the rollups have read: it would be copied to every machine when the rest is spread.
OF_NO_BOX = {"rollup_mark"}


def test_no_unique_key_of_a_spread_table_misses_the_box(store: Store) -> None:
    """Citus spreads a table by a column only if each of its unique keys contains that column."""
    spread = {table for table in tables_of(store.db) if "box_id" in store.db.columns(table)}
    assert {"ledger", "event", "remark", "nation_letter"} <= spread
    missing = [
        (table, columns)
        for table, columns in unique_keys(store.db)
        if table in spread and "box_id" not in columns
    ]
    assert not missing
    events = {table for table in tables_of(store.db) if table.startswith(("event", "ledger", "rollup"))}
    assert events <= spread | OF_NO_BOX
    found = {table for table, _ in unique_keys(store.db)}
    assert "ledger" in found, "the catalogue was really read"


# The doors


def test_the_whole_walk_is_the_same(
    either_region: RegionSimulator, make_either_box: Callable[[str], SchoolBox]
) -> None:
    box = make_either_box("box")
    box.ask(times=20)
    either_region.lose_next_receipt()
    with pytest.raises(RegionUnreachable):
        box.sync()
    box.sync()
    report = either_region.report()
    assert (report["events"], report["batches"]) == (20, 1)
    assert report["boxes"][0]["remarks"] == []
    page = either_region.enter().get("/boxes?lang=en")
    assert page.status_code == 200
    figures = either_region.http.get("/metrics").text
    assert "sandyq_region_ledger_events 0.0" in figures  # by the hundred: a batch of twenty shows nothing
    assert 'sandyq_region_batches_total{verdict="again"} 1.0' in figures
    assert box.enrolment.box_label not in figures


def test_a_copied_card_raises_the_alarm_and_overwrites_nothing(
    either_region: RegionSimulator, make_either_box: Callable[[str], SchoolBox]
) -> None:
    box = make_either_box("box")
    box.ask(times=10)
    twin = box.copy("twin")
    box.ask(times=5)
    twin.ask(times=20)
    box.cut()
    twin.cut()
    box.sync()
    with pytest.raises(BatchFork):
        either_region.carry(sealed_of(twin), box.enrolment.token)
    report = either_region.report()
    assert report["events"] == 15
    assert report["boxes"][0]["remarks"] == ["fork"]


def sealed_of(box: SchoolBox) -> bytes:
    return bytes(box.query("SELECT sealed FROM batch ORDER BY seq LIMIT 1")[0][0])  # type: ignore[arg-type]


def test_the_address_is_shown_without_its_password() -> None:
    assert shown_address("postgresql://sandyq:secret@db/region") == "postgresql://sandyq:***@db/region"
    assert shown_address("sqlite:////srv/region.sqlite") == "sqlite:////srv/region.sqlite"
    with pytest.raises(UnknownDatabase):
        open_region_database("mysql://localhost/region")
