"""kill -9 of either side at any moment: a second start goes on, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from sync import client, outbox
from sync.database import open_database, write_transaction
from sync.event import Event, log2_bucket
from sync.settings import SyncSettings
from tests.sync.cast import NOON

ROOT = Path(__file__).parents[2]
ROUNDS = 8


class Processes:
    """The real commands, each in its own process."""

    def __init__(self, folder: Path) -> None:
        self.box, self.region = folder / "box", folder / "region"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = (folder / "stderr.log").open("wb")
        self._serving: subprocess.Popen[bytes] | None = None

    def start(self, home: Path, *words: str, stop_at_call: int | None = None) -> subprocess.Popen[bytes]:
        environment = os.environ | {"SANDYQ_TEST_MAX_EVENTS": "3", "SANDYQ_TEST_WHOLE_ROWS": "1"}
        if stop_at_call is not None:
            environment["SANDYQ_TEST_STOP_AT_CALL"] = str(stop_at_call)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.sync.runner", str(home), str(self.port), *words],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
        )

    def ran(self, home: Path, *words: str, typed: str = "") -> str:
        process = self.start(home, *words)
        said, _ = process.communicate(typed.encode(), timeout=60)
        if process.returncode != 0:
            raise RuntimeError(f"{words} ended with {process.returncode}")
        return said.decode()

    def calls_of(self, home: Path, *words: str) -> int:
        """Run it to its end; return how many calls of functions that took."""
        process = self.start(home, *words, stop_at_call=0)
        said, _ = process.communicate(timeout=60)
        if process.returncode != 0:
            raise RuntimeError(f"{words} ended with {process.returncode}")
        return int(said.splitlines()[-1])

    def serve(self) -> None:
        self._serving = self.start(self.region, "region", "serve")
        if self._serving.stdout is None or b"listens on" not in self._serving.stdout.readline():
            raise RuntimeError("the region does not listen")

    def end_region(self, how: signal.Signals) -> int:
        if self._serving is None:
            return 0
        self._serving.send_signal(how)
        self._serving.communicate(timeout=20)
        code, self._serving = self._serving.returncode, None
        return code

    def close(self) -> None:
        self.end_region(signal.SIGKILL)
        self.log.close()


def stopped(process: subprocess.Popen[bytes]) -> bool:
    """Wait until the process stopped at its call; False when it ended before."""
    seen = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    return seen is not None and seen.si_code == os.CLD_STOPPED


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.close()


def ask(settings: SyncSettings, sizes: list[int]) -> None:
    db = client.open_outbox(settings)
    try:
        with write_transaction(db):
            for size in sizes:
                fields = {"question_id": "q", "learner_name": "Bolat", "text": "x", "language": "kk"}
                outbox.add(db, Event("question_asked", NOON, "7A", "bolat", fields | {"characters": size}))
    finally:
        db.close()


def enrolled(processes: Processes) -> SyncSettings:
    processes.ran(processes.region, "region", "init", "--json")
    code = json.loads(processes.ran(processes.region, "region", "code", "--json"))["code"]
    processes.serve()
    processes.ran(processes.box, "sync", "enrol", processes.url, "--json", typed=code + "\n")
    return SyncSettings(home=processes.box)


@pytest.mark.slow
def test_killed_box_and_region_lose_and_double_nothing(processes: Processes) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    settings = enrolled(processes)
    asked: list[int] = []
    interrupted = 0
    for _ in range(ROUNDS):
        sizes = [chance.randrange(1, 500) for _ in range(150)]
        ask(settings, sizes)
        asked += sizes
        last = _status(settings).receipted_batches + chance.randrange(30)
        running = processes.start(processes.box, "sync", "run")
        while running.poll() is None and _status(settings).receipted_batches < last:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        victim = chance.choice(["box", "region", "both"])
        if victim != "box":
            processes.end_region(signal.SIGKILL)
        if victim != "region":
            running.kill()
        running.communicate(timeout=20)
        status = _status(settings)
        interrupted += status.sealed_batches + status.waiting_events > 0
        if victim != "box":
            processes.serve()
    processes.ran(processes.box, "sync", "run")
    status = _status(settings)
    assert (status.waiting_events, status.sealed_batches, status.receipted_events) == (0, 0, len(asked))
    assert interrupted >= ROUNDS // 2, "the kills came too late to mean anything"
    report = json.loads(processes.ran(processes.region, "region", "report", "--json"))
    assert report["events"] == report["by_kind"]["question_asked"] == len(asked)
    assert report["boxes"][0]["remarks"] == []
    assert _stored_sizes(processes) == Counter(log2_bucket(size, 17) for size in asked)
    assert _ledger(processes.region / "region/region.sqlite", "ledger") == _ledger(
        settings.database_path, "batch"
    )


@pytest.mark.slow
def test_region_stops_cleanly_on_sigterm_and_says_where_it_listens(processes: Processes) -> None:
    settings = enrolled(processes)
    answer = urllib3.request("GET", f"{processes.url}/health", retries=False)
    assert answer.json()["status"] == "ok"
    ask(settings, [5])
    arguments = Path(f"/proc/{processes._serving.pid}/cmdline") if processes._serving else None
    if arguments is not None and arguments.exists():
        assert client.get_enrolment(settings).token.encode() not in arguments.read_bytes()
    assert processes.end_region(signal.SIGTERM) == 0
    gone = processes.start(processes.box, "sync", "run")
    gone.communicate(timeout=20)
    assert gone.returncode == 1
    # Before the region answered nothing is sealed: the box does not know that its history is its own.
    assert _status(settings).waiting_events == 1
    processes.log.flush()
    said = Path(processes.log.name).read_text()
    assert "region_unreachable" in said
    assert "Traceback" not in said
    assert client.get_enrolment(settings).token not in said


def _status(settings: SyncSettings) -> outbox.OutboxStatus:
    db = client.open_outbox(settings)
    try:
        return outbox.status(db)
    finally:
        db.close()


def _stored_sizes(processes: Processes) -> Counter[int]:
    db = open_database(processes.region / "region/region.sqlite")
    try:
        return Counter(dict(db.execute("SELECT characters, count(*) FROM event GROUP BY 1").fetchall()))
    finally:
        db.close()


def _ledger(path: Path, table: str) -> list[tuple[object, ...]]:
    db = open_database(path)
    try:
        return db.execute(f"SELECT epoch, seq, lo, hi, sha256 FROM {table} ORDER BY seq").fetchall()
    finally:
        db.close()
