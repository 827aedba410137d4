"""One class of thirty against several engines, in turns: ours, theirs, ours, theirs.

Promises: all sides get the same chat messages and have answered one question on the lesson before; each
round has a lesson of its own, so that no round lives on what an earlier one left in a cache.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.judging import ClassFigures, best_of, class_figures
from tests.bench.learners import PATIENCE_SECONDS, Question, ask_all
from tests.bench.lessons import ANSWER_TOKENS, QUESTIONS, lesson, messages
from tests.bench.processes import BenchFailed, say

LEARNERS = 30

# A setting of the peer that needs this many times the best one's time is not the best; the figures it has by
# then are counted in its favour.
GIVE_UP = 1.5

WARM_QUESTION = "What is this lesson about?"


@dataclass(frozen=True)
class Column:
    """A kind of work."""

    title: str
    words: int
    shared: bool  # one lesson for all, or another for each

    def questions(self, round_number: int) -> list[Question]:
        return [
            Question(
                f"learner-{n}", messages(lesson(self._lesson(round_number, n), self.words), QUESTIONS[n])
            )
            for n in range(LEARNERS)
        ]

    def warm(self, round_number: int) -> list[Question]:
        # Where nothing is shared there is nothing to warm up but the engine itself.
        text = lesson(self._lesson(round_number, 0 if self.shared else LEARNERS), self.words)
        return [Question("first", messages(text, WARM_QUESTION))]

    def _lesson(self, round_number: int, learner: int) -> int:
        if self.shared:
            return 1_000 + round_number
        return 10_000 + round_number * (LEARNERS + 1) + learner


def hold_class(
    column: Column, round_number: int, port: int, deadline_seconds: float = PATIENCE_SECONDS
) -> ClassFigures:
    ask_all(port, column.warm(round_number))
    heard = ask_all(port, column.questions(round_number), deadline_seconds)
    refused = [a for a in heard.answers if a is not None and a.status != 200]
    if refused:
        raise BenchFailed(f"{len(refused)} learners were refused: {refused[0].status} {refused[0].code}")
    return class_figures(heard.answers, heard.seconds, heard.client_seconds)


def screen(column: Column, peers: Mapping[str, int]) -> list[str]:
    """The names of the peer's best settings for this work: by speed and by the first token."""
    if len(peers) == 1:
        return list(peers)
    found: dict[str, ClassFigures] = {}
    deadline = PATIENCE_SECONDS
    for name, port in peers.items():
        found[name] = figures = hold_class(column, 0, port, deadline)
        tell(column, name, 0, figures)
        if not figures.unanswered:
            deadline = min(deadline, GIVE_UP * figures.seconds)
    fastest = best_of({name: [f.speed] for name, f in found.items()}, largest=True)
    soonest = best_of({name: [f.first_p95] for name, f in found.items()}, largest=False)
    return list(dict.fromkeys((fastest, soonest)))


def play(column: Column, rivals: Mapping[str, int], rounds: int) -> dict[str, list[ClassFigures]]:
    """All rivals in turns; every other round in the opposite order."""
    played: dict[str, list[ClassFigures]] = {name: [] for name in rivals}
    for number in range(1, rounds + 1):
        order = list(rivals) if number % 2 else list(rivals)[::-1]
        for name in order:
            figures = hold_class(column, number, rivals[name])
            played[name].append(figures)
            tell(column, name, number, figures)
    return played


def tell(column: Column, name: str, number: int, figures: ClassFigures) -> None:
    broken_off = f", {figures.unanswered} unanswered" if figures.unanswered else ""
    round_name = f"round {number}" if number else "screening"
    say(
        f"{column.title}, {name}, {round_name}: {figures.speed:.1f} tokens/s, "
        f"first token p50 {figures.first_p50:.2f} s, "
        f"p95 {figures.first_p95:.2f} s, {figures.tokens} tokens in {figures.seconds:.1f} s{broken_off}, "
        f"client {figures.client_share:.1%}"
    )


def cells_needed(column: Column, slots: int) -> int:
    """Room for the peer, which keeps the lesson once a slot; too little would make answers fail."""
    tokens_a_word = 2  # measured 1.5 with these texts and SmolLM2's vocabulary
    return slots * (column.words * tokens_a_word + 4 * ANSWER_TOKENS)
