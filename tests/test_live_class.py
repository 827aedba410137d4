"""Thirty learners at once on the real server: seen within two seconds, and cheaply."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.classroom import wait_until
from tests.fake_engine import FakeEngine
from tests.room import NAMES, Person, Room, open_room

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

# The promise. It is measured from the moment a form is acknowledged to the teacher's screen.
MOST_SECONDS = 2.0
# Of one core, for thirty learners at the pace of a fast box; the engine needs the rest.
MOST_CORE_SHARE = 0.5
MOST_BYTES = 80_000_000
MOST_THREADS = 60
# The engine's arrays, and a second OpenSSL: 20 MB that no page uses.
LEFT_OUT = ("numpy", "libssl", "libcrypto", "_hashlib")
WORDS = 40


class Watcher:
    """The teacher's browser: notes when each learner's state was first seen."""

    def __init__(self, dana: Person, path: str = "/teacher/stream") -> None:
        self.seen: dict[tuple[str, str], float] = {}
        self.pictures: list[tuple[float, str]] = []
        dana.follow(path, self._note)
        wait_until(lambda: self.pictures, "the first picture")

    def _note(self, _name: str, data: dict[str, Any]) -> None:
        at = time.monotonic()
        self.pictures.append((at, data["part"]))
        for row in re.findall(r"<tr>.*?</tr>", data["html"], re.S):
            name, state = re.search(r"(Оқушы \d\d)", row), re.search(r'class="state is-(\w+)"', row)
            if name and state:
                self.seen.setdefault((name[1], state[1]), at)


@pytest.fixture
def room(tmp_path: Path, engine: FakeEngine) -> Iterator[Room]:
    # As many answers at once as the engine of a small box writes; the others wait in line.
    with open_room(tmp_path, engine, sequences=12) as opened:
        yield opened


@pytest.fixture
def dana(room: Room) -> Person:
    return room.teacher()


@pytest.fixture
def learners(room: Room, dana: Person) -> dict[str, Person]:
    return {name: room.learner(name) for name in NAMES}


def ask_all(learners: dict[str, Person]) -> dict[str, float]:
    """Everybody asks at once; return when each form was acknowledged."""
    asked: dict[str, float] = {}

    def ask(name: str) -> None:
        learners[name].ask(f"What does word number {NAMES.index(name)} mean?")
        asked[name] = time.monotonic()

    threads = [threading.Thread(target=ask, args=(name,)) for name in learners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return asked


def test_the_teacher_sees_thirty_learners_within_two_seconds(
    engine: FakeEngine, dana: Person, learners: dict[str, Person], capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = Watcher(dana)
    engine.hold()
    asked = ask_all(learners)
    wait_until(lambda: all((name, "waiting") in watcher.seen for name in NAMES), "thirty who wait")
    waits = sorted(watcher.seen[name, "waiting"] - asked[name] for name in NAMES)
    followed = [person.follow(person.stream_path(), lambda *_: None) for person in learners.values()]
    for name in NAMES:  # what was seen when they came in does not count for the second measurement
        watcher.seen.pop((name, "working"), None)
    began = time.monotonic()
    engine.go_on()
    wait_until(lambda: all((name, "working") in watcher.seen for name in NAMES), "thirty at work again")
    all_served = max(watcher.seen[name, "working"] for name in NAMES) - began
    for thread in followed:
        thread.join(60)
    with capsys.disabled():
        print(
            f"\n30 learners: waiting seen after at most {waits[-1]:.2f} s (median {waits[15]:.2f} s), "
            f"all thirty served and seen after {all_served:.2f} s"
        )
    assert waits[-1] <= MOST_SECONDS
    # Twelve are written at once, so thirty are three rounds of the scripted engine.
    assert all_served <= 2 * MOST_SECONDS


def test_everybody_in_a_full_line_knows_their_place_within_two_seconds(
    engine: FakeEngine, dana: Person, learners: dict[str, Person], capsys: pytest.CaptureFixture[str]
) -> None:
    engine.hold()
    asked = ask_all(learners)
    placed: dict[str, float] = {}
    places: dict[str, int] = {}

    def watch(name: str) -> Callable[[str, dict[str, Any]], None]:
        def note(event: str, data: dict[str, Any]) -> None:
            if event == "place" and data["place"]:
                placed.setdefault(name, time.monotonic())
                places[name] = data["place"]

        return note

    opened = {name: time.monotonic() for name in NAMES}
    for name, person in learners.items():
        page = person.text("/ask")  # what the browser loads after the form
        opened[name] = time.monotonic()
        person.follow(unescape(re.search(r'data-stream="([^"]+)"', page)[1]), watch(name))
    wait_until(lambda: len(placed) == len(NAMES), "thirty places")
    longest = max(placed[name] - opened[name] for name in NAMES)
    # Those at the engine are told the engine's own line; the eighteen behind them stand in ours.
    wait_until(lambda: sorted(places.values())[-18:] == list(range(13, 31)), "one line without a gap")
    engine.go_on()
    with capsys.disabled():
        print(f"\n30 places: each told at most {longest:.2f} s after the page was there")
    assert longest <= MOST_SECONDS
    assert len(asked) == len(NAMES)


def test_words_of_thirty_answers_leave_the_processor_to_the_engine(
    room: Room,
    engine: FakeEngine,
    dana: Person,
    learners: dict[str, Person],
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine.words = ["word "] * WORDS
    engine.pace_seconds = 0.25  # 30 learners, 4 words a second each: a fast box
    watcher = Watcher(dana)
    ask_all(learners)
    got: list[int] = []
    lock = threading.Lock()

    def note(name: str, data: dict[str, Any]) -> None:
        with lock:
            got.append(len(data.get("text", "").split()) if name == "text" else 0)

    streams = [person.follow(person.stream_path(), note) for person in learners.values()]
    web = psutil.Process(room.process.pid)
    before, began = web.cpu_times(), time.monotonic()
    pictures_before = len(watcher.pictures)
    time.sleep(6)
    after, seconds = web.cpu_times(), time.monotonic() - began
    drawn = [
        part for at, part in watcher.pictures[pictures_before:] if part == "class" and at <= began + seconds
    ]
    share = (after.user + after.system - before.user - before.system) / seconds
    for thread in streams:
        thread.join(60)
    with capsys.disabled():
        print(
            f"\n30 streams of 4 words a second: {share:.2f} of a core, {len(drawn)} pictures of the class "
            f"in {seconds:.1f} s, {web.memory_info().rss / 1e6:.0f} MB, {web.num_threads()} threads"
        )
    assert sum(got) >= 30 * WORDS * 0.5, "the words really came"
    assert len(drawn) <= seconds + 1
    assert share <= MOST_CORE_SHARE
    assert web.memory_info().rss <= MOST_BYTES
    assert web.num_threads() <= MOST_THREADS
    mapped = {Path(found.path).name for found in web.memory_maps()}
    assert not [name for name in mapped if name.startswith(LEFT_OUT)]
