"""Say which of the two systems runs, and whether it has proven itself; return from one that has not.

    python -I -m provisioning.slots        when the pages do not come up (sandyq-fall-back.service)

As a root helper it only tells: what brings a new system comes with the updates. Standard library only.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

# Says good, bad, indeterminate (still on trial) or clean (not counted at all).
BLESS = "/usr/lib/systemd/systemd-bless-boot"
TOOL_SECONDS = 20
ON_TRIAL = "indeterminate"


def status(command_line: Path = Path("/proc/cmdline")) -> Mapping[str, object]:
    """Return the slot that runs (a, b or none) and whether it is still on trial."""
    return {"slot": slot_of(command_line.read_text("ascii", "replace")), "on_trial": is_on_trial()}


def slot_of(command_line: str) -> str | None:
    """Return the slot named by the kernel's command line: root=PARTLABEL=root-a."""
    found = re.search(r"\broot=\S*root-([ab])\b", command_line)
    return found[1] if found else None


def is_on_trial(tool: str = BLESS) -> bool:
    try:
        done = subprocess.run(
            [tool, "status"], capture_output=True, text=True, timeout=TOOL_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return False  # a machine whose starts nobody counts: a restart would help nobody
    return done.stdout.strip() == ON_TRIAL


VERBS: Mapping[str, Callable[[], Mapping[str, object]]] = {"status": status}


def fall_back() -> str:
    """Restart a system on trial, so that its tries are used up and the one before comes back."""
    if not is_on_trial():
        return "this system has proven itself before: it stays, and the journal says what is wrong"
    subprocess.run(["/usr/bin/systemctl", "--no-block", "reboot"], timeout=TOOL_SECONDS, check=True)
    return "this system did not come up: back to the one before"


if __name__ == "__main__":
    print(fall_back())  # noqa: T201 - the journal
