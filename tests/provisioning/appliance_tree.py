"""The system of an image as a folder, built once a run by the product's own builder and shared by the tests.

On tmpfs: dpkg waits for the disk after every file, and a start in a container reads thousands of small ones.
Nobody writes into the folder: a test that must change something works on a copy or starts it with an overlay.

Who writes tests of this room sets SYSTEM_CACHE_FOR_TESTS to an empty folder: the system is built there once
and kept, whatever changes in the sources; empty the folder to have it built again.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.boards import VM
from provisioning.image import RELEASE_FILE, finish_tree, put_model
from provisioning.image_disk import make_disk
from provisioning.image_product import install_product
from provisioning.image_system import make_system
from provisioning.layouts import layout_for
from provisioning.programs import SYSTEM_PATH, Workshop
from tests.real_model import MODEL_NAME

# A moment all files of the image are dated by; any will do, it only must not move.
EPOCH = 1_764_000_000
TMPFS_SIZE = "10g"
MOUNT_NAME = "sandyq-tests-"  # and the number of the process that mounted it

KEPT = "SYSTEM_CACHE_FOR_TESTS"

NEEDED = ("mmdebstrap", "mount", "umount", "chroot", "sfdisk", "mke2fs", "mkfs.vfat", "mcopy", "g++")


def missing_tools(*names: str) -> list[str]:
    """Which of these programs this machine lacks."""
    path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}".split(":")
    return [name for name in names if not any(os.access(f"{folder}/{name}", os.X_OK) for folder in path)]


def need_tools(*names: str) -> None:
    """Leave the test out loudly where a tool is missing; under CI that is a failure, not a gap."""
    missing = missing_tools(*names)
    reason = f"not run: {', '.join(missing)} missing on this machine" if missing else ""
    if not missing and os.geteuid() != 0:
        reason = "not run: only root may make a system's files"
    if not reason:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def let_go_of_left_ones() -> None:
    """An interrupted run of two processes ends them before they tidy up: a gigabyte of memory each time."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        name, folder = line.split()[:2]
        if name.startswith(MOUNT_NAME) and not Path("/proc", name.removeprefix(MOUNT_NAME)).exists():
            subprocess.run(["umount", "--lazy", folder], check=False)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A folder in memory for what images are made of, gone at the end of the run."""
    need_tools(*NEEDED)
    if kept := os.environ.get(KEPT):
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Workshop(Path(kept), EPOCH, Path(kept, "build.log"))
        return
    folder = tmp_path_factory.mktemp("image")
    let_go_of_left_ones()
    name = f"{MOUNT_NAME}{os.getpid()}"
    mount = ["mount", "-t", "tmpfs", "-o", f"size={TMPFS_SIZE},mode=755", name, str(folder)]
    subprocess.run(mount, check=True)
    try:
        yield Workshop(folder, EPOCH, folder / "build.log")
    finally:
        # Lazy: a machine that a failed test left behind must not keep the run from ending.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="session")
def appliance_tree(workshop: Workshop) -> Path:
    """The root of a box, as `sandyq image build` makes it for a virtual machine."""
    tree = workshop.folder / "root"
    if not (tree / RELEASE_FILE).exists():
        make_system(tree, VM, workshop)
        install_product(tree, VM, workshop)
        # Dates and name, and the search for secrets: a find ends the run here.
        finish_tree(tree, VM, workshop)
    return tree


@pytest.fixture(scope="session")
def appliance_image(appliance_tree: Path, workshop: Workshop, real_model_home: Path) -> Path:
    """The disk image of that tree, with the real model on it; read only, like the tree."""
    home = workshop.folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SANDYQ_HOME", str(real_model_home))
        put_model(home, MODEL_NAME)
    image = workshop.folder / "sandyq-vm.img"
    if image.exists():
        return image
    make_disk(appliance_tree, home, VM, layout_for("vm"), image, workshop)
    return image
