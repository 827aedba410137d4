"""The list that makes a catalogue one thing: which cards, each under its SHA-256, which version, which day.

Pure. The signature is over the bytes of this list, so it covers the cards too. The version decides which
catalogue is newer, never the day: a box may not know what day it is.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from models.card import is_card_name, is_digest
from models.errors import CardChanged, CardMissing, CardUnsigned, CatalogueUnreadable, ModelsError

FORMAT = 1


@dataclass(frozen=True)
class CardIndex:
    version: int
    date: str  # for people
    cards: Mapping[str, str]  # name: SHA-256 of the card's file

    def to_bytes(self) -> bytes:
        table = {"format": FORMAT, "version": self.version, "date": self.date, "cards": dict(self.cards)}
        return (json.dumps(table, indent=1, sort_keys=True) + "\n").encode()

    def refusals(self, files: Mapping[str, bytes]) -> list[ModelsError]:
        """What is wrong with these files (name: content of each card), one error for each card."""
        wrong: list[ModelsError] = []
        for name in sorted(self.cards.keys() | files.keys()):
            if name not in files:
                wrong.append(CardMissing(name=name))
            elif name not in self.cards:
                wrong.append(CardUnsigned(name=name))
            elif hashlib.sha256(files[name]).hexdigest() != self.cards[name]:
                wrong.append(CardChanged(name=name))
        return wrong


def index_of(version: int, date: str, files: Mapping[str, bytes]) -> CardIndex:
    cards = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return CardIndex(version, date, cards)


def read_index(data: bytes, path: object) -> CardIndex:
    """Read a list whose signature was checked; `path` is only told to people."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CatalogueUnreadable(path=path, detail=f"its list is damaged ({error})") from error
    if not isinstance(table, dict) or table.get("format") != FORMAT:
        raise CatalogueUnreadable(path=path, detail="it was made for another version of Sandyq")
    version, date, cards = table.get("version"), table.get("date"), table.get("cards")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise CatalogueUnreadable(path=path, detail="its version is no whole number")
    if not isinstance(date, str) or not isinstance(cards, dict):
        raise CatalogueUnreadable(path=path, detail="its list is incomplete")
    for name, digest in cards.items():
        if not is_card_name(name) or not isinstance(digest, str) or not is_digest(digest):
            raise CatalogueUnreadable(path=path, detail=f"its entry {name!r} is odd")
    return CardIndex(version, date, cards)
