"""The model cards that ship with this version, by name."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.resources import files

from models.card import ModelCard, read_card
from models.errors import CardInvalid, ModelUnknown


class Catalogue:
    def __init__(self, cards: Iterable[ModelCard]) -> None:
        self._cards = {card.name: card for card in sorted(cards, key=lambda card: card.name)}

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def find(self, name: str) -> ModelCard | None:
        return self._cards.get(name)

    def with_card(self, card: ModelCard) -> "Catalogue":
        """The same catalogue with this card in place of the one of its name."""
        return Catalogue((self._cards | {card.name: card}).values())

    def get(self, name: str) -> ModelCard:
        card = self.find(name)
        if card is None:
            raise ModelUnknown(name=name, known=", ".join(self._cards))
        return card


def shipped_catalogue() -> Catalogue:
    """Read the cards in `models/cards/`; the file name is the model's name."""
    cards = []
    for entry in (files("models") / "cards").iterdir():
        name, dot, ending = entry.name.rpartition(".")
        if not dot or ending != "toml":
            continue
        try:
            table = tomllib.loads(entry.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise CardInvalid(name=name, detail=str(error)) from error
        cards.append(read_card(name, table))
    return Catalogue(cards)
