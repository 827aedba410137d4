"""Are languages and schools treated alike? Shares, waits and how far chance alone could move them.

Learners of one school are alike, so a thousand answers of five schools say less
than a thousand of a hundred: `effective_rows` counts them down by how far the
schools are apart (the design effect of a ratio over clusters). Everything here
works on told blocks (`threshold`) and promises only what those can carry; each
panel has a sentence on what it cannot tell. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sync.errors import N_

# The range that is drawn: nineteen of twenty such ranges hold the truth.
Z_SHOWN = 1.96
# Some twenty comparisons stand on the page: with 99.7 % each, one false alarm in about twenty pages.
Z_DIFFERS = 3.0
# Less than this is no difference a child would feel, however certain it is.
LEAST_DIFFERENCE = 0.03


@dataclass(frozen=True)
class Vector:
    """What is counted together and told together, so that no two countings of one thing can be
    subtracted from each other."""

    name: str
    parts: tuple[str, ...]
    title: str


# By the size class of an answer's duration, from asking to its last word: up to 8, 16 and 33 seconds.
WAITS: Mapping[str, int] = {"s8": 13, "s16": 14, "s33": 15}
LONG, UNTIMED = "long", "untimed"
TIMED = (*WAITS, LONG)

VECTORS: Mapping[str, Vector] = {
    vector.name: vector
    for vector in (
        Vector("answers", ("failed", *TIMED, UNTIMED), N_("How questions ended")),
        Vector("questions", ("asked", "refused", "handed"), N_("Questions, refusals, hand-backs")),
        Vector("tries", ("right", "wrong"), N_("Checked tries at tasks")),
    )
}


def place_of(
    kind: str | None, outcome: str | None, result: str | None, duration: int | None
) -> tuple[str, str] | None:
    """Return the vector and the part in which a row is counted, or None for a row that says nothing of it."""
    match kind, outcome, result:
        case "question_asked", _, _:
            return "questions", "asked"
        case "question_refused", _, _:
            return "questions", "refused"
        case "hand_back", _, _:
            return "questions", "handed"
        case "attempt_checked", _, "right" | "wrong":
            return "tries", str(result)
        case "answer_finished", "failed" | "stopped", _:
            return "answers", "failed"
        # How it ended is left out where all of a small class ended alike, which is nearly always well.
        case "answer_finished", _, _:
            return "answers", _wait(duration)
    return None


def _wait(duration: int | None) -> str:
    if duration is None:
        return UNTIMED
    return next((part for part, highest in WAITS.items() if duration <= highest), LONG)


@dataclass(frozen=True)
class Measure:
    """One thing that is compared: the share of some parts of a vector."""

    name: str
    vector: str
    counted: tuple[str, ...]
    of: tuple[str, ...]  # these and the counted make the whole
    title: str
    share: str  # what the share is of
    cannot: str
    axes: tuple[str, ...]

    def counts(self, parts: Mapping[str, int]) -> tuple[int, int]:
        """Return how many are counted, and of how many."""
        counted = sum(parts.get(part, 0) for part in self.counted)
        return counted, counted + sum(parts.get(part, 0) for part in self.of)


AXES: Mapping[str, tuple[str, ...]] = {
    "language": ("kk", "ru", "en"),
    "stratum": ("rural", "urban"),
    "size_class": ("small", "large"),
}
_ALL_AXES = tuple(AXES)
# A school of few learners tells hardly ever that one of them was refused: small and large cannot be compared.
_WITHOUT_SIZE = ("language", "stratum")

MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure(
            "waiting",
            "answers",
            (LONG,),
            tuple(WAITS),
            N_("Waiting for an answer"),
            N_("Answers that took longer than half a minute, from asking to the last word."),
            N_(
                "Why: a slow machine, many learners at once and long questions look the same."
                " Durations that fewer than ten learners of a school share are left out in the school:"
                " very long waits are understated, most of all in small schools."
            ),
            _ALL_AXES,
        ),
        Measure(
            "failing",
            "answers",
            ("failed",),
            (*TIMED, UNTIMED),
            N_("Questions without an answer"),
            N_("Questions that ended in a fault or were stopped."),
            N_(
                "Whether the machine failed or a lesson was stopped. A fault that met everybody of a small"
                " class is hidden by the school's own protection: all shares are too low, and small schools"
                " cannot be compared at all."
            ),
            _WITHOUT_SIZE,
        ),
        Measure(
            "success",
            "tries",
            ("right",),
            ("wrong",),
            N_("Tries that were right"),
            N_("Checked tries at tasks that were right."),
            N_(
                "Who learns more: schools set different tasks, and an easy task is right more often."
                " A difference is a question to ask, not a result. Where all of a small class were right, or"
                " all wrong, neither is told."
            ),
            _ALL_AXES,
        ),
        Measure(
            "refusing",
            "questions",
            ("refused",),
            ("asked",),
            N_("Refused questions"),
            N_("Questions that a rule of the lesson refused."),
            N_(
                "Anything of small schools: a refusal leaves a school only where ten learners had one."
                " All shares are too low, lowest for the smaller languages: no difference here is no proof"
                " of equal treatment."
            ),
            _WITHOUT_SIZE,
        ),
        Measure(
            "handing",
            "questions",
            ("handed",),
            ("asked",),
            N_("Learners handed to a person"),
            N_("Times the tutor stepped back, among these and the questions asked."),
            N_(
                "Anything of small schools, and of distress, which no box ever tells. All shares are too low,"
                " lowest for the smaller languages: no difference here is no proof of equal treatment."
            ),
            _WITHOUT_SIZE,
        ),
    )
}


# One group ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Share:
    """A share with the range that chance leaves open."""

    count: int
    total: int
    effective: float  # as many independent rows say as much

    @property
    def value(self) -> float:
        return self.count / self.total

    def between(self, z: float = Z_SHOWN) -> tuple[float, float]:
        """Wilson's interval: it stays inside 0 and 1 and is honest near both."""
        return wilson(self.value, self.effective, z)


