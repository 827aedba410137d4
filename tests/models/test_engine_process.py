"""The life of the engine process, from the port to the exit code, with the fake engine inside."""

import signal
import sys
import threading
from collections.abc import Iterator

import pytest
import urllib3

import models.server
import models.store
from models.errors import EngineDied, NoCurrentModel
from models.fetch import choose_source
from models.server import serve
from models.settings import EngineSettings
from models.store import Store
from tests.models.fake_engine import FakeEngine


@pytest.fixture
def engine(home, stick, tiny_card, tiny_catalogue, monkeypatch) -> Iterator[FakeEngine]:
    """A box whose current model is the tiny one, loaded as a fake; the test run's signals are kept."""
    monkeypatch.setattr(models.store, "shipped_catalogue", lambda: tiny_catalogue)
    monkeypatch.setattr(models.server, "LAST_WORDS_SECONDS", 0.3)
    store = Store(home)
    store.receive(tiny_card, choose_source(tiny_card, str(stick)))
    store.use(tiny_card)
    engine = FakeEngine()
    monkeypatch.setattr(models.server, "_load", lambda *_: engine)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    interval = sys.getswitchinterval()
    yield engine
    sys.setswitchinterval(interval)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def ask_when_ready(url: str, heard: list[int], then: signal.Signals | None = None) -> threading.Thread:
    def ask() -> None:
        retries = urllib3.Retry(
            total=None, connect=50, status=50, status_forcelist=[503], backoff_factor=0.01
        )
        with urllib3.PoolManager(timeout=10) as http:
            http.request("GET", f"{url}/health", retries=retries)
            body = {"messages": [{"role": "user", "content": "Сәлем"}]}
            answer = http.request("POST", f"{url}/v1/chat/completions", json=body, retries=False)
            heard.append(answer.status)
        if then is not None:
            signal.raise_signal(then)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_process_cleanly(engine, home, number):
    heard: list[int] = []
    threads: list[threading.Thread] = []
    serve(EngineSettings(home=home, port=0), lambda url: threads.append(ask_when_ready(url, heard, number)))
    threads[0].join()
    assert heard == [200]
    assert engine.closed


def test_a_dead_engine_ends_the_process_with_its_reason(engine, home):
    heard: list[int] = []
    threads: list[threading.Thread] = []
    engine.faults.append(RuntimeError("a bug"))
    with pytest.raises(EngineDied):
        serve(EngineSettings(home=home, port=0), lambda url: threads.append(ask_when_ready(url, heard)))
    threads[0].join()
    assert heard == [503]


def test_without_a_model_no_port_is_taken(home):
    announced: list[str] = []
    with pytest.raises(NoCurrentModel):
        serve(EngineSettings(home=home), announced.append)
    assert announced == []


def test_settings_outside_their_range_are_refused_by_name(home):
    from models.errors import SettingOutOfRange

    for wrong in (
        {"port": 70_000},
        {"sequences": 0},
        {"context_cells": 10},
        {"waiting": -1},
        {"threads": -1},
    ):
        with pytest.raises(SettingOutOfRange, match=next(iter(wrong))):
            EngineSettings(home=home, **wrong)


def test_one_core_is_left_to_the_pages(home, monkeypatch):
    for cores, threads in ((4, 3), (2, 1), (1, 1), (None, 1)):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        assert EngineSettings(home=home).choose_threads() == threads
    assert EngineSettings(home=home, threads=6).choose_threads() == 6
