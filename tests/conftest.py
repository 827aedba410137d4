"""What every room's tests may use."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.classroom import Browser, Classroom
from tests.fake_engine import FakeEngine

pytest_plugins = ["tests.real_model", "tests.side_by_side"]

# Some hundred processes are started: on a machine that keeps no compiled code each would compile ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


def pytest_unconfigure() -> None:
    """Close the two handles that llama-cpp-python leaves open; a warning would be the last line."""
    utils = sys.modules.get("llama_cpp._utils")
    for name in ("outnull_file", "errnull_file"):
        handle = getattr(utils, name, None)
        if handle is not None:
            handle.close()


# A classroom's set-up waits a dozen times until the disk has it, and a thousand tests have one: in memory
# they take half the time. No test takes the power from the disk itself (tests/sync/power.py brings its own).
# Slow tests link the model's file into their folder: they stay on the disk, as all do where memory is short.
MEMORY = Path("/dev/shm")
LEAST_FREE_BYTES = 4 * 2**30


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path | None]:
    """A folder of this process in memory, or None."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < LEAST_FREE_BYTES:
        yield None
        return
    # An interrupted run of two processes ends them before they tidy up, and memory is dearer than a disk.
    for left in MEMORY.glob("sandyq-tests-*-*"):
        if not Path("/proc", left.name.split("-")[2]).exists():
            shutil.rmtree(left, ignore_errors=True)
    prefix = f"sandyq-tests-{os.getpid()}-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest, memory_folder: Path | None) -> Iterator[Path]:
    """Pytest's own folder of a test, in memory where that is possible, and gone after the test."""
    if memory_folder is None or request.node.get_closest_marker("slow"):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory_folder, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


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
