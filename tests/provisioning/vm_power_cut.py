"""The plug is pulled two hundred times while learners ask: what the box promised to keep is there.

One start of the real image under load, every write to the disk recorded; then the disk is rebuilt as two
hundred cuts at random moments would have left it, with what no flush had covered lost, reordered or torn. The
same box serves a second time beside it, with one word changed (`synchronous = NORMAL`): that one must lose
questions, or this test proves nothing.

Not collected by itself until it has passed as a whole: pytest tests/provisioning/vm_power_cut.py
"""

import http.client
import random
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from provisioning.boards import VM
from provisioning.boot_texts import kernel_arguments
from provisioning.image_disk import make_disk
from provisioning.image_product import SITE
from provisioning.layouts import DATA, ROOT_A, Sizes, layout_for
from provisioning.programs import Workshop
from tests.fake_engine import FakeEngine
from tests.processes import free_ports
from tests.provisioning import disk_look
from tests.provisioning.appliance_tree import need_tools
from tests.provisioning.virtual_machine import VirtualMachine, Visitor, wait_for
from tests.provisioning.write_log import FLUSH, Replay, entries_so_far, read_log

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Small: each cut is a whole partition that is rebuilt and checked.
LAYOUT = layout_for("vm", Sizes(settings=64, data=96))
CUTS = 200
SEED = 20_261_122

CLASS = [f"Learner{number:02d}" for number in range(8)]
LOAD_SECONDS = 600.0
# Enough that the cuts fall between many commits of both boxes; a quiet machine has them in half a minute.
ENOUGH_PROMISES = 60

CONTROL_PORT = 8082
CONTROL_HOME = "sandyq/control"
CONTROL_CODE = "usr/lib/sandyq-control"
CONTROL_UNIT = f"""[Unit]
Description=The same pages with synchronous=NORMAL
After=sandyq-first-boot.service

[Service]
ExecStart=/opt/sandyq/venv/bin/sandyq web serve --host 0.0.0.0 --port {CONTROL_PORT}
User=sandyq
StateDirectory={CONTROL_HOME}
StateDirectoryMode=0700
Environment=SANDYQ_HOME=/var/lib/{CONTROL_HOME} PYTHONPATH=/{CONTROL_CODE}
"""


@dataclass
class Promises:
    """Questions that a box said it keeps, each with how many writes had reached the disk's record by then."""

    made: dict[str, int] = field(default_factory=dict)

    def due_by(self, entries: int) -> set[str]:
        return {word for word, at in self.made.items() if at <= entries}


@dataclass
class Recording:
    """One start under load: the disk before it, every write, and what was promised when."""

    before: Path
    log: Path
    kept: Promises
    control: Promises


@pytest.fixture(scope="module")
def recording(appliance_tree: Path, workshop: Workshop) -> Iterator[Recording]:
    need_tools("qemu-system-x86_64", "e2fsck", "debugfs")
    folder = workshop.folder / "cut"
    folder.mkdir()
    engine = FakeEngine()
    try:
        disk = _make_test_disk(appliance_tree, workshop, folder, engine)
        before = folder / "before.img"
        subprocess.run(["cp", "--sparse=always", str(disk), str(before)], check=True)
        log = folder / "writes.log"
        log.touch()
        kept, control = Promises(), Promises()
        box = _power_on(appliance_tree, folder, disk, log)
        try:
            _teach(box, log, kept, control)
        finally:
            box.cut_power()
        disk.unlink()
        yield Recording(before, log, kept, control)
    finally:
        engine.close()
        shutil.rmtree(folder)


# --- The box under test ---


def _make_test_disk(tree: Path, workshop: Workshop, folder: Path, engine: FakeEngine) -> Path:
    home = folder / "home"
    home.mkdir()
    disk = folder / "disk.img"
    make_disk(tree, home, VM, LAYOUT, disk, workshop)
    _put_into_root(disk, tree, folder, engine)
    return disk


