"""Connections go from page to page; what is broken or belongs to another file is never given out again."""

import sqlite3
import threading
from pathlib import Path

import pytest

from appliance import database
from appliance.database import CONNECTIONS_KEPT, KeptConnections, connection
from tests.classroom import Browser, Classroom, wait_until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with connection(tmp_path / "box.sqlite") as db:
        db.execute("CREATE TABLE fact (number INTEGER PRIMARY KEY)")
    return tmp_path / "box.sqlite"


def test_a_connection_that_came_back_is_given_to_the_next_page_in_whatever_thread(path: Path) -> None:
    kept = KeptConnections(path)
    first = kept.take()
    kept.give_back(first, is_sound=True)
    seen = []
    thread = threading.Thread(target=lambda: seen.append(kept.take().execute("SELECT 1").fetchone()))
    thread.start()
    thread.join()
    assert seen == [(1,)]
    kept.close()


def test_one_that_met_a_fault_or_is_in_the_middle_of_something_is_closed(path: Path) -> None:
    kept = KeptConnections(path)
    for is_sound in (False, True):
        db = kept.take()
        if is_sound:
            db.execute("BEGIN")
            db.execute("INSERT INTO fact VALUES (1)")
        kept.give_back(db, is_sound=is_sound)
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            db.execute("SELECT 1")
    assert kept.take().execute("SELECT count(*) FROM fact").fetchone() == (0,)


def test_after_a_restore_nobody_reads_the_old_file(path: Path, tmp_path: Path) -> None:
    kept = KeptConnections(path)
    old = kept.take()
    old.execute("INSERT INTO fact VALUES (1)")
    kept.give_back(old, is_sound=True)
    with connection(tmp_path / "other.sqlite") as db:
        db.execute("CREATE TABLE fact (number INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO fact VALUES (2)")
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    (tmp_path / "other.sqlite").replace(path)
    assert kept.take().execute("SELECT number FROM fact").fetchall() == [(2,)]


def test_a_page_that_holds_its_connection_for_long_stops_nobody(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 0.01)
    kept = KeptConnections(path)
    held = [kept.take() for _ in range(CONNECTIONS_KEPT + 4)]
    assert len(set(map(id, held))) == len(held)
    for db in held:
        kept.give_back(db, is_sound=True)
    open_still = 0
    for db in held:
        try:
            db.execute("SELECT 1")
            open_still += 1
        except sqlite3.ProgrammingError:
            pass
    assert open_still == CONNECTIONS_KEPT
    kept.close()


def test_a_file_that_cannot_be_opened_leaves_no_place_taken(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "PATIENCE_SECONDS", 60.0)
    kept = KeptConnections(path)
    with monkeypatch.context() as broken:
        broken.setattr(database, "open_database", lambda *_, **__: (_ for _ in ()).throw(OSError("gone")))
        for _ in range(CONNECTIONS_KEPT + 1):
            with pytest.raises(OSError, match="gone"):
                kept.take()
    kept.take().close()  # at once: nobody waits for a place that was never given back


def test_what_one_page_saves_the_next_one_sees(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    for number in range(2 * CONNECTIONS_KEPT):
        aigerim.ask(f"What is {number}?", submission=f"s{number}")
        assert f"What is {number}?" in aigerim.page("/ask")
        wait_until(classroom.all_answered)
