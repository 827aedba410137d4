"""What the pages expect of an engine, asked of the stand-in of our tests and of the real process alike."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from appliance.engine_client import RESUME_SECONDS, EngineClient
from appliance.errors import AnswerFailed, EngineUnreachable
from models.engine_key import ensure_engine_key
from models.resume import GRACE_SECONDS
from tests.classroom import wait_until
from tests.cut_line import CutLine
from tests.fake_engine import FakeEngine
from tests.processes import RealBox, free_ports, real_box

MESSAGES = [{"role": "user", "content": "What is a prime number?"}]


@pytest.fixture(scope="module")
def real_engine(real_model_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealBox]:
    with real_box(tmp_path_factory.mktemp("engine"), real_model_home) as box:
        box.start("engine")
        box.wait_ready("engine")
        yield box


def client_of(box: RealBox) -> EngineClient:
    return EngineClient(box.url("engine"), ensure_engine_key(box.home))


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def client(request: pytest.FixtureRequest) -> EngineClient:
    if request.param == "fake":
        return EngineClient(request.getfixturevalue("engine").url)
    return client_of(request.getfixturevalue("real_engine"))


def test_a_ready_engine_names_its_model(client: EngineClient) -> None:
    state = client.state()
    assert state.phase == "ready"
    assert state.model
    assert len(state.model_sha256) == 64


def test_an_answer_comes_in_pieces_and_ends_with_its_length(client: EngineClient) -> None:
    pieces = list(client.stream(MESSAGES, max_tokens=12, learner="l1"))
    assert "".join(piece.text for piece in pieces).strip()
    assert len([piece for piece in pieces if piece.text]) > 1
    assert 0 < pieces[-1].answer_tokens <= 12


def test_leaving_in_the_middle_is_allowed(client: EngineClient) -> None:
    stream = client.stream(MESSAGES, max_tokens=200, learner="l1")
    next(piece for piece in stream if piece.text)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert client.state().phase == "ready"


@pytest.mark.slow
def test_a_prompt_too_long_for_the_real_engine_is_the_questions_fault(real_engine: RealBox) -> None:
    client = client_of(real_engine)
    endless = [{"role": "user", "content": "prime number " * 20_000}]
    with pytest.raises(AnswerFailed) as failed:
        list(client.stream(endless, max_tokens=5, learner="l1"))
    assert failed.value.params["reason"] == "prompt_too_long"


@pytest.mark.slow
def test_the_longest_allowed_question_fits_the_real_engine(real_engine: RealBox) -> None:
    """A learner who keeps to the page's limit must never meet the engine's."""
    from appliance import policy
    from appliance.tutor import prompts

    client = client_of(real_engine)
    # The costliest text for this vocabulary: Kazakh, near one token a byte.
    longest = prompts.messages("ңғүұқөһі " * (policy.MAX_QUESTION_CHARACTERS // 9), "kk")
    assert next(iter(client.stream(longest, max_tokens=5, learner="l1"))) is not None


def test_the_fake_refuses_as_the_real_one_does(engine: FakeEngine) -> None:
    engine.refuse_with = "prompt_too_long"
    with pytest.raises(AnswerFailed) as failed:
        list(EngineClient(engine.url).stream(MESSAGES, max_tokens=5, learner="l1"))
    assert failed.value.params["reason"] == "prompt_too_long"


def test_no_engine_is_a_state_and_an_error_never_a_fault() -> None:
    client = EngineClient(f"http://127.0.0.1:{free_ports(1)[0]}")
    assert client.state().phase == "down"
    with pytest.raises(EngineUnreachable):
        list(client.stream(MESSAGES, max_tokens=5, learner="l1"))


def test_a_stream_that_breaks_off_is_not_an_answer(engine: FakeEngine) -> None:
    engine.breaks = [2]
    with pytest.raises(EngineUnreachable):
        list(EngineClient(engine.url).stream(MESSAGES, max_tokens=5, learner="l1"))


def test_a_stranger_on_the_engines_port_is_not_believed(engine: FakeEngine) -> None:
    """Anything may listen there: a page that is not JSON, an endless line."""
    engine.words = ["x" * (2 << 20)]
    with pytest.raises(EngineUnreachable):
        list(EngineClient(engine.url).stream(MESSAGES, max_tokens=5, learner="l1"))


def test_leaving_frees_the_engine(engine: FakeEngine) -> None:
    engine.words = ["word "] * 500
    stream = EngineClient(engine.url).stream(MESSAGES, max_tokens=5, learner="l1")
    next(piece for piece in stream if piece.text)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    wait_until(lambda: engine.abandoned == 1)


def test_leaving_says_good_bye_so_that_our_engine_does_not_wait_for_us(engine: FakeEngine) -> None:
    engine.words = ["word "] * 500
    stream = EngineClient(engine.url, "a key").stream(MESSAGES, max_tokens=5, learner="l1")
    next(piece for piece in stream if piece.text)
    stream.close()  # type: ignore[attr-defined]  # it is a generator
    assert engine.ended == ["answer-1"]
    engine.words = ["whole"]
    list(EngineClient(engine.url, "a key").stream(MESSAGES, max_tokens=5, learner="l1"))
    assert engine.ended == ["answer-1"], "a whole answer needs no good-bye"
    assert engine.keys == ["Bearer a key", "Bearer a key"]


def test_a_stand_in_never_sees_a_key(engine: FakeEngine) -> None:
    list(EngineClient(engine.url).stream(MESSAGES, max_tokens=5, learner="l1"))
    assert engine.keys == [None]


def test_another_server_of_the_api_can_stand_in(engine: FakeEngine) -> None:
    engine.is_stand_in = True
    client = EngineClient(engine.url)
    state = client.state()
    assert (state.phase, state.model) == ("ready", "gemma3:1b")
    assert "".join(p.text for p in client.stream(MESSAGES, max_tokens=5, learner="l1", model=state.model))
    assert engine.requests[-1]["model"] == "gemma3:1b"


# --- a line that is cut ---


def counted(box: RealBox, name: str) -> float:
    text = urllib3.request("GET", f"{box.url('engine')}/metrics").data.decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def relayed(box: RealBox, line: CutLine) -> EngineClient:
    return EngineClient(line.url, ensure_engine_key(box.home))


@pytest.mark.slow
def test_an_answer_whose_line_is_cut_is_read_on_and_written_once(real_engine: RealBox) -> None:
    body = client_of(real_engine).request(MESSAGES, max_tokens=60, learner="l1")
    whole = list(client_of(real_engine).send(body))
    tokens, told = whole[-1].answer_tokens, "".join(piece.text for piece in whole)
    assert tokens == 60
    before = counted(real_engine, "sandyq_engine_answer_tokens_total")
    requests = counted(real_engine, "sandyq_engine_requests_total")
    with CutLine(int(real_engine.url("engine").rpartition(":")[2])) as line:
        # In the middle of events and of a head; then nobody answers for a moment. An answer's end alone is
        # longer than 700 bytes, however much text goes into one event.
        line.cuts = [700, 700, 150, 700, 0, 0, 0]
        pieces = list(relayed(real_engine, line).send(body))
        assert line.connections == 8
    assert "".join(piece.text for piece in pieces) == told
    assert pieces[-1].answer_tokens == tokens
    assert counted(real_engine, "sandyq_engine_answer_tokens_total") - before == tokens
    assert counted(real_engine, "sandyq_engine_requests_total") - requests == 1


@pytest.mark.slow
def test_whoever_stops_while_the_line_is_cut_frees_the_engine(real_engine: RealBox) -> None:
    with CutLine(int(real_engine.url("engine").rpartition(":")[2])) as line:
        line.cuts = [1500, *[0] * 10_000]
        client = relayed(real_engine, line)
        stream = client.stream(MESSAGES, max_tokens=900, learner="l1")
        next(piece for piece in stream if piece.text)
        wait_until(lambda: not next(stream).text and line.connections > 2)
        line.cuts = []
        stream.close()  # type: ignore[attr-defined]  # it is a generator
        wait_until(lambda: counted(real_engine, "sandyq_engine_active_sequences") == 0)


def test_an_engine_that_is_gone_is_not_waited_for(engine: FakeEngine) -> None:
    engine.hold_after(2)
    with CutLine(int(engine.url.rpartition(":")[2])) as line:
        stream = EngineClient(line.url, "a key").stream(MESSAGES, max_tokens=5, learner="l1")
        line.cuts = [400]
        next(piece for piece in stream if piece.text)
    engine.go_on()
    began = time.monotonic()
    with pytest.raises(EngineUnreachable):
        list(stream)
    assert time.monotonic() - began < RESUME_SECONDS / 2


def test_an_answer_that_the_engine_has_forgotten_is_not_an_answer(engine: FakeEngine) -> None:
    engine.breaks = [2]
    with pytest.raises(EngineUnreachable):
        list(EngineClient(engine.url, "a key").stream(MESSAGES, max_tokens=5, learner="l1"))


def test_the_engine_waits_longer_than_we_try() -> None:
    assert RESUME_SECONDS < GRACE_SECONDS
