"""How much help a learner gets with a task, decided from their own attempts. Pure.

A state machine, and the only one who says when a solution may be seen; the prompt has no say. Promises: help
never jumps a rung, never falls back, and no solution comes without as many different attempts as there
are rungs below it, or the right answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

ATTEMPT, STEP_QUESTION, NUDGE, PRINCIPLE, TWIN, SOLUTION = range(6)
# Whoever types the next guess faster has not read the hint (36 % of help requests skip it, Aleven 2006).
THINK = timedelta(seconds=8)
# A hint refused three times over is not a matter for a fourth hint.
REFUSALS_TO_PERSON = 3


@dataclass(frozen=True)
class Step:
    """One thing a learner did: gave an answer, or said that the hint did not help."""

    kind: str  # answer, no_help
    text: str
    is_right: bool
    at: datetime


@dataclass(frozen=True)
class Standing:
    """Where a learner stands with one task."""

    rung: int = ATTEMPT
    is_solved: bool = False
    tried: frozenset[str] = frozenset()
    refused: frozenset[int] = frozenset()  # the rungs whose hint did not help
    climbed_at: datetime | None = None

    @property
    def may_see_solution(self) -> bool:
        return self.is_solved or self.rung >= SOLUTION

    @property
    def needs_person(self) -> bool:
        return not self.is_solved and len(self.refused) >= REFUSALS_TO_PERSON


def standing(steps: Iterable[Step]) -> Standing:
    """Return where these steps, in their order, have brought a learner."""
    reached = Standing()
    for step in steps:
        reached = after(reached, step)
    return reached


def after(before: Standing, step: Step) -> Standing:
    """Return the standing after one more step."""
    if before.is_solved:
        return before
    if step.kind == "no_help":
        # Before the first hint there is nothing to refuse, and one hint is refused once.
        refused = before.refused | {before.rung} if before.rung > ATTEMPT else before.refused
        return replace(before, refused=refused)
    if step.is_right:
        return replace(before, is_solved=True)
    return _after_wrong(before, step)


def is_too_fast(before: Standing, at: datetime) -> bool:
    """Return whether a wrong answer at this time would come before the last hint was read."""
    return before.climbed_at is not None and at - before.climbed_at < THINK


def _after_wrong(before: Standing, step: Step) -> Standing:
    guess = " ".join(step.text.casefold().split())
    if not guess or guess in before.tried:
        return before
    tried = before.tried | {guess}
    if is_too_fast(before, step.at):
        # Not remembered: the same thought, given again after reading, is an attempt.
        return before
    return replace(before, rung=min(before.rung + 1, SOLUTION), tried=tried, climbed_at=step.at)
