"""What the figures must be, and whether they are: the arithmetic of the judged table.

Promises: pure. Ratios are taken round by round between neighbours in time, so that a machine that is
slower for a while is slower for both; their median is judged. Keeps out: measuring.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.bench.figures import number
from tests.bench.streams import Told


@dataclass(frozen=True)
class Must:
    """A bound on a ratio or a figure."""

    bound: float
    at_least: bool
    unit: str = "x"

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}"

    def holds(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Judged:
    """One line of the table."""

    figure: str
    ours: str
    against: str
    value: float
    must: Must

    @property
    def holds(self) -> bool:
        return self.must.holds(self.value)


def compare(figure: str, unit: str, ours: Sequence[float], against: Sequence[float], must: Must) -> Judged:
    """Judge the median of the rounds' ratios."""
    ratio = statistics.median(mine / other for mine, other in zip(ours, against, strict=True))
    both = [f"{number(statistics.median(values))} {unit}" for values in (ours, against)]
    return Judged(figure, both[0], both[1], ratio, must)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    if not values:
        raise ValueError("no value to take a percentile of")
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


@dataclass(frozen=True)
class ClassFigures:
    """One class, one round. Learners who got nothing in time count as waiting until then: a lower bound."""

    speed: float
    first_p50: float
    first_p95: float
    seconds: float
    tokens: int
    prompt_tokens: int
    unanswered: int
    client_share: float  # of one core, taken by the client


def class_figures(answers: Sequence[Told | None], seconds: float, client_seconds: float) -> ClassFigures:
    heard = [answer for answer in answers if answer is not None and answer.status == 200]
    unanswered = len(answers) - len(heard)
    firsts = [answer.first_token_seconds for answer in heard] + [seconds] * unanswered
    # A class that was broken off has no last token; its time is the deadline.
    end = seconds if unanswered else max(answer.last_token_seconds for answer in heard)
    tokens = sum(answer.tokens for answer in heard)
    return ClassFigures(
        tokens / end,
        percentile(firsts, 0.5),
        percentile(firsts, 0.95),
        end,
        tokens,
        sum(answer.prompt_tokens for answer in heard),
        unanswered,
        client_seconds / seconds,
    )


def best_of(rounds: Mapping[str, Sequence[float]], *, largest: bool) -> str:
    """Whose median is best."""
    medians = {name: statistics.median(values) for name, values in rounds.items()}
    return max(medians, key=lambda name: medians[name] if largest else -medians[name])


def same_texts(alone: Sequence[str], together: Sequence[str]) -> tuple[float, list[int]]:
    """The share of equal texts, and the numbers of those that differ."""
    pairs = enumerate(zip(alone, together, strict=True))
    different = [index for index, (one, other) in pairs if one != other]
    return 1 - len(different) / len(alone), different


def gap_at_difference(alone: str, together: str, pieces: Sequence[bytes], gaps: Sequence[float]) -> float:
    """How close the choice was at the token where two answers to one prompt part."""
    one, other = alone.encode(), together.encode()
    common = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    reached = 0
    for piece, gap in zip(pieces, gaps, strict=True):
        reached += len(piece)
        if reached > common:
            return gap
    return gaps[-1]


def judged_table(rows: Sequence[Judged]) -> str:
    """Markdown, aligned for a terminal, too."""
    cells = [("figure", "ours", "against", "result", "must", "holds")]
    for row in rows:
        unit = f" {row.must.unit}"
        verdict = "yes" if row.holds else "NO"
        cells.append((row.figure, row.ours, row.against, number(row.value) + unit, str(row.must), verdict))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in cells
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join((lines[0], rule, *lines[1:]))
