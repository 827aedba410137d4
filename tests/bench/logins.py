"""A bell rings: thirty learners log in at once with their pictures while the model writes for the class.

Real web and engine processes, a connection for each learner, as their phones have. The engine is kept busy by
the questions that every learner asked before; the round counts only if some of them are still being answered
afterwards. Measured: the request that logs in, and the whole walk from the names to the page for asking.
"""

import http.client
import re
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from tests.bench.figures import Measurement, Section, number
from tests.bench.judging import Judged, Must, percentile
from tests.bench.processes import BenchFailed, free_port, say, started, wait_for
from tests.bench.visits import has_page, is_engine_ready

LEARNERS = 30
PICTURES = ("sun", "yurt", "fish")
# The promise for the request that logs in, at the slowest of twenty.
MOST_SECONDS = 1.0
TIMEOUT_SECONDS = 60.0
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "kk"}


@dataclass
class Phone:
    """One learner's browser: one connection that stays open, one cookie."""

    port: int
    cookie: str = ""

    def __post_init__(self) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)

    def get(self, path: str) -> str:
        return self._send("GET", path, None)

    def post(self, path: str, **fields: str) -> str:
        return self._send("POST", path, urlencode(fields))

    def close(self) -> None:
        self._line.close()

    def _send(self, method: str, path: str, body: str | None) -> str:
        self._line.request(method, path, body, FORM | ({"Cookie": self.cookie} if self.cookie else {}))
        answer = self._line.getresponse()
        text = answer.read().decode()
        if answer.status >= http.client.BAD_REQUEST:
            raise BenchFailed(f"{method} {path.rsplit('/', 1)[0]} answered {answer.status}")
        given = answer.getheader("Set-Cookie", "")
        if given.startswith("sandyq_login="):
            self.cookie = given.split(";")[0]
        return text


@dataclass(frozen=True)
class Walk:
    log_in_seconds: float
    whole_seconds: float


def measure_logins(home: Path, rounds: int) -> tuple[Section, list[Judged]]:
    """Measure the bell, several times on one box."""
    web, engine = free_port(), free_port()
    settings = {"SANDYQ_ENGINE_PORT": str(engine)}
    walks: list[list[Walk]] = []
    folder = home / "logins"
    folder.mkdir()
    (folder / "models").symlink_to(home / "models")
    with ExitStack() as stack:
        serve = partial(started, settings=settings)
        server = stack.enter_context(serve("logins-web", folder, "web", "serve", "--port", str(web)))
        model = stack.enter_context(serve("logins-engine", folder, "engine", "serve"))
        wait_for("first page", server, partial(has_page, web))
        wait_for("engine", model, partial(is_engine_ready, engine))
        teacher, doors = set_up_class(web)
        for n in range(1, rounds + 1):
            walks.append(_ring(web, teacher, doors))
            worst = percentile([walk.log_in_seconds for walk in walks[-1]], 0.95)
            say(f"thirty log-ins, round {n}/{rounds}: p95 {number(worst)} s")
    return _section(walks), _judged(walks)


def set_up_class(web: int) -> tuple[Phone, list[str]]:
    """Make the class over the teacher's own pages; return her browser and the learners' doors."""
    teacher = Phone(web)
    names = [f"Learner {n:02d}" for n in range(LEARNERS)]
    pin = {"pin": "271828", "pin_again": "271828"}
    fields = {"school_class": "7A", "grade": "7", "language": "kk", "uses_pictures": "yes"}
    teacher.post("/setup", learners="\n".join(names), **fields, **pin)
    teacher.post("/teacher/session", wish="open")
    found = re.search(r"/class/\d+|(\d{3}) (\d{3})</b>", teacher.get("/teacher"))
    if found is None:
        raise BenchFailed("the teacher's page shows no class code")
    way = f"/class/{found[1]}{found[2]}" if found[1] else found[0]
    doors = [f"{way}/{key}" for key in re.findall(r'name="learner" value="(\w+)"', teacher.get(way))]
    if len(doors) != LEARNERS:
        raise BenchFailed(f"{len(doors)} names on the page instead of {LEARNERS}")
    for door in doors:
        phone = Phone(web)
        phone.post(door, picked=" ".join(PICTURES), sure="yes")
        phone.post("/welcome")
        phone.close()
    return teacher, doors


def _ring(web: int, teacher: Phone, doors: Sequence[str]) -> list[Walk]:
    """Let everybody ask, then let everybody log in at the same moment on another device."""
    _ask_for_everybody(web, doors)
    walks: list[Walk] = []
    faults: list[BaseException] = []
    bell = threading.Barrier(len(doors))

    def walk(door: str) -> None:
        phone = Phone(web)
        try:
            bell.wait(TIMEOUT_SECONDS)
            walks.append(_walk(phone, door))
        except (OSError, http.client.HTTPException, threading.BrokenBarrierError, BenchFailed) as fault:
            faults.append(fault)
        finally:
            phone.close()

    threads = [threading.Thread(target=walk, args=(door,)) for door in doors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise BenchFailed(f"{len(faults)} of {len(doors)} learners did not get in: {faults[0]}")
    if not _is_writing(web, doors):
        raise BenchFailed("the model had finished before the bell: the round says nothing")
    teacher.post("/teacher/session", wish="close")  # stops what is left, for a fresh round
    teacher.post("/teacher/session", wish="open")
    return walks


def _walk(phone: Phone, door: str) -> Walk:
    begin = time.monotonic()
    phone.get(door.rsplit("/", 1)[0])
    phone.get(door)
    tapped = time.monotonic()
    phone.post(door, picked=" ".join(PICTURES))
    in_at = time.monotonic()
    if 'id="question"' not in phone.get("/ask"):
        raise BenchFailed("the page after the log-in has no place for a question")
    return Walk(in_at - tapped, time.monotonic() - begin)


def _ask_for_everybody(web: int, doors: Sequence[str]) -> None:
    for n, door in enumerate(doors):
        phone = Phone(web)
        phone.post(door, picked=" ".join(PICTURES))
        question = f"Explain fractions to me in many words, part {n}."
        phone.post("/ask", question=question, submission=f"{time.time_ns()}")
        phone.close()


def _is_writing(web: int, doors: Sequence[str]) -> bool:
    phone = Phone(web)
    try:
        for door in reversed(doors):
            phone.post(door, picked=" ".join(PICTURES))
            if "data-stream" in phone.get("/ask"):
                return True
    finally:
        phone.close()
    return False


def _section(walks: Sequence[Sequence[Walk]]) -> Section:
    def p95(name: str) -> tuple[float, ...]:
        return tuple(percentile([getattr(walk, name) for walk in ring], 0.95) for ring in walks)

    return Section(
        "Log-in",
        f"{LEARNERS} learners log in at the same moment with a name and three pictures, while the model\n"
        "writes answers for the whole class. The slowest but one of twenty (p95).",
        (
            Measurement("the request that logs in, p95", "s", p95("log_in_seconds")),
            Measurement("names, pictures, log-in and the page for asking, p95", "s", p95("whole_seconds")),
        ),
    )


def _judged(walks: Sequence[Sequence[Walk]]) -> list[Judged]:
    worst = max(percentile([walk.log_in_seconds for walk in ring], 0.95) for ring in walks)
    must = Must(MOST_SECONDS, at_least=False, unit="s")
    figure = "log-in of 30 while the model writes, p95, worst round"
    return [Judged(figure, f"{number(worst)} s", "", worst, must)]
