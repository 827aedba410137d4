"""The stream: words as they are written, and the whole state after a lost connection."""

import json
import queue
import re
import threading
from collections.abc import Iterator
from html import unescape
from typing import Any

from appliance.serve import HTTP_THREADS
from appliance.web.stream import MAX_STREAMS
from tests.classroom import PATIENCE_SECONDS, Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine


def events(browser: Browser, path: str = "/stream") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, data) of a stream as a browser would see them, read by a thread of its own."""
    seen: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue()

    def read() -> None:
        answer = browser.get(path, buffered=False)
        waiting = ""
        for part in answer.response:
            waiting += part.decode()
            *blocks, waiting = waiting.split("\n\n")
            for block in blocks:
                lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
                if "event" in lines:
                    seen.put((lines["event"], json.loads(lines["data"])))
        answer.close()
        seen.put(None)

    threading.Thread(target=read, daemon=True).start()
    while (event := seen.get(timeout=PATIENCE_SECONDS)) is not None:
        yield event


def test_an_answer_streams_in_and_ends(classroom: Classroom, engine: FakeEngine, aigerim: Browser) -> None:
    engine.hold()
    aigerim.ask("What is a prime number?")
    stream = events(aigerim)
    engine.go_on()
    seen = list(stream)
    text = ""
    for name, data in seen:
        if name == "text":
            text = text[: data["start"]] + data["text"]
    assert [name for name, _ in seen][-2:] == ["finished", "done"]
    finished = seen[-2][1]["html"]
    assert "Think of numbers with two divisors." in finished
    assert "Written by AI" in finished
    assert text.strip() in finished


def stream_of(browser: Browser) -> str:
    """Return the address that the page in this browser streams from, also after a lost connection."""
    return unescape(re.search(r'data-stream="([^"]+)"', browser.get("/ask").text)[1])


def test_a_second_connection_gets_the_whole_text_again(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.words = ["one ", "two ", "three "]
    engine.hold_after(2)
    aigerim.ask("Lost Wi-Fi?")
    path = stream_of(aigerim)
    first = next(data for name, data in events(aigerim, path) if name == "text" and "two" in data["text"])
    assert first["start"] == 0
    # The phone leaves the room and comes back: the browser connects again by itself.
    again = events(aigerim, path)
    assert next(data["text"] for name, data in again if name == "text") == "one two "
    engine.go_on()
    wait_until(classroom.all_answered)
    assert any(name == "finished" for name, _ in again)


def test_an_answer_that_ended_while_the_phone_was_away_is_told_when_it_comes_back(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Lost Wi-Fi?")
    path = stream_of(aigerim)
    next(events(aigerim, path))
    engine.go_on()
    wait_until(classroom.all_answered)
    seen = list(events(aigerim, path))
    assert [name for name, _ in seen] == ["finished", "done"]
    assert "two divisors" in seen[0][1]["html"]


def test_nobody_follows_the_question_of_another(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, bolat: Browser
) -> None:
    aigerim.ask("Mine?")
    path = f"/stream?open={classroom.value('SELECT id FROM question')}"
    wait_until(classroom.all_answered)
    assert [name for name, _ in events(bolat, path)] == ["done"]


def test_the_place_in_line_is_told(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, bolat: Browser
) -> None:
    engine.hold()
    aigerim.ask("One?")
    aigerim.ask("Two?")
    wait_until(lambda: len(engine.requests) == 2, "the two answers that may be written at once")
    bolat.ask("Three?")
    at_the_engine = next(data for name, data in events(aigerim) if name == "place" and data["place"])
    assert (at_the_engine["place"], at_the_engine["seconds"]) == (1, 7), "as the engine says"
    # Two are before him, as soon as the engine has said so.
    assert next(True for name, data in events(bolat) if name == "place" and data["place"] == 3)
    engine.go_on()
    wait_until(classroom.all_answered)


def test_a_stopped_answer_says_so_at_once(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Stopped?")
    stream = events(aigerim)
    next(stream)
    dana.post("/teacher/session", {"wish": "close"})
    rest = list(stream)
    assert rest[-1][0] == "done"
    assert "The teacher ended the lesson" in rest[-2][1]["html"]


def test_the_teacher_sees_who_asks(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    stream = events(dana, "/teacher/stream")
    first = next(data["html"] for _, data in stream if data["part"] == "class")
    assert "away" in first, "Bolat has not come"
    engine.hold()
    aigerim.ask("Does Dana see this?")
    picture = next(data["html"] for name, data in stream if "Does Dana see this?" in data["html"])
    assert "waiting" in picture
    engine.go_on()
    assert any("working" in data["html"] for _, data in stream if data["part"] == "class")


def test_nothing_to_wait_for_ends_the_stream_at_once(aigerim: Browser) -> None:
    assert [name for name, _ in events(aigerim)] == ["done"]


def test_a_stranger_gets_no_stream(classroom: Classroom, dana: Browser) -> None:
    assert classroom.browser().get("/stream").status_code == 204


def test_streams_leave_threads_for_pages_and_give_their_places_back(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    assert MAX_STREAMS + 5 <= HTTP_THREADS
    engine.hold()
    aigerim.ask("Many tabs?")
    opened = [events(aigerim) for _ in range(MAX_STREAMS)]
    for stream in opened:
        next(stream)
    assert aigerim.get("/stream").status_code == 503
    engine.go_on()
    for stream in opened:
        assert list(stream)[-1][0] == "done"
    assert [name for name, _ in events(aigerim)] == ["done"], "the places are free again"
