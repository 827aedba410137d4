"""Files that break the model library must not break the engine: a sentence and exit code 1, at every door."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from models import probe
from models.errors import ModelUnloadable
from models.notes import read_note
from models.store import Store
from tests.models.conftest import Terminal
from tests.models.hostile_files import HOSTILE, change_number, string_value

pytestmark = pytest.mark.slow

NAME = "qolda-4.3b"  # any card that takes what a person brings
RUNNER = Path(__file__).with_name("run_engine.py")


def try_to_load(path: Path, folder: Path) -> str:
    with pytest.raises(ModelUnloadable) as refused:
        probe.ensure_loadable(path, folder, name=NAME, sha256="ab" * 32)
    assert not read_note(folder / probe.NOTE_NAME)
    return str(refused.value)


@pytest.mark.parametrize("lie", HOSTILE)
def test_a_lying_header_is_refused_with_a_sentence(lie, tmp_path):
    path = tmp_path / "hostile.gguf"
    path.write_bytes(HOSTILE[lie])
    assert f"The model {NAME} could not be loaded" in try_to_load(path, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("llama.block_count", 4_000_000_000),
        ("llama.block_count", 31),
        ("llama.embedding_length", 0),
        ("llama.attention.head_count", 0),
        ("llama.attention.head_count_kv", 7),
        ("llama.context_length", 0),
    ],
)
def test_a_good_file_with_one_false_number_is_refused_or_runs(key, value, real_model_home, tmp_path):
    """Some lies are harmless; whatever happens, it happens in the probe."""
    path = tmp_path / "lying.gguf"
    lender = Store(real_model_home)
    shutil.copyfile(lender.path_of(lender.get_current()), path)
    change_number(path, key, value)
    try:
        probe.ensure_loadable(path, tmp_path, name=NAME, sha256="ab" * 32)
    except ModelUnloadable as error:
        assert error.params["detail"]
    else:
        assert read_note(tmp_path / probe.NOTE_NAME)


def brought(real_model_home: Path, home: Path, tmp_path: Path) -> Path:
    lender = Store(real_model_home)
    path = tmp_path / "brought.gguf"
    shutil.copyfile(lender.path_of(lender.get_current()), path)
    return path


@pytest.mark.parametrize("fault", ["cut in the middle", "cut in the header", "another architecture"])
def test_the_engine_process_ends_with_a_sentence(fault, real_model_home, tmp_path):
    terminal = Terminal(tmp_path / "home")
    path = brought(real_model_home, terminal.home, tmp_path)
    if fault == "another architecture":
        raw = path.read_bytes()
        good = string_value("general.architecture", "llama")
        path.write_bytes(raw.replace(good, good[:-5] + b"camel", 1))
    else:
        os.truncate(path, 40_000_000 if "middle" in fault else 100_000)
    pulled = terminal.run("models", "pull", NAME, "--from", str(path), "--accept-unverified")
    assert pulled.exit_code == 0, pulled.output
    command = [sys.executable, str(RUNNER), str(terminal.home), "port=0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 1
    assert f"The model {NAME} could not be loaded" in ended.stderr
    assert f"sandyq models pull {NAME}" in ended.stderr


def test_a_file_that_loaded_once_is_not_tried_again(real_model_home, tmp_path, monkeypatch):
    store = Store(real_model_home)
    card = store.get_current()
    path = store.path_of(card)
    probe.ensure_loadable(path, tmp_path, name=card.name, sha256=card.sha256)
    assert read_note(tmp_path / probe.NOTE_NAME) == {card.sha256: probe.library_version()}
    monkeypatch.setattr(probe, "_try", lambda *_: pytest.fail("tried again"))
    probe.ensure_loadable(path, tmp_path, name=card.name, sha256=card.sha256)


def test_a_crash_and_a_hang_are_said_in_words(tmp_path, monkeypatch):
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGUF")
    crash = tmp_path / "crash"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(crash))
    assert signal.Signals.SIGSEGV.name in try_to_load(path, tmp_path)
    crash.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0.3)
    assert "not loaded after" in try_to_load(path, tmp_path)
