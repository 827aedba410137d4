"""The model cards, by name: those that ship with this version, or a newer catalogue that was brought.

A catalogue is a folder of cards, a list of them (`card_index`) and a signature of the list. Nothing is
believed before the signature was checked; a card that is not the signed one is refused alone, and the
others go on working. Of several catalogues the highest version counts.
"""

import copy
import logging
import os
import shutil
import tomllib
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from models.card import ModelCard, is_card_name, read_card
from models.card_index import CardIndex, read_index
from models.errors import (
    CardInvalid,
    CatalogueAbsent,
    CatalogueDamaged,
    CatalogueOlder,
    CatalogueUnreadable,
    CatalogueUntrusted,
    ModelsError,
    ModelUnknown,
)
from models.verification import is_signed

INDEX = "catalogue.json"
SIGNATURE = "catalogue.sig"
CARD_ENDING = ".toml"
# On a stick or in a .zip file the catalogue may lie in a folder of this name.
FOLDER = "sandyq-catalogue"
# A list of some hundred cards is 50 kB, a card 2 kB: what a stick holds must not fill the memory.
MOST_BYTES = 1 << 20
MOST_CARDS = 1000
# A catalogue is public; the engine may run as another account than the one that imported.
FILE_MODE, FOLDER_MODE = 0o644, 0o755


logger = logging.getLogger(__name__)


class Catalogue:
    """The cards that may be used, and what was refused beside them."""

    def __init__(
        self,
        cards: Iterable[ModelCard],
        index: CardIndex | None = None,
        refused: Iterable[ModelsError] = (),
    ) -> None:
        self._cards = {card.name: card for card in sorted(cards, key=lambda card: card.name)}
        self.index = index or CardIndex(0, "", {})
        self.refused = tuple(refused)
        self.is_brought = False

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def find(self, name: str) -> ModelCard | None:
        return self._cards.get(name)

    def with_card(self, card: ModelCard) -> "Catalogue":
        """The same catalogue with this card in place of the one of its name."""
        changed = copy.copy(self)
        changed._cards = self._cards | {card.name: card}
        return changed

    def get(self, name: str) -> ModelCard:
        card = self.find(name)
        if card is None:
            for error in self.refused:
                if error.params.get("name", name) == name:  # this card, or a whole catalogue
                    raise error
            raise ModelUnknown(name=name, known=", ".join(self._cards))
        return card


@dataclass(frozen=True)
class Bundle:
    """A catalogue's files as they lie there, nothing of them believed yet."""

    path: object  # told to people
    index: bytes
    signature: bytes
    cards: Mapping[str, bytes]

    def open(self, public_key: bytes) -> Catalogue:
        """Check all of it; raises only when the whole cannot be believed."""
        if not is_signed(self.index, self.signature, public_key):
            raise CatalogueUntrusted(path=self.path)
        index = read_index(self.index, self.path)
        refused = index.refusals(self.cards)
        wrong, cards = {error.params["name"] for error in refused}, []
        for name in sorted(self.cards.keys() - wrong):
            try:
                cards.append(_parse(name, self.cards[name]))
            except CardInvalid as error:
                refused.append(error)
        return Catalogue(cards, index, refused)

    def write(self, folder: Path) -> None:
        named = {f"{name}{CARD_ENDING}": content for name, content in self.cards.items()}
        for name, content in (named | {INDEX: self.index, SIGNATURE: self.signature.hex().encode()}).items():
            with (folder / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), FILE_MODE)


def _parse(name: str, content: bytes) -> ModelCard:
    try:
        return read_card(name, tomllib.loads(content.decode()))
    except (ValueError, RecursionError) as error:
        raise CardInvalid(name=name, detail=str(error)) from error


def read_bundle(folder: Traversable, path: object) -> Bundle:
    """Read the files, each to a limit; what does not look like part of a catalogue is passed over."""
    if not (folder / INDEX).is_file():
        raise CatalogueAbsent(path=path)
    try:
        return Bundle(
            path,
            _content(folder / INDEX),
            bytes.fromhex(_content(folder / SIGNATURE).decode()),
            read_cards(folder),
        )
    # A .zip file can be broken in more ways than a folder.
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        detail = getattr(error, "strerror", None) or str(error)
        raise CatalogueUnreadable(path=path, detail=detail) from error


