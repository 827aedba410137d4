"""GGUF files that lie: written here byte by byte, small enough to read."""

import struct
from pathlib import Path

STRING, UINT32, ARRAY = 8, 4, 9
MANY = 1 << 60


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def string_value(key: str, value: str) -> bytes:
    return text(key) + struct.pack("<I", STRING) + text(value)


def number_value(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", UINT32, value)


def header(tensors: int, values: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values)


def tensor(name: str, sizes: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack("<I", len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def _llama(**more: int) -> list[bytes]:
    numbers = {
        "context_length": 128,
        "embedding_length": 64,
        "block_count": 1,
        "feed_forward_length": 64,
        "attention.head_count": 4,
        **{name.replace("__", "."): value for name, value in more.items()},
    }
    return [string_value("general.architecture", "llama")] + [
        number_value(f"llama.{name}", value) for name, value in numbers.items()
    ]


def _tokens(count: int) -> bytes:
    """A vocabulary that says it has so many words and brings two."""
    array = text("tokenizer.ggml.tokens") + struct.pack("<IIQ", ARRAY, STRING, count)
    return string_value("tokenizer.ggml.model", "gpt2") + array + text("a") + text("b")


def _with(values: list[bytes], *tensors: bytes, tensor_count: int | None = None) -> bytes:
    count = len(tensors) if tensor_count is None else tensor_count
    return header(count, len(values)) + b"".join(values) + b"".join(tensors) + bytes(256)


HOSTILE: dict[str, bytes] = {
    "only a magic": b"GGUF",
    "a version nobody knows": header(0, 0, version=9999),
    "more tensors than atoms": header(MANY, 0),
    "more values than atoms": header(0, MANY),
    "a string without end": header(0, 1) + struct.pack("<Q", MANY) + b"abc",
    "an architecture nobody knows": _with([string_value("general.architecture", "sandcastle")]),
    "no architecture": _with([string_value("general.name", "x")]),
    "tensors that are not there": _with(_llama(), tensor_count=2**31),
    "a tensor of endless size": _with(_llama(), tensor("token_embd.weight", (MANY, MANY))),
    "a tensor of negative size": _with(_llama(), tensor("token_embd.weight", (2**63 + 5, 3))),
    "a tensor of no known kind": _with(_llama(), tensor("token_embd.weight", (64, 2), kind=250)),
    "a tensor behind the end": _with(_llama(), tensor("token_embd.weight", (64, 2), offset=1 << 40)),
    "layers without end": _with(_llama(block_count=2**32 - 1)),
    "no heads": _with(_llama(attention__head_count=0)),
    "words that are not there": header(0, 8) + b"".join(_llama()) + _tokens(MANY),
    "a name twice": _with([*_llama(), string_value("general.architecture", "llama")]),
}


def change_number(path: Path, key: str, value: int) -> None:
    """Let a good file lie about one of its numbers."""
    raw = path.read_bytes()[: 1 << 20]
    place = raw.index(text(key)) + len(text(key)) + 4
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack("<I", value))
