"""Make a disk image out of a finished tree: partition table, FAT, two systems, data.

No loop device and no mount: every program writes into its own place of one sparse file. Promises: the same
tree, the same image, byte for byte. Keeps out: what is in the tree.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning import boot_texts
from provisioning.boards import Board
from provisioning.errors import BuildStepFailed
from provisioning.layouts import (
    DATA,
    ROOT_A,
    SETTINGS,
    Layout,
    Partition,
    sfdisk_script,
    unique_id,
)
from provisioning.programs import Workshop
from provisioning.tree_digest import date_no_later_than

SETTINGS_LABEL = "SANDYQ"

# Features that e2fsck of Debian 12 also knows: a technician mends a card on whatever is at hand. The root is
# never written, so a journal in it would be room for nothing.
ROOT_FEATURES = "^has_journal,^metadata_csum_seed,^orphan_file"
DATA_FEATURES = "^metadata_csum_seed,^orphan_file"

# What both systems share, and who owns it; the generator sandyq-slot mounts it. Names of users are looked up
# in the tree.
SHARED = {
    "common": ("root", 0o755),
    "common/sandyq": ("sandyq", 0o700),
    "common/machine": ("root", 0o700),
    "common/network": ("root", 0o755),
    "common/network/state": ("root", 0o700),
    "common/network/connections": ("root", 0o700),
    "common/timesync": ("systemd-timesync", 0o755),
    "common/journal": ("root", 0o755),
}

EFI_PROGRAM = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"

CARD_EXAMPLE = "sandyq.toml.example"


def make_disk(tree: Path, home: Path, board: Board, layout: Layout, target: Path, workshop: Workshop) -> None:
    """Write the image: `home` holds what the box begins with (its model)."""
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(layout.size_bytes)
    workshop.run("sfdisk", "--quiet", target, typed=sfdisk_script(layout))
    # What starts a system lies on FAT; what a package put into /boot is not needed a second time in the root.
    with _kernels_aside(tree, workshop) as kernels:
        _write_fats(tree, kernels, board, layout, target, workshop)
        _write_ext4(tree, layout.get(ROOT_A), layout, target, workshop, "-m0", "-O", ROOT_FEATURES)
    data = _data_folder(tree, home, workshop)
    _write_ext4(data, layout.get(DATA), layout, target, workshop, "-m1", "-O", DATA_FEATURES)


@contextmanager
def _kernels_aside(tree: Path, workshop: Workshop) -> Iterator[Path]:
    """Hold /boot's content beside the tree while the root is written."""
    aside = workshop.folder / "boot-aside"
    shutil.rmtree(aside, ignore_errors=True)
    boot = tree / "boot"
    dates = boot.stat().st_mtime_ns
    boot.rename(aside)
    (boot / "card").mkdir(parents=True)
    for folder in (boot / "card", boot):
        os.utime(folder, ns=(dates, dates))
    try:
        yield aside
    finally:
        shutil.rmtree(boot)
        aside.rename(boot)


# --- ext4 ---


def _write_ext4(
    source: Path, part: Partition, layout: Layout, target: Path, workshop: Workshop, *words: str
) -> None:
    ids = unique_id(layout.board, part.name)
    extended = f"offset={part.start_bytes},hash_seed={ids},lazy_itable_init=0,lazy_journal_init=0"
    label = DATA if part.name == DATA else "root"
    options = ["-q", "-t", "ext4", "-L", label, "-U", str(ids), "-E", extended, *words]
    workshop.run("mke2fs", *options, "-d", source, target, f"{part.size_mib * 1024}k")


def _data_folder(tree: Path, home: Path, workshop: Workshop) -> Path:
    """Lay out the data partition: folders that both systems share, and what the box begins with."""
    folder = workshop.folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    users = _users(tree)
    for name, (user, mode) in SHARED.items():
        path = folder / name
        path.mkdir()
        path.chmod(mode)
        os.chown(path, *users[user])
    shutil.copytree(home, folder / "common/sandyq", dirs_exist_ok=True, copy_function=shutil.copyfile)
    for path in [folder / "common/sandyq", *(folder / "common/sandyq").rglob("*")]:
        os.chown(path, *users["sandyq"])
        # As the product itself leaves them: models are public, the folders around them are the box's own.
        path.chmod(0o700 if path.is_dir() else 0o644)
    date_no_later_than(folder, workshop.epoch)
    return folder


