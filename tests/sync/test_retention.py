"""Old days leave the database for files, and nothing is ever in neither."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from sync.region_errors import ArchiveIncomplete
from sync.server.insight import rollups
from sync.server.storage import parquet
from sync.server.storage.store import Store, open_store
from sync.server.upkeep import retention
from sync.server.upkeep.retention import archive_path, retain
from tests.sync.test_two_databases import ROWS, box_of, ledger_row

TODAY = date(2026, 12, 31)
OLD = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
TOLD = "number, kind, language, characters"
NEW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def store(region_address: str) -> Iterator[Store]:
    """Two old days with four batches, one new day with one."""
    opened = open_store(region_address)
    opened.migrate()
    box = box_of(opened)
    for seq, at in enumerate((OLD, OLD, OLD + timedelta(days=1), OLD + timedelta(days=1), NEW), start=1):
        opened.add_batch(box, ledger_row(seq, events=len(ROWS), at=at), ROWS)
    rollups.take(opened.db)
    yield opened
    opened.close()


def days_left(store: Store) -> list[tuple[str, int]]:
    return [
        (day, count)
        for day, count in store.db.rows("SELECT received_day, count(*) FROM event GROUP BY 1 ORDER BY 1")
    ]


def test_old_days_go_into_files_and_the_ledger_stays(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    before = store.db.rows(
        "SELECT number, kind, language, characters FROM event WHERE received_day = '2026-09-01'"
    )
    done = retain(store.db, folder, TODAY)
    assert done == retention.Retained(("2026-09-01", "2026-09-02"), 4 * len(ROWS), ())
    assert days_left(store) == [("2026-12-01", len(ROWS))]
    assert store.count_batches() == 5
    path = archive_path(folder, "2026-09-01")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with duckdb.connect() as memory:
        kept = memory.execute(f"SELECT {TOLD} FROM read_parquet(?)", [str(path)]).fetchall()
        epochs = memory.execute("SELECT DISTINCT epoch FROM read_parquet(?)", [str(path)]).fetchall()
    assert sorted(kept, key=str) == sorted(before, key=str)
    assert epochs == [(b"epoch-01".hex(),)]
    assert [path.name for path in folder.iterdir() if path.suffix != ".parquet"] == []
    assert retain(store.db, folder, TODAY).days == (), "a second run finds nothing"


def test_a_day_that_is_not_counted_yet_waits(store: Store, tmp_path: Path) -> None:
    store.db.execute("UPDATE rollup_mark SET number = 3")
    done = retain(store.db, tmp_path / "archive", TODAY)
    assert (done.days, done.waiting) == (("2026-09-01",), ("2026-09-02",))
    assert days_left(store)[0] == ("2026-09-02", 2 * len(ROWS))


def test_a_file_that_lacks_a_row_lets_nothing_go(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "from_csv", lambda *_words, **_more: 5)
    before = days_left(store)
    with pytest.raises(ArchiveIncomplete):
        retain(store.db, tmp_path / "archive", TODAY)
    assert days_left(store) == before
    assert list((tmp_path / "archive").iterdir()) == []


def test_a_run_that_dies_between_file_and_rows_goes_on(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_words: object) -> None:
        raise Killed

    folder = tmp_path / "archive"
    with monkeypatch.context() as patched:
        patched.setattr(type(store.db), "drop_partition", die)
        with pytest.raises(Killed):
            retain(store.db, folder, TODAY)
    assert archive_path(folder, "2026-09-01").exists()
    assert len(days_left(store)) == 3
    written = archive_path(folder, "2026-09-01").stat().st_mtime_ns
    retain(store.db, folder, TODAY)
    assert archive_path(folder, "2026-09-01").stat().st_mtime_ns == written, "the whole file was good"
    assert len(days_left(store)) == 1


def test_days_are_kept_as_long_as_asked(store: Store, tmp_path: Path) -> None:
    assert retain(store.db, tmp_path / "archive", TODAY, raw_days=365).days == ()
    assert retain(store.db, tmp_path / "archive", TODAY, raw_days=20).days[-1] == "2026-12-01"
    assert days_left(store) == []
