"""Restart the machine or switch it off; one of the root helpers. Standard library only."""

import subprocess
from collections.abc import Callable, Mapping

# Only hands the wish to systemd; the answer still reaches the page before anything ends.
COMMAND_SECONDS = 10


def restart() -> Mapping[str, object]:
    return _systemctl("reboot")


def switch_off() -> Mapping[str, object]:
    return _systemctl("poweroff")


VERBS: Mapping[str, Callable[[], Mapping[str, object]]] = {"restart": restart, "switch-off": switch_off}


def _systemctl(verb: str) -> Mapping[str, object]:
    command = ["/usr/bin/systemctl", "--no-block", verb]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    if done.returncode != 0:
        raise OSError(done.stderr.strip()[:200])
    return {}
