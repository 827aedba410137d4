"""Run first boot on a home and be killed at the nth call that changes the disk; not a test, started by one.

    python first_boot_cut_short.py HOME N MACHINE

Ends by SIGKILL before the nth such call, or with exit code 0 when there were fewer than n.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from provisioning.first_boot import prepare_box
from provisioning.hardware import Machine

# Everything first boot and the keys do to the disk goes through one of these.
CALLS = ("open", "mkdir", "rename", "replace", "link", "unlink", "fsync")


def cut_power_before(number: int) -> None:
    calls = 0

    def counted(real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, counted(getattr(os, name)))


if __name__ == "__main__":
    home, number, system = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    cut_power_before(number)
    prepare_box(home, Machine(system=system, board_serial=None, network_addresses=()))
