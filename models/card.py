"""A model card: the facts about one model file, above all its digest.

Pure. A card is trusted because it ships with the software; the file it describes is trusted
only after `verification` has compared every byte.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from models.errors import CardInvalid

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class WheelSource:
    """The file lies inside a wheel of the Python package index."""

    requirement: str  # pinned, as pip reads it
    member: str  # path inside the wheel
    bytes: int  # size of the wheel, for progress and disk space


@dataclass(frozen=True)
class UrlSource:
    url: str


@dataclass(frozen=True)
class ModelCard:
    name: str
    title: str
    licence: str
    languages: tuple[str, ...]
    parameters: int
    context_tokens: int
    file_name: str
    sha256: str
    bytes: int
    source: WheelSource | UrlSource


def read_card(name: str, table: Mapping[str, object]) -> ModelCard:
    """Build a card from its TOML table; a missing, odd or unknown field is refused."""
    reader = _Reader(name, table)
    file, source = reader.table("file"), reader.table("source")
    card = ModelCard(
        name=reader.text("name"),
        title=reader.text("title"),
        licence=reader.text("licence"),
        languages=reader.texts("languages"),
        parameters=reader.number("parameters"),
        context_tokens=reader.number("context_tokens"),
        file_name=file.text("name"),
        sha256=file.text("sha256"),
        bytes=file.number("bytes"),
        source=_read_source(source),
    )
    for part in (reader, file, source):
        part.refuse_unknown()
    if card.name != name or not _NAME.fullmatch(name):
        raise CardInvalid(name=name, detail="its name and its file name differ or are odd")
    if not _SHA256.fullmatch(card.sha256):
        raise CardInvalid(name=name, detail="sha256 must be 64 small hexadecimal digits")
    return card


def _read_source(source: "_Reader") -> WheelSource | UrlSource:
    kind = source.text("kind")
    if kind == "wheel":
        return WheelSource(source.text("requirement"), source.text("member"), source.number("bytes"))
    if kind == "url":
        return UrlSource(source.text("url"))
    raise CardInvalid(name=source.name, detail=f"unknown kind of source {kind!r}")


class _Reader:
    """Takes typed fields out of a TOML table and remembers which were taken."""

    def __init__(self, name: str, table: Mapping[str, object]) -> None:
        self.name = name
        self._table = table
        self._taken: set[str] = set()

    def text(self, key: str) -> str:
        value = self._take(key)
        if not isinstance(value, str) or not value:
            raise CardInvalid(name=self.name, detail=f"{key} must be text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise CardInvalid(name=self.name, detail=f"{key} must be a list of texts")
        return tuple(value)

    def number(self, key: str) -> int:
        value = self._take(key)
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise CardInvalid(name=self.name, detail=f"{key} must be a positive whole number")
        return value

    def table(self, key: str) -> "_Reader":
        value = self._take(key)
        if not isinstance(value, dict):
            raise CardInvalid(name=self.name, detail=f"the section [{key}] is missing")
        return _Reader(self.name, value)

    def refuse_unknown(self) -> None:
        unknown = sorted(set(self._table) - self._taken)
        if unknown:
            raise CardInvalid(name=self.name, detail=f"unknown field {unknown[0]}")

    def _take(self, key: str) -> object:
        self._taken.add(key)
        return self._table.get(key)
