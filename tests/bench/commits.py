"""How many commits the disk takes, and how long thirty learners wait until their questions are kept.

The disk's own limit is measured beside it in the same folder: one small row a commit, one after another, at
`synchronous=FULL`. The class asks through the real web process; no engine runs, so that nothing but the
saving is measured. Together they may keep more questions a second than the disk takes commits, because
whoever waits for the disk at the same moment shares one.
"""

import sqlite3
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.bench.figures import Measurement, Section
from tests.bench.judging import Judged, Must, percentile
from tests.bench.logins import LEARNERS, PICTURES, TIMEOUT_SECONDS, Phone, set_up_class
from tests.bench.processes import BenchFailed, free_port, say, started, wait_for
from tests.bench.visits import has_page

LIMIT_SECONDS = 2.0  # a thousand commits on a good disk, fifty on a poor card
BELLS = 10  # 300 questions a round
MOST_SECONDS = 0.3  # the promise for the acknowledgement


def measure_commits(home: Path, rounds: int) -> tuple[Section, list[Judged]]:
    port = free_port()
    folder = home / "commits"
    folder.mkdir()
    limits, speeds, waits = [], [], []
    with started("commits-web", folder, "web", "serve", "--port", str(port)) as server:
        wait_for("first page", server, partial(has_page, port))
        teacher, doors = set_up_class(port)
        phones = [_come_in(port, door) for door in doors]
        for n in range(1, rounds + 1):
            limits.append(commits_per_second(folder / f"limit-{n}.sqlite"))
            asked = [_ring(teacher, phones, f"{n}-{bell}") for bell in range(BELLS)]
            speeds.append(LEARNERS * BELLS / sum(seconds for seconds, _ in asked))
            waits.append(percentile([wait for _, each in asked for wait in each], 0.95))
            say(f"commits, round {n}/{rounds}: disk {limits[-1]:.0f}/s, questions {speeds[-1]:.0f}/s")
        for phone in phones:
            phone.close()
    section = Section(
        "Saving questions",
        f"{LEARNERS} learners send a question at the same moment, {BELLS} times a round, to the pages; each\n"
        "is acknowledged after its commit at `synchronous=FULL`. Beside it the disk alone: one small row a\n"
        "commit, one after another.",
        (
            Measurement("the disk alone", "commits/s", tuple(limits)),
            Measurement("questions kept", "questions/s", tuple(speeds)),
            Measurement("until a question is acknowledged, p95", "s", tuple(waits)),
        ),
    )
    must = Must(MOST_SECONDS, at_least=False, unit="s")
    worst = max(waits)
    return section, [
        Judged("a question is acknowledged, p95 of 30, worst round", f"{worst:.2f} s", "", worst, must)
    ]


def commits_per_second(path: Path) -> float:
    """Return how many commits of one row this disk takes when each waits for the one before."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("CREATE TABLE row (text TEXT)")
        begin, count = time.monotonic(), 0
        while time.monotonic() - begin < LIMIT_SECONDS:
            db.execute("INSERT INTO row VALUES (?)", ["x" * 200])
            count += 1
        return count / (time.monotonic() - begin)
    finally:
        db.close()


def _come_in(port: int, door: str) -> Phone:
    phone = Phone(port)
    phone.post(door, picked=" ".join(PICTURES))
    return phone


def _ring(teacher: Phone, phones: Sequence[Phone], bell_name: str) -> tuple[float, list[float]]:
    waits: list[float] = []
    faults: list[BaseException] = []
    bell = threading.Barrier(len(phones) + 1)

    def ask(number: int, phone: Phone) -> None:
        try:
            bell.wait(TIMEOUT_SECONDS)
            begin = time.monotonic()
            phone.post("/ask", question="What is a fraction?", submission=f"{bell_name}-{number}")
            waits.append(time.monotonic() - begin)
        except (OSError, threading.BrokenBarrierError, BenchFailed) as fault:
            faults.append(fault)

    threads = [threading.Thread(target=ask, args=pair) for pair in enumerate(phones)]
    for thread in threads:
        thread.start()
    bell.wait(TIMEOUT_SECONDS)
    begin = time.monotonic()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    if faults:
        raise BenchFailed(f"{len(faults)} questions were not kept: {faults[0]}")
    teacher.post("/teacher/session", wish="close")  # stops what waits, so that everybody may ask again
    teacher.post("/teacher/session", wish="open")
    return seconds, waits
