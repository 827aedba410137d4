"""Measure this machine and write docs/benchmarks.md: `make bench`.

Promises: the real commands on a home of their own, several rounds, medians with their spread, the machine
named. Keeps out: judging. No figure here is a limit; the limits that are judged (page size, memory) have
their own tests.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from tests.bench.figures import Answer, MachineFacts, Measurement, Section, class_speed, number, report, table
from tests.bench.processes import (
    SANDYQ,
    BenchFailed,
    clean_environment,
    free_port,
    listener_memory_bytes,
    started,
    wait_for,
)
from tests.bench.visits import ANSWER_TOKENS, ask, ask_at_once, fetch_cold, has_page, is_engine_ready

ROOT = Path(__file__).parents[2]
MODEL = "smollm2-135m-instruct"
CLASS_SIZES = (1, 4, 8)

# Enough for a median that one unlucky round does not move.
ROUNDS = 5

# A page opened as often as by a full class, before memory is read.
VISITS_BEFORE_MEMORY = 30


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure this machine and write the benchmark page.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of each measurement")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()
    try:
        page = measure(max(1, options.rounds))
    except BenchFailed as failure:
        sys.exit(f"The benchmark stopped: {failure}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(page, encoding="utf-8")
    say(f"written to {options.output}")


def measure(rounds: int) -> str:
    load_before = os.getloadavg()[0]
    sections = []
    with tempfile.TemporaryDirectory(prefix="sandyq-bench-") as folder:
        home = Path(folder)
        put_model(home)
        for section in (measure_starts, measure_class, measure_pages):
            sections.append(section(home, rounds))
            print(f"\n{sections[-1].title}\n{table(sections[-1].rows)}\n", flush=True)
    machine = look_at_machine(load_before)
    day = datetime.now(UTC).date().isoformat()
    return report(day, revision(), f"make bench (rounds: {rounds})", machine, sections)


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
        seconds = ask(port, MODEL, "What is a fraction?", begin).first_token_seconds
    say(f"start to first token, round {round_name}: {number(seconds)} s")
    return seconds


def measure_class(home: Path, rounds: int) -> Section:
    """How fast learners read who ask in the same moment."""
    port = free_port()
    rows = []
    with started("engine", home, "engine", "serve", "--port", str(port)) as process:
        wait_for("engine", process, lambda: is_engine_ready(port))
        ask_at_once(port, MODEL, 1)  # the first answer pays for waking up
        for learners in CLASS_SIZES:
            classes = []
            for n in range(1, rounds + 1):
                answers = ask_at_once(port, MODEL, learners)
                classes.append(answers)
                say(f"{learners} at once, round {n}/{rounds}: {number(class_speed(answers))} tokens/s")
            rows += class_rows(learners, classes)
    return Section(
        "A class asks at once",
        "Learners ask different questions in the same moment, over the engine's HTTP, at most\n"
        f"{ANSWER_TOKENS} tokens each, greedy. Tokens per second are those of all together, from the\n"
        "question to the last one's last token; the slowest first token is the longest wait in the class.",
        tuple(rows),
    )


def class_rows(learners: int, classes: list[Any]) -> list[Measurement]:
    who = "1 learner" if learners == 1 else f"{learners} learners"

    def slowest(answers: list[Answer]) -> float:
        return max(answer.first_token_seconds for answer in answers)

    return [
        Measurement(f"{who}: all together", "tokens/s", tuple(class_speed(a) for a in classes)),
        Measurement(f"{who}: slowest first token", "s", tuple(slowest(a) for a in classes)),
    ]


def measure_pages(home: Path, rounds: int) -> Section:
    """What a cold visit costs a cheap phone, and the pages the box."""
    ports = {name: free_port() for name in ("", "engine-", "region-")}
    flags = [word for name, port in ports.items() for word in (f"--{name}port", str(port))]
    visits, memory = [], []
    for n in range(1, rounds + 1):
        with started("demo", home, "demo", "--json", "--home", str(home), *flags) as process:
            if process.stdout is None:
                raise BenchFailed("the demo has no output")
            line = process.stdout.readline()
            if not line:
                raise BenchFailed("the demo ended before it was ready")
            web = json.loads(line)["web"]
            visits.append(fetch_cold(web))
            for _ in range(VISITS_BEFORE_MEMORY - 1):
                fetch_cold(web)
            memory.append(listener_memory_bytes(process, ports[""]) / 1e6)
        say(f"pages, round {n}/{rounds}: {visits[-1].bytes / 1e3:.1f} kB, {number(memory[-1])} MB resident")
    return Section(
        "Pages",
        "A learner's first page with an empty cache, bytes with headers, in `sandyq demo`; memory of the\n"
        f"process that serves the pages after {VISITS_BEFORE_MEMORY} such visits. The largest part is\n"
        f"`{visits[-1].largest}`.",
        (
            Measurement("first learner page, cold", "kB", tuple(v.bytes / 1e3 for v in visits)),
            Measurement("first learner page, cold", "requests", tuple(float(v.requests) for v in visits)),
            Measurement("web process, resident", "MB", tuple(memory)),
        ),
    )


def put_model(home: Path) -> None:
    """Take the model of the machine's own home, where `make setup` has put it."""
    say("looking for the model")
    own = sandyq_json(None, "models", "pull", MODEL, "--json")
    sandyq_json(home, "models", "pull", MODEL, "--from", own["path"], "--json")


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


def say(line: str) -> None:
    """Progress goes beside the result, so that the result can be piped."""
    print(f"  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
