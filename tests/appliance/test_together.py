"""Many small writes share one commit, and each stands or falls for itself."""

import threading
from pathlib import Path

import pytest
from sqlite_utils import Database

from appliance.database import connection
from appliance.errors import SessionNotOpen
from appliance.people.together import Together
from sync.database import open_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with connection(tmp_path / "box.sqlite") as db:
        db.execute("CREATE TABLE fact (number INTEGER PRIMARY KEY)")
    return tmp_path / "box.sqlite"


def insert(number: int):  # type: ignore[no-untyped-def]
    def act(db: Database) -> int:
        db.execute("INSERT INTO fact VALUES (?)", [number])
        if number % 10 == 7:
            raise SessionNotOpen
        return number * 2

    return act


def test_sixty_threads_each_get_their_own_answer(path: Path) -> None:
    line, told, faults = Together(), {}, []
    bell = threading.Barrier(60)

    def run(number: int) -> None:
        db = open_database(path)
        bell.wait()
        try:
            told[number] = line.save(lambda: db, insert(number))
        except SessionNotOpen:
            faults.append(number)
        finally:
            db.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(faults) == [7, 17, 27, 37, 47, 57]
    assert told == {n: n * 2 for n in range(60) if n not in faults}
    with connection(path) as db:
        assert [row["number"] for row in db.query("SELECT number FROM fact")] == sorted(told)


def test_those_who_wait_share_the_next_commit(path: Path) -> None:
    line, commits = Together(), []
    first_is_in, go_on = threading.Event(), threading.Event()

    def slow(db: Database) -> None:
        first_is_in.set()
        go_on.wait(20)

    def run(act) -> None:  # type: ignore[no-untyped-def]
        db = open_database(path)
        db.conn.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
        line.save(lambda: db, act)
        db.close()

    threads = [threading.Thread(target=run, args=(slow,))]
    threads[0].start()
    assert first_is_in.wait(20)
    threads += [threading.Thread(target=run, args=(insert(number),)) for number in range(5)]
    for thread in threads[1:]:
        thread.start()
    while len(line._waiting) < 5:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(commits) == 2


def test_a_commit_that_fails_fails_for_everybody(path: Path) -> None:
    db = open_database(path)
    db.execute("CREATE TABLE other (number INTEGER REFERENCES fact(number) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Exception, match="FOREIGN KEY"):
        Together().save(lambda: db, lambda own: own.execute("INSERT INTO other VALUES (99)"))
    assert not db.conn.in_transaction
    assert Together().save(lambda: db, insert(1)) == 2
    db.close()
