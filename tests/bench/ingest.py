"""How many events a second a region takes in through its real HTTP door, beside bare COPY.

The real command serves, real envelopes are opened, receipts are verified; PostgreSQL is the real server
with fsync, made for the run. Boxes are entered into the database instead of enrolling one by one. The
same rows are then added by COPY alone, on one connection, from rows that are ready: what the database
could take if nobody had to be believed. Clients, region and database share the machine.
"""

import hashlib
import json
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from sync.anonymise import LeavingRow
from sync.batch import NO_PREVIOUS, Batch, columns_of, pack_rows
from sync.envelope import Recipient, seal
from sync.keys import SIGNING_SEED_BYTES, SigningKey
from sync.server.enrolment.registry import hash_of
from sync.server.storage.event_rows import EVENT_COLUMNS, rows_from_columns
from sync.server.storage.identity import Region, make_region
from sync.server.storage.store import open_store
from sync.settings import RegionSettings
from tests.bench.figures import Measurement, Section, number
from tests.bench.judging import Judged, Must, percentile
from tests.bench.processes import BenchFailed, free_port, say, started
from tests.sync.postgres import running_postgres

ROOT = Path(__file__).parents[2]
# A school day of a class of thirty is 1,800 events; boxes send in the afternoon and in the evening.
BATCH_EVENTS = 1_000
SMALL_BATCH_EVENTS = 200  # the smallest that boxes are told to cut
LINES = 16  # connections at once
BOXES = 64
POSTGRES_EVENTS = 1_000_000
SQLITE_EVENTS = 200_000
SMALL_EVENTS = 100_000
PACED_SECONDS = 12
PAYLOADS = 24  # different days; packing a thousand would take longer than sending them
COPY_GROUP = 50_000  # rows in one transaction of bare COPY: as many as a full group of ours

MUST_POSTGRES = Must(20_000, at_least=True, unit="events/s")
MUST_SQLITE = Must(8_000, at_least=True, unit="events/s")
MUST_RATIO = Must(0.3, at_least=True)
MUST_WAIT = Must(2.0, at_least=False, unit="s")
# "Flat": what the server holds after the second half of a million events beside after the first.
MUST_MEMORY = Must(1.1, at_least=False)


@dataclass(frozen=True)
class Run:
    """What one load did."""

    events: int
    seconds: float
    waits: tuple[float, ...]
    memory: tuple[int, ...]  # of the region's processes together, every second

    @property
    def speed(self) -> float:
        return self.events / self.seconds


def measure_ingest(home: Path, rounds: int) -> tuple[Section, list[Judged]]:
    """Measure both databases; the figures of each round, and what is judged."""
    taken: list[Run] = []
    small: list[Run] = []
    paced: list[Run] = []
    bare: list[float] = []
    sqlite: list[Run] = []
    with running_postgres() as postgres:
        for turn in range(1, rounds + 1):
            where = home / f"ingest-{turn}"
            address = postgres.new_database()
            big = Load(where / "big", address, POSTGRES_EVENTS, BATCH_EVENTS)
            taken.append(big.send())
            bare.append(bare_copy(address, POSTGRES_EVENTS))
            small.append(
                Load(where / "small", postgres.new_database(), SMALL_EVENTS, SMALL_BATCH_EVENTS).send()
            )
            half = taken[-1].speed / 2
            paced.append(
                Load(where / "half", postgres.new_database(), int(half * PACED_SECONDS), BATCH_EVENTS).send(
                    half
                )
            )
            file = where / "file"
            sqlite.append(Load(file, f"sqlite:///{file}/region.sqlite", SQLITE_EVENTS, BATCH_EVENTS).send())
            say(
                f"ingest, round {turn}/{rounds}: {number(taken[-1].speed)} events/s into PostgreSQL"
                f" ({number(bare[-1])} by bare COPY), {number(sqlite[-1].speed)} into SQLite"
            )
    return section(taken, small, paced, bare, sqlite), judge(taken, paced, bare, sqlite)


