"""The system of an image: Debian as a folder, with nothing in it that two boxes must not share."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import image_system
from provisioning.boards import BOARDS, RPI, VM
from provisioning.errors import ArchiveUnreachable, BuildStepFailed, ProgramsMissing
from provisioning.image_product import fetch_wheels
from provisioning.packages import packages_of
from provisioning.programs import Workshop, require_programs
from tests.provisioning.appliance_tree import need_tools

PACKAGES = image_system.PACKAGE_LIST.read_text("utf-8")


# --- Which packages ---


def test_a_box_has_what_the_product_runs_on_and_what_its_board_needs() -> None:
    pc = packages_of(PACKAGES, ("run", "box", "pc"))
    assert {"python3", "espeak-ng", "network-manager", "systemd-boot", "linux-image-amd64"} <= set(pc)
    assert not {"raspi-firmware", "linux-image-cloud-amd64", "g++", "chromium"} & set(pc)


def test_a_comment_or_an_empty_line_is_no_package() -> None:
    assert packages_of("# a box\n\nb box # c box\n  \na run box\n", ("box",)) == ("a", "b")


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
def test_every_board_has_a_kernel(board: object) -> None:
    groups = ("run", "box", *board.package_groups)  # type: ignore[attr-defined]
    assert any(name.startswith("linux-image-") for name in packages_of(PACKAGES, groups))


# --- Where they come from ---


def test_the_mirror_is_the_one_this_machine_already_uses(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# deb http://old.example/debian bookworm main\n")
    (tmp_path / "sources.list.d/debian.sources").write_text(
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n\n"
        "Types: deb\nURIs: http://mirror.example/debian-security/\nSuites: bookworm-security\n"
    )
    found = image_system.find_mirrors(tmp_path)
    assert found == ("http://mirror.example/debian", "http://mirror.example/debian-security/")


def test_a_machine_of_another_kind_uses_the_public_mirror(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text("deb https://other.example/ubuntu noble main\n")
    assert image_system.find_mirrors(tmp_path) == (image_system.PUBLIC_MIRROR, image_system.PUBLIC_SECURITY)


# --- Bad input ---


def test_a_missing_program_is_named_before_work_begins() -> None:
    with pytest.raises(ProgramsMissing) as caught:
        require_programs(["sh", "no-such-program", "nor-this"])
    assert "no-such-program, nor-this" in str(caught.value)


def test_an_archive_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    fake = bin_folder / "mmdebstrap"
    fake.write_text(
        "#!/bin/sh\necho 'E: Failed to fetch http://archive.raspberrypi.com/debian/dists/trixie/InRelease  "
        "403  Forbidden' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    with pytest.raises(ArchiveUnreachable) as caught:
        image_system.make_system(tmp_path / "root", RPI, Workshop(tmp_path, 0, tmp_path / "log"))
    assert "archive.raspberrypi.com" in str(caught.value)
    assert "rpi" in str(caught.value)


def test_a_closed_archive_is_noticed_before_the_work(tmp_path: Path) -> None:
    closed = replace(RPI, more_sources=("deb http://127.0.0.1:9/debian trixie main",))
    with pytest.raises(ArchiveUnreachable, match=r"127\.0\.0\.1:9"):
        image_system.require_archives(closed, tmp_path / "log")
    assert "127.0.0.1:9" in (tmp_path / "log").read_text()


def test_an_archive_without_its_key_is_not_trusted(tmp_path: Path) -> None:
    source = "deb [signed-by=/no/such/key.pgp] http://archive.example/debian trixie main"
    assert image_system._why_no_key(source) == "its key /no/such/key.pgp is missing"


def test_an_interrupted_build_leaves_nothing_of_this_machine_mounted_in_the_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the removal of the tree would reach into this machine's own /proc and /dev."""
    need_tools("unshare", "mount")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    fake = bin_folder / "mmdebstrap"
    tree = tmp_path / "root"
    fake.write_text(f"#!/bin/sh\nmkdir -p {tree}/proc && mount --bind /proc {tree}/proc && exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/sbin:/usr/bin:/sbin:/bin")
    with pytest.raises(BuildStepFailed):
        image_system.make_system(tree, VM, Workshop(tmp_path, 0, tmp_path / "log"))
    assert (tree / "proc").is_dir()
    assert list((tree / "proc").iterdir()) == []


def test_another_failure_keeps_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    fake = bin_folder / "mmdebstrap"
    fake.write_text("#!/bin/sh\necho 'dpkg: no space left on device' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    with pytest.raises(BuildStepFailed, match="no space left"):
        image_system.make_system(tmp_path / "root", VM, Workshop(tmp_path, 0, tmp_path / "log"))


# --- The built system ---


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_system_keeps_nothing_of_the_machine_that_built_it(appliance_tree: Path) -> None:
    assert (appliance_tree / "etc/machine-id").read_text() == ""
    assert not list(appliance_tree.glob("etc/ssh/ssh_host_*"))
    assert not (appliance_tree / "etc/hostname").exists(), "each box gives itself a name"
    assert [path.name for path in appliance_tree.glob("var/log/*")] == ["journal"]
    assert list(appliance_tree.glob("boot/vmlinuz-*-cloud-amd64"))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_library_has_a_ready_wheel_for_the_pi(tmp_path: Path) -> None:
    fetch_wheels(RPI, Workshop(tmp_path, 0, tmp_path / "log"), tmp_path / "wheels")
    kinds = {wheel.stem.split("-")[-1] for wheel in (tmp_path / "wheels").glob("*.whl")}
    assert any("aarch64" in kind for kind in kinds)
    assert all("aarch64" in kind or kind == "any" for kind in kinds), kinds
    libraries = {wheel.name.split("-")[0].lower() for wheel in (tmp_path / "wheels").glob("*.whl")}
    wanted = {"numpy", "cryptography", "cbor2", "argon2_cffi_bindings", "nh3"}
    assert wanted <= libraries, wanted - libraries
