"""How long until the first word: a forecast from measured steps, and what follows from it.

Pure. Steps come in as they were measured; averages forget slowly, so heat and other programs show. The
forecast plays the queue through: rows become free when an answer ends or its turn is over, prompts are
read one after the other, each first word costs a step.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

# The weight of the newest measurement: about the last 20 steps count.
NEWEST = 0.1
# Half of a lesson's work phase in front of an empty page: beyond it a child is better told to come back.
LONGEST_WAIT_SECONDS = 120.0
# From this wait on answers get shorter, so that more children get one.
SHORTEN_SECONDS = 30.0
# An answer of a page, and what is left of it at most shortening: three sentences.
FULL_CHARACTERS = 1200
SHORT_CHARACTERS = 240
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 5, 60
# Tokens of an answer, and characters of a token, until some were seen.
FIRST_ANSWER_TOKENS = 100.0
FIRST_TOKEN_CHARACTERS = 3.0


class _Average:
    def __init__(self, start: float = 0.0) -> None:
        self.value = start
        self._is_known = False

    def note(self, value: float) -> None:
        self.value = self.value + NEWEST * (value - self.value) if self._is_known else value
        self._is_known = True

    def __bool__(self) -> bool:
        return self._is_known


@dataclass(frozen=True, slots=True)
class Turn:
    """What one request still needs: rows of prompt to read, tokens at most to write."""

    rows: int
    tokens: int


class Speeds:
    def __init__(self) -> None:
        self._steps: dict[int, _Average] = {}  # seconds of a step without prompts, by answers in it
        self._prompt_row = _Average()
        self._answer_tokens = _Average(FIRST_ANSWER_TOKENS)
        self._token_characters = _Average(FIRST_TOKEN_CHARACTERS)

    def note_step(self, answers: int, prompt_rows: int, seconds: float) -> None:
        if not prompt_rows:
            self._steps.setdefault(answers, _Average()).note(seconds)
        else:
            # What the answers in it would have cost alone is not the prompt's.
            self._prompt_row.note(max(0.0, seconds - self.step_seconds(answers)) / prompt_rows)

    def note_answer(self, tokens: int, characters: int) -> None:
        self._answer_tokens.note(tokens)
        if tokens:
            self._token_characters.note(characters / tokens)

    def step_seconds(self, answers: int) -> float:
        """As measured with so many answers, or with the nearest number; 0 = not known, or no answers."""
        if not answers or not self._steps:
            return 0.0
        return self._steps[min(self._steps, key=lambda known: (abs(known - answers), known))].value

    def reading_seconds(self, rows: int) -> float:
        return rows * self._prompt_row.value

    def typed_weight(self, answers: int) -> float | None:
        """The work of a typed character, in written ones; None = not known.

        Tokens a character are averaged over the class, for both alike: what a language costs is not the
        learner's fault.
        """
        step = self.step_seconds(answers)
        if not step or not self._prompt_row:
            return None
        return min(1.0, max(0.01, self._prompt_row.value / (step / answers)))

    def forecast(
        self, running: Sequence[Turn], waiting: Sequence[Turn], rows: int, slice_characters: int
    ) -> list[float]:
        """Seconds until the first word of each that waits, in the order of the queue."""
        step = self.step_seconds(min(rows, len(running) + len(waiting)))
        # While others wait nobody writes longer than a turn.
        turn = slice_characters / max(0.5, self._token_characters.value) if waiting else float("inf")

        def write(tokens: int) -> float:
            return step * min(tokens, self._answer_tokens.value, turn)

        read_at = sum(self.reading_seconds(one.rows) for one in running)
        free_at = sorted([write(one.tokens) for one in running][:rows] + [0.0] * (rows - len(running)))
        heapq.heapify(free_at)
        seconds = []
        for one in waiting:
            read_at = max(read_at, heapq.heappop(free_at)) + self.reading_seconds(one.rows)
            seconds.append(read_at + step)
            heapq.heappush(free_at, read_at + step + write(one.tokens))
        return seconds


def answer_limit(wanted: int, wait_seconds: float) -> int:
    """Characters an answer may have, 0 = any number, while the last in the queue waits so long.

    The rule: up to 30 s as long as it wants; then in proportion to 30 s over the wait, counted from a page;
    never less than three sentences. In characters, so that it cuts alike in every language.
    """
    if wait_seconds <= SHORTEN_SECONDS:
        return wanted
    allowed = max(SHORT_CHARACTERS, round(FULL_CHARACTERS * SHORTEN_SECONDS / wait_seconds))
    return min(wanted, allowed) if wanted else allowed


def retry_seconds(wait_seconds: float) -> int:
    """When it is worth asking again: after about half of the queue has gone."""
    return round(min(MOST_RETRY_SECONDS, max(LEAST_RETRY_SECONDS, wait_seconds / 2)))