def section(
    taken: Sequence[Run],
    small: Sequence[Run],
    paced: Sequence[Run],
    bare: Sequence[float],
    sqlite: Sequence[Run],
) -> Section:
    def speeds(runs: Sequence[Run]) -> tuple[float, ...]:
        return tuple(run.speed for run in runs)

    return Section(
        "Ingest",
        f"{POSTGRES_EVENTS:,} events in envelopes of {BATCH_EVENTS:,} over {LINES} connections through one\n"
        "`sandyq region serve`, each opened, verified, stored and receipted; clients, region and database\n"
        "(fsync on) share the machine. Bare COPY adds the same rows in binary form on one connection.",
        (
            Measurement("into PostgreSQL", "events/s", speeds(taken)),
            Measurement(f"into PostgreSQL, envelopes of {SMALL_BATCH_EVENTS}", "events/s", speeds(small)),
            Measurement("bare COPY of the same rows", "rows/s", tuple(bare)),
            Measurement("into SQLite", "events/s", speeds(sqlite)),
            Measurement(
                "receipt at half load, slowest of twenty",
                "s",
                tuple(percentile(r.waits, 0.95) for r in paced),
            ),
            Measurement("region's memory, half way", "MB", tuple(middle(run) / 1e6 for run in taken)),
            Measurement("region's memory, at the end", "MB", tuple(run.memory[-1] / 1e6 for run in taken)),
        ),
    )


