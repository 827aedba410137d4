"""The whole box: how large its image is, how soon it helps after power-on, how much memory all of it takes.

The image is built here and started as a PC in QEMU, every instruction translated (no hardware help): its
seconds are several times those of a real box, and only compare one build with another. Sizes and memory are
real: memory is the system's own count (total less available), asked through the balloon device.
"""

import os
import tempfile
import time
from pathlib import Path

from provisioning.boards import VM
from provisioning.image import build_image
from provisioning.layouts import layout_for
from provisioning.progress import Progress
from tests.bench.figures import Measurement, Section, number
from tests.bench.judging import Judged
from tests.bench.processes import BenchFailed, say
from tests.provisioning import disk_look
from tests.provisioning.appliance_tree import missing_tools
from tests.provisioning.disk_look import setup_code
from tests.provisioning.virtual_machine import VirtualMachine, wait_for

MODEL = "smollm2-135m-instruct"
CLASS_SIZE = 30
LEARNERS = [f"Learner {number}" for number in range(1, CLASS_SIZE + 1)]
NEEDED = ("mmdebstrap", "qemu-system-x86_64", "zstd", "sfdisk", "mke2fs", "mcopy")

# Memory is read so often while the class's questions are written.
LOOKS = 20
LOOK_SECONDS = 3.0
# Between power-on and rest: caches are written out, no start is under way any more.
REST_SECONDS = 30.0
MEGABYTE = 1e6


def measure_appliance(home: Path, _model: Path) -> tuple[Section, list[Judged]]:
    """Build, start, open, ask; one round, because it takes ten minutes."""
    missing = missing_tools(*NEEDED)
    if missing or os.geteuid() != 0:
        raise BenchFailed(f"the part appliance needs root and {', '.join(missing) or 'nothing more'}")
    with tempfile.TemporaryDirectory(prefix="sandyq-image-", dir=home) as name:
        folder = Path(name)
        rows = _measure(folder)
    how = (
        "An image of the board `vm` (the PC's, with a small kernel), built from nothing and started through\n"
        "a PC's firmware in QEMU without hardware help, as a processor of 2009 with two cores and 1.5 GB:\n"
        "seconds are for comparing builds, not boxes.\n"
        f"The class is {CLASS_SIZE} learners who ask at the same moment."
    )
    return Section("The whole box", how, tuple(rows)), []


def _measure(folder: Path) -> list[Measurement]:
    built = build_image(VM, folder / "out", MODEL, Progress(7))
    say(f"image: {built.packed_bytes / MEGABYTE:.0f} MB packed, {built.seconds} s")
    disk = folder / "disk.img"
    disk_look.run("zstd", "-q", "-d", "--sparse", built.image, "-o", disk)
    used = disk.stat().st_blocks * 512
    balloon = ("-device", "virtio-balloon-pci,id=balloon")
    box = VirtualMachine(folder / "machine", disk, more=balloon).start()
    try:
        rows = _one_power_on(box)
    finally:
        box.cut_power()
    return [
        Measurement("building the image, from nothing", "s", (float(built.seconds),)),
        Measurement("image, packed", "MB", (built.packed_bytes / MEGABYTE,)),
        Measurement("image, on the card", "MB", (built.image_bytes / MEGABYTE,)),
        Measurement("of that used", "MB", (used / MEGABYTE,)),
        *rows,
    ]


def _one_power_on(box: VirtualMachine) -> list[Measurement]:
    first_page = box.wait_for_page("/")
    dana = box.visitor()
    class_code = dana.opens_the_box("\n".join(LEARNERS), lambda: setup_code(box.disk, layout_for("vm")))
    learners = [box.visitor() for _ in LEARNERS]
    for learner, name in zip(learners, LEARNERS, strict=True):
        learner.joins(class_code, name)
    learners[0].asks("What is a prime number?")
    learners[0].waits_for_answer(box)
    first_answer = time.monotonic() - box.started_at
    time.sleep(REST_SECONDS)
    rest = used_memory(box)
    for learner in learners:
        learner.asks("Why is the sky blue, and why is it red in the evening?")
    full = []
    for _ in range(LOOKS):
        full.append(used_memory(box))
        time.sleep(LOOK_SECONDS)
    say(f"first page {number(first_page)} s, first answer {number(first_answer)} s")
    return [
        Measurement("power-on to first page (translated)", "s", (first_page,)),
        Measurement("power-on to the end of the first answer (translated)", "s", (first_answer,)),
        Measurement("memory of the whole system, at rest with the model", "MB", (rest / MEGABYTE,)),
        Measurement("memory of the whole system, full class", "MB", (max(full) / MEGABYTE,)),
    ]


def used_memory(box: VirtualMachine) -> float:
    """Return what the system inside counts as taken."""
    place = {"path": "/machine/peripheral/balloon"}
    box.say("qom-set", **place, property="guest-stats-polling-interval", value=1)

    def stats() -> dict[str, float] | None:
        found = box.say("qom-get", **place, property="guest-stats").get("return", {})
        return found["stats"] if found.get("last-update") else None

    told = wait_for(stats, "the memory's figures", 60)
    return float(told["stat-total-memory"] - told["stat-available-memory"])
