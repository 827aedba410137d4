"""Monthly keys, published ahead and destroyed at last; keys of boxes that are believed no more."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from sync import client, key_list, usb
from sync.clock import Reading
from sync.envelope import NATION_ROLE, REGION_ROLE, recipients
from sync.errors import BoxRevoked, KeyListForged, KeyListMalformed, KeyListOutdated, WrongRecipient
from sync.key_list import KeyList, ListedKey, sign_list
from sync.keys import OpeningKey, SigningKey, key_id
from sync.server.arrivals import sticks
from sync.server.enrolment import registry
from sync.server.storage.store import open_store
from sync.server.upkeep import key_life
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for

NOW = datetime(2026, 12, 10, 9, 0, tzinfo=UTC)


class Calendar:
    """The box's clock, right and set by the test."""

    def __init__(self) -> None:
        self.at = NOW
        self.boot = "boot"

    def read(self) -> Reading:
        return Reading(self.boot, (self.at - NOW).total_seconds(), self.at)


@pytest.fixture
def calendar(monkeypatch: pytest.MonkeyPatch, region: RegionSimulator) -> Iterator[Calendar]:
    calendar = Calendar()
    monkeypatch.setattr("sync.boots.read", calendar.read)
    region.time = NOW
    yield calendar


def publish(region: RegionSimulator, at: datetime, nation: dict[str, bytes] | None = None) -> KeyList:
    store = open_store(region.region.database)
    try:
        return key_life.publish(region.region, store, at, nation)
    finally:
        store.close()


def open_db(box: Box) -> Database:
    return client.open_outbox(box.settings)


def sealed_to(region: RegionSimulator) -> bytes:
    return recipients(region.received[-1])[0]


def test_box_seals_to_the_key_of_the_month(box: Box, region: RegionSimulator, calendar: Calendar) -> None:
    keys = publish(region, NOW)
    own = [key for key in keys.keys if key.role == REGION_ROLE]
    assert [key.since.month for key in own] == [12, 1, 2, 3, 4, 5]
    for month in (0, 1, 3):
        calendar.at = region.time = NOW + timedelta(days=31 * month)
        box.ask()
        calendar.at = region.time = calendar.at + timedelta(days=8)
        box.sync()
        expected = keys.find(REGION_ROLE, calendar.at)
        assert expected is not None
        assert sealed_to(region) == key_id(expected)
    assert region.count("question_asked") == 3


def test_box_that_heard_of_no_list_goes_on_with_the_first_key(
    box: Box, region: RegionSimulator, calendar: Calendar, tmp_path: Path
) -> None:
    publish(region, NOW)
    box.ask()
    calendar.at += timedelta(days=8)
    stick = tmp_path / "stick"
    stick.mkdir()
    usb.visit(box.settings, stick)
    blob = next((stick / "SANDYQ").glob("*.sb1")).read_bytes()
    assert recipients(blob)[0] == region.region.keys.opening.kid
    store = open_store(region.region.database)
    assert sticks.import_stick(store, region.region, stick, NOW).stored == 1
    store.close()
    # The list comes back on the stick; the next envelope and the next call use it.
    usb.visit(box.settings, stick)
    box.ask()
    calendar.at += timedelta(days=8)
    usb.visit(box.settings, stick)
    blob = next((stick / "SANDYQ").glob("*.sb1")).read_bytes()
    assert recipients(blob)[0] != region.region.keys.opening.kid
    store = open_store(region.region.database)
    report = sticks.import_stick(store, region.region, stick, NOW)
    store.close()
    assert (report.stored, report.replies, report.refused) == (1, 1, {})


def test_nation_keys_are_listed_by_month_as_well(
    box: Box, region: RegionSimulator, calendar: Calendar
) -> None:
    nation = {f"2027-0{month}": OpeningKey.from_seed(bytes([month]) * 96).public for month in (1, 2)}
    publish(region, NOW, nation)
    box.sync()
    db = open_db(box)
    assert client.recipient(db, box.enrolment).nation_public == box.enrolment.nation_public
    for month in (1, 2):
        calendar.at = datetime(2027, month, 5, tzinfo=UTC)
        assert client.recipient(db, box.enrolment).nation_public == nation[f"2027-0{month}"]
    db.close()


def test_old_secret_halves_are_destroyed_and_what_was_sealed_to_them_stays_closed(
    box: Box, region: RegionSimulator, calendar: Calendar
) -> None:
    publish(region, NOW)
    box.ask()
    calendar.at += timedelta(days=8)
    box.sync()
    caught = region.received[-1]
    publish(region, NOW + timedelta(days=399))
    assert region.open(caught, box.device.public).events == 1
    publish(region, NOW + timedelta(days=400 + 31))
    with pytest.raises(WrongRecipient):
        region.open(caught, box.device.public)
    assert "2026-12" not in region.region.keys.months.names()


