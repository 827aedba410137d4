"""`sandyq models bench`, with the real model; and the engine's first start, which does the same."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.calibration import StepTime, Timings, calibrate
from models.engine import LlamaEngine
from models.errors import NoCurrentModel
from models.loading import load_engine
from models.settings import EngineSettings
from models.store import Store
from tests.real_model import MODEL_NAME, lend_model

pytestmark = pytest.mark.slow


@pytest.fixture
def box(real_model_home: Path, home: Path) -> Path:
    lend_model(real_model_home, home)
    for name in ("calibration.json", "loaded.json"):
        (home / "models" / name).unlink(missing_ok=True)
    return home


def sandyq(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SANDYQ_HOME": str(home), "SANDYQ_ENGINE_PORT": "0", "LANG": "C.UTF-8"}
    command = [sys.executable, "-m", "appliance.cli", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150, check=False)


def test_bench_shows_what_it_measured_and_why_it_chose(box):
    shown = sandyq(box, "models", "bench")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith(f"{MODEL_NAME} on ")
    assert "answers at once: " in shown.stdout
    assert "threads: " in shown.stdout
    assert "1 at once: " in shown.stderr  # progress, while it measures
    fitting = sandyq(box, "models", "fit")
    assert f"worked out from the measurement of {MODEL_NAME}" in fitting.stdout


def test_bench_as_json_is_one_object(box, terminal, monkeypatch):
    steps = (StepTime(1, 0.01), StepTime(2, 0.015), StepTime(4, 0.02))
    measured = calibrate("k", Timings(2, ((1, steps[2]),), steps, (StepTime(60, 0.2),)), "2026-11-22")
    monkeypatch.setattr("models.machine_cli._measure", lambda *_: measured)
    monkeypatch.setattr("models.machine_cli._refuse_beside_engine", lambda _: None)
    told = json.loads(terminal.run("models", "bench", "--json").output)
    assert told["model"] == MODEL_NAME
    assert told["dials"] == {"threads": 1, "answers": 4, "step_rows": 60}
    assert told["timings"]["answers"][2] == {"rows": 4, "seconds": 0.02}


def test_the_first_start_measures_and_the_next_one_knows(box, monkeypatch):
    monkeypatch.setattr("models.measuring.OTHERS_SHARE", 1000.0)
    settings, store = EngineSettings(home=box), Store(box)

    def start() -> tuple[LlamaEngine, float]:
        began = time.monotonic()
        engine, tuner = load_engine(settings, store, store.get_current(), spare=4, step_rows=64)
        assert engine.answers == tuner.dials.answers
        return engine, time.monotonic() - began

    first, first_seconds = start()
    first.close()
    second, second_seconds = start()
    assert second.answers == first.answers
    assert second.sequences == second.answers + 4
    second.close()
    assert second_seconds < first_seconds / 2


def test_without_a_model_there_is_nothing_to_measure(terminal):
    refused = terminal.run("models", "bench")
    assert refused.exit_code == 1
    assert isinstance(refused.exception, NoCurrentModel)
