"""What a request of the OpenAI chat API may say, and our fields beside it.

Pure. A field we cannot honour is refused, not ignored: a caller who asked for JSON must not get prose.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import RequestInvalid, RequestUnsupported, SchemaUnsupported
from models.json_grammar import JSON_OBJECT, write_grammar
from models.prompt import Message
from models.protocol import Priority, Sampling

DEFAULT_ANSWER_TOKENS = 256
DEFAULT_TEMPERATURE = 1.0  # as in OpenAI's API; the box's pages say what they want
MAX_MESSAGES = 1000
MAX_STOPS = 4  # as in OpenAI's API
MAX_STOP_CHARACTERS = 200
# llama.cpp sorts so many candidates a token; without this limit it would sort the whole vocabulary.
DEFAULT_TOP_K, MAX_TOP_K = 40, 1000
MAX_ANSWER_CHARACTERS = 1_000_000
MAX_USER_CHARACTERS = 200  # a name of a learner, not a text
MAX_GROUP_CHARACTERS = 200  # likewise, of a school class
PRIORITIES = {priority.name.lower(): priority for priority in Priority}
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

_READ = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "seed", "stop", "user", "response_format",
    "top_k", "min_p", "max_characters", "lesson", "priority", "group",  # not OpenAI's; see docs/engine.md
}  # fmt: skip
# Fields that clients send with a value that asks for nothing.
_NEUTRAL: Mapping[str, Sequence[object]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "echo": (False,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "modalities": (["text"],),
    "store": (False,),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
}


@dataclass(frozen=True, slots=True)
class ChatRequest:
    model: str | None
    messages: tuple[Message, ...]
    max_tokens: int
    sampling: Sampling
    stop: tuple[str, ...]
    stream: bool
    include_usage: bool
    max_characters: int = 0  # of the answer; 0 = no limit
    user: str = ""
    priority: Priority | None = None
    lesson: str = ""
    group: str = ""

    @property
    def characters(self) -> int:
        """What the learner typed, the earlier turns too: they are read again."""
        return sum(len(message.text) for message in self.messages if message.role == "user")


def read_chat_request(body: bytes, random_seed: int) -> ChatRequest:
    """Parse and check a request; `random_seed` is used when it names none."""
    fields = _read_object(body)
    _refuse_unsupported(fields)
    stream = _flag(fields, "stream")
    return ChatRequest(
        model=_text(fields, "model"),
        messages=_read_messages(fields.get("messages")),
        max_tokens=_read_max_tokens(fields),
        sampling=_read_sampling(fields, random_seed),
        stop=_read_stop(fields.get("stop")),
        stream=stream,
        include_usage=_read_include_usage(fields.get("stream_options"), stream=stream),
        max_characters=int(_number(fields, "max_characters", 1, MAX_ANSWER_CHARACTERS, whole=True) or 0),
        user=_text(fields, "user", MAX_USER_CHARACTERS) or "",
        priority=_read_priority(fields.get("priority")),
        lesson=_text(fields, "lesson") or "",
        group=_text(fields, "group", MAX_GROUP_CHARACTERS) or "",
    )


def _read_sampling(fields: Mapping[str, object], random_seed: int) -> Sampling:
    seed = _number(fields, "seed", -(2**63), 2**64, whole=True)
    return Sampling(
        temperature=_or(_number(fields, "temperature", 0, 2), DEFAULT_TEMPERATURE),
        top_k=int(_or(_number(fields, "top_k", 1, MAX_TOP_K, whole=True), DEFAULT_TOP_K)),
        top_p=_or(_number(fields, "top_p", 0, 1), 1.0),
        min_p=_or(_number(fields, "min_p", 0, 1), 0.0),
        seed=random_seed if seed is None else int(seed) % 2**32,
        grammar=_read_response_format(fields.get("response_format")),
    )


def _read_response_format(value: object) -> str:
    if value is None:
        return ""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind not in ("text", "json_object", "json_schema"):
        detail = "response_format must be an object of type text, json_object or json_schema"
        raise RequestInvalid(param="response_format", detail=detail)
    for name in value.keys() - {"type", *(("json_schema",) if kind == "json_schema" else ())}:
        raise RequestUnsupported(param=f"response_format.{name[:80]}", detail="")
    if kind == "text":
        return ""
    if kind == "json_object":
        return write_grammar(JSON_OBJECT)
    wish = value.get("json_schema")
    if not isinstance(wish, dict) or "schema" not in wish:
        raise SchemaUnsupported(detail="json_schema.schema is missing")
    for name in wish.keys() - {"name", "description", "strict", "schema"}:
        raise RequestUnsupported(param=f"response_format.json_schema.{name[:80]}", detail="")
    return write_grammar(wish["schema"])


def _read_include_usage(options: object, *, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict) or not stream:
        raise RequestInvalid(param="stream_options", detail="stream_options belongs to stream=true")
    for name in options.keys() - {"include_usage"}:
        raise RequestUnsupported(param=f"stream_options.{name[:80]}", detail="")
    return _flag(options, "include_usage")


def _read_priority(value: object) -> Priority | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in PRIORITIES:
        detail = f"priority must be one of {', '.join(PRIORITIES)}"
        raise RequestInvalid(param="priority", detail=detail)
    return PRIORITIES[value]


def _read_object(body: bytes) -> dict[str, object]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:  # broken UTF-8 is a ValueError too
        raise RequestInvalid(param="body", detail="it is not JSON in UTF-8") from error
    if not isinstance(fields, dict):
        raise RequestInvalid(param="body", detail="it is not a JSON object")
    return fields


def _refuse_unsupported(fields: Mapping[str, object]) -> None:
    for name, value in fields.items():
        if name in _READ or value is None:
            continue
        neutral = _NEUTRAL.get(name)
        if neutral is None:
            raise RequestUnsupported(param=name[:80], detail="")
        if value not in neutral:
            # Not json.dumps for everything: it could overflow Python's stack on what json.loads just took.
            shown = f"={json.dumps(value)[:40]}" if isinstance(value, str | int | float) else ""
            raise RequestUnsupported(param=name, detail=shown)


def _read_messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_MESSAGES:
        detail = f"messages must be a list of 1 to {MAX_MESSAGES} messages"
        raise RequestInvalid(param="messages", detail=detail)
    return tuple(_read_message(message, f"messages[{index}]") for index, message in enumerate(value))


def _read_message(value: object, param: str) -> Message:
    if not isinstance(value, dict):
        raise RequestInvalid(param=param, detail="a message must be an object")
    role = value.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise RequestInvalid(param=f"{param}.role", detail=f"role must be one of {', '.join(ROLES)}")
    for name, extra in value.items():
        if name not in ("role", "content", "name") and extra is not None:
            raise RequestUnsupported(param=f"{param}.{name[:80]}", detail="")
    return Message(ROLES[role], _read_content(value.get("content"), f"{param}.content"))


def _read_content(value: object, param: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise RequestInvalid(param=param, detail="content must be text")
    texts = []
    for part in value:
        if not isinstance(part, dict) or not isinstance(part.get("text", ""), str):
            raise RequestInvalid(param=param, detail="content must be text or a list of text parts")
        if part.get("type") != "text":
            raise RequestUnsupported(param=param, detail=" with other parts than text")
        texts.append(part.get("text", ""))
    return "".join(texts)


def _read_max_tokens(fields: Mapping[str, object]) -> int:
    for name in ("max_completion_tokens", "max_tokens"):  # the second is the older name
        number = _number(fields, name, 1, 2**31, whole=True)
        if number is not None:
            return int(number)
    return DEFAULT_ANSWER_TOKENS


def _read_stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) > MAX_STOPS:
        raise RequestInvalid(param="stop", detail=f"stop must be a text or a list of at most {MAX_STOPS}")
    for text in texts:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_STOP_CHARACTERS:
            detail = f"each stop must be a text of 1 to {MAX_STOP_CHARACTERS} characters"
            raise RequestInvalid(param="stop", detail=detail)
    return tuple(texts)


def _text(fields: Mapping[str, object], name: str, most: int | None = None) -> str | None:
    value = fields.get(name)
    if value is not None and (not isinstance(value, str) or (most is not None and len(value) > most)):
        limit = "" if most is None else f" of at most {most} characters"
        raise RequestInvalid(param=name, detail=f"{name} must be text{limit}")
    return value


def _flag(fields: Mapping[str, object], name: str) -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise RequestInvalid(param=name, detail=f"{name} must be true or false")
    return bool(value)


def _number(
    fields: Mapping[str, object], name: str, low: float, high: float, *, whole: bool = False
) -> float | int | None:
    value = fields.get(name)
    if value is None:
        return None
    kinds = (int,) if whole else (int, float)
    if (
        isinstance(value, bool)
        or not isinstance(value, kinds)
        or not low <= value <= high
        or math.isnan(value)
    ):
        kind = "a whole number" if whole else "a number"
        raise RequestInvalid(param=name, detail=f"{name} must be {kind} from {low} to {high}")
    return value


def _or(value: float | None, default: float) -> float:
    return default if value is None else float(value)
