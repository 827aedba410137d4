"""How answers and errors are spelt in the OpenAI chat API. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import ModelsError

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


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
    otherwise = "invalid_request_error" if error.status < 500 else "server_error"
    return {
        "error": {
            "message": str(error),
            "type": _KINDS.get(error.status, otherwise),
            "param": error.params.get("param"),
            "code": error.key,
            "params": {
                name: value if isinstance(value, int | float | str) else str(value)
                for name, value in error.params.items()
            },
        }
    }
