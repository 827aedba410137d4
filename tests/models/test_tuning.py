"""Measured once, kept, and measured again when anything it depends on has changed."""

import json
from dataclasses import replace

import pytest

import models.store
import models.tuning
from models.calibration import Dials
from models.errors import EngineRunning
from models.fetch import choose_source
from models.settings import EngineSettings
from models.store import Store
from models.tuning import (
    Tuner,
    find_calibration,
    is_worth_measuring,
    most_answers,
    processor_name,
    take_calibration,
)
from tests.models.fake_engine import FakeEngine


class TimedEngine(FakeEngine):
    """Each step takes real time, a little more for each row."""

    def __init__(self) -> None:
        super().__init__(sequences=24, cells=4096, step_seconds=0.0005)


@pytest.fixture
def settings(home) -> EngineSettings:
    (home / "models").mkdir(parents=True)
    return EngineSettings(home=home)


@pytest.fixture
def quiet(monkeypatch):
    """The test machine is shared; a busy one would be measured but not kept."""
    monkeypatch.setattr("models.measuring.OTHERS_SHARE", 1000.0)


def test_a_measurement_is_kept_for_the_next_start(settings, tiny_card, quiet):
    assert find_calibration(settings, tiny_card) is None
    taken = take_calibration(TimedEngine(), settings, tiny_card)
    assert find_calibration(settings, tiny_card) == taken
    path = settings.home / "models" / "calibration.json"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(json.loads(path.read_text())) == [tiny_card.sha256]
    assert not list(path.parent.glob("*.part"))


def test_another_model_machine_or_setting_is_measured_anew(settings, tiny_card, quiet, monkeypatch):
    take_calibration(TimedEngine(), settings, tiny_card)
    assert find_calibration(settings, replace(tiny_card, sha256="cd" * 32)) is None
    assert find_calibration(replace(settings, context_cells=1024), tiny_card) is None
    assert find_calibration(replace(settings, threads=1), tiny_card) is None
    for name, value in (("count_cores", 64), ("processor_name", "Z80"), ("library_version", "9")):
        with monkeypatch.context() as patch:
            patch.setattr(models.tuning, name, lambda value=value: value)
            assert find_calibration(settings, tiny_card) is None
    assert find_calibration(settings, tiny_card) is not None


def test_what_was_measured_on_a_busy_machine_is_replaced_when_it_is_quiet(settings, tiny_card, monkeypatch):
    monkeypatch.setattr("models.measuring.OTHERS_SHARE", -1000.0)
    taken = take_calibration(TimedEngine(), settings, tiny_card)
    assert find_calibration(settings, tiny_card) == taken
    assert not is_worth_measuring(taken)
    monkeypatch.setattr("models.measuring.OTHERS_SHARE", 1000.0)
    assert is_worth_measuring(taken)
    quiet = take_calibration(TimedEngine(), settings, tiny_card)
    assert not is_worth_measuring(quiet)
    monkeypatch.setattr("models.measuring.OTHERS_SHARE", -1000.0)
    take_calibration(TimedEngine(), settings, tiny_card)
    assert find_calibration(settings, tiny_card) == quiet


def test_what_the_school_has_set_wins(settings, tiny_card, quiet):
    own = replace(settings, threads=3, sequences=5)
    assert most_answers(own) == 5
    assert most_answers(settings) == 30
    dials = take_calibration(TimedEngine(), own, tiny_card).dials
    assert (dials.threads, dials.answers) == (3, 5)
    found = find_calibration(own, tiny_card)
    assert found is not None
    assert found.dials == dials


def test_a_folder_that_cannot_be_written_costs_only_the_memory_of_it(tmp_path, tiny_card, quiet):
    settings = EngineSettings(home=tmp_path / "nowhere")
    assert take_calibration(TimedEngine(), settings, tiny_card).dials.answers >= 1


def test_a_torn_note_is_measured_again(settings, tiny_card, quiet):
    taken = take_calibration(TimedEngine(), settings, tiny_card)
    path = settings.home / "models" / "calibration.json"
    path.write_text(path.read_text()[:-40])
    assert find_calibration(settings, tiny_card) is None
    take_calibration(TimedEngine(), settings, tiny_card)
    found = find_calibration(settings, tiny_card)
    assert found is not None
    assert found.key == taken.key


def test_the_tuner_turns_the_dials_when_it_gets_hot(settings, tiny_card, quiet, caplog):
    taken = take_calibration(TimedEngine(), settings, tiny_card)
    hot = replace(taken, dials=Dials(threads=4, answers=8))
    tuner = Tuner(hot, heat=lambda: True)
    turned = [dials for _ in range(300) if (dials := tuner.note_step(8, 0.2, 0.0, 0)) is not None]
    assert [dials.threads for dials in turned] == [2, 1]
    assert tuner.dials == turned[-1]
    assert "times as long as measured: Dials(threads=1" in caplog.text
    assert "take 1.0 times" not in caplog.text


def test_the_processor_has_a_name(tmp_path):
    board = tmp_path / "model"
    board.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert processor_name({str(board): ""}) == "Raspberry Pi 5 Model B Rev 1.0"
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: Intel(R) N150\n")
    assert processor_name({str(tmp_path / "absent"): "", str(cpuinfo): "model name"}) == "Intel(R) N150"
    assert processor_name({str(tmp_path / "absent"): ""})


def test_nothing_is_measured_beside_a_running_engine(
    terminal, stick, tiny_card, tiny_catalogue, monkeypatch, unused_port
):
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    from models.machine_cli import _refuse_beside_engine

    monkeypatch.setattr(models.store, "shipped_catalogue", lambda: tiny_catalogue)
    store = Store(terminal.home)
    store.receive(tiny_card, choose_source(tiny_card, str(stick)))
    store.use(tiny_card)
    settings = EngineSettings(home=terminal.home, port=unused_port)
    _refuse_beside_engine(settings)
    with ThreadingHTTPServer(("127.0.0.1", unused_port), BaseHTTPRequestHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(EngineRunning, match=str(unused_port)):
                _refuse_beside_engine(settings)
        finally:
            server.shutdown()
            thread.join()
