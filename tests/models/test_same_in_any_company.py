"""The real engine's greedy answer is the same alone, in a full room, and on a kept lesson, bit for bit."""

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from models.calibration import Dials
from models.metrics import EngineMetrics
from models.prompt import Message, Prompt
from models.protocol import Sampling
from models.seats import READING_ROWS
from models.store import Store
from models.tuning import Tuner
from models.worker import Finished, Order, State, Text, Worker
from tests.classroom import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

# With more than 512 tokens before it, a row that is alone is split among threads.
LESSON = "Water moves in a circle: the sun warms the sea, vapour rises, clouds carry it to the steppe. " * 30
WORDS = [
    *["rain", "clouds", "rivers", "ice", "wells", "snow", "dew", "fog", "lakes", "floods"],
    *["salt", "steppe", "wind", "waves", "tides", "hail"],
]
QUESTIONS = [f"Explain {word} to a child of nine, please." for word in WORDS]
# Who finishes early leaves a hole in the engine's memory, and the others' next tokens must not go there.
LENGTHS = {question: 8 + 7 * (number % 6) for number, question in enumerate(QUESTIONS)}


@dataclass
class Fixed:
    """Dials that nobody turns."""

    dials: Dials
    factor: float = 1.0
    slowest_row_seconds: float = 0.0

    def note_step(self, *_step: float) -> None:
        return None


def order(prompt: Prompt, question: str) -> Order:
    written = prompt.write([Message("system", LESSON), Message("user", question)])
    return Order(written.tokens, LENGTHS[question], Sampling(), learner=question, head_tokens=written.head)


def answers(home: Path, groups: list[list[str]], *, step_rows: int = 0) -> dict[str, str]:
    """Ask each group at once, one group after the other, of one engine; the last answer counts."""
    from models.engine import LlamaEngine

    store = Store(home)
    card = store.get_current()
    worker = Worker(
        lambda: LlamaEngine(
            store.path_of(card),
            name=card.name,
            sequences=8,
            spare=24,
            cells=8192,
            step_rows=READING_ROWS,
            threads=2,  # with one, llama.cpp treats a lone row like any other
        ),
        EngineMetrics(),
        waiting=64,
    )
    if step_rows:
        worker.tuner = cast("Tuner", Fixed(Dials(threads=2, answers=8, step_rows=step_rows)))
    worker.start()
    wait_until(lambda: worker.state is State.READY)
    prompt = Prompt(worker.engine.vocabulary)
    texts: dict[str, str] = {}
    for group in groups:
        tickets = {question: worker.submit(order(prompt, question)) for question in group}
        for question, ticket in tickets.items():
            events = []
            while not events or not isinstance(events[-1], Finished):
                events += ticket.take(60.0)
            texts[question] = "".join(event.text for event in events if isinstance(event, Text))
    worker.stop()
    worker.close()
    return texts


@pytest.fixture(scope="module")
def alone(real_model_home: Path) -> dict[str, str]:
    """What each learner reads who is the only one in the room."""
    return answers(real_model_home, [[question] for question in QUESTIONS])


def test_answers_are_the_same_alone_and_in_a_full_room(real_model_home: Path, alone: dict[str, str]) -> None:
    together = answers(real_model_home, [QUESTIONS])
    assert [q for q in QUESTIONS if alone[q] != together[q]] == []
    fresh = answers(real_model_home, [[QUESTIONS[-1]]])
    assert fresh[QUESTIONS[-1]] == alone[QUESTIONS[-1]], "read anew or from a kept lesson"


def test_a_question_asked_again_is_answered_the_same(real_model_home: Path, alone: dict[str, str]) -> None:
    # Of a prompt that is in memory only the end is read again: never by one row alone.
    again = answers(real_model_home, [[question] for question in QUESTIONS[:8]] * 2)
    assert again == {question: alone[question] for question in QUESTIONS[:8]}


@pytest.mark.parametrize("step_rows", [5, 24])
def test_the_width_of_a_step_changes_no_answer(
    real_model_home: Path, alone: dict[str, str], step_rows: int
) -> None:
    # A slow machine takes fewer rows a step; one that is left over would be alone.
    narrow = answers(real_model_home, [[question] for question in QUESTIONS[8:]], step_rows=step_rows)
    assert narrow == {question: alone[question] for question in QUESTIONS[8:]}
