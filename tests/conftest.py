"""What every room's tests may use."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.classroom import Browser, Classroom
from tests.fake_engine import FakeEngine

pytest_plugins = ["tests.real_model", "tests.side_by_side"]


def pytest_unconfigure() -> None:
    """Close the two handles that llama-cpp-python leaves open; a warning would be the last line."""
    utils = sys.modules.get("llama_cpp._utils")
    for name in ("outnull_file", "errnull_file"):
        handle = getattr(utils, name, None)
        if handle is not None:
            handle.close()


@pytest.fixture
def engine() -> Iterator[FakeEngine]:
    fake = FakeEngine()
    yield fake
    fake.close()


@pytest.fixture
def classroom(tmp_path: Path, engine: FakeEngine) -> Iterator[Classroom]:
    room = Classroom(tmp_path, engine)
    yield room
    room.stop()


@pytest.fixture
def dana(classroom: Classroom) -> Browser:
    """The teacher of 7A, logged in, with the lesson open."""
    browser = classroom.dana_sets_up()
    browser.post("/teacher/session", {"wish": "open"})
    return browser


@pytest.fixture
def aigerim(classroom: Classroom, dana: Browser) -> Browser:
    return classroom.joined("Aigerim")


@pytest.fixture
def bolat(classroom: Classroom, dana: Browser) -> Browser:
    return classroom.joined("Bolat")