def test_list_is_fetched_once_and_only_when_it_is_new(
    box: Box, region: RegionSimulator, calendar: Calendar
) -> None:
    publish(region, NOW)
    for _ in range(3):
        box.sync()
    db = open_db(box)
    first = key_list.current(db, box.enrolment.region_id)
    assert first is not None
    assert first.number == 1
    publish(region, NOW)
    box.sync()
    second = key_list.current(db, box.enrolment.region_id)
    assert second is not None
    assert second.number == 2
    assert second.keys == first.keys, "keys once told are never replaced"
    db.close()


def test_forged_old_and_altered_lists_are_refused(box: Box) -> None:
    db = open_db(box)
    key, region_id = SigningKey.from_seed(bytes(32)), bytes(16)
    listed = (ListedKey(REGION_ROLE, NOW, OpeningKey.from_seed(bytes(96)).public),)
    signed = sign_list(KeyList(region_id, 2, listed), key)
    key_list.accept(db, signed, key.public, region_id)
    key_list.accept(db, signed, key.public, region_id)
    with pytest.raises(KeyListOutdated):
        key_list.accept(db, sign_list(KeyList(region_id, 1, listed), key), key.public, region_id)
    with pytest.raises(KeyListOutdated):
        key_list.accept(db, sign_list(KeyList(region_id, 2, ()), key), key.public, region_id)
    stranger = SigningKey.from_seed(bytes([1]) * 32)
    with pytest.raises(KeyListForged):
        key_list.accept(db, sign_list(KeyList(region_id, 3, listed), stranger), key.public, region_id)
    for at in range(0, len(signed), 7):
        with pytest.raises((KeyListForged, KeyListMalformed)):
            key_list.accept(
                db, signed[:at] + bytes([signed[at] ^ 4]) + signed[at + 1 :], key.public, region_id
            )
    for size in (0, 10, len(signed) - 1, 100_000):
        with pytest.raises(KeyListMalformed):
            key_list.accept(db, signed[:size].ljust(min(size, 100_000), b"\0"), key.public, region_id)
    found = key_list.current(db, region_id)
    assert found is not None
    assert found.number == 2
    db.close()


def test_unknown_clock_seals_to_a_key_that_surely_has_begun(
    box: Box, region: RegionSimulator, calendar: Calendar
) -> None:
    publish(region, NOW)
    box.sync()
    calendar.at, calendar.boot = datetime(1970, 1, 1, tzinfo=UTC), "the next morning"
    db = open_db(box)
    monday = client.recipient(db, box.enrolment).sealing_public
    db.close()
    listed = publish(region, NOW)
    assert monday == listed.find(REGION_ROLE, NOW)
    assert listed.find(NATION_ROLE, NOW) is None or box.enrolment.nation_public


def test_revoked_box_is_refused_by_wire_and_stick_and_does_not_come_back_with_its_key(
    box: Box, region: RegionSimulator, tmp_path: Path
) -> None:
    box.ask()
    stick = tmp_path / "stick"
    stick.mkdir()
    usb.visit(box.settings, stick)
    store = open_store(region.region.database)
    registry.revoke(store, box.enrolment.box_label, region.time)
    report = sticks.import_stick(store, region.region, stick, region.time)
    store.close()
    assert report.stored == 0
    assert report.refused["box_revoked"] >= 1
    with pytest.raises(BoxRevoked, match="new keys"):
        box.sync()
    with region.serve() as url, pytest.raises(BoxRevoked):
        client.enrol(box.settings, url, region.code())
    assert region.report()["events"] == 0
    assert box.status().sealed_events + box.status().waiting_events == 1


def test_commands_publish_and_revoke(tmp_path: Path, box: Box, region: RegionSimulator) -> None:
    runner, settings = CliRunner(), settings_for(region.settings.home)
    file = tmp_path / "nation.txt"
    public = base64.b64encode(OpeningKey.from_seed(bytes(96)).public).decode()
    file.write_text(f"2026-12 {public}\n2027-01 {public}\n")
    done = runner.invoke(main, ["region", "keys", "--nation-keys", str(file), "--json"], obj=settings)
    assert [key["role"] for key in json.loads(done.stdout)["keys"]] == ["R"] * 6 + ["N"] * 2
    file.write_text("December nonsense\n")
    assert runner.invoke(main, ["region", "keys", "--nation-keys", str(file)], obj=settings).exit_code == 1
    assert runner.invoke(main, ["region", "revoke", box.enrolment.box_label], obj=settings).exit_code == 0
    assert runner.invoke(main, ["region", "revoke", "B-00000"], obj=settings).exit_code == 1
