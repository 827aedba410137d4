"""The four real processes of one box and its region, each startable and killable, on loopback."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import urllib3

from sync.database import open_database
from tests.real_model import lend_model

SANDYQ = (sys.executable, "-m", "appliance.cli")
REPOSITORY = Path(__file__).parents[1]
PARTS = {"web": ("web", "serve"), "engine": ("engine", "serve"), "region": ("region", "serve")}
# A model load on a busy machine takes seconds; only a real hang reaches this.
PATIENCE_SECONDS = 90.0


class RealBox:
    """State folders for a box and for a region, and the processes that serve them."""

    def __init__(self, home: Path, real_model_home: Path) -> None:
        self.home = home
        lend_model(real_model_home, home)
        self.ports = dict(zip(PARTS, free_ports(len(PARTS)), strict=True))
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith("SANDYQ_")
        } | {"SANDYQ_HOME": str(home), "SANDYQ_WEB_HOST": "127.0.0.1", "LC_ALL": "C.UTF-8"}
        for part, port in self.ports.items():
            self.environment[f"SANDYQ_{part.upper()}_PORT"] = str(port)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._http = urllib3.PoolManager(retries=False, timeout=5)

    def url(self, part: str) -> str:
        return f"http://127.0.0.1:{self.ports[part]}"

    def start(self, *parts: str) -> None:
        for part in parts:
            with (self.home / f"{part}.log").open("ab") as log:
                self.processes[part] = subprocess.Popen(
                    [*SANDYQ, *PARTS[part]],
                    env=self.environment,
                    cwd=REPOSITORY,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )

    def wait_ready(self, *parts: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        for part in parts:
            while not self._answers(part):
                process = self.processes[part]
                if process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"{part} did not come up:\n{self.log(part)}")
                time.sleep(0.05)

    def kill(self, part: str) -> None:
        """SIGKILL, as a power cut or the kernel's memory guard would."""
        self.processes[part].send_signal(signal.SIGKILL)
        self.processes[part].wait()

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def sandyq(
        self, *arguments: str, typed: str = "", language: str = ""
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*SANDYQ, *arguments],
            env=self.environment | ({"LANG": language, "LC_ALL": language} if language else {}),
            cwd=REPOSITORY,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )

    def json(self, *arguments: str, typed: str = "") -> dict[str, Any]:
        done = self.sandyq(*arguments, "--json", typed=typed)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def enrol(self) -> None:
        """What IT staff do: make the region, give the box a code."""
        self.json("region", "init")
        self.start("region")
        self.wait_ready("region")
        code = self.json("region", "code")["code"]
        self.json("sync", "enrol", self.url("region"), typed=code + "\n")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        db = open_database(self.home / "box.sqlite")
        try:
            return list(db.query(sql))
        finally:
            db.close()

    def value(self, sql: str) -> Any:
        return next(iter(self.rows(sql)[0].values()))

    def log(self, part: str) -> str:
        return (self.home / f"{part}.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    def _answers(self, part: str) -> bool:
        try:
            return self._http.request("GET", self.url(part) + "/health").status == 200
        except urllib3.exceptions.HTTPError:
            return False


@contextmanager
def real_box(home: Path, real_model_home: Path) -> Iterator[RealBox]:
    box = RealBox(home, real_model_home)
    try:
        yield box
    finally:
        box.stop()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for opened in sockets:
        opened.bind(("127.0.0.1", 0))
    ports = [opened.getsockname()[1] for opened in sockets]
    for opened in sockets:
        opened.close()
    return ports
