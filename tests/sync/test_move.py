"""A living region moves to another database: nothing is lost, nothing comes twice, whoever is killed."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.errors import SyncError
from sync.region_errors import RegionMoved, TargetNotEmpty
from sync.server.storage.database import open_region_database
from sync.server.storage.identity import get_region, make_region
from sync.server.storage.schema import migrate
from sync.server.storage.store import Store, open_store
from sync.server.upkeep import move as move_module
from sync.server.upkeep.move import give_up, move
from sync.settings import RegionSettings
from tests.sync.postgres import Postgres
from tests.sync.test_two_databases import ROWS, box_of, ledger_row, tables_of

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["to postgresql", "to sqlite"])
def two(request: pytest.FixtureRequest, tmp_path: Path, postgres: Postgres) -> tuple[str, str]:
    """The address it comes from and the one it goes to."""
    file, server = f"sqlite:///{tmp_path}/region.sqlite", postgres.new_database()
    return (file, server) if request.param == "to postgresql" else (server, file)


@pytest.fixture
def old(two: tuple[str, str]) -> Iterator[Store]:
    store = open_store(two[0])
    store.migrate()
    fill(store, batches=12)
    yield store
    store.close()


def fill(store: Store, batches: int) -> None:
    """Something in many tables."""
    boxes = [box_of(store, f"B-{number}") for number in range(3)]
    for seq in range(1, batches // 3 + 1):
        for box in boxes:
            store.add_batch(box, ledger_row(seq, events=len(ROWS), at=NOW.replace(day=1 + seq % 3)), ROWS)
            store.add_nation_letter(box, b"epoch-01", seq, b"letter")
    store.add_remark(boxes[0], b"epoch-01", 1, "gap", bytes(32), NOW)
    store.add_policy(1, b"signed")
    store.add_key_list(3, b"listed")


def moved(two: tuple[str, str]) -> None:
    with closing(open_region_database(two[0])) as source, closing(open_region_database(two[1])) as target:
        move(source, target, two[0], lambda _done, _known: None)


def content(address: str) -> dict[str, list[str]]:
    """Return every row of every table, in an order that says nothing of the database."""
    with closing(open_region_database(address)) as db:
        kept = [table for table in tables_of(db) if table not in {"region_migration", "region_move"}]
        return {
            table: sorted(
                repr(row) for row in db.rows(f"SELECT {', '.join(sorted(db.columns(table)))} FROM {table}")
            )
            for table in kept
            if not table.startswith("_")
        }


def test_every_row_of_every_table_arrives(two: tuple[str, str], old: Store) -> None:
    before = content(two[0])
    moved(two)
    assert content(two[1]) == before
    assert len(before["event"]) == 12 * len(ROWS)
    moved(two)
    assert content(two[1]) == before, "a second run finds the work done"
    with closing(open_store(two[1])) as new:
        box = box_of(new, "B-new")  # numbers go on behind those that came
        new.add_batch(box, ledger_row(1, events=3), ROWS)
        assert new.db.row("SELECT max(number) FROM ledger") == (13,)


def test_the_old_database_takes_nothing_more_until_the_move_is_given_up(
    two: tuple[str, str], old: Store
) -> None:
    moved(two)
    box = old.find_box_by_label("B-0")
    assert box is not None, "it may still be read"
    for change in (
        lambda: old.add_batch(box, ledger_row(99), ROWS),
        lambda: old.touch_box(box, NOW),
        lambda: old.add_policy(2, b"later"),
    ):
        with pytest.raises(RegionMoved):
            change()
    with closing(open_region_database(two[0])) as source:
        give_up(source)
    old.add_policy(2, b"later")


def test_a_database_with_another_region_in_it_is_left_alone(two: tuple[str, str], old: Store) -> None:
    with closing(open_store(two[1])) as other:
        other.migrate()
        box_of(other, "B-other")
    before = content(two[1])
    with pytest.raises(TargetNotEmpty):
        moved(two)
    assert content(two[1]) == before
    old.add_policy(2, b"goes on")


def test_a_move_that_dies_anywhere_goes_on(
    two: tuple[str, str], old: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_module, "STEP_BATCHES", 3)
    before = content(two[0])
    real, steps = move_module._copy, itertools.count(1)

    class Killed(BaseException):
        pass

    def dying(*words: object) -> None:
        if next(steps) % 4 == 0:
            raise Killed
        real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(move_module, "_copy", dying)
    for _ in range(30):
        try:
            moved(two)
            break
        except Killed:
            monkeypatch.setattr(move_module, "_copy", dying if next(steps) < 60 else real)
    assert content(two[1]) == before


def test_boxes_go_on_sending_while_the_region_moves(
    two: tuple[str, str], old: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move_module, "STEP_BATCHES", 2)
    acknowledged: list[int] = []
    box = box_of(old, "B-busy")

    def send() -> None:
        with closing(open_store(two[0])) as own:
            for seq in range(1, 200):
                try:
                    own.add_batch(box, ledger_row(seq, events=len(ROWS)), ROWS)
                except (RegionMoved, SyncError):
                    return
                acknowledged.append(seq)

    sender = threading.Thread(target=send)
    sender.start()
    while len(acknowledged) < 5:
        time.sleep(0.005)
    moved(two)
    sender.join()
    with closing(open_store(two[1])) as new:
        stored = [row.seq for row in new.ledger_rows(box, b"epoch-01", 1, 1000, 1000)]
        assert stored == acknowledged, "what was acknowledged is there, and once"
        events = new.db.rows(
            "SELECT seq, count(*) FROM event WHERE box_id = ? GROUP BY 1 ORDER BY 1", (box.id,)
        )
    assert events == [(seq, len(ROWS)) for seq in acknowledged]


@pytest.mark.slow
def test_the_command_killed_at_any_moment_goes_on(tmp_path: Path, postgres: Postgres) -> None:
    settings = RegionSettings(home=tmp_path)
    region = make_region(settings, "Абай", "")
    target = postgres.new_database()
    with closing(open_store(region.database)) as store:
        fill(store, batches=900)
    before = content(region.database)
    chance, killed = random.Random(5), 0
    runner = [sys.executable, "-m", "tests.sync.runner", str(tmp_path), "0"]
    words = [*runner, "region", "migrate", region.database, target, "--json"]
    # Steps of 10 batches: 90 moments at least to die between, of which eight deaths use up a third.
    environment = os.environ | {"SANDYQ_TEST_STEP_BATCHES": "10"}
    for steps in [*(chance.randrange(1, 6) for _ in range(8)), None]:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        if steps is not None and copied(process, steps):
            time.sleep(chance.uniform(0, 0.01))  # into the middle of the next step
            killed += process.poll() is None
            process.kill()
            process.communicate()
            continue
        said, told = process.communicate()
        assert process.returncode == 0, told
        assert json.loads(said)["batches"] == 900
        break
    assert killed >= 2, "the kills came too late to mean anything"
    assert content(target) == before
    assert get_region(settings).database == target


def copied(process: subprocess.Popen[str], steps: int) -> bool:
    """Wait until the command told of so many steps with more to come; False when it is through."""
    if process.stderr is None:
        raise RuntimeError("nobody listens")
    for line in process.stderr:
        done = re.fullmatch(r"(\d+) of 900 batches\n", line)
        if done is not None and int(done[1]) < 900:
            steps -= 1
        if steps == 0:
            return True
    return False


def test_both_sides_are_brought_to_this_programs_form_first(two: tuple[str, str]) -> None:
    with closing(open_region_database(two[0])) as source:
        migrate(source)
    moved(two)
    assert content(two[1])["box"] == []
