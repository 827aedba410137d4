"""A stream outlives its connection for a while, and leaves nothing behind."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models.resume import MAX_COMPLETE
from tests.models.box import HELLO, LONG, WITH_KEY, Box, events, lines
from tests.models.fake_engine import FakeEngine

GRACE_SECONDS = 0.5


@pytest.fixture
def box() -> Iterator[Box]:
    box = Box(FakeEngine(step_seconds=0.01), grace_seconds=GRACE_SECONDS).wait_ready()
    yield box
    box.close()


def begin(box: Box, **fields: Any) -> tuple[str, list[str], socket.socket]:
    """Start a long answer and read until some text has come: its id, the event ids so far, the line."""
    line = box.hang(stream=True, **fields)
    line.settimeout(10)
    heard = b""
    while heard.count(b"content") < 6:
        heard += line.recv(512)
    ids = [row.removeprefix("id: ") for row in heard.decode().split("\n") if row.startswith("id: ")]
    # The last one may be cut in the middle.
    return ids[0].rpartition("-")[0], ids[:-1], line


def resume(box: Box, name: str, last: str | None = None, **headers: str) -> Any:
    if last is not None:
        headers["Last-Event-ID"] = last
    url = f"{box.url}/v1/chat/completions/{name}/events"
    return box.http.request("GET", url, headers={**WITH_KEY, **headers}, preload_content=False)


def end(box: Box, name: str) -> Any:
    return box.http.request("DELETE", f"{box.url}/v1/chat/completions/{name}")


def text_of(chunks: list[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])


def test_a_cut_stream_goes_on_where_it_was_cut(box):
    whole = box.ask(LONG, max_tokens=120).json()["choices"][0]["message"]["content"]
    name, ids, line = begin(box, max_tokens=120, temperature=0)
    line.close()
    response = resume(box, name, ids[2])
    assert response.status == 200
    assert response.headers["Sandyq-Request-Id"] == name
    raw = lines(response)
    assert raw[0] == f"id: {name}-4"
    assert raw[-1] == "data: [DONE]"
    again = text_of(events(resume(box, name)))
    assert again == whole  # from the beginning, complete by now
    numbers = [row.rpartition("-")[2] for row in raw if row.startswith("id: ")]
    assert numbers == [str(number) for number in range(4, 4 + len(numbers))]


def test_nothing_is_missing_and_nothing_twice_after_many_cuts(box):
    whole = box.ask(LONG, max_tokens=200).json()["choices"][0]["message"]["content"]
    name, _, line = begin(box, max_tokens=200, temperature=0)
    line.close()
    heard: list[tuple[str, str]] = []
    while not heard or heard[-1][1] != "data: [DONE]":
        response = resume(box, name, heard[-1][0] if heard else None)
        cut = b"".join(itertools.islice(response.stream(256), 3)).decode(errors="replace")
        response.close()
        # An event counts when its end has come: the last one of the cut may lack it.
        rows = [row for row in cut.rpartition("\n\n")[0].split("\n") if row.startswith(("id: ", "data: "))]
        heard += [(row.removeprefix("id: "), data) for row, data in zip(rows[::2], rows[1::2], strict=True)]
    numbers = [int(event.rpartition("-")[2]) for event, _ in heard]
    assert numbers == list(range(1, len(numbers) + 1))
    assert text_of([json.loads(data.removeprefix("data: ")) for _, data in heard[:-1]]) == whole


def test_two_readers_of_one_stream_hear_the_same(box):
    name, _, line = begin(box, max_tokens=150)
    heard: list[list[str]] = []
    readers = [threading.Thread(target=lambda: heard.append(lines(resume(box, name)))) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    line.close()
    one, other = ([row for row in rows if not row.startswith(":")] for rows in heard)
    assert one == other
    assert one[-1] == "data: [DONE]"


def test_nobody_coming_back_frees_the_seat_after_the_grace_period(box):
    _, _, line = begin(box)
    line.close()
    began = time.monotonic()
    while time.monotonic() - began < GRACE_SECONDS / 2:
        assert box.health()["active"] == 1
        time.sleep(0.1)
    box.wait_for(box.is_idle, 3 * GRACE_SECONDS)
    assert time.monotonic() - began > GRACE_SECONDS
    assert len(box.door.streams) == 0


def test_a_goodbye_frees_the_seat_at_once(box):
    name, _, line = begin(box)
    began = time.monotonic()
    response = end(box, name)
    assert response.json() == {"id": name, "object": "chat.completion.deleted", "deleted": True}
    box.wait_for(box.is_idle)
    assert time.monotonic() - began < GRACE_SECONDS / 2
    heard = b""
    while not heard.endswith(b"0\r\n\r\n"):  # and the one who still read it is let go
        heard += line.recv(4096)
    line.close()
    assert len(box.door.streams) == 0
    assert resume(box, name).status == end(box, name).status == 404


@pytest.mark.parametrize(
    "name", ["chatcmpl-0", "chatcmpl-" + "0" * 32, "x", "..%2F..%2Fmodels", "%D2%9B", "a" * 5000]
)
def test_a_foreign_answer_is_unknown(box, name):
    for response in (resume(box, name), end(box, name)):
        assert response.status == 404
        assert response.json()["error"]["code"] == "answer_unknown"


@pytest.mark.parametrize(
    "last", ["", "5", "chatcmpl-x-1", "{name}", "{name}-", "{name}-x", "{name}--1", "{name}-²"]
)
def test_an_event_of_another_answer_is_refused(box, last):
    name, _, line = begin(box, max_tokens=50)
    response = resume(box, name, last.format(name=name).encode().decode("latin-1"))
    assert (response.status, response.json()["error"]["param"]) == (400, "Last-Event-ID")
    line.close()
    box.wait_for(box.is_idle)


def test_ids_cannot_be_guessed(box):
    answers = [box.ask(stream=True, max_tokens=1) for _ in range(4)]
    names = {answer.headers["Sandyq-Request-Id"] for answer in answers}
    assert all(answer.read() for answer in answers)
    assert len(names) == 4
    assert all(len(name) == len("chatcmpl-") + 32 for name in names)


def test_an_event_that_was_not_sent_yet_is_not_waited_for_by_number(box):
    name, _, line = begin(box, max_tokens=50)
    line.close()
    assert lines(resume(box, name, f"{name}-999999999"))[-1] == "data: [DONE]"


def test_a_dead_engine_is_told_to_who_comes_back(box):
    from models.errors import EngineDied

    name, ids, line = begin(box)
    line.close()
    box.engine.faults.append(EngineDied())
    said = events(resume(box, name, ids[-1]))
    assert said[-1]["error"]["code"] == "engine_died"


def test_complete_answers_are_kept_for_a_while_and_never_too_many(box):
    box.engine.step_seconds = 0
    for _ in range(MAX_COMPLETE + 20):
        box.ask(HELLO, stream=True, max_tokens=2).read()
    assert len(box.door.streams) <= MAX_COMPLETE + 1
    box.wait_for(lambda: len(box.door.streams) == 0)
    assert not [
        thread for thread in threading.enumerate() if thread.name == "streams" and len(box.door.streams)
    ]


def test_whole_answers_are_never_kept(box):
    box.ask()
    line = box.hang()
    box.wait_for(lambda: box.health()["active"] == 1)
    line.close()
    box.wait_for(box.is_idle, seconds=GRACE_SECONDS)
    assert len(box.door.streams) == 0


def test_a_storm_of_cuts_and_returns_leaves_nothing(box):
    """Every way a stream can be left, at the same time."""
    box.engine.step_seconds = 0.001

    def child(number: int) -> None:
        for turn in range(6):
            response = box.ask(LONG, stream=True, max_tokens=60, user=f"{number}")
            if response.status != 200:
                response.drain_conn()
                continue
            name = response.headers["Sandyq-Request-Id"]
            response.read(100)
            if (number + turn) % 3:
                response.close()
            if (number + turn) % 2:
                again = resume(box, name)
                again.read(50)
                again.close()
            if (number + turn) % 3 == 1:
                end(box, name)
            response.close()

    children = [threading.Thread(target=child, args=(number,)) for number in range(6)]
    for thread in children:
        thread.start()
    for thread in children:
        thread.join()
    box.wait_for(lambda: len(box.door.streams) == 0)
    box.wait_for(box.is_idle)
    assert box.worker._tickets == {}
