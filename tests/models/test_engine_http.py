"""The engine's door over real sockets, with the fake engine behind it."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from models.errors import ModelUnloadable, PortTaken
from models.listener import Listener
from models.server import MAX_BODY_BYTES
from models.worker import State
from tests.models.box import HELLO, LONG, Box, events, lines
from tests.models.fake_engine import FakeEngine, FakeVocabulary


@pytest.fixture
def box() -> Iterator[Box]:
    box = Box(FakeEngine()).wait_ready()
    yield box
    box.close()


def test_a_question_is_answered_whole(box):
    response = box.ask()
    assert response.status == 200
    assert response.headers["X-AI-Generated"] == "whole"
    answer = response.json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "fake"
    assert answer["choices"][0]["message"]["content"].startswith("Жауап ")
    assert answer["choices"][0]["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_question_is_answered_in_a_stream(box):
    whole = box.ask().json()["choices"][0]["message"]["content"]
    response = box.ask(stream=True, stream_options={"include_usage": True})
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-AI-Generated"] == "whole"
    raw = lines(response)
    assert raw[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in raw[:-1] if line.startswith("data: ")]
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
    assert "".join(said) == whole
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == len(whole.encode())
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_models_and_health_name_what_is_served(box):
    models = box.http.request("GET", f"{box.url}/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["fake"]
    assert box.http.request("GET", f"{box.url}/v1/models/fake").json()["id"] == "fake"
    health = {"status": "ok", "model": "fake", "sha256": "ab" * 32, "active": 0, "waiting": 0}
    assert box.health() == {**health, "is_closed": False, "closed_refusals": 0}


def test_metrics_are_in_prometheus_words_and_hold_no_text(box):
    box.ask([{"role": "user", "content": "canary Айгерім"}])
    response = box.http.request("GET", f"{box.url}/metrics")
    text = response.data.decode()
    assert response.headers["Content-Type"].startswith("text/plain")
    assert 'sandyq_engine_requests_total{outcome="stop"} 1.0' in text
    assert "canary" not in text


def test_no_line_of_the_log_holds_a_question(box, caplog):
    caplog.set_level("DEBUG")
    canary = "canary Айгерім 880101300123"
    box.ask([{"role": "user", "content": canary}])
    box.ask([{"role": "user", "content": canary}], n=2)
    box.ask([{"role": canary, "content": canary}])
    box.ask([{"role": "user", "content": canary * 500}])
    box.ask([{"role": "user", "content": canary}], stream=True).read()
    assert "canary" not in caplog.text
    assert "Айгерім" not in caplog.text
    chats = [record for record in caplog.records if record.name == "models.engine"]
    assert len(chats) == 5


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"n": 3}, 400, "request_unsupported"),
        ({"temperature": "hot"}, 400, "request_invalid"),
        ({"messages": []}, 400, "request_invalid"),
        ({"model": "gpt-9"}, 404, "model_not_served"),
        ({"messages": [{"role": "user", "content": "x" * 5000}]}, 400, "prompt_too_long"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_request_gets_a_status_and_a_code_also_when_streaming(box, fields, status, code, stream):
    response = box.ask(stream=stream, **fields) if "messages" not in fields else box.ask(**fields)
    assert response.status == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert box.is_idle()


def test_a_prompt_that_is_too_long_tells_both_numbers(box):
    params = box.ask([{"role": "user", "content": "x" * 5000}]).json()["error"]["params"]
    assert params["limit_tokens"] == 1024 - 32
    assert params["prompt_tokens"] > 5000


def test_bodies_that_are_no_request_are_refused(box):
    for body in (b"", b"{", b"\xff\xfe\xfd", b"null", b'{"messages": "x"}', b"[" * 200_000):
        response = box.post(body, **{"Content-Type": "application/json"})
        assert response.status == 400, body[:10]
        assert response.json()["error"]["code"] == "request_invalid"


def test_a_body_that_is_too_large_is_refused(box):
    response = box.post(b'{"messages": "' + b"x" * MAX_BODY_BYTES + b'"}')
    assert response.status == 413
    assert response.json()["error"]["code"] == "request_too_large"


def test_unknown_paths_and_methods_are_refused_in_the_same_shape(box):
    assert box.http.request("GET", f"{box.url}/v1/embeddings").json()["error"]["code"] == "route_unknown"
    wrong = box.http.request("DELETE", f"{box.url}/health")
    assert (wrong.status, wrong.json()["error"]["code"]) == (405, "route_unknown")


def test_a_model_without_a_template_gives_a_clear_message():
    engine = FakeEngine()
    engine.vocabulary = FakeVocabulary(chat_template=None)
    box = Box(engine).wait_ready()
    response = box.ask()
    assert (response.status, response.json()["error"]["code"]) == (400, "template_absent")
    box.close()


# --- many at once ---


def test_twelve_learners_at_once_each_read_their_own_answer():
    box = Box(FakeEngine(step_seconds=0.002), waiting=12).wait_ready()
    alone = {n: box.ask([{"role": "user", "content": f"{n}?"}]).json() for n in range(12)}
    heard: dict[int, str] = {}

    def child(number: int) -> None:
        chunks = events(box.ask([{"role": "user", "content": f"{number}?"}], stream=True))
        heard[number] = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)

    children = [threading.Thread(target=child, args=(number,)) for number in range(12)]
    for thread in children:
        thread.start()
    for thread in children:
        thread.join()
    assert heard == {n: answer["choices"][0]["message"]["content"] for n, answer in alone.items()}
    assert box.is_idle()
    box.close()


def test_a_full_queue_answers_429_with_when_to_come_again():
    box = Box(FakeEngine(sequences=1, step_seconds=0.01), waiting=1).wait_ready()
    held = [box.hang(), box.hang()]
    box.wait_for(lambda: box.health()["waiting"] == 1)
    response = box.ask()
    assert (response.status, response.json()["error"]["code"]) == (429, "queue_full")
    assert int(response.headers["Retry-After"]) > 0
    for line in held:
        line.close()
    box.wait_for(box.is_idle)
    assert box.ask().status == 200
    box.close()


def test_a_waiting_stream_says_its_place_every_second():
    box = Box(FakeEngine(sequences=1, step_seconds=0.01), waiting=2).wait_ready()
    first = box.hang()
    box.wait_for(lambda: box.health()["active"] == 1)
    second = box.hang(stream=True)
    second.settimeout(5)
    heard = b""
    while b": waiting 1 " not in heard:
        heard += second.recv(4096)
    first.close()
    while b"content" not in heard.rpartition(b": waiting")[2]:
        heard += second.recv(4096)
    second.close()
    box.wait_for(box.is_idle)
    box.close()


# --- clients that go away ---


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_frees_its_sequence(box, stream):
    box.engine.step_seconds = 0.02
    line = box.hang(stream=stream)
    box.wait_for(lambda: box.health()["active"] == 1)
    line.close()
    began = time.monotonic()
    box.wait_for(box.is_idle)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_hangs_up_while_it_waits_leaves_the_queue(stream):
    box = Box(FakeEngine(sequences=1, step_seconds=0.02)).wait_ready()
    first = box.hang()
    box.wait_for(lambda: box.health()["active"] == 1)
    second = box.hang(stream=stream)
    box.wait_for(lambda: box.health()["waiting"] == 1)
    second.close()
    box.wait_for(lambda: box.health()["waiting"] == 0)
    assert box.health()["active"] == 1
    first.close()
    box.wait_for(box.is_idle)
    box.close()


def test_a_client_that_resets_the_line_frees_its_sequence(box):
    box.engine.step_seconds = 0.02
    line = box.hang()
    box.wait_for(lambda: box.health()["active"] == 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    line.close()
    box.wait_for(box.is_idle)


def test_a_second_request_on_the_same_line_is_not_taken_for_hanging_up(box):
    box.engine.step_seconds = 0.01
    body = json.dumps({"messages": HELLO}).encode()
    one = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    line = socket.create_connection(("127.0.0.1", int(box.url.rpartition(":")[2])))
    line.settimeout(10)
    line.sendall(one + one)
    heard = b""
    while heard.count(b"finish_reason") < 2:
        heard += line.recv(4096)
    line.close()


# --- before, after and in between ---


def test_the_port_answers_before_the_model_is_loaded():
    loaded = threading.Event()
    engine = FakeEngine()

    def load() -> FakeEngine:
        loaded.wait()
        return engine

    box = Box(engine, load=load)
    response = box.http.request("GET", f"{box.url}/health")
    assert (response.status, response.json()["status"]) == (503, "loading")
    refused = box.ask()
    assert (refused.status, refused.json()["error"]["code"]) == (503, "model_loading")
    assert int(refused.headers["Retry-After"]) > 0
    loaded.set()
    box.wait_ready()
    assert box.ask().status == 200
    box.close()


def test_a_model_that_does_not_load_is_told_on_health():
    def load() -> FakeEngine:
        raise ModelUnloadable(name="fake", detail="it is cut off")

    box = Box(FakeEngine(), load=load).wait_ready()
    response = box.http.request("GET", f"{box.url}/health")
    assert response.status == 503
    assert response.json()["code"] == "model_unloadable"
    assert "it is cut off" in response.json()["message"]
    assert box.ask().json()["error"]["code"] == "model_unloadable"
    box.close()


def test_an_engine_that_dies_tells_streams_and_whole_answers(box):
    box.engine.step_seconds = 0.02
    heard: list[Any] = []
    stream = threading.Thread(target=lambda: heard.extend(events(box.ask(LONG, stream=True, max_tokens=300))))
    whole = threading.Thread(target=lambda: heard.append(box.ask(LONG, max_tokens=300).json()))
    for thread in (stream, whole):
        thread.start()
    box.wait_for(lambda: box.health()["active"] == 2)
    box.engine.faults.append(RuntimeError("a bug"))
    for thread in (stream, whole):
        thread.join()
    assert [event["error"]["code"] for event in heard if "error" in event] == ["engine_died"] * 2
    assert box.worker.state is State.FAILED
    assert box.http.request("GET", f"{box.url}/health").json()["code"] == "engine_died"


# cheroot forgets to close the socket it could not bind; our process ends there anyway.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_port_that_is_taken_is_named(box):
    port = int(box.url.rpartition(":")[2])
    with pytest.raises(PortTaken, match=f"127.0.0.1:{port}"):
        Listener("127.0.0.1", port, None, 1).listen()


def test_only_this_machine_is_listened_to_by_default(home):
    from models.settings import EngineSettings

    assert EngineSettings(home=home).host == "127.0.0.1"
