"""kill -9 of workers, of PostgreSQL's processes and of PostgreSQL itself, while schools send.

Whoever leads a group is the ingester: a worker killed at a random moment is often one. Two workers
share a port and a database. In the suite a few kills; as many as are judged, in one go (some minutes):

    SANDYQ_TEST_KILLS=200 python -m pytest -s tests/sync/test_killed_ingest.py
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
import urllib3

from sync.batch import pack_rows
from sync.envelope import Recipient
from sync.keys import SigningKey
from sync.receipt import Receipt, verify_receipt
from sync.reply import read_reply
from sync.server.enrolment.registry import hash_of
from sync.server.storage.identity import Region, make_region
from sync.server.storage.store import open_store
from sync.settings import RegionSettings
from sync.transport import ENVELOPE_TYPE
from tests.bench.ingest import school_day, seal_history
from tests.sync.cast import NOON
from tests.sync.postgres import Postgres, running_postgres

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("SANDYQ_TEST_KILLS", "6"))
WORKERS, SCHOOLS, EVENTS = 2, 6, 40
# Between two envelopes of a school: so it does not run out of them while PostgreSQL starts two hundred times.
PAUSE_SECONDS = 0.05 if KILLS < 50 else 0.15
BATCHES = 60 + 40 * KILLS
VICTIMS = ("worker", "backend", "postgresql")


@dataclass
class School:
    """Sends its history in order, each envelope until it has the receipt."""

    url: str
    region: Region
    token: str
    device: SigningKey
    mail: list[Path]
    receipts: list[Receipt] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=5, read=90), retries=False, maxsize=1)
        for path in self.mail:
            while not self.stopped.is_set():
                receipt = self._send(pool, path.read_bytes())
                self.stopped.wait(PAUSE_SECONDS)
                if receipt is not None:
                    self.receipts.append(receipt)
                    break
        pool.clear()

    def _send(self, pool: urllib3.PoolManager, sealed: bytes) -> Receipt | None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": ENVELOPE_TYPE}
        try:
            answer = pool.request("POST", f"{self.url}/v1/batches", body=sealed, headers=headers)
        except (urllib3.exceptions.HTTPError, OSError):
            self.refusals["line"] += 1
            return None
        if answer.status != 200:
            self.refusals[str(answer.status)] += 1
            return None
        public = self.region.keys.receipts.public
        return verify_receipt(read_reply(answer.data, public, self.device.kid).receipts[0], public)


class Workers:
    """Two real processes behind one port."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.home, self.log = home, (home / "workers.log").open("wb")
        self.running = [self.start() for _ in range(WORKERS)]

    def start(self) -> subprocess.Popen[bytes]:
        words = ["-m", "tests.sync.runner", str(self.home), str(self.port), "region", "serve", "--share-port"]
        return subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=self.log, stderr=self.log)

    def kill_one(self, chance: random.Random) -> None:
        at = chance.randrange(WORKERS)
        self.running[at].kill()
        self.running[at].wait()
        self.running[at] = self.start()

    def see_to_it(self) -> None:
        """Start again what ended because PostgreSQL was away when it began, as systemd does."""
        for at, process in enumerate(self.running):
            if process.poll() is not None:
                self.running[at] = self.start()

    def close(self) -> None:
        for process in self.running:
            process.kill()
            process.wait()
        self.log.close()


def kill_backend(postgres: Postgres) -> bool:
    """End the process of a connection: PostgreSQL then restarts all. False when there is none."""
    with suppress(psycopg.Error), psycopg.connect(postgres.address("postgres"), autocommit=True) as admin:
        found = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'sandyq-region'"
            " ORDER BY state = 'active' DESC, random() LIMIT 1"
        ).fetchone()
        if found is not None:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGKILL)
                return True
    return False


