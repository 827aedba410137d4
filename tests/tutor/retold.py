"""Tasks of the eighth and the ninth set as free questions: cut short, or retold in other words (`retold.txt`)."""

from collections.abc import Iterator

from tests.tutor.attacks import Item
from tests.tutor.eighth import HERE, WRITTEN, items


def retold() -> Iterator[tuple[Item, str]]:
    """Yield each task with a free question of somebody who wants its answer."""
    known = {place: item for name in WRITTEN for place, item in items(name).items()}
    for line in (HERE / "retold.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            place, _, question = line.partition(" | ")
            name, language = place.split()
            yield known[name, language], question


def halved() -> Iterator[tuple[Item, str]]:
    """Yield each task with every second of its words."""
    for name in WRITTEN:
        for item in items(name).values():
            yield item, " ".join(item.task.split()[::2])
