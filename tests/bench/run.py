"""Measure this machine and write docs/benchmarks.md: `make bench`, or some parts: `make bench PARTS="door"`.

Promises: the real commands on a home of their own, several rounds, medians with their spread, the machine
named. Keeps out: judging. No figure here is a limit; the limits that are judged (page size, memory) have
their own tests.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.bench import kept
from tests.bench.appliance import measure_appliance
from tests.bench.commits import measure_commits
from tests.bench.family import measure_family
from tests.bench.figures import MachineFacts, Measurement, Section, number, section_text
from tests.bench.ingest import measure_ingest
from tests.bench.judge import answers_of, judge_alone, judge_door, judge_equality, judge_flood, judge_room
from tests.bench.judge_class import LONG, SHORT, UNSHARED, Effort, judge_column
from tests.bench.judging import Judged, judged_table
from tests.bench.lanes import measure_privacy, measure_wire
from tests.bench.leak import judge_leaks
from tests.bench.learners import Question, ask_all
from tests.bench.lessons import messages
from tests.bench.link import measure_link
from tests.bench.logins import measure_logins
from tests.bench.month import FULL as FULL_MONTH
from tests.bench.month import QUICK as QUICK_MONTH
from tests.bench.month import judge_month
from tests.bench.pages import measure_pages
from tests.bench.peer import PEER, SLOTS, THREADS, PeerSetting, describe
from tests.bench.processes import (
    SANDYQ,
    BenchFailed,
    clean_environment,
    free_port,
    say,
    started,
    wait_for,
)
from tests.bench.region_pages import judge_region_pages
from tests.bench.soak import FULL_SECONDS, QUICK_SECONDS, judge_soak
from tests.bench.visits import has_page, is_engine_ready

ROOT = Path(__file__).parents[2]
MODEL = "smollm2-135m-instruct"

# A median that one unlucky round does not move; with five, the whole would take an hour.
ROUNDS = 3

# The peer's best in every column so far; a full run tries the others, too.
QUICK_PEERS = (PeerSetting(4, 2),)
PARTS = (
    "class-1",
    "class-2",
    "class-3",
    "family",
    "alone",
    "door",
    "flood",
    "room",
    "equality",
    "soak",
    "start",
    "pages",
    "wire",
    "link",
    "privacy",
    "login",
    "commits",
    "appliance",
    "ingest",
    "leak",
    "month",
    "region-pages",
)

LESSON = "You help pupils of class 7A. Answer in short and plain sentences."


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure this machine and write the benchmark page.")
    parser.add_argument("--quick", action="store_true", help="one round, one setting of the peer")
    parser.add_argument("--rounds", type=int, help=f"rounds of each measurement ({ROUNDS}; quick: 1)")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts; the others stay as kept")
    parser.add_argument("--kept", type=Path, default=ROOT / "docs/benchmarks.json")
    options = parser.parse_args()
    # As Ctrl-C does, so that the engines we started end with us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("The benchmark was ended."))
    effort = make_effort(quick=options.quick, rounds=options.rounds)
    try:
        measure(effort, options.only or PARTS, options.kept)
    except BenchFailed as failure:
        sys.exit(f"The benchmark stopped: {failure}")


def make_effort(*, quick: bool, rounds: int | None) -> Effort:
    if quick:
        return Effort(max(1, rounds or 1), QUICK_PEERS, (2,), (SHORT, LONG, UNSHARED), is_quick=True)
    every = tuple(PeerSetting(slots, threads) for threads in THREADS for slots in SLOTS)
    return Effort(max(1, rounds or ROUNDS), every, (1, 2), (SHORT, LONG, UNSHARED))


def measure(effort: Effort, names: Sequence[str], path: Path) -> None:
    """Measure the parts in order; each is written at once, so that a stopped run keeps what it has."""
    parts = kept.read(path)
    with tempfile.TemporaryDirectory(prefix="sandyq-bench-") as folder:
        home = Path(folder)
        model = put_model(home)
        for name, part in work(home, model, effort).items():
            if name not in names:
                continue
            load_before = os.getloadavg()[0]
            section, judged = part()
            print(f"\n{section_text(section)}\n\n{judged_table(judged) if judged else ''}\n", flush=True)
            day = datetime.now(UTC).date().isoformat()
            machine = look_at_machine(load_before)
            parts[name] = kept.Part(day, revision(), effort.rounds, machine, section, tuple(judged))
            kept.write(path, parts)
            how_judged = JUDGED_HOW.format(peer=PEER, build=describe())
            path.with_suffix(".md").write_text(kept.page(parts, PARTS, how_judged), encoding="utf-8")
            say(f"{name} is written to {path.with_suffix('.md')}")


def work(home: Path, model: Path, effort: Effort) -> dict[str, Callable[[], tuple[Section, list[Judged]]]]:
    """All that can be measured, by name, in the order of the page."""
    columns = {
        f"class-{number}": partial(judge_column, home, model, column, effort)
        for number, column in enumerate(effort.columns, start=1)
    }
    return {
        **columns,
        "family": lambda: (measure_family(home, effort), []),
        "alone": partial(judge_alone, home, model, effort),
        "door": partial(judge_door, home, model, effort),
        "flood": partial(judge_flood, home, effort),
        "room": partial(judge_room, home, model),
        "equality": partial(judge_equality, home, model),
        "soak": partial(judge_soak, home, QUICK_SECONDS if effort.is_quick else FULL_SECONDS),
        "leak": partial(judge_leaks, ROOT, say),
        "start": lambda: (measure_starts(home, effort.rounds), []),
        "pages": partial(measure_pages, home, effort.rounds),
        "wire": lambda: (measure_wire(effort.rounds), []),
        "link": lambda: (measure_link(effort.rounds), []),
        "privacy": lambda: (measure_privacy(), []),
        "login": partial(measure_logins, home, effort.rounds),
        "commits": partial(measure_commits, home, effort.rounds),
        "appliance": partial(measure_appliance, home, model),
        "month": partial(judge_month, QUICK_MONTH if effort.is_quick else FULL_MONTH),
        "ingest": partial(measure_ingest, home, effort.rounds),
        "region-pages": partial(judge_region_pages, effort.rounds),
    }


JUDGED_HOW = """\
The peer is llama.cpp's own server ({peer}), on the same machine in the same hour with the same model
file; in each line its best setting counts. It has room for a copy of the lesson in each slot, its prompt
cache is on, and its threads wait for each other as ours do (`GOMP_SPINCOUNT=1000`), to its advantage on a
busy machine. Its wheel is built for any processor of the kind: `{build}`."""


def measure_starts(home: Path, rounds: int) -> Section:
    """From the start of a process until a person sees something."""
    page = [start_to_first_page(home, f"{n}/{rounds}") for n in range(1, rounds + 1)]
    token = [start_to_first_token(home, f"{n}/{rounds}") for n in range(1, rounds + 1)]
    return Section(
        "Start",
        "From starting the process to the first page of `sandyq web serve`, and to the first streamed token\n"
        f"of `sandyq engine serve` with {MODEL}. The files are in the system's cache, as after a restart\n"
        "of the service.",
        (
            Measurement("start to first page", "s", tuple(page)),
            Measurement("start to first token", "s", tuple(token)),
        ),
    )


def start_to_first_page(home: Path, round_name: str) -> float:
    port = free_port()
    begin = time.monotonic()
    with started("web", home, "web", "serve", "--port", str(port)) as process:
        wait_for("first page", process, lambda: has_page(port))
        seconds = time.monotonic() - begin
    say(f"start to first page, round {round_name}: {number(seconds)} s")
    return seconds


def start_to_first_token(home: Path, round_name: str) -> float:
    port = free_port()
    begin = time.monotonic()
    with started("engine", home, "engine", "serve", "--port", str(port)) as process:
        wait_for("engine", process, lambda: is_engine_ready(port))
        ready = time.monotonic() - begin
        told = answers_of(ask_all(port, [Question("aigerim", messages(LESSON, "What is a fraction?"))]))[0]
        seconds = ready + told.first_token_seconds
    say(f"start to first token, round {round_name}: {number(seconds)} s")
    return seconds


def put_model(home: Path) -> Path:
    """Take the model of the machine's own home, where `make setup` has put it."""
    say("looking for the model")
    own = sandyq_json(None, "models", "pull", MODEL, "--json")
    return Path(sandyq_json(home, "models", "pull", MODEL, "--from", own["path"], "--json")["path"])


def sandyq_json(home: Path | None, *arguments: str) -> dict[str, Any]:
    environment = None if home is None else clean_environment(home)
    result = subprocess.run(
        [SANDYQ, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise BenchFailed(f"sandyq {' '.join(arguments)}: {result.stderr.strip()}")
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def look_at_machine(load_before: float) -> MachineFacts:
    return MachineFacts(
        processor=processor_name(),
        cores=os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"Python {platform.python_version()}",
        load_before=load_before,
        load_after=os.getloadavg()[0],
    )


def processor_name() -> str:
    # A Raspberry Pi's /proc/cpuinfo names no processor, its device tree names the board.
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text(errors="replace").strip("\0 \n")
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def revision() -> str:
    result = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or "unknown"


if __name__ == "__main__":
    main()
