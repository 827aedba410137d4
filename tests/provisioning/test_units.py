"""The units are read by systemd itself: without a word of complaint, and with little exposed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
KINDS = ("service", "socket", "timer", "path")
ALL_UNITS = sorted(path.name for kind in KINDS for path in UNITS.glob(f"*.{kind}"))
# Commands of the system, in its own view of the disk: nothing of ours runs in them, no network reaches them.
NOT_HARDENED = {"box-machine-id.service"}

# What the units lean on and Debian brings; here as empty shells, so that only our own files are judged.
DEBIAN_TARGETS = (
    "basic",
    "boot-complete",
    "local-fs",
    "multi-user",
    "network",
    "shutdown",
    "sockets",
    "sysinit",
    "timers",
)
DEBIAN_SERVICES = ("NetworkManager", "getty@tty1", "dbus", "systemd-journal-flush")

# Ten times systemd's score. A network service cannot come much below 10; 15 is the house rule.
MAX_EXPOSURE = 15


@pytest.fixture(scope="module")
def analyze() -> str:
    path = shutil.which("systemd-analyze")
    if path is None:
        pytest.fail(
            "systemd-analyze is missing: install the Debian package systemd, or run `make test`, which does"
        )
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree as on a box: our units where Debian looks for them, and a program where they expect it."""
    root = tmp_path_factory.mktemp("root")
    units = root / "usr/lib/systemd/system"
    shutil.copytree(UNITS, units, ignore=shutil.ignore_patterns("*.sysusers.conf"))
    for target in DEBIAN_TARGETS:
        (units / f"{target}.target").write_text(f"[Unit]\nDescription={target}\n")
    for service in DEBIAN_SERVICES:
        (units / f"{service}.service").write_text("[Service]\nExecStart=/opt/sandyq/venv/bin/sandyq\n")
    program = root / "opt/sandyq/venv/bin/sandyq"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for other in (
        "opt/sandyq/venv/bin/python",
        "usr/bin/mount",
        "usr/bin/setfont",
        "usr/bin/systemctl",
        "bin/sh",
    ):
        (root / other).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, root / other)
    return root


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("unit", ALL_UNITS)
def test_systemd_finds_nothing_to_say_about_a_unit(analyze: str, root: Path, unit: str) -> None:
    result = run(analyze, "verify", f"--root={root}", unit)
    # A misspelt key is only a line on stderr, with exit code 0.
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_check_bites_on_a_misspelt_key(analyze: str, root: Path) -> None:
    broken = root / "usr/lib/systemd/system/broken.service"
    broken.write_text("[Service]\nExecStart=/opt/sandyq/venv/bin/sandyq\nMemoryMaximum=1G\n")
    assert "MemoryMaximum" in run(analyze, "verify", f"--root={root}", "broken.service").stderr


@pytest.mark.parametrize("unit", sorted(set(SERVICES) - NOT_HARDENED))
def test_a_service_exposes_little(analyze: str, root: Path, unit: str) -> None:
    arguments = ("--offline=yes", f"--root={root}", f"--threshold={MAX_EXPOSURE}", "--no-pager")
    result = run(analyze, "security", *arguments, unit)
    assert result.returncode == 0, result.stdout
    assert result.stderr == ""


def test_the_house_rule_bites_without_the_shared_hardening(analyze: str, root: Path) -> None:
    bare = root / "usr/lib/systemd/system/bare.service"
    bare.write_text("[Service]\nExecStart=/opt/sandyq/venv/bin/sandyq\n")
    arguments = ("--offline=yes", f"--root={root}", f"--threshold={MAX_EXPOSURE}", "--no-pager")
    assert run(analyze, "security", *arguments, "bare.service").returncode != 0


def test_every_service_runs_as_a_user_that_is_declared() -> None:
    declared = set(re.findall(r"^u (\S+)", (UNITS / "sandyq.sysusers.conf").read_text(), re.MULTILINE))
    for service in set(SERVICES) - NOT_HARDENED:
        user = re.search(r"^User=(\S+)$", (UNITS / service).read_text(), re.MULTILINE)
        assert user is not None, service
        # Root is named in the service's own name, so that nobody becomes it by the way.
        assert user[1] in declared or (user[1] == "root" and service.startswith("sandyq-machine-")), service


def test_engine_and_pages_have_no_bond() -> None:
    """The engine's death, restart or absence must never touch the pages."""
    for service, other in (("sandyq-web.service", "engine"), ("sandyq-engine.service", "web")):
        text = (UNITS / service).read_text()
        bonds = re.findall(r"^(?:Requires|BindsTo|PartOf|Wants|Requisite|Upholds)=(.*)$", text, re.MULTILINE)
        assert not any(other in bond for bond in bonds), service


def test_engine_yields_to_the_pages() -> None:
    def number(service: str, key: str) -> int:
        found = re.search(rf"^{key}=(-?\d+)$", (UNITS / service).read_text(), re.MULTILINE)
        assert found is not None, f"{service} {key}"
        return int(found[1])

    assert number("sandyq-engine.service", "CPUWeight") < number("sandyq-web.service", "CPUWeight")
    assert number("sandyq-sync.service", "CPUWeight") < number("sandyq-engine.service", "CPUWeight")
    # The kernel kills the highest first.
    assert number("sandyq-engine.service", "OOMScoreAdjust") > number("sandyq-web.service", "OOMScoreAdjust")


def test_who_writes_to_a_screen_is_allowed_the_device() -> None:
    # All devices are closed to our services; a screen that is not opened again stays dark, as it once did.
    screens = {
        service: found[1]
        for service in SERVICES
        if (found := re.search(r"^TTYPath=(\S+)$", (UNITS / service).read_text(), re.MULTILINE))
    }
    assert "sandyq-console.service" in screens
    for service, device in screens.items():
        assert f"\nDeviceAllow={device} rw\n" in (UNITS / service).read_text(), service