def _put_into_root(disk: Path, tree: Path, folder: Path, engine: FakeEngine) -> None:
    """Point the pages at the engine of this test, and put the control beside them."""
    port = engine.url.rpartition(":")[2]
    # 10.0.2.2 is this machine as QEMU shows it to the box.
    url = f"[Service]\nEnvironment=SANDYQ_ENGINE_URL=http://10.0.2.2:{port}\n"
    database = (tree / SITE / "sync/database.py").read_text()
    assert database.count("PRAGMA synchronous = FULL") == 1
    texts = {
        "etc/systemd/system/sandyq-web.service.d/90-test.conf": url,
        "etc/systemd/system/sandyq-control.service.d/90-test.conf": url,
        "etc/systemd/system/sandyq-control.service": CONTROL_UNIT,
    }
    orders, made = [], set()
    for number, (name, text) in enumerate(texts.items()):
        source = folder / f"put-{number}"
        source.write_text(text)
        orders += [*_folders_of(name, made), f"write {source} {name}"]
    for source in sorted((tree / SITE / "sync").rglob("*.py")):
        name = f"{CONTROL_CODE}/{source.relative_to(tree / SITE)}"
        copy = source
        if source.name == "database.py" and source.parent.name == "sync":
            copy = folder / "control-database.py"
            copy.write_text(database.replace("PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"))
        orders += [*_folders_of(name, made), f"write {copy} {name}"]
    wants = "etc/systemd/system/multi-user.target.wants"
    orders.append(f"symlink {wants}/sandyq-control.service /etc/systemd/system/sandyq-control.service")
    # No model on this disk: an engine that is started every ten seconds would only take time from the pages.
    orders += [f"rm {wants}/sandyq-engine.service"]
    script = folder / "orders"
    script.write_text("\n".join(orders) + "\n")
    place = f"{disk}?offset={LAYOUT.get(ROOT_A).start_bytes}"
    said = disk_look.run("debugfs", "-w", "-f", script, place)
    assert b"File not found" not in said.stderr, said.stderr.decode()


def _folders_of(name: str, made: set[str]) -> list[str]:
    parts = Path(name).parts[:-1]
    folders = ["/".join(parts[: i + 1]) for i in range(len(parts))]
    new = [f for f in folders if f not in made and (f.startswith(CONTROL_CODE) or f.endswith(".d"))]
    made.update(new)
    return [f"mkdir {folder}" for folder in new]


def _power_on(tree: Path, folder: Path, disk: Path, log: Path) -> VirtualMachine:
    drive = (
        *(
            "-blockdev",
            f"driver=file,filename={disk},node-name=file",
            "-blockdev",
            "driver=raw,file=file,node-name=raw",
        ),
        *("-blockdev", f"driver=file,filename={log},node-name=log"),
        *("-blockdev", "driver=blklogwrites,file=raw,log=log,log-super-update-interval=1,node-name=disk"),
    )
    kernel, first_steps = (next((tree / "boot").glob(name)) for name in ("vmlinuz-*", "initrd.img-*"))
    start = ("-kernel", str(kernel), "-initrd", str(first_steps), "-append", kernel_arguments(LAYOUT, "a"))
    control = free_ports(1)[0]
    box = VirtualMachine(
        folder / "machine",
        disk,
        more=start,
        drive=drive,
        more_ports={control: CONTROL_PORT},
        has_pc_firmware=False,
        reaches_this_machine=True,
    )
    return box.start()


# --- The lesson ---


def _teach(box: VirtualMachine, log: Path, kept: Promises, control: Promises) -> None:
    box.wait_for_page("/")
    box.wait_for_page("/", next(iter(box.more_ports)))
    until = time.monotonic() + LOAD_SECONDS
    threads = []
    for port, promises in ((box.port, kept), (next(iter(box.more_ports)), control)):
        class_code = Visitor(port).opens_the_box(
            "\n".join(CLASS), lambda: disk_look.setup_code(box.disk, LAYOUT)
        )
        threads += [
            threading.Thread(target=_ask_on, args=(port, class_code, name, promises, log, until))
            for name in CLASS
        ]
    for thread in threads:
        thread.start()
    wait_for(
        lambda: min(len(kept.made), len(control.made)) >= ENOUGH_PROMISES,
        "enough questions",
        LOAD_SECONDS,
        alive=lambda: box.is_on,
    )


