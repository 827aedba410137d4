"""The database file is opened by SQLite alone, or its locks are lost."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from sync.database import open_database, write_transaction

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
