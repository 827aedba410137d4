"""A class of thirty on our engine and on the peer's best setting, and what must come out.

Promises: one run, one machine, one model file; both sides get the same requests from the same client.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.engine_key import ensure_engine_key
from models.settings import EngineSettings
from tests.bench.contest import Column, cells_needed, play, screen
from tests.bench.figures import Measurement, Section
from tests.bench.judging import ClassFigures, Judged, Must, best_of, compare
from tests.bench.learners import KEYS
from tests.bench.lessons import ANSWER_TOKENS
from tests.bench.peer import PeerSetting, peer_started
from tests.bench.processes import BenchFailed, free_port, say, started, wait_for
from tests.bench.visits import is_engine_ready

SHORT = Column("350 words", 350, shared=True)
LONG = Column("1,200 words", 1_200, shared=True)
UNSHARED = Column("30 lessons", 350, shared=False)

OURS = "ours"


@dataclass(frozen=True)
class Effort:
    """How much of it all."""

    rounds: int
    peers: tuple[PeerSetting, ...]
    threads: tuple[int, ...]  # settings of ours to show beside the default
    columns: tuple[Column, ...]
    is_quick: bool = False


@dataclass(frozen=True)
class Ours:
    """One running engine of ours."""

    port: int
    process: psutil.Process
    threads: int


@contextmanager
def ours_started(home: Path, name: str, threads: int | None = None) -> Iterator[Ours]:
    port = free_port()
    settings = {"SANDYQ_ENGINE_THREADS": str(threads)} if threads else {}
    with started(name, home, "engine", "serve", "--port", str(port), settings=settings) as process:
        wait_for(name, process, lambda: is_engine_ready(port))
        KEYS[port] = ensure_engine_key(home)
        log = (home / f"bench-{name}.log").read_text(errors="replace")
        # The last word counts: threads may be chosen by measuring after the model is loaded.
        chosen = re.findall(r"threads=(\d+)", log)
        if not chosen:
            raise BenchFailed("the engine's log does not say how many threads it took")
        engine = Ours(port, psutil.Process(process.pid), int(chosen[-1]))
        say(f"{name} runs {engine.threads} threads")
        yield engine


MUSTS: Mapping[str, tuple[Must, Must | None]] = {
    SHORT.title: (Must(1.8, at_least=True), Must(0.20, at_least=False)),
    LONG.title: (Must(2.5, at_least=True), Must(0.12, at_least=False)),
    UNSHARED.title: (Must(1.0, at_least=True), None),
}


def judge_column(home: Path, model: Path, column: Column, effort: Effort) -> tuple[Section, list[Judged]]:
    with ExitStack() as stack:
        peers = {}
        for setting in effort.peers:
            cells = max(EngineSettings(home).context_cells, cells_needed(column, setting.slots))
            peers[setting.name] = stack.enter_context(peer_started(home, model, setting, cells))
        rivals = {OURS: stack.enter_context(ours_started(home, "engine-default")).port}
        for threads in effort.threads:
            engine = stack.enter_context(ours_started(home, f"engine-{threads}", threads))
            rivals[f"ours, {threads} threads"] = engine.port
        for name in screen(column, peers):
            rivals[name] = peers[name]
        played = play(column, rivals, effort.rounds)
    return column_section(column, played), column_judged(column, played)


def column_section(column: Column, played: Mapping[str, Sequence[ClassFigures]]) -> Section:
    rows = []
    for name, figures in played.items():
        rows += [
            Measurement(f"{name}: all together", "tokens/s", tuple(f.speed for f in figures)),
            Measurement(f"{name}: first token, p50", "s", tuple(f.first_p50 for f in figures)),
            Measurement(f"{name}: first token, p95", "s", tuple(f.first_p95 for f in figures)),
        ]
    what = "one lesson" if column.shared else "each another lesson"
    client = max(f.client_share for figures in played.values() for f in figures)
    how = (
        f"Thirty learners, {what} of {column.words:,} words, each asks another question at the same moment,\n"
        f"{ANSWER_TOKENS} tokens each, greedy. The client took at most {client:.1%} of one core."
    )
    return Section(f"A class of thirty: {column.title}", how, tuple(rows))


def column_judged(column: Column, played: Mapping[str, Sequence[ClassFigures]]) -> list[Judged]:
    peers = {name: figures for name, figures in played.items() if not name.startswith(OURS)}
    ours = played[OURS]
    must_speed, must_first = MUSTS[column.title]
    speeds = {name: [f.speed for f in figures] for name, figures in peers.items()}
    firsts = {name: [f.first_p95 for f in figures] for name, figures in peers.items()}
    fastest, soonest = best_of(speeds, largest=True), best_of(firsts, largest=False)
    judged = [
        compare(
            f"{column.title}: class, against {fastest}",
            "tokens/s",
            [f.speed for f in ours],
            speeds[fastest],
            must_speed,
        )
    ]
    if must_first is not None:
        figure = f"{column.title}: first token p95, against {soonest}"
        judged.append(compare(figure, "s", [f.first_p95 for f in ours], firsts[soonest], must_first))
    return judged