def _users(tree: Path) -> dict[str, tuple[int, int]]:
    """Return user and group numbers as the image knows them: they are not this machine's."""
    lines = [line.split(":") for line in (tree / "etc/passwd").read_text().splitlines()]
    return {fields[0]: (int(fields[2]), int(fields[3])) for fields in lines}


# --- FAT ---


def _write_fats(
    tree: Path, kernels: Path, board: Board, layout: Layout, target: Path, workshop: Workshop
) -> None:
    for part in layout.partitions:
        if part.file_system.startswith("fat"):
            folder = workshop.folder / f"fat-{part.name}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            if part.name == SETTINGS:
                _fill_settings(folder, tree, kernels, board, layout)
            else:
                fill_pi_boot(folder, kernels, layout, part.name.removeprefix("boot-"))
            date_no_later_than(folder, workshop.epoch)
            _write_fat(folder, part, layout, target, workshop)


def _fill_settings(folder: Path, tree: Path, kernels: Path, board: Board, layout: Layout) -> None:
    example = Path(__file__).with_name(CARD_EXAMPLE)
    if example.exists():
        shutil.copyfile(example, folder / CARD_EXAMPLE)
    if board.name == "rpi":
        (folder / "autoboot.txt").write_text(boot_texts.autoboot_text())
        return
    loader = tree / EFI_PROGRAM
    for place in ("EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(loader, folder / place)
    entries = folder / "loader/entries"
    entries.mkdir(parents=True)
    (folder / "loader/loader.conf").write_text(boot_texts.loader_settings())
    (entries / boot_texts.loader_entry_name("a")).write_text(boot_texts.loader_entry(layout, "a"))
    (folder / "a").mkdir()
    shutil.copyfile(_newest(kernels, "vmlinuz-*"), folder / "a/vmlinuz")
    shutil.copyfile(_newest(kernels, "initrd.img-*"), folder / "a/initrd.img")


def fill_pi_boot(folder: Path, kernels: Path, layout: Layout, slot: str) -> None:
    """Put firmware, kernels and texts of one system onto its FAT partition; slot b waits for an update."""
    if slot == "b":
        return
    firmware = kernels / "firmware"
    if not firmware.is_dir():
        raise BuildStepFailed(program="raspi-firmware", reason="there is no /boot/firmware", log=kernels)
    shutil.copytree(firmware, folder, dirs_exist_ok=True)
    (folder / "config.txt").write_text(boot_texts.pi_config_text())
    (folder / "cmdline.txt").write_text(boot_texts.kernel_arguments(layout, slot) + "\n")


def _newest(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise BuildStepFailed(program="mmdebstrap", reason=f"there is no /boot/{pattern}", log=folder)
    return found[-1]


def _write_fat(folder: Path, part: Partition, layout: Layout, target: Path, workshop: Workshop) -> None:
    bits = part.file_system.removeprefix("fat")
    number = unique_id(layout.board, part.name).hex[:8]
    # One sector a cluster on FAT32: with more, a partition this small has too few clusters to be FAT32 at
    # all.
    clusters = ("-s", "1") if bits == "32" else ()
    label = SETTINGS_LABEL if part.name == SETTINGS else part.name.upper()
    words = ["-F", bits, *clusters, "-i", number, "-n", label, "--invariant"]
    words += ["--offset", str(part.start_sector)]
    workshop.run("mkfs.vfat", *words, target, str(part.size_mib * 1024))
    place = f"{target}@@{part.start_bytes}"
    contents = sorted(folder.iterdir())
    if contents:
        # -m keeps the dates that the build gave; otherwise no two images were alike.
        workshop.run("mcopy", "-s", "-m", "-Q", "-i", place, *contents, "::")


def read_fat(image: Path, part: Partition, name: str) -> bytes:
    """Return a file of a FAT partition of an image."""
    command = ["mcopy", "-n", "-i", f"{image}@@{part.start_bytes}", f"::{name}", "-"]
    return subprocess.run(command, check=True, capture_output=True).stdout
