"""What a week of a school costs a bad line, and how fast questions are saved: the bench part `link`.

Promises: the real client and region over TCP, cut at random bytes; the time on a line of 20 kbit/s is
worked out from the bytes that really passed. Keeps out: judging.
"""

import os
import random
import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sync import client, outbox
from sync.budget import OVERHEAD
from sync.client import Enrolment
from sync.database import write_transaction
from sync.errors import RegionUnreachable
from sync.event import Event
from sync.keys import ensure_device_key
from sync.settings import SyncSettings
from sync.transport import PIECE_BYTES, HttpTransport, Pause, go_on
from tests.bench.figures import Measurement, Section
from tests.region_simulator import RegionSimulator
from tests.sync.line import CutLine, cut_line

KBIT = 20
ROUND_TRIP_SECONDS = 0.6  # a satellite or a crowded 2G cell
CUT_SHARE = 0.2  # of the messages
HEADERS = 300
MONDAY = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
SCHOOLS = (("43 learners", 43, 90), ("275 learners", 275, 84))  # events of a learner in a week
COMMITS = 300
CLASS = 30

HOW = f"""\
A week of an invented school over a line of {KBIT} kbit/s with {ROUND_TRIP_SECONDS} s there and back,
on which every fifth message is cut after a random number of bytes, up or down. The real client and
region talk over TCP; bytes both ways are counted as they passed, repeats included, times {OVERHEAD}
for the layers below. "Saved" is a question with its outbox row, `synchronous=FULL`; beside it a bare
write and fsync of 4 kB on the same disk."""


def measure_link(rounds: int) -> Section:
    rows: list[Measurement] = []
    for name, learners, events in SCHOOLS:
        drawn = [_week(learners, events, seed) for seed in range(1, rounds + 1)]
        rows += [
            Measurement(f"{name}, a week: {what}", unit, tuple(one[at] for one in drawn))
            for at, (what, unit) in enumerate(
                (("events", ""), ("bytes that passed", "B"), ("tries", ""), ("time on the line", "s"))
            )
        ]
    saved = [_save() for _ in range(rounds)]
    rows += [
        Measurement("bare fsyncs, one after another", "1/s", tuple(one[0] for one in saved)),
        Measurement("questions saved, one after another", "1/s", tuple(one[1] for one in saved)),
        Measurement(f"{CLASS} learners at once: slowest saved after", "ms", tuple(one[2] for one in saved)),
    ]
    return Section("A bad line and a slow disk", HOW, tuple(rows))


def _week(learners: int, events: int, seed: int) -> tuple[float, float, float, float]:
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        region = RegionSimulator(Path(folder) / "region")
        settings = SyncSettings(home=Path(folder) / "box")
        with region.serve() as url, cut_line(url) as line:
            enrolment = client.enrol(settings, url, region.code())
            count = _record(settings, learners, events, chance)
            passed, tries, asked = _deliver(settings, enrolment, line, chance)
        if region.report()["events"] != count:
            raise RuntimeError("the line lost or doubled an event")
    seconds = passed * OVERHEAD * 8 / (KBIT * 1000) + asked * ROUND_TRIP_SECONDS
    return float(count), float(passed), float(tries), seconds


def _deliver(
    settings: SyncSettings, enrolment: Enrolment, line: CutLine, chance: random.Random
) -> tuple[int, int, int]:
    """Run until nothing waits; return bytes, tries and requests."""
    tries, counted = 0, _Counted(line, chance)
    while True:
        tries += 1
        db = client.open_outbox(settings)
        try:
            with HttpTransport(line.url, enrolment.token) as wire:
                counted.wire = wire
                client.send_all(db, ensure_device_key(settings.home), enrolment, counted)
        except RegionUnreachable:
            continue
        finally:
            db.close()
            counted.requests += 1  # one there and back to connect
        counted.note()
        return counted.passed, tries, counted.requests


class _Counted:
    """Cuts every fifth message, counts what passed and how often an answer was waited for."""

    def __init__(self, line: CutLine, chance: random.Random) -> None:
        self._line, self._chance = line, chance
        self.wire = HttpTransport(line.url)
        self.requests = self.passed = 0

    def note(self) -> None:
        self.passed += self._line.up + self._line.down
        self._line.mend()

    def _begin(self, size: int) -> None:
        self.note()
        self.requests += 1 + size // PIECE_BYTES
        if self._chance.random() < CUT_SHARE:
            limit = self._chance.randrange(size + HEADERS)
            self._line.cut_after(**{self._chance.choice(["up", "down"]): limit})

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        self._begin(len(sealed))
        return self.wire.send(sealed, pause)

    def ask(self, question: bytes) -> bytes:
        self._begin(len(question))
        return self.wire.ask(question)

    def fetch_keys(self) -> bytes:
        self._begin(0)
        return self.wire.fetch_keys()


def _record(settings: SyncSettings, learners: int, events: int, chance: random.Random) -> int:
    db = client.open_outbox(settings)
    count = 0
    for day in range(5):
        with write_transaction(db):
            for learner in range(learners):
                for at in range(events // 5 // 2):
                    lesson = f"day-{day}-class-{learner // 25}-{at // 3}"
                    when = MONDAY + timedelta(days=day, minutes=at)
                    for event in _asked_and_answered(lesson, f"learner-{learner}", when, chance):
                        outbox.add(db, event)
                        count += 1
    db.close()
    return count


def _asked_and_answered(
    lesson: str, learner: str, when: datetime, chance: random.Random
) -> tuple[Event, Event]:
    language = chance.choice(["kk", "kk", "ru"])
    asked = {"question_id": "q", "learner_name": learner, "text": "?", "language": language}
    answered = {
        "question_id": "q",
        "text": "!",
        "outcome": "answered",
        "model": "m",
        "model_sha256": "0" * 64,
    }
    sizes = {"duration_ms": chance.randrange(500, 60_000), "answer_tokens": chance.randrange(4, 200)}
    return (
        Event("question_asked", when, lesson, learner, asked | {"characters": chance.randrange(5, 300)}),
        Event("answer_finished", when, lesson, learner, answered | sizes | {"language": language}),
    )


def _save() -> tuple[float, float, float]:
    with tempfile.TemporaryDirectory() as folder:
        settings = SyncSettings(home=Path(folder))
        client.open_outbox(settings).close()
        one_after_another = _save_questions(settings, COMMITS)
        slowest: list[float] = []
        together = threading.Barrier(CLASS)

        def learner() -> None:
            db = client.open_outbox(settings)
            together.wait()
            begin = time.monotonic()
            _save_one(db)
            slowest.append(time.monotonic() - begin)
            db.close()

        threads = [threading.Thread(target=learner) for _ in range(CLASS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return _fsyncs(Path(folder) / "bare"), one_after_another, max(slowest) * 1000


def _save_questions(settings: SyncSettings, count: int) -> float:
    db = client.open_outbox(settings)
    spent = []
    for _ in range(count):
        begin = time.monotonic()
        _save_one(db)
        spent.append(time.monotonic() - begin)
    db.close()
    return 1 / statistics.mean(spent)


def _save_one(db: object) -> None:
    event = _asked_and_answered("7A", "aigerim", MONDAY, random.Random(1))[0]
    with write_transaction(db):  # type: ignore[arg-type]
        outbox.add(db, event)  # type: ignore[arg-type]


def _fsyncs(path: Path) -> float:
    with path.open("wb", buffering=0) as file:
        begin = time.monotonic()
        for _ in range(COMMITS):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return COMMITS / (time.monotonic() - begin)
