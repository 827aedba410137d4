"""How partitions lie on the images of both boards, judged by sfdisk itself; no rights of root are needed."""

import json
import subprocess
from pathlib import Path

import pytest

from provisioning import boot_texts
from provisioning.layouts import (
    DATA,
    MEBIBYTE,
    ROOT_A,
    ROOT_B,
    SECTORS_PER_MIB,
    SETTINGS,
    Layout,
    layout_for,
    overlapping,
    root_argument,
    sfdisk_script,
)
from provisioning.programs import Workshop
from tests.provisioning.appliance_tree import missing_tools

LAYOUTS = {board: layout_for(board) for board in ("pc", "rpi")}
both = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)


@both
def test_partitions_do_not_share_room_and_fit_on_the_disk(layout: Layout) -> None:
    assert overlapping(layout.partitions) == []
    assert all(p.start_mib + p.size_mib <= layout.size_mib for p in layout.partitions)


@both
def test_the_data_partition_is_the_last_because_only_the_last_can_grow(layout: Layout) -> None:
    data = layout.get(DATA)
    assert data == max(layout.partitions, key=lambda p: p.start_mib)
    assert data.number == max(p.number for p in layout.partitions)


@both
def test_both_systems_have_the_same_room(layout: Layout) -> None:
    assert layout.get(ROOT_A).size_mib == layout.get(ROOT_B).size_mib


def test_a_pi_has_all_fat_partitions_first_and_the_settings_where_every_computer_looks() -> None:
    first = [p.name for p in LAYOUTS["rpi"].partitions if p.number <= 3]
    assert first == [SETTINGS, "boot-a", "boot-b"]


@both
def test_sfdisk_writes_exactly_this_table(layout: Layout, tmp_path: Path) -> None:
    if missing_tools("sfdisk"):
        pytest.fail("sfdisk is missing: install the Debian package fdisk, or run `make test`, which does")
    workshop = Workshop(tmp_path, 0, tmp_path / "log")
    disk = tmp_path / "disk"
    disk.touch()
    with disk.open("r+b") as file:
        file.truncate(layout.size_bytes)
    workshop.run("sfdisk", "--quiet", disk, typed=sfdisk_script(layout))
    table = json.loads(workshop.run("sfdisk", "--json", disk))["partitiontable"]
    assert table["label"] == layout.table
    found = {(p["start"], p["size"]) for p in table["partitions"]}
    assert found == {(p.start_sector, p.size_mib * SECTORS_PER_MIB) for p in layout.partitions}
    if layout.table == "gpt":
        assert {p["name"] for p in table["partitions"]} == {p.name for p in layout.partitions}
    done = subprocess.run(["sfdisk", "--verify", str(disk)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_two_builds_have_the_same_ids_and_two_boards_different_ones() -> None:
    assert sfdisk_script(layout_for("pc")) == sfdisk_script(layout_for("pc"))
    assert sfdisk_script(layout_for("pc")).split()[3] != sfdisk_script(layout_for("rpi")).split()[3]


# --- What the firmware reads ---


@both
@pytest.mark.parametrize("slot", ["a", "b"])
def test_each_system_starts_from_its_own_root_and_never_stays_stopped(layout: Layout, slot: str) -> None:
    words = boot_texts.kernel_arguments(layout, slot).split()
    assert root_argument(layout, slot) in words
    assert {"ro", "panic=10", f"sandyq.slot={slot}"} <= set(words)
    assert root_argument(layout, "a") != root_argument(layout, "b")


def test_a_fresh_system_has_tries_and_a_proven_one_has_no_counter() -> None:
    assert boot_texts.loader_entry_name("b") == "sandyq-b+3.conf"
    assert boot_texts.loader_entry_name("a", tries=None) == "sandyq-a.conf"


@pytest.mark.parametrize(("good", "starts", "tries"), [("a", 2, 3), ("b", 3, 2)])
def test_a_pi_starts_the_good_system_and_tries_the_other_once(good: str, starts: int, tries: int) -> None:
    text = boot_texts.autoboot_text(good)
    always, _, told_to_try = text.partition("[tryboot]")
    assert f"boot_partition={starts}\n" in always
    assert f"boot_partition={tries}\n" in told_to_try
    assert len(text.encode()) <= boot_texts.AUTOBOOT_MAX_BYTES


def test_a_pi_names_both_kernels_and_the_watchdog() -> None:
    text = boot_texts.pi_config_text()
    assert "kernel_2712.img" in text
    assert "kernel8.img" in text
    assert "watchdog=on" in text


@both
def test_an_image_fits_on_the_smallest_card_that_is_sold(layout: Layout) -> None:
    smallest = 8_000_000_000 * 0.95  # makers count generously
    assert layout.size_mib * MEBIBYTE < smallest


@pytest.mark.parametrize("more_mib", [0, 3000])
def test_on_a_pi_the_data_partition_grows_to_the_end_of_the_card_and_keeps_its_beginning(
    tmp_path: Path, more_mib: int
) -> None:
    layout = LAYOUTS["rpi"]
    workshop = Workshop(tmp_path, 0, tmp_path / "log")
    disk = tmp_path / "card"
    with disk.open("wb") as file:
        file.truncate(layout.size_bytes)
    workshop.run("sfdisk", "--quiet", disk, typed=sfdisk_script(layout))
    with disk.open("r+b") as file:
        file.truncate(layout.size_bytes + more_mib * MEBIBYTE)
    for _ in range(2):  # the second time there is nothing to do
        workshop.run(Path("provisioning/overlay/rpi/usr/lib/sandyq/grow-data").absolute(), disk)
    found = json.loads(workshop.run("sfdisk", "--json", disk))["partitiontable"]["partitions"]
    by_number = {int(p["node"].removeprefix(str(disk))): p for p in found}
    data = layout.get(DATA)
    assert by_number[data.number]["start"] == data.start_sector
    assert by_number[data.number]["size"] == (data.size_mib + more_mib) * SECTORS_PER_MIB
    for part in layout.partitions[:6]:
        if part.number != 4:
            assert by_number[part.number]["size"] == part.size_mib * SECTORS_PER_MIB
