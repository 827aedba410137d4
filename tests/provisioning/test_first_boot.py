"""A blank card becomes one box, and no two cards become the same one."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from provisioning.cli import first_boot_command
from provisioning.errors import FirstBootRunning, StateFolderUnusable
from provisioning.first_boot import find_box, prepare_box
from provisioning.hardware import Machine
from provisioning.steps import alone
from sync.database import open_database
from sync.keys import device_id
from sync.settings import SyncSettings
from tests.provisioning.first_boot_cut_short import cut_at_every_change

MACHINE = Machine(system="this system", board_serial=None, network_addresses=())
OTHER_MACHINE = replace(MACHINE, system="another system")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_blank_home_becomes_a_box_named_after_its_key(home: Path) -> None:
    done = prepare_box(home, MACHINE)
    assert done.box.device_id == device_id(home)
    assert done.box.name.startswith("sandyq-")
    assert len(done.box.name) == len("sandyq-") + 4
    assert done.steps_taken == ("device-key", "name", "codes")
    assert find_box(home) == done.box


def test_running_it_again_changes_nothing(home: Path) -> None:
    first = prepare_box(home, MACHINE)
    before = contents(home)
    again = prepare_box(home, MACHINE)
    assert again.box == first.box
    assert again.steps_taken == ()
    assert again.moved_aside is None
    assert contents(home) == before


def test_two_copies_of_one_blank_home_become_two_boxes(tmp_path: Path) -> None:
    blank = tmp_path / "blank"
    blank.mkdir()
    (blank / "sandyq.toml").write_text('language = "kk"\n')
    boxes = []
    for copy in ("first", "second"):
        shutil.copytree(blank, tmp_path / copy)
        # The same machine twice: only the keys may tell the two apart.
        boxes.append(prepare_box(tmp_path / copy, MACHINE).box)
    assert boxes[0].device_id != boxes[1].device_id
    assert boxes[0].name != boxes[1].name


def test_a_card_copied_into_another_machine_gets_its_own_keys_and_name(home: Path, tmp_path: Path) -> None:
    original = prepare_box(home, MACHINE).box
    (home / "enrolment.json").write_text('{"upload_token": "only for the original"}')
    ask_the_database(home, "CREATE TABLE question AS SELECT 'what 7A asked' AS text")
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)

    done = prepare_box(copy, OTHER_MACHINE)

    assert done.box.device_id != original.device_id
    assert done.box.name != original.name
    assert done.moved_aside == copy / "keys/revoked-1"
    # Never used again, never lost: the region may ask where a key went.
    assert sorted(path.name for path in done.moved_aside.iterdir()) == [
        "box.json",
        "codes.json",
        "device",
        "enrolment.json",
    ]
    assert not (copy / "enrolment.json").exists()
    # Lessons go on: what the class has is not touched.
    assert ask_the_database(copy, "SELECT text FROM question") == [("what 7A asked",)]
    # And the original stays what it was.
    assert prepare_box(home, MACHINE).box == original
    assert prepare_box(copy, OTHER_MACHINE).box == done.box


def test_a_copy_of_a_copy_moves_aside_again(home: Path) -> None:
    names = {prepare_box(home, replace(MACHINE, system=system)).box.name for system in ("a", "b", "c")}
    assert len(names) == 3
    assert (home / "keys/revoked-1/device").is_dir()
    assert (home / "keys/revoked-2/device").is_dir()


def test_late_evidence_does_not_make_another_box(home: Path) -> None:
    early = prepare_box(home, MACHINE).box
    with_network = replace(MACHINE, network_addresses=("lan",))
    assert prepare_box(home, with_network).box == early
    assert prepare_box(home, MACHINE).box == early
    # What came late counts from now on.
    assert prepare_box(home, replace(MACHINE, network_addresses=("other lan",))).box != early


@pytest.mark.parametrize("damage", [None, b"", b"\0" * 80, b"[]", b'{"system": "this system"}'])
def test_keys_that_no_record_vouches_for_are_not_used(home: Path, damage: bytes | None) -> None:
    before = prepare_box(home, MACHINE).box
    record = home / "first-boot/machine.json"
    if damage is None:
        record.unlink()
    else:
        record.write_bytes(damage)
    assert prepare_box(home, MACHINE).box.device_id != before.device_id


def test_a_key_lost_in_a_file_system_check_is_made_anew_and_the_name_follows(home: Path) -> None:
    before = prepare_box(home, MACHINE).box
    shutil.rmtree(home / "keys/device")
    after = prepare_box(home, MACHINE)
    assert after.steps_taken == ("device-key", "name")
    assert after.box.device_id != before.device_id
    assert after.box.device_id == device_id(home)


def test_a_damaged_name_is_written_again(home: Path) -> None:
    box = prepare_box(home, MACHINE).box
    (home / "box.json").write_bytes(b"\0" * 60)
    assert prepare_box(home, MACHINE).box == box


def test_nothing_of_it_is_readable_for_others(home: Path) -> None:
    prepare_box(home, MACHINE)
    prepare_box(home, OTHER_MACHINE)
    for path in (home, *home.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.slow
@pytest.mark.parametrize("start", ["blank", "copied card"])
def test_killed_at_any_moment_the_next_start_makes_it_whole(tmp_path: Path, start: str) -> None:
    origin = tmp_path / "origin"
    foreign_id = None
    if start == "copied card":
        foreign_id = prepare_box(origin, MACHINE).box.device_id
        (origin / "enrolment.json").write_text("{}")
    else:
        origin.mkdir()

    cut_homes = cut_at_every_change(origin, tmp_path / "cut")
    for home in cut_homes:
        box = prepare_box(home, OTHER_MACHINE).box
        assert box.device_id == device_id(home)
        assert box.device_id != foreign_id
        assert not (home / "enrolment.json").exists()
        assert len(list(home.glob("keys/revoked-*"))) == (1 if foreign_id else 0)
        assert not list(home.rglob("moving-aside.json"))
        assert prepare_box(home, OTHER_MACHINE).steps_taken == ()
    assert len(cut_homes) > 20  # the knife did reach into the work


def test_a_second_run_at_the_same_time_is_refused(home: Path) -> None:
    prepare_box(home, MACHINE)
    with alone(home / "first-boot"), pytest.raises(FirstBootRunning):
        prepare_box(home, MACHINE)
    prepare_box(home, MACHINE)


def test_a_home_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    home = tmp_path / "a file where the folder should be"
    home.write_text("")
    with pytest.raises(StateFolderUnusable) as refused:
        prepare_box(home, MACHINE)
    assert str(home) in str(refused.value)
    assert "Check the free space" in str(refused.value)


@dataclass
class Settings:
    home: Path

    @property
    def sync(self) -> SyncSettings:
        return SyncSettings(self.home)


def test_the_command_says_who_the_box_is(home: Path) -> None:
    runner = CliRunner()
    text = runner.invoke(first_boot_command, [], obj=Settings(home), catch_exceptions=False).output
    box = find_box(home)
    assert box is not None
    assert text == f"Made: device-key\nMade: name\nMade: codes\nThis box is {box.name}.\n"
    record = json.loads(runner.invoke(first_boot_command, ["--json"], obj=Settings(home)).output)
    assert record == {"name": box.name, "device_id": box.device_id, "steps_taken": [], "moved_aside": None}


def test_the_command_tells_of_a_copied_card(home: Path) -> None:
    prepare_box(home, Machine("another system", "another board", ("another lan",)))
    (home / "first-boot/machine.json").unlink()
    text = CliRunner().invoke(first_boot_command, [], obj=Settings(home)).output
    assert "the card was copied or moved" in text
    assert "enrol it at the region with a new code" in text


def ask_the_database(home: Path, sql: str) -> list[tuple[object, ...]]:
    db = open_database(home / "box.sqlite")
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()


def contents(home: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in home.rglob("*")
        if path.is_file()
    }