def _ask_on(port: int, class_code: str, name: str, promises: Promises, log: Path, until: float) -> None:
    """Ask one question after the other until the power goes; note each that the box took."""
    learner = Visitor(port)
    number = 0
    # The power cut ends this in the middle of anything.
    with suppress(OSError, http.client.HTTPException):
        learner.joins(class_code, name)
        while time.monotonic() < until:
            word = f"{name}word{number:04d}"
            if learner.asks_on(learner.get("/ask"), f"What is {word}?"):
                promises.made[word] = entries_so_far(log)
                number += 1


# --- The cuts ---


@dataclass
class Outcome:
    """What two hundred cuts left."""

    broken_file_systems: list[str] = field(default_factory=list)
    broken_databases: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    lost_by_control: list[str] = field(default_factory=list)
    promised: int = 0


@pytest.fixture(scope="module")
def outcome(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    # To the disk's end: at its first start the box has let the data grow over what was free.
    start = LAYOUT.get(DATA).start_bytes
    replay = Replay(recording.before, recording.log, start, LAYOUT.size_bytes - start)
    dice = random.Random(SEED)
    # From the first promise on: a cut before it could lose nothing.
    first = min(recording.kept.made.values())
    seen = Outcome()
    folder = recording.log.parent / "after"
    folder.mkdir()
    for at in sorted(dice.randrange(first, len(replay.writes) + 1) for _ in range(CUTS)):
        replay.cut(at, dice, folder / "data.ext4")
        _look(folder, at, recording, seen)
    return seen


def _look(folder: Path, at: int, recording: Recording, seen: Outcome) -> None:
    part = folder / "data.ext4"
    answer = disk_look.mend(part)
    if answer >= 4:
        seen.broken_file_systems.append(f"after {at} writes: e2fsck {answer}")
        return
    for promises, home, lost in (
        (recording.kept, "/common/sandyq", seen.lost),
        (recording.control, "/common/sandyq/control", seen.lost_by_control),
    ):
        due = promises.due_by(at)
        seen.promised += len(due)
        there = _questions(part, home, folder, at, seen)
        if missing := {word for word in due if f"What is {word}?" not in there}:
            lost.append(f"after {at} writes: {len(missing)} of {len(due)}")


def _questions(part: Path, home: str, folder: Path, at: int, seen: Outcome) -> set[str]:
    database = disk_look.take_database(part, home, folder)
    if database is None:
        return set()
    connection = sqlite3.connect(database)
    try:
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            seen.broken_databases.append(f"{home} after {at} writes")
        return {row[0] for row in connection.execute("SELECT text FROM question")}
    except sqlite3.DatabaseError as error:
        seen.broken_databases.append(f"{home} after {at} writes: {error}")
        return set()
    finally:
        connection.close()


def test_the_record_has_what_a_cut_needs(recording: Recording) -> None:
    writes = read_log(recording.log)
    assert sum(bool(write.flags & FLUSH) for write in writes) > ENOUGH_PROMISES
    assert min(len(recording.kept.made), len(recording.control.made)) >= ENOUGH_PROMISES


def test_no_cut_breaks_the_file_system(outcome: Outcome) -> None:
    assert outcome.broken_file_systems == []


def test_no_cut_breaks_a_database(outcome: Outcome) -> None:
    assert outcome.broken_databases == []


def test_no_question_that_was_acknowledged_is_lost(outcome: Outcome) -> None:
    assert outcome.promised > CUTS
    assert outcome.lost == []


def test_the_control_loses_questions_so_the_cuts_bite(outcome: Outcome) -> None:
    assert len(outcome.lost_by_control) > CUTS // 20
