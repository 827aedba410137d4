"""No command and no log line shows a secret: keys, tokens, the keys of replies on sticks."""

from __future__ import annotations

import base64
import logging
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sync import boots, client, outbox, stick_book
from sync.clock import BUILT
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for


def forms(secret: bytes) -> set[str]:
    """Every way in which a program might print some bytes."""
    return {
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode(),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        repr(secret)[2:-1],
    }


def secrets_of(box: Box, region: RegionSimulator) -> set[str]:
    found: set[str] = {box.enrolment.token, box.enrolment.token.partition(".")[2]}
    for folder in (box.settings.home / "keys", region.settings.folder / "keys"):
        for path in folder.rglob("*.key"):
            found |= forms(bytes.fromhex(path.read_text().split()[-1]))
    db = client.open_outbox(box.settings)
    for call in stick_book.waiting_calls(db):
        found |= forms(call.reply_key)
    db.close()
    return found


def test_no_command_and_no_log_line_shows_a_secret(
    box: Box, region: RegionSimulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    at_box, at_region = settings_for(box.settings.home), settings_for(region.settings.home)
    runner, stick = CliRunner(), tmp_path / "stick"
    stick.mkdir()
    said: list[str] = []

    def run(where: object, *words: str, typed: str = "") -> Result:
        result = runner.invoke(main, [*words], obj=where, input=typed)
        said.append(result.output + repr(result.exception) + str(result.exception or ""))
        known = secrets_of(box, region)
        assert len(known) > 20
        for secret in known:
            assert secret not in said[-1], words
            assert secret not in caplog.text, words
        return result

    with region.serve() as url:
        client.save_enrolment(box.settings, client.Enrolment(**vars(box.enrolment) | {"region_url": url}))
        for words in (["policy", "publish", "--stop"], ["policy", "show"], ["keys"], ["report"], ["init"]):
            run(at_region, "region", *words)
        for json in ([], ["--json"]):
            box.ask(times=3)
            for words in (["status"], ["show"], ["run"], ["status"], ["run", "--scheduled"]):
                assert run(at_box, "sync", *words, *json).exit_code == 0, words
            box.ask(times=2)
            for words in (["export", str(stick)], ["visit", str(stick)], ["import", str(stick)], ["status"]):
                assert run(at_box, "sync", *words, *json).exit_code == 0, words
            assert run(at_region, "region", "import", str(stick), *json).exit_code == 0
        run(at_box, "sync", "enrol", url, typed="wrong-code\n")
        run(at_region, "region", "revoke", box.enrolment.box_label)
        run(at_box, "sync", "run")
    run(at_box, "sync", "run")
    assert "STOP" in "".join(said)


# What is kept, and for how long ----------------------------------------------------------------


def test_rows_of_batches_confirmed_long_ago_go_and_their_number_stays(
    box: Box, region: RegionSimulator
) -> None:
    region.time = BUILT + timedelta(days=10)
    box.ask(times=3)
    box.sync()
    db = client.open_outbox(box.settings)
    boots.raise_floor(db, region.time + timedelta(days=399))
    client.tidy(db)
    assert db.execute("SELECT count(*) FROM batch").fetchone() == (1,)
    boots.raise_floor(db, region.time + timedelta(days=401))
    client.tidy(db)
    assert db.execute("SELECT count(*) FROM batch").fetchone() == (0,)
    status = outbox.status(db)
    assert (status.receipted_batches, status.receipted_events) == (1, 3)
    db.close()
    box.ask()
    box.sync()
    assert box.status().receipted_events == region.count("question_asked") == 4
    assert region.report()["boxes"][0]["remarks"] == []


def test_deleted_learner_is_in_no_byte_of_the_box(box: Box) -> None:
    canary = "learner-canary-8d1f"
    box.ask(by=canary, times=5)
    box.ask(by="bolat", times=5)
    db = client.open_outbox(box.settings)
    with db.atomic():
        outbox.forget_learner(db, canary)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert outbox.status(db).waiting_events == 5
    db.close()
    raw = b"".join(path.read_bytes() for path in box.settings.home.glob("box.sqlite*"))
    assert b"bolat" in raw
    assert canary.encode() not in raw
