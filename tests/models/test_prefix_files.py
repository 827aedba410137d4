"""A lesson outlives the process, and a damaged file harms nobody."""

import json
from pathlib import Path

import pytest

from models import prefix_files
from models.metrics import EngineMetrics
from models.prefix_files import PrefixFiles
from models.prompt import Message, Prompt
from models.protocol import Sampling, Span
from models.worker import Order, State, Worker
from tests.models.fake_engine import FakeEngine
from tests.models.test_worker import read, wait_for

LESSON = list(range(200))


def engine_with(tokens: list[int]) -> FakeEngine:
    engine = FakeEngine(cells=2000)
    engine.decode([Span(0, 0, tokens, wants_token=False)])
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    PrefixFiles(tmp_path, "model a").save(engine_with(LESSON), 0, LESSON)
    return tmp_path


def test_a_saved_lesson_is_found_and_loaded(folder):
    files = PrefixFiles(folder, "model a")
    lesson = files.find([*LESSON, 7], better_than=0)
    assert lesson is not None
    engine = FakeEngine()
    assert files.load(engine, 3, lesson)
    assert engine.held[3] == LESSON


def test_it_is_not_used_where_it_does_not_help(folder):
    files = PrefixFiles(folder, "model a")
    assert files.find(LESSON, better_than=0) is None  # one token must be left to decode
    assert files.find([*LESSON[:150], 7], better_than=0) is None
    assert files.find([*LESSON, 7], better_than=190) is None


@pytest.mark.parametrize("fault", ["another model", "cut", "changed", "note", "format", "no note"])
def test_what_does_not_fit_is_removed(folder, fault):
    (state,) = folder.glob("*.state")
    (note,) = folder.glob("*.json")
    if fault == "cut":
        state.write_bytes(state.read_bytes()[:100])
    elif fault == "changed":
        state.write_text(json.dumps([*LESSON[:-1], 5]))
    elif fault == "note":
        note.write_text("{")
    elif fault == "format":
        note.write_text(json.dumps({**json.loads(note.read_text()), "format": 99}))
    elif fault == "no note":
        note.unlink()
    files = PrefixFiles(folder, "model b" if fault == "another model" else "model a")
    lesson = files.find([*LESSON, 7], better_than=0)
    engine = FakeEngine()
    assert lesson is None or not files.load(engine, 3, lesson)
    assert engine.cells_used == 0
    assert not list(folder.iterdir())


def test_a_cut_in_the_middle_of_saving_leaves_nothing(folder):
    (folder / "abc.part").write_text("half")
    PrefixFiles(folder, "model a")
    assert not list(folder.glob("*.part"))


def test_a_full_disk_costs_only_the_saving(tmp_path, monkeypatch):
    def refuse(self: FakeEngine, *_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FakeEngine, "save", refuse)
    PrefixFiles(tmp_path, "model a").save(engine_with(LESSON), 0, LESSON)
    assert not list(tmp_path.iterdir())


def test_files_are_bounded_in_number(tmp_path, monkeypatch):
    monkeypatch.setattr(prefix_files, "MAX_FILES", 3)
    files = PrefixFiles(tmp_path, "model a")
    for number in range(5):
        tokens = [number, *LESSON]
        files.save(engine_with(tokens), 0, tokens)
    assert len(list(tmp_path.glob("*.state"))) == 3
    assert len(list(tmp_path.glob("*.json"))) == 3


def test_a_short_beginning_is_not_worth_a_file(tmp_path):
    PrefixFiles(tmp_path, "model a").save(engine_with(LESSON[:50]), 0, LESSON[:50])
    assert not list(tmp_path.iterdir())


def test_after_a_restart_the_lesson_is_not_read_again(tmp_path):
    lesson = "The heart has four chambers. " * 8
    decoded = []
    for _ in range(2):
        engine = FakeEngine(cells=4000)
        worker = Worker(lambda engine=engine: engine, EngineMetrics(), 8)
        worker.files = PrefixFiles(tmp_path, "model a")
        worker.start()
        wait_for(lambda worker=worker: worker.state is State.READY)
        prompt = Prompt(engine.vocabulary)
        for question in ("one", "two"):
            tokens = list(prompt.tokens([Message("user", lesson + question)]))
            read(worker.submit(Order(tokens, 50, Sampling())))
        wait_for(lambda: len(list(tmp_path.glob("*.json"))) == 1)
        worker.stop()
        decoded.append(sum(engine.decoded_rows))
    assert decoded[0] - decoded[1] >= len(lesson)