def wilson(share: float, rows: float, z: float) -> tuple[float, float]:
    """Return the score interval of a share of so many independent rows."""
    square = z * z
    middle = (share + square / (2 * rows)) / (1 + square / rows)
    half = z / (1 + square / rows) * math.sqrt(share * (1 - share) / rows + square / (4 * rows * rows))
    return max(0.0, middle - half), min(1.0, middle + half)


def effective_rows(counts: Iterable[tuple[int, int]]) -> float:
    """Return how many independent rows say as much as these of several schools.

    Each pair is of one school: how many of the first part, how many in all. The variance of the share over
    the schools (ratio estimator, with the correction for few schools) against that of independent rows.
    """
    schools = [(first, total) for first, total in counts if total]
    rows = sum(total for _, total in schools)
    share = sum(first for first, _ in schools) / rows
    if len(schools) < 2:
        return 1.0
    spread = sum((first - share * total) ** 2 for first, total in schools)
    between = spread * len(schools) / (len(schools) - 1) / rows**2
    # Where all say the same, nothing tells how far schools are apart: each then counts as one.
    if share in {0.0, 1.0}:
        return float(len(schools))
    return min(float(rows), share * (1 - share) / between) if between else float(rows)


def rounded_down(rows: float) -> int:
    """Two digits: enough for a range, too few to work backwards to a school."""
    whole = max(1, int(rows))
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return whole - whole % step


# Two groups -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """How far two groups are apart, and whether more than chance is behind it."""

    first: str
    second: str
    value: float
    low: float
    high: float

    @property
    def is_certain(self) -> bool:
        return (self.low > 0 or self.high < 0) and abs(self.value) >= LEAST_DIFFERENCE


def difference(first: tuple[str, Share], second: tuple[str, Share], z: float = Z_DIFFERS) -> Difference:
    """Compare two shares (Newcombe's interval from Wilson's two)."""
    (name, one), (other_name, other) = first, second
    (low, high), (other_low, other_high) = one.between(z), other.between(z)
    value = one.value - other.value
    return Difference(
        name,
        other_name,
        value,
        value - math.hypot(one.value - low, other_high - other.value),
        value + math.hypot(high - one.value, other.value - other_low),
    )


# A month's page ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """What was told of one part of one cell in a month."""

    stratum: str
    size_class: str
    language: str
    vector: str
    part: str
    rows: int


def effective_part(measure: Measure) -> str:
    """Return the name under which the effective rows of a measure stand beside the parts."""
    return f"~{measure.name}"


@dataclass(frozen=True)
class Panel:
    """One measure along one axis."""

    measure: Measure
    axis: str
    shares: tuple[tuple[str, Share | None], ...]  # None: too few to tell
    differences: tuple[Difference, ...]

    @property
    def certain(self) -> tuple[Difference, ...]:
        return tuple(one for one in self.differences if one.is_certain)


def panels(told: Sequence[Told]) -> tuple[Panel, ...]:
    """Return every comparison of one month."""
    return tuple(panel(measure, axis, told) for measure in MEASURES.values() for axis in measure.axes)


def panel(measure: Measure, axis: str, told: Sequence[Told]) -> Panel:
    """Compare the groups of an axis by one measure."""
    own = [one for one in told if one.vector == measure.vector]
    shares = tuple((group, _share(measure, parts_of(own, axis, group))) for group in AXES[axis])
    known = [(group, share) for group, share in shares if share is not None]
    pairs = [(one, other) for at, one in enumerate(known) for other in known[at + 1 :]]
    return Panel(measure, axis, shares, tuple(difference(one, other) for one, other in pairs))


def parts_of(told: Sequence[Told], axis: str, group: str) -> dict[str, int]:
    """Add up the cells of a group."""
    counted: dict[str, int] = {}
    for one in told:
        if getattr(one, axis) == group:
            counted[one.part] = counted.get(one.part, 0) + one.rows
    return counted


def _share(measure: Measure, parts: Mapping[str, int]) -> Share | None:
    counted, total = measure.counts(parts)
    effective = parts.get(effective_part(measure), 0)
    if not total or not effective:
        return None
    return Share(counted, total, float(min(total, effective)))
