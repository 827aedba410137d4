"""A region made by the first program, before there were two databases, keeps every row."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from sync.database import open_database, write_transaction
from sync.server.storage import schema
from sync.server.storage.identity import make_region
from sync.server.storage.schema import MIGRATIONS
from sync.server.storage.store import open_store
from sync.server.storage.takeover import migrations
from tests.sync.runner import main, settings_for

STEPS = tuple(migration.name for migration in migrations._migrations)
BOXES, BATCHES, ROWS = 3, 8, 5

# What each of the old program's statements can hold, with bytes and letters of every kind.
CODES = "INSERT INTO code VALUES (x'c0de', '2030-01-01T00:00:00+00:00', NULL)"
BOX = (
    "INSERT INTO box (id, label, kid, device_key, token_sha256, software, enrolled_at, last_contact_at)"
    " VALUES (?, ?, ?, ?, ?, '0.1.0', '2026-09-01T07:00:00+00:00', '2026-09-02T07:00:00.123456+00:00')"
)
LEDGER = "INSERT INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, 2, ?, ?)"
EVENT = (
    "INSERT INTO event (box_id, epoch, seq, kind, session, day, language, outcome, characters)"
    " VALUES (?, ?, ?, 'question_asked', ?, '2026-09-01', 'kk', NULL, ?)"
)


def spine(path: Path, stop_before: str | None) -> dict[str, int]:
    """Make a region with the old statements, filled as the old program filled it; return the counts."""
    db = open_database(path)
    with write_transaction(db):
        migrations.apply(db, stop_before=stop_before)
        fill(db)
    counted = {table: count(db, table) for table in ("code", "box", "ledger", "event", "remark")}
    db.close()
    return counted


def fill(db: Database) -> None:
    db.execute(CODES)
    for box in range(1, BOXES + 1):
        db.execute(BOX, [box, f"B-{box}", bytes([box]) * 8, bytes([box]) * 32, bytes(32)])
    # Boxes took turns: the order of arrival is not the order of the key.
    for seq in range(1, BATCHES + 1):
        for box in range(BOXES, 0, -1):
            add_batch(db, box, seq)
    db.execute("INSERT INTO remark VALUES (2, x'00ff', 3, 'fork', x'aa', '2026-09-02T00:00:00+00:00')")


def add_batch(db: Database, box: int, seq: int) -> None:
    lo = (seq - 1) * ROWS + 1
    place = [box, b"\x00\xff" + bytes([box] * 6), seq]
    received = f"2026-09-{1 + seq:02}T19:00:00+00:00"
    sha256 = bytes([box, seq]) * 16
    db.execute(LEDGER, [*place, lo, lo + ROWS - 1, bytes(16), sha256, bytes(32), seq, received])
    for session in range(ROWS):
        db.execute(EVENT, [*place, session, seq])


def count(db: Database, table: str) -> int:
    counted: int = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return counted


@pytest.mark.parametrize("stop_before", [*STEPS[1:], None], ids=str)
def test_an_upgrade_from_any_old_form_keeps_every_row(tmp_path: Path, stop_before: str | None) -> None:
    path = tmp_path / "region.sqlite"
    before = spine(path, stop_before)
    assert before == {"code": 1, "box": 3, "ledger": 24, "event": 120, "remark": 1}
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.migrate()
        store.migrate()
        after = {table: (store.db.row(f"SELECT count(*) FROM {table}") or (0,))[0] for table in before}
        assert after == before
        assert schema.steps(store.db) == [migration.name for migration in MIGRATIONS]
        numbers = store.db.rows("SELECT number, seq, box_id, received_day FROM ledger ORDER BY number")
        assert numbers[:4] == [
            (1, 1, 3, "2026-09-02"),
            (2, 1, 2, "2026-09-02"),
            (3, 1, 1, "2026-09-02"),
            (4, 2, 3, "2026-09-03"),
        ]
        assert store.db.rows("SELECT DISTINCT kind, day, span, language, outcome FROM event") == [
            ("question_asked", "2026-09-01", 0, "kk", None)
        ]
        assert store.db.rows(
            "SELECT count(*) FROM event JOIN ledger USING (box_id, epoch, seq, number, received_day)"
        ) == [(120,)]
        box = store.find_box_by_label("B-2")
        assert box is not None
        assert (box.kid, box.is_revoked, box.is_approved) == (bytes([2]) * 8, False, True)
        line = next(line for line in store.box_lines() if line.label == "B-2")
        assert (line.batches, line.events, line.missing, line.remarks) == (8, 40, 0, ("fork",))
        assert [old for old in store.db.tables() if old.startswith("old_")] == []


def test_an_upgrade_that_dies_leaves_the_old_region_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "region.sqlite"
    spine(path, None)

    class Killed(BaseException):
        pass

    real: Callable[..., None] = schema.takeover._move

    def dying(db: object, table: str) -> None:
        if table == "event":
            raise Killed
        real(db, table)

    with monkeypatch.context() as patched, closing(open_store(f"sqlite:///{path}")) as store:
        patched.setattr(schema.takeover, "_move", dying)
        with pytest.raises(Killed):
            store.migrate()
    with closing(sqlite3.connect(path)) as plain:
        assert plain.execute("SELECT count(*) FROM event").fetchone() == (120,)
        assert plain.execute("SELECT count(*) FROM pragma_table_info('ledger')").fetchone() == (11,)
    with closing(open_store(f"sqlite:///{path}")) as store:
        store.migrate()
        assert store.db.row("SELECT count(*) FROM event") == (120,)


@pytest.mark.parametrize("stop_before", [STEPS[1], None], ids=str)
def test_the_first_command_after_an_upgrade_knows_the_old_form(
    tmp_path: Path, stop_before: str | None
) -> None:
    settings = settings_for(tmp_path)
    path = Path(make_region(settings.region, "Түркістан", "").database.removeprefix("sqlite:///"))
    for words in ("report", "code"):
        for left in path.parent.glob(f"{path.name}*"):
            left.unlink()
        spine(path, stop_before)
        done = CliRunner().invoke(main, ["region", words, "--json"], obj=settings, catch_exceptions=False)
        answer = json.loads(done.stdout)
        if words == "report":
            assert (answer["batches"], answer["events"]) == (24, 120)
        else:
            with closing(open_store(f"sqlite:///{path}")) as store:
                assert store.db.row("SELECT count(*) FROM code") == (2,)