def read_cards(folder: Traversable) -> dict[str, bytes]:
    entries = [entry for entry in folder.iterdir() if entry.name.endswith(CARD_ENDING) and entry.is_file()]
    if len(entries) > MOST_CARDS:
        raise ValueError(f"more than {MOST_CARDS} cards")
    names = {entry.name.removesuffix(CARD_ENDING): entry for entry in entries}
    return {name: _card(entry) for name, entry in sorted(names.items()) if is_card_name(name)}


def _card(file: Traversable) -> bytes:
    """What cannot be read, or is too large, is no signed card; it must not hide the others."""
    try:
        return _content(file)
    except (OSError, ValueError):
        return b""


def _content(file: Traversable) -> bytes:
    with file.open("rb") as source:
        content: bytes = source.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"{file.name} is too large")
    return content


def maintainers_key() -> bytes:
    table = tomllib.loads((files("models") / "catalogue_key.toml").read_text(encoding="utf-8"))
    return bytes.fromhex(table["ed25519_public"])


def shipped_catalogue() -> Catalogue:
    """The cards of this version; when nothing of them can be believed, an empty one that says why."""
    folder = files("models") / "cards"
    try:
        return read_bundle(folder, "models/cards").open(maintainers_key())
    except (CatalogueUntrusted, CatalogueUnreadable) as error:
        return Catalogue([], refused=[_damaged("models/cards", error)])


def _damaged(path: object, error: ModelsError | OSError) -> CatalogueDamaged:
    logger.warning("%s: %s", path, error)
    return CatalogueDamaged(path=path)


# --- catalogues that were brought ---


def newest_catalogue(shipped: Catalogue, brought: Path) -> Catalogue:
    """The shipped catalogue or one that was brought here: the highest version, then the one that is whole."""
    best, broken = shipped, list[ModelsError]()
    try:
        folders = sorted(brought.iterdir()) if brought.is_dir() else []
    except OSError as error:
        folders = []
        broken.append(_damaged(brought, error))
    for folder in (each for each in folders if each.name.isdecimal()):
        try:
            found = read_bundle(folder, folder).open(maintainers_key())
        except (CatalogueUntrusted, CatalogueUnreadable) as error:
            broken.append(_damaged(folder, error))
            continue
        found.is_brought = True
        best = max(best, found, key=lambda each: (each.index.version, -len(each.refused)))
    best.refused += tuple(broken)
    return best


def find_bundle(path: Path) -> Bundle:
    """What a person brought: a folder, a stick with the folder on it, or a .zip file."""
    try:
        place: Traversable = zipfile.Path(path) if path.is_file() else path
        inner = place / FOLDER
        return read_bundle(inner if inner.is_dir() else place, path)
    except (OSError, zipfile.BadZipFile) as error:
        raise CatalogueUnreadable(path=path, detail=str(error)) from error


def admit(bundle: Bundle, here: Catalogue) -> bool:
    """Check a brought catalogue whole, every card; False when the box has it already."""
    offered = bundle.open(maintainers_key())
    if offered.refused:
        raise offered.refused[0]
    if offered.index == here.index:
        return bool(here.refused)  # the same again mends what is damaged here
    if offered.index.version <= here.index.version:
        raise CatalogueOlder(offered=offered.index.version, here=here.index.version)
    return True


def keep(bundle: Bundle, brought: Path) -> None:
    """Put an admitted catalogue in place of all that were brought before; raises OSError."""
    version = read_index(bundle.index, bundle.path).version
    part, place = brought / f"{version}.part", brought / str(version)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for folder in (brought, part):
        folder.chmod(FOLDER_MODE)
    bundle.write(part)
    shutil.rmtree(place, ignore_errors=True)
    part.rename(place)
    for old in brought.iterdir():
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
