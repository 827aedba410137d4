"""A card is copied while events wait: the region counts each of them once, whoever sends it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from provisioning.first_boot import prepare_box
from provisioning.hardware import Machine
from sync import client
from sync.errors import DatabaseDamaged, RegionUnreachable
from sync.keys import get_device_key
from sync.settings import SyncSettings
from tests.provisioning.first_boot_cut_short import cut_at_every_change
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

MACHINE = Machine(system="this system", board_serial=None, network_addresses=())
OTHER_MACHINE = Machine(system="another system", board_serial=None, network_addresses=())

CONFIRMED, SEALED, WAITING = 2, 3, 5  # on the card when it is copied
RECORDED = CONFIRMED + SEALED + WAITING


def enrolled(home: Path, region: RegionSimulator, url: str) -> Box:
    settings = SyncSettings(home)
    enrolment = client.enrol(settings, url, region.code())
    return Box(settings, region, enrolment, get_device_key(home))


@pytest.fixture(params=["receipt lost", "envelope lost"])
def original(tmp_path: Path, region: RegionSimulator, url: str, request: pytest.FixtureRequest) -> Box:
    """The box of 7A, with a batch of which it does not know whether it arrived, and events that wait."""
    prepare_box(tmp_path / "original", MACHINE)
    box = enrolled(tmp_path / "original", region, url)
    box.ask(times=CONFIRMED)
    box.sync()
    box.ask(times=SEALED)
    if request.param == "receipt lost":
        region.lose_next_receipt()
    else:
        region.lose_next_envelope()
    with pytest.raises(RegionUnreachable):
        box.sync()
    box.ask(times=WAITING)
    return box


@pytest.mark.parametrize("first", ["original", "copy"])
def test_original_and_copy_together_count_each_event_once(
    original: Box, region: RegionSimulator, url: str, tmp_path: Path, first: str
) -> None:
    shutil.copytree(original.settings.home, tmp_path / "copy")
    prepare_box(tmp_path / "copy", OTHER_MACHINE)
    copy = enrolled(tmp_path / "copy", region, url)
    copy.ask(by="Bolat", times=4)

    boxes = (original, copy) if first == "original" else (copy, original)
    sent = {id(box): client.run(box.settings).events for box in boxes}

    assert sent == {id(original): SEALED + WAITING, id(copy): 4}
    assert region.count("question_asked") == RECORDED + 4
    lines = region.report()["boxes"]
    assert sorted(line["events"] for line in lines) == [4, RECORDED]
    assert [line["remarks"] for line in lines] == [[], []]
    assert copy.status().set_aside_events == SEALED + WAITING
    assert original.status().set_aside_events == 0
    # Later starts and later lessons of both go on as ever.
    for box, machine in ((original, MACHINE), (copy, OTHER_MACHINE)):
        prepare_box(box.settings.home, machine)
        box.ask()
        assert client.run(box.settings).events == 1
    assert region.count("question_asked") == RECORDED + 6


@pytest.mark.slow
@pytest.mark.parametrize("original", ["receipt lost"], indirect=True)
def test_killed_at_any_moment_the_copy_still_sends_only_its_own(
    original: Box, region: RegionSimulator, url: str, tmp_path: Path
) -> None:
    cut_homes = cut_at_every_change(original.settings.home, tmp_path / "cut")
    client.run(original.settings)
    counted = RECORDED
    for home in cut_homes:
        copied = Box(SyncSettings(home), region, original.enrolment, original.device)
        copied.ask()  # the pages start also when first boot did not end
        prepare_box(home, OTHER_MACHINE)
        copy = enrolled(home, region, url)
        copy.ask()
        counted += client.run(copy.settings).events
        assert region.count("question_asked") == counted
        status = copy.status()
        assert (status.waiting_events, status.sealed_batches) == (0, 0)
        assert status.set_aside_events in (SEALED + WAITING, SEALED + WAITING + 1)
        # Nothing is lost: what was not sent is set aside.
        assert status.receipted_events + status.set_aside_events == RECORDED + 2
    # Each copy sent its last event; those cut after the new epoch began, the one before as well.
    assert RECORDED + len(cut_homes) < counted < RECORDED + 2 * len(cut_homes)


@pytest.mark.parametrize("original", ["envelope lost"], indirect=True)
def test_a_damaged_database_is_named_and_its_backup_is_set_aside_too(original: Box, tmp_path: Path) -> None:
    copy = shutil.copytree(original.settings.home, tmp_path / "copy")
    backup = (copy / "box.sqlite").read_bytes()
    (copy / "box.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseDamaged):
        prepare_box(copy, OTHER_MACHINE)
    # systemd/sandyq-sync.service looks for this file, so that nothing is sent with the old keys.
    assert (copy / "first-boot/moving-aside.json").exists()

    (copy / "box.sqlite").write_bytes(backup)
    assert prepare_box(copy, OTHER_MACHINE).box.device_id != original.device.kid.hex()
    status = Box(SyncSettings(copy), original.region, original.enrolment, original.device).status()
    assert (status.waiting_events, status.set_aside_events) == (0, SEALED + WAITING)


def test_a_copied_card_whose_pages_never_started_gets_no_database(tmp_path: Path) -> None:
    prepare_box(tmp_path, MACHINE)
    assert prepare_box(tmp_path, OTHER_MACHINE).moved_aside is not None
    assert not (tmp_path / "box.sqlite").exists()
