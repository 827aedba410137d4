"""The files that an image has over Debian's: read by the programs they are for."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from provisioning.layouts import layout_for
from tests.provisioning.appliance_tree import need_tools

OVERLAY = Path("provisioning/overlay")
GENERATOR = OVERLAY / "common/usr/lib/systemd/system-generators/sandyq-slot"
PROGRAMS = sorted(
    path for path in OVERLAY.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")
)
SHARED = {"/var/lib/sandyq", "/var/lib/sandyq-machine", "/var/log/journal", "/var/lib/systemd/timesync"}


def run_generator(folder: Path, command_line: str) -> dict[str, str]:
    """Run it with another command line of the kernel, seen only by it; return the units it wrote."""
    need_tools("unshare", "mount")
    fake, units = folder / "cmdline", folder / "units"
    fake.write_text(command_line + "\n")
    units.mkdir()
    script = f"mount --bind {fake} /proc/cmdline && exec {GENERATOR} {units}"
    subprocess.run(["unshare", "--mount", "sh", "-c", script], check=True, capture_output=True)
    return {path.name: path.read_text() for path in units.glob("*.mount")}


def test_shell_programs_of_the_overlay_please_shellcheck_and_can_be_run() -> None:
    checker = shutil.which("shellcheck")
    if checker is None:
        pytest.fail("shellcheck is missing: run `make test`, which installs it")
    assert len(PROGRAMS) >= 3
    done = subprocess.run([checker, "-s", "sh", *map(str, PROGRAMS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert all(os.access(path, os.X_OK) for path in PROGRAMS)


@pytest.mark.parametrize("slot", ["a", "b"])
def test_each_system_mounts_its_own_var_and_what_both_share(tmp_path: Path, slot: str) -> None:
    units = run_generator(tmp_path, f"root=PARTLABEL=root-{slot} ro sandyq.slot={slot} quiet")
    mounts = {}
    for text in units.values():
        unit = configparser.ConfigParser(strict=False)
        unit.read_string(text)
        mounts[unit["Mount"]["Where"]] = unit["Mount"]["What"]
    assert mounts.pop("/var") == f"/data/slot-{slot}/var"
    assert set(mounts) >= SHARED
    assert all(what.startswith("/data/common/") for what in mounts.values())


def test_a_container_and_any_other_machine_are_left_alone(tmp_path: Path) -> None:
    assert run_generator(tmp_path, "root=/dev/sda1 ro quiet") == {}


def test_a_made_up_slot_is_no_slot(tmp_path: Path) -> None:
    assert run_generator(tmp_path, "root=/dev/sda1 sandyq.slot=../../etc") == {}


def test_the_partition_that_grows_is_the_one_that_is_mounted() -> None:
    grows = (OVERLAY / "pc/usr/lib/repart.d/50-data.conf").read_text()
    assert "Label=data" in grows
    assert "LABEL=data /data ext4" in (OVERLAY / "common/etc/fstab").read_text()
    assert layout_for("pc").partitions[-1].name == "data"


def test_a_start_that_fails_is_tried_again_and_does_not_wait_for_a_keyboard() -> None:
    text = (OVERLAY / "common/usr/lib/systemd/system/emergency.service.d/10-sandyq.conf").read_text()
    starts = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    # The empty one takes Debian's prompt for root's password away.
    assert starts[0] == "ExecStart="
    assert "reboot" in starts[1]


def test_a_missing_tool_is_a_gap_at_home_and_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="not run: no-such-tool missing"):
        need_tools("sh", "no-such-tool")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="not run: no-such-tool missing"):
        need_tools("sh", "no-such-tool")
