"""A region that already holds events learns to keep rows that say less, and fields declared later."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from sync.anonymise import LeavingRow
from sync.database import open_database
from sync.event import KINDS, Event, Span
from sync.server.storage.event_rows import EVENT_FIELDS
from sync.server.storage.sqlite_database import SqliteDatabase
from sync.server.storage.store import LedgerRow, Store
from sync.server.storage.takeover import migrations
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

NOW = datetime(2026, 9, 1, tzinfo=UTC)


def old_store(path: Path) -> Store:
    """The database of a region before there were lanes, with one box and one event."""
    db = open_database(path)
    migrations.apply(db, stop_before="m005_coarse_rows")
    db.execute("INSERT INTO box VALUES (1, 'B-1', x'01', x'02', x'03', '0.1', '2026-09-01', '2026-09-01')")
    db.execute(
        "INSERT INTO ledger VALUES (1, x'00', 1, 1, 1, x'00', x'00', x'00', 1, 1, '2026-09-01T00:00:00Z')"
    )
    db.execute(
        "INSERT INTO event (box_id, epoch, seq, kind, session, day, language)"
        " VALUES (1, x'00', 1, 'question_asked', 0, '2026-09-01', 'kk')"
    )
    return Store(SqliteDatabase(db))


def test_events_of_before_are_kept_and_new_rows_may_say_less(tmp_path: Path) -> None:
    store = old_store(tmp_path / "region.sqlite")
    store.migrate()
    box = store.find_box_by_label("B-1")
    assert box is not None
    rows = [
        LeavingRow(None, None, None, {}),
        LeavingRow("question_asked", None, date(2026, 8, 31), {"language": "ru"}, Span.WEEK),
        LeavingRow("question_asked", 3, date(2026, 9, 2), {"characters": 5}),
    ]
    ledger = LedgerRow(bytes(1), 2, 2, 4, bytes(16), bytes(32), bytes(32), 1, 2, NOW)
    store.add_batch(box, ledger, rows)
    counts = store.counts()
    assert counts.by_kind == {"": 1, "question_asked": 3}
    assert counts.by_language == {"": 2, "kk": 1, "ru": 1}
    assert counts.by_day == {date(2026, 9, 1): 1, date(2026, 9, 2): 1}, "a week's Monday is not that Monday"
    store.close()


def test_a_field_declared_later_gets_its_column_by_itself(tmp_path: Path) -> None:
    store = old_store(tmp_path / "region.sqlite")
    store.migrate()
    store.close()
    db = open_database(tmp_path / "region.sqlite")
    for name in ("rung", "language"):
        db.execute(f"ALTER TABLE event DROP COLUMN {name}")
    store = Store(SqliteDatabase(db))
    store.migrate()
    store.migrate()
    types = {row[1]: row[2] for row in db.execute("PRAGMA table_info(event)").fetchall()}
    assert set(EVENT_FIELDS) <= set(types)
    assert (types["rung"], types["language"]) == ("INTEGER", "TEXT")
    store.close()


def test_one_learner_who_called_for_a_person_is_stored_and_on_no_page(
    box: Box, region: RegionSimulator
) -> None:
    fields = dict.fromkeys(KINDS["hand_back"].fields) | {"reason": "third_hint"}
    box.record(Event("hand_back", NOW, "7A", "Aigerim", fields))
    box.sync()
    assert region.report()["by_kind"] == {"none": 1}
    browser = region.enter()
    for path in ("/", "/boxes", "/equity", "/tables", "/data/boxes"):
        page = browser.get(f"{path}?lang=en").text
        assert "third_hint" not in page
        assert "person" not in page
    assert browser.get("/data/months").get_json()["told"] == []
