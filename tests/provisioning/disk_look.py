"""Look into a disk image from outside and write into it, as a technician at a table would, with no mount."""

import re
import subprocess
from pathlib import Path

from provisioning.layouts import DATA, SETTINGS, Layout
from provisioning.programs import SYSTEM_PATH

# Where the copy of a partition is cut out: a file system with a journal is read only after its replay.
BLOCK_BYTES = 1 << 20


def run(*command: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, check=check, env={"PATH": SYSTEM_PATH})


def fat_file(disk: Path, layout: Layout, name: str) -> str | None:
    """Return a file of the settings partition, or None."""
    place = f"{disk}@@{layout.get(SETTINGS).start_bytes}"
    done = run("mcopy", "-n", "-i", place, f"::{name}", "-", check=False)
    return done.stdout.decode("utf-8-sig", "replace") if done.returncode == 0 else None


def setup_code(disk: Path, layout: Layout) -> str | None:
    """Return the code that the box has written on its card for the first teacher."""
    found = re.search(r"Code for the first start: (\S+)", fat_file(disk, layout, "sandyq-result.txt") or "")
    return found[1] if found else None


def fat_names(disk: Path, layout: Layout, folder: str) -> set[str]:
    place = f"{disk}@@{layout.get(SETTINGS).start_bytes}"
    lines = run("mdir", "-b", "-i", place, f"::{folder}", check=False).stdout.decode().splitlines()
    return {line.rpartition("/")[2] for line in lines}


def put_on_fat(disk: Path, layout: Layout, name: str, text: str, scratch: Path) -> None:
    source = scratch / "fat-file"
    source.write_text(text)
    run("mcopy", "-o", "-i", f"{disk}@@{layout.get(SETTINGS).start_bytes}", source, f"::{name}")


def cut_out_data(disk: Path, layout: Layout, target: Path) -> Path:
    """Copy the data partition, as long as it is now, into a file of its own."""
    table = run("sfdisk", "--dump", disk).stdout.decode()
    found = re.search(r'start= *(\d+), size= *(\d+)[^\n]*name="data"', table)
    assert found, table
    start, size = (int(number) * 512 for number in found.groups())
    assert start == layout.get(DATA).start_bytes
    with disk.open("rb") as source, target.open("wb") as file:
        source.seek(start)
        left = size
        while left:
            block = source.read(min(BLOCK_BYTES, left))
            if block.count(0) == len(block):
                file.seek(len(block), 1)
            else:
                file.write(block)
            left -= len(block)
        file.truncate(size)
    return target


def mend(partition: Path) -> int:
    """Replay the journal as a start would; return e2fsck's answer (4 and more: it could not)."""
    return run("e2fsck", "-fp", partition, check=False).returncode


def size_of_file_system(partition: Path) -> int:
    text = run("dumpe2fs", "-h", partition).stdout.decode()
    blocks, size = (
        int(re.findall(rf"^{name}: +(\d+)", text, re.M)[0]) for name in ("Block count", "Block size")
    )
    return blocks * size


def take_out(partition: Path, name: str, target: Path) -> Path | None:
    """Copy a file out of an ext4 partition; None when it is not there."""
    target.unlink(missing_ok=True)
    run("debugfs", "-R", f"dump {name} {target}", partition, check=False)
    return target if target.exists() and target.stat().st_size else None


def take_database(partition: Path, folder: str, target: Path) -> Path | None:
    """Copy a database with its write-ahead log, as it lies there."""
    base = take_out(partition, f"{folder}/box.sqlite", target / "box.sqlite")
    for suffix in ("-wal", "-shm"):
        (target / f"box.sqlite{suffix}").unlink(missing_ok=True)
    take_out(partition, f"{folder}/box.sqlite-wal", target / "box.sqlite-wal")
    return base
