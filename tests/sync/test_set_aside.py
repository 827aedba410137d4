"""What a copied card brought along is kept and counted, and never sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from sync import client, outbox
from sync.database import migrate, open_database
from sync.errors import RegionUnreachable
from sync.receipt import verify_receipt
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for

EPOCH, NEXT_EPOCH = b"epoch--2", b"epoch--3"


@pytest.fixture
def full_box(box: Box, region: RegionSimulator) -> Box:
    """Three events confirmed, two sealed and lost on the way, four waiting."""
    box.ask(times=3)
    box.sync()
    box.ask(times=2)
    region.lose_next_envelope()
    with pytest.raises(RegionUnreachable):
        box.sync()
    box.ask(times=4)
    return box


def begin_epoch(box: Box, epoch: bytes) -> None:
    db = client.open_outbox(box.settings)
    try:
        outbox.begin_epoch(db, epoch)
    finally:
        db.close()


def test_what_waited_is_set_aside_and_not_sent(full_box: Box, region: RegionSimulator) -> None:
    begin_epoch(full_box, EPOCH)
    status = full_box.status()
    assert (status.waiting_events, status.sealed_batches, status.sealed_events) == (0, 0, 0)
    assert (status.set_aside_events, status.receipted_events) == (6, 3)
    assert full_box.sync().batches == 0
    assert region.count("question_asked") == 3


def test_nothing_set_aside_is_destroyed(full_box: Box) -> None:
    kept = "SELECT id, kind, day, session_id, fields, batch_id FROM outbox ORDER BY id"
    sealed = "SELECT epoch, seq, blob_id, body, sealed FROM batch ORDER BY id"
    before = full_box.query(kept), full_box.query(sealed)
    begin_epoch(full_box, EPOCH)
    assert (full_box.query(kept), full_box.query(sealed)) == before
    assert full_box.query("SELECT count(*) FROM outbox WHERE set_aside_by = x'65706f63682d2d32'") == [(6,)]


def test_new_events_are_numbered_from_one_again(full_box: Box, region: RegionSimulator) -> None:
    begin_epoch(full_box, EPOCH)
    full_box.ask(times=5)
    full_box.sync()
    batch = region.open(region.received[-1], full_box.device.public)
    assert (batch.epoch, batch.seq, batch.lo, batch.hi) == (EPOCH, 1, 1, 5)
    assert batch.previous_sha256 == bytes(32)
    assert region.count("question_asked") == 8
    assert full_box.status().set_aside_events == 6
    assert region.report()["boxes"][0]["remarks"] == ["epoch"]  # noticed at the region too


def test_the_same_epoch_again_leaves_what_came_since(full_box: Box, region: RegionSimulator) -> None:
    begin_epoch(full_box, EPOCH)
    full_box.ask()
    begin_epoch(full_box, EPOCH)
    assert (full_box.status().waiting_events, full_box.status().set_aside_events) == (1, 6)
    # A copy of the copy is another card again, and adds to what the first one set aside.
    begin_epoch(full_box, NEXT_EPOCH)
    assert (full_box.status().waiting_events, full_box.status().set_aside_events) == (0, 7)
    by_epoch = "SELECT set_aside_by, count(*) FROM outbox GROUP BY 1 ORDER BY 1"
    assert full_box.query(by_epoch) == [(EPOCH, 6), (NEXT_EPOCH, 1)]


def test_a_receipt_that_was_on_its_way_still_counts(full_box: Box, region: RegionSimulator) -> None:
    sealed = full_box.query("SELECT sealed FROM batch WHERE receipt IS NULL")[0][0]
    if not isinstance(sealed, bytes):
        raise TypeError
    signed = region.carry(sealed, full_box.enrolment.token)
    begin_epoch(full_box, EPOCH)
    db = client.open_outbox(full_box.settings)
    outbox.settle(db, verify_receipt(signed, full_box.enrolment.receipt_public), signed)
    db.close()
    assert (full_box.status().receipted_events, full_box.status().set_aside_events) == (5, 4)


def test_status_and_show_tell_of_it(full_box: Box) -> None:
    settings, runner = settings_for(full_box.settings.home), CliRunner()

    def said(*words: str) -> str:
        return runner.invoke(main, ["sync", *words], obj=settings, catch_exceptions=False).stdout

    assert "Set aside" not in said("status")
    begin_epoch(full_box, EPOCH)
    assert "Set aside:    6 events, never sent" in said("status")
    assert json.loads(said("status", "--json"))["set_aside_events"] == 6
    assert said("show") == "Nothing waits.\n"


def test_a_database_from_before_gets_the_new_columns_and_sets_nothing_aside(tmp_path: Path) -> None:
    db = open_database(tmp_path / "box.sqlite")
    outbox.migrations.apply(db, stop_before="m002_set_aside")
    db.execute("INSERT INTO outbox (kind, day, session_id, fields) VALUES ('k', '2026-09-01', 's', '{}')")
    migrate(db, outbox.migrations)
    status = outbox.status(db)
    db.close()
    assert (status.waiting_events, status.set_aside_events) == (1, 0)
