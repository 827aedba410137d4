"""What a chat request may say; everything else is refused by name."""

import json

import pytest

from models.chat import DEFAULT_ANSWER_TOKENS, read_chat_request
from models.errors import QueueFull, RequestInvalid, RequestUnsupported, SchemaUnsupported
from models.json_grammar import JSON_OBJECT, write_grammar
from models.prompt import Message
from models.protocol import Priority
from models.replies import error_body

HELLO = [{"role": "user", "content": "Сәлем"}]


def read(**fields):
    return read_chat_request(json.dumps({"messages": HELLO, **fields}).encode(), random_seed=11)


def test_a_plain_question_gets_the_defaults():
    asked = read()
    assert asked.messages == (Message("user", "Сәлем"),)
    assert (asked.max_tokens, asked.stream, asked.stop) == (DEFAULT_ANSWER_TOKENS, False, ())
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.sampling.seed) == (1.0, 1.0, 11)


def test_what_is_asked_for_is_read():
    asked = read(
        model="m", stream=True, stream_options={"include_usage": True}, max_tokens=5, temperature=0,
        top_p=0.5, seed=-1, stop="END", user="u", n=1, logprobs=False, response_format={"type": "text"},
    )  # fmt: skip
    assert (asked.model, asked.stream, asked.include_usage) == ("m", True, True)
    assert (asked.max_tokens, asked.stop) == (5, ("END",))
    assert asked.sampling.seed == 2**32 - 1


def test_our_own_fields_are_read():
    asked = read(
        user="Aigerim", lesson="A cell is …", priority="teacher", max_characters=400, top_k=20, min_p=0.1,
        messages=[*HELLO, {"role": "assistant", "content": "Hi there"}, {"role": "user", "content": "Неге?"}],
    )  # fmt: skip
    assert (asked.user, asked.lesson, asked.priority) == ("Aigerim", "A cell is …", Priority.TEACHER)
    assert (asked.max_characters, asked.sampling.top_k, asked.sampling.min_p) == (400, 20, 0.1)
    assert asked.characters == len("Сәлем" + "Неге?")  # the learner's own, not the model's


def test_json_is_asked_for_as_a_grammar():
    assert read().sampling.grammar == read(response_format={"type": "text"}).sampling.grammar == ""
    assert read(response_format={"type": "json_object"}).sampling.grammar == write_grammar(JSON_OBJECT)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    wish = {"name": "a", "description": "b", "strict": True, "schema": schema}
    asked = read(response_format={"type": "json_schema", "json_schema": wish})
    assert asked.sampling.grammar == write_grammar(schema)


@pytest.mark.parametrize(
    "wish", [None, 5, {}, {"schema": None}, {"schema": {"type": "string", "pattern": "a"}}]
)
def test_a_schema_that_cannot_be_kept_is_refused(wish):
    with pytest.raises(SchemaUnsupported):
        read(response_format={"type": "json_schema", "json_schema": wish})


def test_the_newer_name_of_a_limit_wins():
    assert read(max_tokens=5, max_completion_tokens=6).max_tokens == 6


def test_null_means_not_given():
    asked = read(max_tokens=None, temperature=None, stop=None, tools=None, logprobs=None, stream=None)
    assert asked.max_tokens == DEFAULT_ANSWER_TOKENS


def test_text_parts_are_joined_and_developers_are_the_system():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = read(messages=[{"role": "developer", "content": parts}])
    assert asked.messages == (Message("system", "ab"),)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"seed": 1.5}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"stop": 5}, "stop"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stop": "x" * 201}, "stop"),
        ({"model": 5}, "model"),
        ({"user": 5}, "user"),
        ({"user": "x" * 201}, "user"),
        ({"top_k": 0}, "top_k"),
        ({"top_k": 1001}, "top_k"),
        ({"top_k": 1.0}, "top_k"),
        ({"min_p": 1.5}, "min_p"),
        ({"max_characters": 0}, "max_characters"),
        ({"lesson": ["a"]}, "lesson"),
        ({"priority": "headmaster"}, "priority"),
        ({"priority": 0}, "priority"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": ["text"]}}, "response_format"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    with pytest.raises(RequestInvalid) as caught:
        read(**fields)
    assert caught.value.params["param"] == param
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "x": 1}}},
            "response_format.json_schema.x",
        ),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"colour": "red"}, "colour"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]}, "messages[0].tool_calls"),
    ],
)
def test_what_we_cannot_do_is_refused_and_not_ignored(fields, param):
    with pytest.raises(RequestUnsupported) as caught:
        read(**fields)
    assert caught.value.params["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"messages": ' + b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(body):
    with pytest.raises(RequestInvalid):
        read_chat_request(body, 0)


def test_errors_are_in_openais_shape_with_our_key():
    body = error_body(QueueFull(waiting=3))["error"]
    assert body == {
        "message": "Too many questions are waiting already (3). Wait a little and ask again.",
        "type": "rate_limit_error",
        "param": None,
        "code": "queue_full",
        "params": {"waiting": 3},
    }
    assert error_body(SchemaUnsupported(detail="x"))["error"]["param"] == "response_format"
