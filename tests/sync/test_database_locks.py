"""The database file is opened by SQLite alone, or its locks are lost; writers queue."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sync.database import open_database, write_transaction
from sync.errors import DatabaseBusy

READ_AND_CLOSE = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1])
print(other.execute("SELECT count(*) FROM fact").fetchone()[0])
other.close()
"""


def test_opening_once_more_keeps_the_locks_of_the_connections_before(tmp_path: Path) -> None:
    """Else the other process believes it is alone, folds the log back and deletes it while we read."""
    path = tmp_path / "box.sqlite"
    first = open_database(path)
    with write_transaction(first):
        first.execute("CREATE TABLE fact (id INTEGER)")
    open_database(path).close()
    seen = subprocess.run(
        [sys.executable, "-c", READ_AND_CLOSE, str(path)], capture_output=True, text=True, check=True
    )
    assert seen.stdout.strip() == "0"
    assert (tmp_path / "box.sqlite-wal").exists(), "the other process could not have been alone"
    first.close()


def test_a_new_file_is_private_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    db = open_database(tmp_path / "box.sqlite")
    db.close()
    assert [path.name for path in tmp_path.iterdir()] == ["box.sqlite"]
    assert (tmp_path / "box.sqlite").stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "box.sqlite") as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


def test_thirty_writers_queue_and_none_is_turned_away(tmp_path: Path) -> None:
    path = tmp_path / "box.sqlite"
    db = open_database(path)
    db.execute("CREATE TABLE question (id INTEGER PRIMARY KEY)")
    db.close()
    together = threading.Barrier(30)

    def ask() -> None:
        own = open_database(path)
        together.wait()
        for _ in range(5):
            with write_transaction(own):
                own.execute("INSERT INTO question DEFAULT VALUES")
        own.close()

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    db = open_database(path)
    assert db.execute("SELECT count(*) FROM question").fetchone() == (150,)
    db.close()


def test_turn_that_does_not_come_is_a_busy_database_and_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.database.BUSY_TIMEOUT_SECONDS", 0.05)
    first, second = (open_database(tmp_path / "box.sqlite") for _ in range(2))
    with write_transaction(first):
        with pytest.raises(DatabaseBusy), write_transaction(second):
            pass
        with write_transaction(first):  # one inside another is the same turn
            pass
    with pytest.raises(RuntimeError), write_transaction(second):
        raise RuntimeError
    with write_transaction(first):
        pass
    first.close()
    second.close()
