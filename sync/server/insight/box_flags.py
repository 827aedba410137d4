"""Words that say of a box what its last weeks ask for; never a figure.

Rows of `rollup_box` in, words of `rollup_state` out, once a day. The only writer of `rollup_state.flags`.
Keeps out: what a word means to a person (`needs`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from sync.generalise import K
from sync.server.insight.equity import MEASURES
from sync.server.insight.rollups import month_of
from sync.server.storage.database import RegionDatabase

# A share of fewer rows is chance; a part of fewer than ten could be a few children.
FEWEST_FOR_FLAG = 40
FLAG_MONTHS = timedelta(days=40)


@dataclass(frozen=True)
class Flag:
    """A share above which somebody should ask how it goes. It is shown as a word, never as a figure."""

    name: str
    measure: str
    above: float
    counts_other: bool = False  # the share of the others: tries that were wrong


FLAGS = (
    Flag("failing", "failing", 0.2),
    Flag("slow", "waiting", 0.5),
    Flag("handing", "handing", 0.15),
    Flag("stuck", "success", 0.65, counts_other=True),
)


def refresh(db: RegionDatabase, today: date) -> None:
    """Say of each box what its last weeks ask for. Once a day: a flag that followed every batch would
    tell of single batches."""
    parts: dict[int, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(int)))
    wide: dict[int, int] = defaultdict(int)
    for box, vector, part, amount, learners in db.rows(
        "SELECT box_id, vector, part, sum(amount), max(learners) FROM rollup_box WHERE month >= ?"
        " GROUP BY box_id, vector, part",
        (month_of(today - FLAG_MONTHS),),
    ):
        parts[box][vector][part] += amount
        wide[box] = max(wide[box], learners)
    with db.transaction():
        for (box,) in db.rows("SELECT id FROM box"):
            flags = [flag.name for flag in FLAGS if wide[box] >= K and is_raised(flag, parts[box])]
            db.execute(
                "INSERT INTO rollup_state (box_id, flags) VALUES (?, ?)"
                " ON CONFLICT (box_id) DO UPDATE SET flags = excluded.flags",
                (box, " ".join(flags)),
            )


def is_raised(flag: Flag, vectors: Mapping[str, Mapping[str, int]]) -> bool:
    """Say whether a flag is raised, from enough rows and with ten on either side."""
    measure = MEASURES[flag.measure]
    counted, total = measure.counts(vectors.get(measure.vector, {}))
    if flag.counts_other:
        counted = total - counted
    if total < FEWEST_FOR_FLAG or min(counted, total - counted) < K:
        return False
    return counted > flag.above * total
