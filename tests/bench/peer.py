"""The peer we are judged against: llama.cpp's own server, as xllamacpp on PyPI ships it.

It lives in an environment of its own under .cache/, so that the product's stays clean.
"""

import json
import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import BenchFailed, free_port, running, wait_for
from tests.bench.visits import is_engine_ready

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / ".cache/bench-peer"

# Exact: the figures in docs/benchmarks.md are against this llama.cpp server (of 10 October 2026, the newest
# xllamacpp when the bench was written); a newer one may be better and must be compared on purpose.
PEER = "xllamacpp==2026.10.11549"

# Threads that spin only for a moment while they wait for each other, as ours (decision 0013). A peer that
# spins on is up to ten times slower as soon as anything else runs, so this is to its advantage.
PEER_ENVIRONMENT = {"GOMP_SPINCOUNT": "1000"}

SLOTS = (4, 8, 30)
THREADS = (2, 1)


@dataclass(frozen=True)
class PeerSetting:
    slots: int
    threads: int

    @property
    def name(self) -> str:
        return f"peer {self.slots} slots, {self.threads} threads"


def install() -> Path:
    """The peer's Python; made once, kept between runs."""
    python = ENVIRONMENT / "bin/python"
    if _has_peer(python):
        return python
    venv.create(ENVIRONMENT, clear=True, with_pip=True)
    result = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PEER],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0 or not _has_peer(python):
        raise BenchFailed(f"the peer {PEER} cannot be installed: {result.stderr.strip()[-500:]}")
    return python


def _has_peer(python: Path) -> bool:
    if not python.exists():
        return False
    question = "from importlib.metadata import version; print('xllamacpp==' + version('xllamacpp'))"
    result = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    return result.stdout.strip() == PEER


@contextmanager
def peer_started(home: Path, model: Path, setting: PeerSetting, cells: int) -> Iterator[int]:
    """Run the peer; yields its port."""
    port = free_port()
    settings = {
        "model": str(model),
        "port": port,
        "cells": cells,
        "slots": setting.slots,
        "threads": setting.threads,
    }
    command = [str(install()), str(Path(__file__).with_name("peer_program.py")), json.dumps(settings)]
    with running(
        setting.name.replace(" ", "-"), home, command, {**os.environ, **PEER_ENVIRONMENT}
    ) as process:
        wait_for(setting.name, process, lambda: is_engine_ready(port))
        yield port


def describe() -> str:
    """What the peer's build says of the processor it was made for."""
    code = "import xllamacpp; print(xllamacpp.get_system_info())"
    result = subprocess.run([install(), "-c", code], capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"
