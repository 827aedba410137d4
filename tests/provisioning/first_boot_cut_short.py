"""Run first boot again and again, each time killed one disk change later; not a test, started by some.

    python first_boot_cut_short.py ORIGIN FOLDER MACHINE

Copies the home ORIGIN to FOLDER/1, FOLDER/2, … and on the nth copy ends first boot by SIGKILL before its nth
change to the disk. The last copy is the one that came to its end. Tests call `cut_at_every_change`.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from provisioning.first_boot import prepare_box
from provisioning.hardware import Machine

# Everything first boot and the keys do to the disk goes through one of these, or is a statement of SQLite.
CALLS = ("open", "mkdir", "rename", "replace", "link", "unlink", "fsync")

# First boot makes some seventy changes to the disk; reaching this means that it never ends.
MAX_CUTS = 200

ROOT = Path(__file__).parents[2]
# Started with -c in the root: the script finds the rooms as the tests do.
RUN_SCRIPT = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def cut_at_every_change(origin: Path, folder: Path) -> list[Path]:
    """Return the copies of a home on which first boot was killed, each one change later."""
    subprocess.run(
        [sys.executable, "-c", RUN_SCRIPT, __file__, str(origin), str(folder), "another system"],
        cwd=ROOT,
        timeout=120,
        check=True,
    )
    homes = sorted(folder.iterdir(), key=lambda home: int(home.name))
    return homes[:-1]


def cut_power_before(number: int) -> None:
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            count()
            return real(*arguments, **named)

        return call

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection = real_connect(*arguments, **named)
        connection.set_trace_callback(lambda _statement: count())  # called before each statement
        return connection

    real_connect, sqlite3.connect = sqlite3.connect, connect
    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


def was_killed(home: Path, number: int, machine: Machine) -> bool:
    """Prepare the home in a process of its own; a fork, because it has read all the modules already."""
    child = os.fork()
    if child == 0:
        cut_power_before(number)
        prepare_box(home, machine)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    ended = os.waitstatus_to_exitcode(status)
    if ended not in (0, -signal.SIGKILL):
        sys.exit(f"first boot ended with {ended}")
    return ended != 0


if __name__ == "__main__":
    origin, folder = Path(sys.argv[1]), Path(sys.argv[2])
    machine = Machine(system=sys.argv[3], board_serial=None, network_addresses=())
    for number in range(1, MAX_CUTS + 1):
        home = shutil.copytree(origin, folder / str(number))
        if not was_killed(home, number, machine):
            break
    else:
        sys.exit("first boot does not end")
