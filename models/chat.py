"""The OpenAI chat API as records: what a request may say, and how answers are spelt.

Pure. A field we cannot honour is refused, not ignored: a caller who asked for JSON must not get prose.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.errors import ModelsError, RequestInvalid, RequestUnsupported
from models.prompt import Message
from models.protocol import Sampling

DEFAULT_ANSWER_TOKENS = 256
DEFAULT_TEMPERATURE = 1.0  # as in OpenAI's API; the box's pages say what they want
MAX_MESSAGES = 1000
MAX_STOPS = 4  # as in OpenAI's API
MAX_STOP_CHARACTERS = 200
ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

_READ = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
    "temperature", "top_p", "seed", "stop", "user",
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
    "response_format": ({"type": "text"},),
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


def read_chat_request(body: bytes, random_seed: int) -> ChatRequest:
    """Parse and check a request; `random_seed` is used when it names none."""
    fields = _read_object(body)
    _refuse_unsupported(fields)
    stream = _flag(fields, "stream")
    options = fields.get("stream_options")
    if options is not None and (not isinstance(options, dict) or not stream):
        raise RequestInvalid(param="stream_options", detail="stream_options belongs to stream=true")
    for name in options or {}:
        if name != "include_usage":
            raise RequestUnsupported(param=f"stream_options.{name}", detail="")
    model = fields.get("model")
    if model is not None and not isinstance(model, str):
        raise RequestInvalid(param="model", detail="model must be text")
    if not isinstance(fields.get("user", ""), str | None):
        raise RequestInvalid(param="user", detail="user must be text")
    seed = _number(fields, "seed", -(2**63), 2**64, whole=True)
    return ChatRequest(
        model=model,
        messages=_read_messages(fields.get("messages")),
        max_tokens=_read_max_tokens(fields),
        sampling=Sampling(
            temperature=_or(_number(fields, "temperature", 0, 2), DEFAULT_TEMPERATURE),
            top_p=_or(_number(fields, "top_p", 0, 1), 1.0),
            seed=random_seed if seed is None else int(seed) % 2**32,
        ),
        stop=_read_stop(fields.get("stop")),
        stream=stream,
        include_usage=_flag(options or {}, "include_usage"),
    )


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
            shown = json.dumps(value)
            raise RequestUnsupported(param=name, detail=f"={shown[:40]}")


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


# --- answers ---


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The fixed part of every answer to one request, and the spelling of the rest."""

    id: str
    created: int  # seconds since 1970
    model: str

    def whole(self, text: str, reason: str, prompt_tokens: int, answer_tokens: int) -> dict[str, object]:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return {**self._head("chat.completion", [choice]), "usage": usage(prompt_tokens, answer_tokens)}

    def chunk(self, delta: Mapping[str, str], reason: str | None = None) -> dict[str, object]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._head("chat.completion.chunk", [choice])

    def usage_chunk(self, prompt_tokens: int, answer_tokens: int) -> dict[str, object]:
        return {**self._head("chat.completion.chunk", []), "usage": usage(prompt_tokens, answer_tokens)}

    def _head(self, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }


def usage(prompt_tokens: int, answer_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": answer_tokens,
        "total_tokens": prompt_tokens + answer_tokens,
    }


def error_body(error: ModelsError) -> dict[str, object]:
    """OpenAI's error object, with our key as its code and our parameters for the pages to translate."""
    kind = "invalid_request_error" if error.status < 429 else "server_error"
    if error.status == 429:
        kind = "rate_limit_error"
    return {
        "error": {
            "message": str(error),
            "type": kind,
            "param": error.params.get("param"),
            "code": error.key,
            "params": {
                name: value if isinstance(value, int | float | str) else str(value)
                for name, value in error.params.items()
            },
        }
    }
