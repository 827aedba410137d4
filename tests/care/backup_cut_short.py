"""Run a backup or a restore again and again, each time killed at another change of the disk; not a test.

    python -c RUN_SCRIPT backup_cut_short.py create|restore ORIGIN STICK FOLDER POINTS SEED

Copies home ORIGIN and STICK to FOLDER/n and ends the work there by SIGKILL before one of its changes, POINTS
of them drawn by chance. Tests call `cut_at_points`.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from appliance.care import backup
from appliance.care.backup_cli import found_in
from appliance.care.restore import Wish, restore
from tests.care.school import settings_of
from tests.provisioning.first_boot_cut_short import ROOT, RUN_SCRIPT, cut_power_before


def cut_at_points(work: str, origin: Path, stick: Path, folder: Path, points: int, seed: int) -> list[Path]:
    """Return the folders, each with `home` and `stick` as the killed work left them."""
    arguments = [work, str(origin), str(stick), str(folder), str(points), str(seed)]
    subprocess.run(
        [sys.executable, "-c", RUN_SCRIPT, __file__, *arguments], cwd=ROOT, timeout=170, check=True
    )
    return sorted(folder.iterdir())


def take(work: str, place: Path) -> None:
    settings = settings_of(place / "home")
    if work == "create":
        backup.create(settings, place / "stick", lambda _step: None)
        return
    path = next((place / "stick").glob("*.age"))
    home = settings.home
    with backup.alone(home), backup.workspace(home) as folder, backup.opened(home, path, folder) as opened:
        restore(settings, found_in(opened), Wish(replaces_classes=True), set())


def was_killed(work: str, place: Path, number: int) -> bool:
    """Work in a process of its own; a fork, because it has read all the modules already."""
    child = os.fork()
    if child == 0:
        cut_power_before(number)
        take(work, place)
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in (0, -signal.SIGKILL):
        sys.exit(f"{work} ended with {ended}")
    return ended != 0


def copy(origin: Path, stick: Path, place: Path) -> Path:
    shutil.copytree(origin, place / "home")
    shutil.copytree(stick, place / "stick")
    return place


if __name__ == "__main__":
    work, origin, stick, folder = sys.argv[1], *map(Path, sys.argv[2:5])
    points, chance = int(sys.argv[5]), random.Random(int(sys.argv[6]))
    low, high = 1, 2
    # How many changes there are: doubled until the work comes to its end, then halved in between.
    while was_killed(work, copy(origin, stick, folder / "probe"), high):
        shutil.rmtree(folder / "probe")
        low, high = high, high * 2
    shutil.rmtree(folder / "probe")
    while high - low > 4:
        middle = (low + high) // 2
        killed = was_killed(work, copy(origin, stick, folder / "probe"), middle)
        shutil.rmtree(folder / "probe")
        low, high = (middle, high) if killed else (low, middle)
    # The last changes are the ones that matter most: those that give the file its name, or exchange it.
    last = range(max(1, low - points // 2), low + 1)
    chosen = {*last, *chance.sample(range(1, low), min(points // 2, low - 1))}
    for number in sorted(chosen):
        was_killed(work, copy(origin, stick, folder / str(number)), number)
