"""What pages cost: a first visit, another one, and thirty phones at once; Kolibri beside them where it is.

Real processes on a home of their own, the load from a third process, both on this machine's cores. Kolibri is
a peer for the benchmark and nothing else: it is taken when the environment variable KOLIBRI_COMMAND names its
command (a virtual environment of its own: `pip install kolibri==0.19.5`), and said to be missing otherwise.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.bench.figures import Measurement, Section, number
from tests.bench.judging import Judged, Must, percentile
from tests.bench.logins import LEARNERS, PICTURES, Phone, set_up_class
from tests.bench.processes import BenchFailed, free_port, running, say, started, wait_for
from tests.bench.visits import ColdVisit, fetch_cold, fetch_size, fetch_warm, has_page

ROOT = Path(__file__).parents[2]
LOAD_SECONDS = 8.0
MOST_COLD_KB, MOST_COLD_REQUESTS, MOST_WARM_KB = 60, 8, 10
LEAST_PER_SECOND, MOST_P95_MS, MOST_MEMORY_MB = 300, 250, 80
# Every script of the box together: what a device has fetched that opened every page.
MOST_SCRIPT_KB, MOST_THREADS = 12, 60
SCRIPTS = sorted(path.name for path in (ROOT / "appliance/static").glob("*.js"))
# A page opened as often as by a full class, before memory is read.
VISITS = 30
COMMAND = "KOLIBRI_COMMAND"
KOLIBRI = "Kolibri 0.19.5"
KOLIBRI_PAGE = "/en/auth/"


@dataclass(frozen=True)
class Load:
    """What thirty phones got that asked for one page again and again."""

    per_second: float
    p95_ms: float


@dataclass(frozen=True)
class Peer:
    """Kolibri at the same."""

    cold: ColdVisit
    page: Load
    memory_mb: float


@dataclass(frozen=True)
class Round:
    cold: ColdVisit
    warm: ColdVisit
    reload: ColdVisit
    first: Load
    ask: Load
    memory_mb: float
    loaded_memory_mb: float
    script_kb: float
    threads: int
    kolibri: Peer | None


def measure_pages(home: Path, rounds: int) -> tuple[Section, list[Judged]]:
    with kolibri(home) as peer:
        every = [_round(home / f"pages-{n}", peer, f"{n}/{rounds}") for n in range(1, rounds + 1)]
    return _section(every), _judged(every)


def _round(folder: Path, peer: tuple[int, int] | None, name: str) -> Round:
    folder.mkdir()
    port = free_port()
    with ExitStack() as stack:
        server = stack.enter_context(started("pages-web", folder, "web", "serve", "--port", str(port)))
        wait_for("first page", server, partial(has_page, port))
        process = psutil.Process(server.pid)
        url = f"http://127.0.0.1:{port}/"
        _, doors = set_up_class(port)
        cold, warm, again = fetch_cold(url), *fetch_warm(url)
        for _ in range(VISITS):
            fetch_cold(url)
        phones = [_come_in(port, door) for door in doors]
        for phone in phones:
            phone.get("/ask")
        memory = process.memory_info().rss / 1e6
        first, ask = load(port, "/"), load(port, "/ask", phones[0].cookie)
        loaded, threads = process.memory_info().rss / 1e6, process.num_threads()
        scripts = sum(fetch_size(f"{url}static/{name}") for name in SCRIPTS) / 1e3
        for phone in phones:
            phone.close()
    beside = _look_at_kolibri(*peer) if peer else None
    say(
        f"pages, round {name}: {number(ask.per_second)} /s, p95 {number(ask.p95_ms)} ms, "
        f"{number(memory)} MB, after the load {number(loaded)} MB, {threads} threads"
    )
    return Round(cold, warm, again, first, ask, memory, loaded, scripts, threads, beside)


def _come_in(port: int, door: str) -> Phone:
    phone = Phone(port)
    phone.post(door, picked=" ".join(PICTURES))
    if not phone.cookie:
        raise BenchFailed("a learner could not log in")
    return phone


def load(port: int, path: str, cookie: str = "") -> Load:
    """Let thirty phones ask, from a process of their own.

    Raises:
        BenchFailed: an answer was not the page.
    """
    command = [sys.executable, "-m", "tests.bench.crowd", str(port), path, str(LEARNERS), str(LOAD_SECONDS)]
    done = subprocess.run([*command, cookie], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchFailed(f"the load on {path} ended: {done.stderr[-400:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    if set(told["statuses"]) - {"200"}:
        raise BenchFailed(f"{path} answered {told['statuses']}")
    return Load(float(told["per_second"]), 1e3 * percentile(told["seconds"], 0.95))


@contextmanager
def kolibri(home: Path) -> Iterator[tuple[int, int] | None]:
    """Serve Kolibri on a home of its own; gives its port and process, or None where it is not."""
    command = os.environ.get(COMMAND)
    if not command:
        say(f"Kolibri is not beside the project ({COMMAND} is not set): its part is NOT RUN")
        yield None
        return
    folder = home / "kolibri"
    folder.mkdir()
    environment = {**os.environ, "KOLIBRI_HOME": str(folder)}
    facility = (
        "--facility 7A --superusername dana --superuserpassword dana --preset nonformal --language_id en"
    )
    provision = [command, "manage", "provisiondevice", *facility.split(), "--language_id", "en", "--noinput"]
    made = subprocess.run(provision, env=environment, capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise BenchFailed(f"Kolibri could not be set up: {made.stderr[-400:]}")
    port = free_port()
    serve = [command, "start", "--foreground", "--port", str(port), "--zip-port", str(free_port())]
    with running("kolibri", folder, serve, environment) as process:
        wait_for("Kolibri's first page", process, partial(has_page, port))
        time.sleep(5)  # its tasks of the first minute
        yield port, process.pid


def _look_at_kolibri(port: int, pid: int) -> Peer:
    visit = fetch_cold(f"http://127.0.0.1:{port}/")
    got = load(port, KOLIBRI_PAGE)
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return Peer(visit, got, sum(one.memory_info().rss for one in family) / 1e6)


def _section(every: Sequence[Round]) -> Section:
    def row(what: str, unit: str, *values: float) -> Measurement:
        return Measurement(what, unit, values)

    rows = [
        row("first page, empty cache", "kB", *(one.cold.bytes / 1e3 for one in every)),
        row("first page, empty cache", "requests", *(float(one.cold.requests) for one in every)),
        row("first page again the same day", "kB", *(one.warm.bytes / 1e3 for one in every)),
        row("first page again, every file asked after", "kB", *(one.reload.bytes / 1e3 for one in every)),
        row("every script of the box", "kB", *(one.script_kb for one in every)),
        row("first page, 30 phones", "/s", *(one.first.per_second for one in every)),
        row("first page, 30 phones, p95", "ms", *(one.first.p95_ms for one in every)),
        row("a learner's page for asking, 30 phones", "/s", *(one.ask.per_second for one in every)),
        row("a learner's page for asking, 30 phones, p95", "ms", *(one.ask.p95_ms for one in every)),
        row("web process, resident, a class has come in", "MB", *(one.memory_mb for one in every)),
        row("web process, resident, right after the load", "MB", *(one.loaded_memory_mb for one in every)),
        row("web process, right after the load", "threads", *(float(one.threads) for one in every)),
    ]
    peers = _peers(every)
    if peers:
        rows += [
            row(f"{KOLIBRI}: first page, empty cache", "kB", *(one.cold.bytes / 1e3 for one in peers)),
            row(f"{KOLIBRI}: first page, empty cache", "requests", *(one.cold.requests for one in peers)),
            row(f"{KOLIBRI}: log-in page, 30 phones", "/s", *(one.page.per_second for one in peers)),
            row(f"{KOLIBRI}: log-in page, 30 phones, p95", "ms", *(one.page.p95_ms for one in peers)),
            row(f"{KOLIBRI}: its processes, resident", "MB", *(one.memory_mb for one in peers)),
        ]
    return Section(
        "Pages",
        "A learner's first page as a browser fetches it, bytes with headers; then thirty phones that ask\n"
        f"for one page again and again, for {LOAD_SECONDS:.0f} s, from a process of their own on the same\n"
        f"cores. The largest part of the first visit is `{every[-1].cold.largest}`."
        + ("" if peers else f"\n{KOLIBRI}: not run, {COMMAND} names no command."),
        tuple(rows),
    )


def _peers(every: Sequence[Round]) -> list[Peer]:
    return [one.kolibri for one in every if one.kolibri is not None]


def _judged(every: Sequence[Round]) -> list[Judged]:
    """Judge the worst round, not the median: a promise to a class holds on a bad day."""
    peers = _peers(every)

    def line(figure: str, bound: Must, ours: Sequence[float], theirs: Sequence[float] = ()) -> Judged:
        worst = min(ours) if bound.at_least else max(ours)
        beside = f"{KOLIBRI}: {number(percentile(theirs, 0.5))} {bound.unit}" if theirs else "-"
        return Judged(figure, f"{number(worst)} {bound.unit}", beside, worst, bound)

    def at_most(bound: float, unit: str) -> Must:
        return Must(bound, at_least=False, unit=unit)

    return [
        line(
            "first page, cold",
            at_most(MOST_COLD_KB, "kB"),
            [one.cold.bytes / 1e3 for one in every],
            [one.cold.bytes / 1e3 for one in peers],
        ),
        line(
            "first page, cold",
            at_most(MOST_COLD_REQUESTS, "requests"),
            [one.cold.requests for one in every],
            [one.cold.requests for one in peers],
        ),
        line("every script of the box", at_most(MOST_SCRIPT_KB, "kB"), [one.script_kb for one in every]),
        line("first page, warm", at_most(MOST_WARM_KB, "kB"), [one.warm.bytes / 1e3 for one in every]),
        line(
            "page for asking, 30 phones",
            Must(LEAST_PER_SECOND, at_least=True, unit="/s"),
            [one.ask.per_second for one in every],
            [one.page.per_second for one in peers],
        ),
        line(
            "page for asking, 30 phones, p95",
            at_most(MOST_P95_MS, "ms"),
            [one.ask.p95_ms for one in every],
            [one.page.p95_ms for one in peers],
        ),
        line(
            "web process, resident",
            at_most(MOST_MEMORY_MB, "MB"),
            [one.loaded_memory_mb for one in every],
            [one.memory_mb for one in peers],
        ),
        line("web process", at_most(MOST_THREADS, "threads"), [float(one.threads) for one in every]),
    ]