def make_schools(home: Path, region: Region, url: str) -> list[School]:
    chance = random.Random(3)
    payloads = [pack_rows(school_day(chance, EVENTS)) for _ in range(8)]
    recipient = Recipient(region.id, region.keys.opening.public)
    schools = []
    with closing(open_store(region.database)) as store:
        for number in range(SCHOOLS):
            device, label = SigningKey.from_seed(bytes([number + 1]) * 32), f"B-{number}"
            store.add_box(label, device.kid, device.public, hash_of("secret"), "0.1", NOON)
            folder = home / "mail" / label
            folder.mkdir(parents=True)
            seal_history(folder, device, recipient, payloads, BATCHES, EVENTS)
            schools.append(School(url, region, f"{label}.secret", device, sorted(folder.glob("*.sb1"))))
    return schools


@pytest.mark.slow
@pytest.mark.timeout(180 + 20 * KILLS)
def test_killed_workers_and_databases_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    with running_postgres() as postgres:
        region = make_region(RegionSettings(home=tmp_path), "Абай", postgres.new_database())
        workers = Workers(tmp_path)
        schools = make_schools(tmp_path, region, f"http://127.0.0.1:{workers.port}")
        threads = [threading.Thread(target=school.run) for school in schools]
        for thread in threads:
            thread.start()
        killed: Counter[str] = Counter()
        try:
            for turn in range(KILLS):
                wait_for_progress(schools, workers)
                time.sleep(chance.uniform(0, 0.3))
                # Each of them early on, then at random.
                victim = VICTIMS[turn] if turn < len(VICTIMS) else chance.choice(VICTIMS)
                if victim == "worker":
                    workers.kill_one(chance)
                elif victim == "backend":
                    while not kill_backend(postgres):
                        time.sleep(0.01)
                else:
                    postgres.restart(signal.SIGKILL)
                killed[victim] += 1
                if len(VICTIMS) * 10 < KILLS and turn % 20 == 19:
                    print(turn + 1, "kills,", sum(len(school.receipts) for school in schools), "receipts")
            wait_for_progress(schools, workers)
        finally:
            for school in schools:
                school.stopped.set()
            for thread in threads:
                thread.join()
            workers.close()
        receipts = sum(len(school.receipts) for school in schools)
        print(dict(killed), receipts, "receipts", sum((school.refusals for school in schools), Counter()))
        assert killed.total() == KILLS
        assert all(len(school.receipts) < BATCHES for school in schools), "a school had nothing left to send"
        judge(region, schools)


def wait_for_progress(schools: list[School], workers: Workers) -> None:
    """Go on when each school has another receipt: the kill before is over."""
    goals = [(school, len(school.receipts) + 2) for school in schools]
    deadline = time.monotonic() + 120
    while any(len(school.receipts) < goal for school, goal in goals):
        workers.see_to_it()
        if time.monotonic() > deadline:
            raise TimeoutError("the region did not come back")
        time.sleep(0.02)


def judge(region: Region, schools: list[School]) -> None:
    assert sum(sum(school.refusals.values()) for school in schools), "the kills were not even noticed"
    with closing(open_store(region.database)) as store:
        for school in schools:
            box = store.find_box_by_kid(school.device.kid)
            assert box is not None
            for receipt in school.receipts:
                row = store.find_ledger_row(box, receipt.epoch, receipt.seq)
                assert row is not None, "a receipt without its row"
                assert row.sha256 == receipt.sha256
        numbers = [number for (number,) in store.db.rows("SELECT number FROM ledger ORDER BY number")]
        assert numbers == list(range(1, len(numbers) + 1)), "no gap, none twice"
        uneven = store.db.rows(
            "SELECT ledger.number FROM ledger LEFT JOIN event USING (box_id, epoch, seq)"
            " GROUP BY ledger.number, hi, lo HAVING count(event.number) <> hi - lo + 1"
        )
        assert uneven == [], "a batch without all of its events, or with some of them twice"
        (events,) = store.db.row("SELECT count(*) FROM event") or (0,)
        assert events == EVENTS * len(numbers)
        # Each school goes on after its last receipt, so at most one of its envelopes is stored unseen.
        acknowledged = sum(len(school.receipts) for school in schools)
        assert acknowledged <= len(numbers) <= acknowledged + len(schools)
        assert all(not line.remarks and not line.missing for line in store.box_lines())