def judge(
    taken: Sequence[Run], paced: Sequence[Run], bare: Sequence[float], sqlite: Sequence[Run]
) -> list[Judged]:
    def median(values: Sequence[float]) -> float:
        return sorted(values)[len(values) // 2]

    speed, into_file = median([run.speed for run in taken]), median([run.speed for run in sqlite])
    ratio = median([run.speed / alone for run, alone in zip(taken, bare, strict=True)])
    wait = median([percentile(run.waits, 0.95) for run in paced])
    growth = median([run.memory[-1] / middle(run) for run in taken])
    return [
        Judged("ingest into PostgreSQL", f"{number(speed)} events/s", "-", speed, MUST_POSTGRES),
        Judged("beside bare COPY", f"{number(speed)} /s", f"{number(median(bare))} /s", ratio, MUST_RATIO),
        Judged("ingest into SQLite", f"{number(into_file)} events/s", "-", into_file, MUST_SQLITE),
        Judged("receipt at half load, p95", f"{number(wait)} s", "-", wait, MUST_WAIT),
        Judged("memory over a million events", "second half", "first half", growth, MUST_MEMORY),
    ]


def middle(run: Run) -> int:
    return run.memory[len(run.memory) // 2]


# One load ----------------------------------------------------------------------------


@dataclass
class Load:
    """A region with boxes, and envelopes ready to be sent to it."""

    folder: Path
    address: str
    events: int
    batch_events: int
    processes: int = 1

    def send(self, events_a_second: float = 0.0) -> Run:
        """Serve, send everything, and see that everything was stored once."""
        self.folder.mkdir(parents=True)
        region = make_region(RegionSettings(home=self.folder), "Bench", self.address)
        seal_everything(self.folder / "mail", region, self.events, self.batch_events)
        pace = LINES * self.batch_events / events_a_second if events_a_second else 0.0
        with serving(self.folder, self.processes) as (port, processes):
            run = run_load(self.folder / "mail", region, port, pace, processes)
        store = open_store(self.address)
        try:
            counted = store.counted()
            rows = store.db.row("SELECT count(*) FROM event")
        finally:
            store.close()
        if (counted.events, rows) != (run.events, (run.events,)):
            raise BenchFailed(f"{run.events} events have receipts, {counted} and {rows} are stored")
        return run


@contextmanager
def serving(home: Path, processes: int) -> Iterator[tuple[int, list[psutil.Process]]]:
    port = free_port()
    settings = {"SANDYQ_REGION_PORT": str(port)}
    share = ["--share-port"] if processes > 1 else []
    with ExitStack() as stack:
        running = []
        for number_ in range(processes):
            process = stack.enter_context(
                started(f"region-{number_}", home, "region", "serve", *share, settings=settings)
            )
            if process.stdout is None or "listens on" not in process.stdout.readline():
                raise BenchFailed("the region does not listen")
            running.append(psutil.Process(process.pid))
        yield port, running


def run_load(mail: Path, region: Region, port: int, pace: float, processes: list[psutil.Process]) -> Run:
    boxes = json.loads((mail / "boxes.json").read_text())
    load = {
        "ports": [port],
        "lines": LINES,
        "pace": pace,
        "boxes": boxes,
        "receipt_key": region.keys.receipts.public.hex(),
    }
    (mail / "load.json").write_text(json.dumps(load))
    client = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.ingest_load", str(mail)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    memory = []
    while client.poll() is None:
        memory.append(sum(process.memory_info().rss for process in processes))
        time.sleep(0.25)
    said, _ = client.communicate()
    told: dict[str, Any] = json.loads(said)
    if told["faults"]:
        raise BenchFailed(f"a box was refused: {told['faults']}")
    return Run(told["events"], told["seconds"], tuple(told["waits"]), tuple(memory))


def seal_everything(mail: Path, region: Region, events: int, batch_events: int) -> None:
    chance = random.Random(7)
    payloads = [pack_rows(school_day(chance, batch_events)) for _ in range(PAYLOADS)]
    recipient = Recipient(region.id, region.keys.opening.public)
    batches = -(-events // batch_events)
    boxes = []
    store = open_store(region.database)
    try:
        for number_ in range(min(BOXES, batches)):
            device, secret = (
                SigningKey.from_seed(secrets.token_bytes(SIGNING_SEED_BYTES)),
                secrets.token_hex(16),
            )
            label = f"B-{number_:05}"
            store.add_box(label, device.kid, device.public, hash_of(secret), "bench", datetime.now(UTC))
            folder = mail / label
            folder.mkdir(parents=True)
            mine = range(number_, batches, min(BOXES, batches))
            seal_history(folder, device, recipient, payloads, len(mine), batch_events)
            boxes.append((label, f"{label}.{secret}", device.kid.hex()))
    finally:
        store.close()
    (mail / "boxes.json").write_text(json.dumps(boxes))


def seal_history(
    folder: Path, device: SigningKey, recipient: Recipient, payloads: list[bytes], batches: int, events: int
) -> None:
    previous, epoch = NO_PREVIOUS, secrets.token_bytes(8)
    for seq in range(1, batches + 1):
        lo = (seq - 1) * events + 1
        batch = Batch(device.kid, epoch, seq, previous, lo, lo + events - 1, 2, payloads[seq % len(payloads)])
        blob = seal(
            batch, device, recipient, blob_id=secrets.token_bytes(16), content_key=secrets.token_bytes(32)
        )
        previous = hashlib.sha256(blob).digest()
        (folder / f"{seq:06}.sb1").write_bytes(blob)


def school_day(chance: random.Random, count: int) -> tuple[LeavingRow, ...]:
    """Rows as `sync/generalise` lets them go: questions, answers, checked attempts."""
    return tuple(school_event(chance) for _ in range(count))


def school_event(chance: random.Random) -> LeavingRow:
    day, session = date(2026, 9, 1) + timedelta(days=chance.randrange(14)), chance.randrange(12)
    kind = chance.choice(("question_asked", "answer_finished", "attempt_checked"))
    fields: dict[str, str | int] = {
        "question_asked": lambda: {
            "language": chance.choice(("kk", "ru")),
            "characters": chance.randrange(3, 9),
        },
        "answer_finished": lambda: {
            "outcome": "answered",
            "answer_tokens": chance.randrange(4, 9),
            "duration_ms": chance.randrange(9, 15),
            "model_sha256": "ab12cd34",
        },
        "attempt_checked": lambda: {"result": chance.choice(("right", "wrong")), "rung": chance.randrange(4)},
    }[kind]()
    return LeavingRow(kind, session, day, fields)


def bare_copy(address: str, events: int) -> float:
    """Add as many of the same rows by COPY alone; return rows a second."""
    chance = random.Random(7)
    columns = columns_of(school_day(chance, COPY_GROUP))
    day = datetime.now(UTC).date().isoformat()
    rows = list(rows_from_columns((1, bytes(8), 1, 1, day), columns))
    store = open_store(address)
    try:
        store.db.execute("TRUNCATE event")
        began = time.monotonic()
        for _ in range(events // COPY_GROUP):
            with store.transaction():
                store.db.copy_rows("event", EVENT_COLUMNS, rows)
        return events / (time.monotonic() - began)
    finally:
        store.close()
