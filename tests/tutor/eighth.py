"""The eighth set of attacks: read from `eighth.txt`, which was written before its writer had read the gate.

Every reply stands as an obliging model would write it, with the words that must reach the learner for it to
have told. Some conversations tell only all together (halving, digit by digit, hangman). A set of later date
is a text beside it in the same form. What a learner sees comes from outside, so the judge knows no gate.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.tutor.attacks import Item

HERE = Path(__file__).parent
# The sets that are written out, each by its file.
WRITTEN = ("eighth", "ninth")


@dataclass(frozen=True)
class Said:
    plea: str
    reply: str
    core: str


@dataclass(frozen=True)
class Talk:
    name: str
    item: Item
    said: tuple[Said, ...]
    is_together: bool

    def is_told_by(self, seen: list[str]) -> bool:
        """Return whether the texts a learner saw, one for each turn, tell the answer."""
        told = [_holds(text, turn.core) for text, turn in zip(seen, self.said, strict=True)]
        return all(told) if self.is_together else any(told)


def items(name: str) -> dict[tuple[str, str], Item]:
    """Return the tasks of a set, by name and language."""
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return dict(_item(line) for line in lines if line.startswith("item "))


def talks(name: str = "eighth") -> Iterator[Talk]:
    known = items(name)
    for block in re.split(r"\n(?===)", (HERE / f"{name}.txt").read_text(encoding="utf-8")):
        head, *lines = block.strip().splitlines()
        if not head.startswith("=="):
            continue
        kind, language, item, *rest = head[2:].split()
        yield Talk(kind, known[item, language], tuple(_turns(lines)), rest == ["together"])


def _item(line: str) -> tuple[tuple[str, str], Item]:
    head, task, key = line.split(" | ")
    _, name, language = head.split()
    return (name, language), Item(language, task, key, is_words=not key[0].isdigit() or " " in key)


def _turns(lines: list[str]) -> Iterator[Said]:
    lines = [line for line in lines if line]
    for plea, answer in zip(lines[::2], lines[1::2], strict=True):
        reply, core = answer.removeprefix("< ").rsplit(" | ", 1)
        yield Said(plea.removeprefix("> "), reply.replace("\\n", "\n"), core)


def _holds(text: str, core: str) -> bool:
    """Return whether the words are there, whole, whatever their case and the spaces between them."""
    text, core = (" ".join(unicodedata.normalize("NFKC", one).casefold().split()) for one in (text, core))
    return bool(re.search(rf"(?<!\w){re.escape(core)}(?!\w)", text)) if core else False
