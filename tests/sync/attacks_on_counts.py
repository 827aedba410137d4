"""Was the child there? What the nation's noisy counts tell somebody who knows everybody else's week."""

from __future__ import annotations

import math
import secrets
from collections import defaultdict
from collections.abc import Callable, Sequence

from sync.nation import CELLS, EPSILON, GRADES, MOST_CELLS, count, with_noise
from tests.sync.attacks import Found


def bound() -> float:
    """The most that anybody can be better than a coin at epsilon."""
    return (math.exp(EPSILON) - 1) / (math.exp(EPSILON) + 1)


def membership(
    release: Callable[[Sequence[int]], Sequence[int]] | None = None, trials: int = 12_000
) -> Found:
    """The attacker knows everybody else's week exactly and sees the nation's noisy numbers: was this child
    there? The best test weighs the five numbers the child could change."""
    draw = release or (lambda numbers: with_noise(numbers, secrets.randbelow))
    own = {(7, cell) for cell in CELLS[:MOST_CELLS]}
    crowd = {f"other {at}": {(7, cell) for cell in CELLS[at % 3 : at % 3 + 4]} for at in range(20)}
    first = lambda known, most: list(known)[:most]  # noqa: E731
    absent, present = count(crowd, first), count({**crowd, "Aigerim": own}, first)
    moved = [at for at in range(GRADES * len(CELLS)) if absent[at] != present[at]]
    scores: list[tuple[float, bool]] = []
    for is_there in (False, True):
        numbers = [(present if is_there else absent)[at] for at in moved]
        for _ in range(trials):
            seen = draw(numbers)
            scores.append(
                (
                    sum(abs(s - absent[m]) - abs(s - present[m]) for s, m in zip(seen, moved, strict=True)),
                    is_there,
                )
            )
    counts: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for score, is_there in scores:
        counts[score][is_there] += 1
    best = true_rate = false_rate = 0.0
    for score in sorted(counts, reverse=True):
        false_rate += counts[score][0] / trials
        true_rate += counts[score][1] / trials
        best = max(best, true_rate - false_rate)
    return Found("membership in the nation's counts", best, bound(), trials)


Draw = Callable[[int, Callable[[int], int]], int]


def worst_membership(
    trials: int = 12_000, draw: Draw = lambda number, below: with_noise([number], below)[0]
) -> Found:
    """The same for the worst list there can be: one number that the child moves by all of the sensitivity."""
    there = [draw(MOST_CELLS, secrets.randbelow) for _ in range(trials)]
    away = [draw(0, secrets.randbelow) for _ in range(trials)]
    best = max(
        sum(x >= edge for x in there) / trials - sum(x >= edge for x in away) / trials
        for edge in range(-9, 15)
    )
    return Found("membership, worst list of numbers", best, bound(), trials)
