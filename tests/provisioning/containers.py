"""Boxes in containers: the system of an image, started by its own systemd, with our units and this code.

The tree of the image as it is built, units and all. Left out is the engine (its unit is masked; a virtual
machine starts the real one elsewhere) and what needs real disks. State, card and network of each box are its
own; what a box writes beside them is gone with it. Networks are namespaces made here.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.provisioning.appliance_tree import need_tools

ROOT = Path(__file__).parents[2]
# Two cores, nine things at once: a start takes six seconds when it is quiet.
START_SECONDS = 90.0
STOP_SECONDS = 20.0
SHUTDOWN_SIGNAL = signal.SIGRTMIN + 4  # systemd's own word for poweroff


class ProgramFailed(AssertionError):
    """What a program said before it ended badly."""


def wait_for(holds: Callable[[], Any], what: str, seconds: float = START_SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, ProgramFailed):
            if value := holds():
                return value
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


def run(*command: object, check: bool = True, typed: str | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, input=typed, check=False)
    if check and done.returncode != 0:
        raise ProgramFailed(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done


class Network:
    """A namespace that is the air of a classroom: boxes are plugged into its bridge, phones live in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._boxes = 0
        self._namespaces = [name]
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")
        self.ip("link", "add", "air", "type", "bridge")
        self.ip("link", "set", "air", "up")

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.name, *words).stdout

    def plug_in(self) -> str:
        """Return a namespace for a box, with one port on the bridge."""
        self._boxes += 1
        namespace, port = f"{self.name}-{self._boxes}", f"port{self._boxes}"
        run("ip", "netns", "add", namespace)
        self._namespaces.append(namespace)
        self.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        self.ip("link", "set", port, "master", "air", "up")
        return namespace

    def python(self, *words: object, timeout: float = 60) -> Any:
        """Run a script of the tests in this network; return the JSON it prints."""
        command = ["ip", "netns", "exec", self.name, sys.executable, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def close(self) -> None:
        for namespace in reversed(self._namespaces):
            run("ip", "netns", "del", namespace, check=False)


def need_containers() -> None:
    need_tools("systemd-nspawn", "ip", "nsenter")


@dataclass
class Container:
    """One box: its state, its card, its processes."""

    tree: Path
    folder: Path
    namespace: str
    # state: a read-only root, as on the image; overlay: a test may change /etc.
    volatile: str = "overlay"

    def __post_init__(self) -> None:
        self.home, self.machine, self.card = (self.folder / n for n in ("home", "machine", "card"))
        self.log = self.folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        for path in (self.home, self.machine, self.card):
            path.mkdir(parents=True, exist_ok=True)
        self.give_home_to_the_box()
        self.machine.chmod(0o700)

    @property
    def uid(self) -> int:
        line = re.search(r"^sandyq:[^:]*:(\d+):", (self.tree / "etc/passwd").read_text(), re.MULTILINE)
        assert line is not None
        return int(line[1])

    def give_home_to_the_box(self) -> None:
        """What the test wrote into the home belongs to the box's user."""
        self.home.chmod(0o700)
        for path in (self.home, *self.home.rglob("*")):
            os.chown(path, self.uid, self.uid)

    def start(self) -> None:
        command = ["systemd-nspawn", "-q", "--register=no", "--keep-unit", "-b", "--console=pipe"]
        command += ["-D", str(self.tree), f"--volatile={self.volatile}", "-M", self.namespace]
        command += ["--capability=CAP_NET_ADMIN,CAP_NET_RAW", "--resolv-conf=off"]
        command += [f"--network-namespace-path=/run/netns/{self.namespace}"]
        for source, target in (
            (self.home, "/var/lib/sandyq"),
            (self.machine, "/var/lib/sandyq-machine"),
            (self.card, "/boot/card"),
        ):
            command.append(f"--bind={source}:{target}")
        command.append("--bind-ro=/dev/null:/usr/lib/systemd/system/sandyq-engine.service")
        environment = os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def wait_until_started(self) -> None:
        wait_for(lambda: self.state_of("sandyq-health.service") == "active", f"the start of {self.namespace}")

    @property
    def first_process(self) -> int:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"the container ended: {self.log.read_text('utf-8', 'replace')[-2000:]}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        if not children:
            raise OSError("not started yet")
        return int(children[0])

    def inside(self, *command: object, check: bool = True, typed: str | None = None) -> str:
        return run("nsenter", "-t", self.first_process, "-a", "--", *command, check=check, typed=typed).stdout

    def as_user(self, user: str, *command: object) -> str:
        return self.inside("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command)

    def systemctl(self, *words: str, check: bool = True) -> str:
        return self.inside("systemctl", "--no-pager", *words, check=check)

    def state_of(self, unit: str, key: str = "ActiveState") -> str:
        return self.systemctl("show", "--value", "-p", key, unit).strip()

    def failed_units(self) -> list[str]:
        units = [
            line.split()[0] for line in self.systemctl("--failed", "--plain", "--no-legend").splitlines()
        ]
        for unit in units:
            print(self.journal(unit))
        return units

    def journal(self, unit: str) -> str:
        return self.inside("journalctl", "--no-pager", "-m", "-u", unit, check=False)

    def result(self) -> str:
        return (self.card / "sandyq-result.txt").read_text("utf-8-sig")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        with suppress(OSError):
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            os.kill(int(children[0]), SHUTDOWN_SIGNAL)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def cut_power(self) -> None:
        """End every process of the box at once, as a pulled plug does."""
        process, first = self._process, self.first_process
        assert process is not None
        self._process = None
        process.kill()
        os.kill(first, signal.SIGKILL)  # and with it everything below it
        process.wait()
        wait_for(lambda: not Path(f"/proc/{first}").exists(), "the last process", STOP_SECONDS)

    def wait_until_ended(self) -> None:
        """Wait for a box that was asked to restart; this nspawn ends instead, so the test starts it again."""
        process, self._process = self._process, None
        assert process is not None
        process.wait(START_SECONDS)
