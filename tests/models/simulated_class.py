"""A class at the scheduler with simulated step times: an hour of lessons in seconds, and no model.

Languages differ as in common vocabularies (tokens a word, research of this project): Kazakh 5.3, Russian
2.6, English 1.2; a word is taken as 6 characters in all of them, so equal text is equal text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from models.protocol import Priority, Span
from models.scheduler import Scheduler
from models.seats import Request

TOKENS_A_WORD = {"kk": 5.3, "ru": 2.6, "en": 1.2}
WORD_CHARACTERS = 6
# Of the order of SmolLM2-135M on one core: what matters are the proportions.
STEP_SECONDS, ANSWER_ROW_SECONDS, PROMPT_ROW_SECONDS = 0.020, 0.006, 0.005


@dataclass
class Question:
    learner: str
    language: str = "en"
    typed_words: int = 12
    answer_words: int = 40
    priority: Priority = Priority.LEARNER
    asked_at: float = 0.0
    first_word_at: float = -1.0
    finished_at: float = -1.0
    written: float = 0.0  # characters

    @property
    def tokens_a_character(self) -> float:
        return TOKENS_A_WORD[self.language] / WORD_CHARACTERS

    def tokens(self, words: int) -> int:
        return max(1, round(words * TOKENS_A_WORD[self.language]))

    @property
    def wait(self) -> float:
        return self.first_word_at - self.asked_at


@dataclass
class SimulatedClass:
    rows: int = 8
    sequences: int = 48
    cells: int = 40_000
    lesson: int = 200
    now: float = 0.0
    then: Callable[[Question], None] = lambda _: None  # when one is answered
    questions: dict[int, Question] = field(default_factory=dict)
    longest_gap: float = 0.0  # between two words of an answer that has a row

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.rows, self.sequences, self.cells)
        self.scheduler.fairness.typed_weight = PROMPT_ROW_SECONDS / (STEP_SECONDS / 8 + ANSWER_ROW_SECONDS)

    def ask(self, question: Question) -> int:
        number = len(self.questions) + 1
        question.asked_at = self.now
        self.questions[number] = question
        tail = [number * 100_000 + place for place in range(question.tokens(question.typed_words))]
        request = Request(
            number,
            [*range(self.lesson), *tail],
            question.tokens(question.answer_words),
            learner=question.learner,
            priority=question.priority,
            characters=question.typed_words * WORD_CHARACTERS,
            arrived=self.now,
        )
        self.scheduler.arrive(request)
        return number

    def step(self) -> None:
        scheduler = self.scheduler
        scheduler.admit(self.now)
        scheduler.memory.take_changes()
        written = {slot.sequence for slot in scheduler.slots if slot.prompt_left <= 0}
        began = self.now
        for number, spans in enumerate(scheduler.plans()):
            answers = [span.sequence for span in spans if span.sequence in written]
            assert number or len(answers) == len(written), "an answer was left out of a step"
            self._run(spans, answers)
        self.longest_gap = max(self.longest_gap, self.now - began if written else 0.0)

    def _run(self, spans: list[Span], answers: list[int]) -> None:
        scheduler = self.scheduler
        slots = {slot.sequence: slot for slot in scheduler.slots}
        prompt_rows = sum(len(span.tokens) for span in spans if span.sequence not in answers)
        seconds = STEP_SECONDS + len(answers) * ANSWER_ROW_SECONDS + prompt_rows * PROMPT_ROW_SECONDS
        self.now += seconds
        for span in spans:
            scheduler.advance(span)
            if span.wants_token:
                self._write(slots[span.sequence].request.number, span.sequence)

    def _write(self, number: int, sequence: int) -> None:
        question = self.questions[number]
        if question.first_word_at < 0:
            question.first_word_at = self.now
        before = int(question.written)
        question.written += 1 / question.tokens_a_character
        if not self.scheduler.answer(sequence, 7, int(question.written) - before):
            question.finished_at = self.now
            self.scheduler.leave(number, keep=True)
            self.then(question)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            if self.scheduler.is_idle():
                self.now = end
            else:
                self.step()

    def finish(self) -> None:
        while not self.scheduler.is_idle():
            self.step()


def p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]
