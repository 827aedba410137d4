"""Reading what came over the wire; nothing here is timed."""

import json

import pytest

from tests.bench.streams import Arrival, StreamBroken, read_answer

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"


def event(**chunk: object) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def said(text: str | None) -> bytes:
    return event(choices=[{"delta": {"content": text}}])


def frame(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


USAGE = event(choices=[], usage={"completion_tokens": 2, "prompt_tokens": 9})
END = b"data: [DONE]\n\n"


def test_the_first_token_is_the_first_text_and_not_the_role() -> None:
    told = read_answer(
        [
            Arrival(0.1, HEAD + frame(said(""))),
            Arrival(0.2, frame(b": waiting 3\n\n")),
            Arrival(0.5, frame(said("Са"))),
            Arrival(0.9, frame(said("лем"))),
            Arrival(1.5, frame(USAGE + END) + b"0\r\n\r\n"),
        ]
    )
    assert (told.first_token_seconds, told.last_token_seconds) == (0.5, 0.9)
    assert (told.text, told.tokens, told.prompt_tokens) == ("Салем", 2, 9)


def test_a_token_counts_when_its_last_byte_has_come() -> None:
    raw = HEAD + frame(said("Бір"))
    cut = len(raw) - 8
    told = read_answer([Arrival(0.2, raw[:cut]), Arrival(0.7, raw[cut:] + frame(USAGE + END))])
    assert told.first_token_seconds == 0.7


def test_an_event_may_be_split_over_two_chunks_of_http() -> None:
    body = said("one") + USAGE + END
    told = read_answer([Arrival(0.3, HEAD + frame(body[:20])), Arrival(0.4, frame(body[20:]))])
    assert (told.text, told.first_token_seconds) == ("one", 0.4)


def test_a_body_without_chunks_is_read_to_the_end_of_the_connection() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    told = read_answer([Arrival(0.1, head + said("a")), Arrival(0.2, USAGE + END), Arrival(0.3, b"")])
    assert told.last_token_seconds == 0.1


def test_a_refusal_says_its_code() -> None:
    body = json.dumps({"error": {"code": "learner_busy"}}).encode()
    head = f"HTTP/1.1 429 Too Many Requests\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    told = read_answer([Arrival(0.1, head + body)])
    assert (told.status, told.code, told.tokens) == (429, "learner_busy", 0)


@pytest.mark.parametrize("end", [b"", frame(said("half")), frame(event(error={"code": "answer_failed"}))])
def test_an_answer_cut_off_is_no_answer(end: bytes) -> None:
    with pytest.raises(StreamBroken):
        read_answer([Arrival(0.1, HEAD + end)])


def test_silence_is_no_answer() -> None:
    with pytest.raises(StreamBroken, match="no HTTP answer"):
        read_answer([])
