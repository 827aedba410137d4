"""Models with a recurrent state, on the real library: two tiny ones that `tiny_hybrid` writes.

Bit for bit where it says "the same": with random weights many tokens are nearly as likely as the next one, so
the smallest difference between two computations soon shows in the text.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt
import pytest

from models.engine import RECURRENT_ANSWERS, RECURRENT_SPARE, LlamaEngine
from models.metrics import EngineMetrics
from models.prefix_files import PrefixFiles
from models.probe import ensure_loadable
from models.prompt import Message, Prompt
from models.protocol import Sampling, Span
from models.seats import READING_ROWS
from models.tickets import Ticket
from models.worker import Failed, Finished, Order, State, Text, Worker
from tests.classroom import wait_until
from tests.models.tiny_hybrid import write_hybrid

KINDS = ("lfm2", "qwen35")
LESSON = "Water moves in a circle: the sun warms the sea, vapour rises. " * 10
WORDS = ["rain", "clouds", "rivers", "ice", "wells", "snow", "dew", "fog", "lakes", "floods", "salt", "wind"]
QUESTIONS = [f"Explain {word}, please." for word in WORDS]
# Who finishes early leaves a hole in the engine's memory.
MOST_TOKENS = 60
LENGTHS = {question: 8 + 7 * (number % 6) for number, question in enumerate(QUESTIONS)}


@pytest.fixture(scope="module", params=KINDS)
def hybrid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hybrid(tmp_path_factory.mktemp("hybrid") / f"{request.param}.gguf", request.param)


def open_engine(path: Path) -> LlamaEngine:
    return LlamaEngine(
        path, name=path.stem, sequences=30, spare=10, cells=4096, step_rows=READING_ROWS, threads=1
    )


# --- the engine alone ---


@pytest.fixture
def engine(hybrid: Path) -> Iterator[LlamaEngine]:
    engine = open_engine(hybrid)
    yield engine
    engine.close()


def read(engine: LlamaEngine, sequence: int, tokens: Sequence[int], start: int = 0) -> None:
    engine.begin(sequence, Sampling())
    for at in range(start, len(tokens), READING_ROWS):
        rows = tokens[at : at + READING_ROWS]
        engine.decode([Span(sequence, at, rows, wants_token=at + len(rows) == len(tokens))])


def logits(engine: LlamaEngine, sequence: int) -> npt.NDArray[np.float32]:
    size = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(engine._model))
    row = llama.llama_get_logits_ith(engine._context, engine._rows[sequence])
    return np.ctypeslib.as_array(row, (size,)).copy()


def tokens_of(engine: LlamaEngine, text: str) -> list[int]:
    return engine.vocabulary.tokenise(text, controls=False)


def test_a_hybrid_file_passes_the_probe_and_is_known_for_what_it_is(hybrid: Path, tmp_path: Path) -> None:
    ensure_loadable(hybrid, tmp_path, name=hybrid.stem, sha256="0" * 64)
    engine = open_engine(hybrid)
    assert llama.llama_model_is_hybrid(engine._model)
    assert not engine.divisible
    assert (engine.answers, engine.sequences) == (RECURRENT_ANSWERS, RECURRENT_ANSWERS + RECURRENT_SPARE)
    engine.close()


def test_a_shared_state_answers_with_the_logits_of_one_that_was_decoded(engine: LlamaEngine) -> None:
    lesson, question = tokens_of(engine, LESSON), tokens_of(engine, "What is dew?")
    prompt = lesson + question
    read(engine, 0, lesson)
    read(engine, 0, prompt, start=len(lesson))
    decoded = logits(engine, 0)
    engine.free(0)
    read(engine, 9, lesson)
    for sequence in range(1, 5):
        engine.share(9, sequence, len(lesson))
        # Each writes into a copy of its own: the state that the next ones share stays as it was.
        read(engine, sequence, prompt, start=len(lesson))
        assert np.array_equal(logits(engine, sequence), decoded), sequence
    assert len(np.unique(decoded)) > 200, "a model that says nothing would pass"


def test_a_row_that_is_alone_is_computed_by_two_threads_as_by_one(hybrid: Path) -> None:
    """From 512 tokens on, llama.cpp would split it among them and add up in another order."""
    told = []
    for threads in (1, 2):
        engine = open_engine(hybrid)
        lesson = tokens_of(engine, LESSON)
        assert len(lesson) > 512
        read(engine, 0, lesson)
        engine.set_threads(threads)
        engine.decode([Span(0, len(lesson), lesson[:1], wants_token=True)])
        told.append(logits(engine, 0))
        engine.close()
    assert np.array_equal(*told)


def test_a_state_is_not_cut_and_says_so(engine: LlamaEngine) -> None:
    lesson = tokens_of(engine, LESSON)
    read(engine, 0, lesson)
    assert not engine.trim(0, len(lesson) - 1)
    engine.decode([Span(0, len(lesson), lesson[:1], wants_token=True)])  # and it is whole


def test_a_state_from_disk_answers_with_the_same_logits(hybrid: Path, tmp_path: Path) -> None:
    first = open_engine(hybrid)
    lesson = tokens_of(first, LESSON)
    prompt = lesson + tokens_of(first, "What is dew?")
    read(first, 0, lesson)
    first.save(0, tmp_path / "lesson", lesson)
    read(first, 0, prompt, start=len(lesson))
    told = logits(first, 0)
    first.close()
    second = open_engine(hybrid)
    assert second.load(3, tmp_path / "lesson") == lesson
    second.share(3, 0, len(lesson))
    read(second, 0, prompt, start=len(lesson))
    assert np.array_equal(logits(second, 0), told)
    second.close()


# --- a class ---


@dataclass
class Room:
    """A worker on a hybrid model, and what it has read."""

    worker: Worker
    metrics: EngineMetrics
    prompt: Prompt

    def ask(
        self, question: str, *, named: bool = False, lesson: str = LESSON, before: Sequence[str] = ()
    ) -> Ticket:
        talk = [Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(before)]
        written = self.prompt.write([Message("system", lesson), *talk, Message("user", question)])
        length = LENGTHS.get(question, MOST_TOKENS)
        lesson_end = written.head if named else 0
        order = Order(
            written.tokens,
            length,
            Sampling(),
            learner=question,
            prefix_tokens=lesson_end,
            head_tokens=written.head,
        )
        return self.worker.submit(order)

    def hear(self, ticket: Ticket) -> str:
        text = ""
        while True:
            for event in ticket.take(60.0):
                if isinstance(event, Text):
                    text += event.text
                elif isinstance(event, Finished):
                    return text
                else:
                    assert not isinstance(event, Failed), event

    def together(self, questions: Sequence[str], *, named: bool = False) -> dict[str, str]:
        tickets = {question: self.ask(question, named=named) for question in questions}
        return {question: self.hear(ticket) for question, ticket in tickets.items()}

    def alone(self, questions: Sequence[str]) -> dict[str, str]:
        return {question: self.hear(self.ask(question)) for question in questions}

    def count(self, name: str) -> int:
        return int(self.metrics.registry.get_sample_value(f"sandyq_engine_{name}") or 0)

    def lesson_tokens(self) -> int:
        return self.prompt.write([Message("system", LESSON), Message("user", "x")]).head

    def close(self) -> None:
        self.worker.stop()
        self.worker.close()


def open_room(path: Path, files: Path | None = None) -> Room:
    metrics = EngineMetrics()
    worker = Worker(lambda: open_engine(path), metrics, waiting=64)
    worker.files = PrefixFiles(files, "tiny") if files else None
    worker.start()
    wait_until(lambda: worker.state is State.READY)
    return Room(worker, metrics, Prompt(worker.engine.vocabulary))


@pytest.fixture(scope="module")
def alone(hybrid: Path) -> dict[str, str]:
    """What each learner reads who has the engine to herself."""
    told = {}
    for questions in (QUESTIONS[:-1], QUESTIONS[-1:]):  # the last on a lesson that nobody has read before
        room = open_room(hybrid)
        told |= room.alone(questions)
        room.close()
    assert len(set(told.values())) == len(QUESTIONS), "a model that says nothing of its own would pass"
    return told


@pytest.fixture
def room(hybrid: Path) -> Iterator[Room]:
    room = open_room(hybrid)
    yield room
    room.close()
    assert room.worker.state is State.STOPPING, "it was well to the end"


@pytest.mark.parametrize("named", [False, True], ids=["found", "named"])
def test_a_class_reads_the_lesson_once_and_answers_as_each_alone(room, alone, named):
    """Twelve learners and eight seats: some wait, and all press the button at once."""
    assert room.together(QUESTIONS, named=named) == alone
    assert room.count("shared_tokens_total") == (len(QUESTIONS) - 1) * room.lesson_tokens()


def test_tasks_that_begin_alike_share_what_they_have_in_common(room):
    """Nobody names a lesson, and each system message ends with the learner's own step."""
    lessons = [f"{LESSON}\nLast answer: {step}." for step in (3, 14, 159, 26)]
    told = [room.hear(room.ask("Why?", lesson=lesson)) for lesson in lessons]
    assert len(set(told)) == 4
    # The first reads all; the second sees where it parts and leaves a state there; the others go on from it.
    assert room.count("shared_tokens_total") >= 2 * len(LESSON)


def test_who_leaves_in_the_middle_spoils_nothing(room, alone):
    """One while she is answered, one while he reads the lesson that the others wait for."""
    leaving = room.ask("Tell me everything, please.")
    reading = room.ask("I shall go at once.")
    others = {question: room.ask(question) for question in QUESTIONS[:4]}
    leaving.take(30.0)
    room.worker.cancel(leaving)
    room.worker.cancel(reading)
    assert {question: room.hear(ticket) for question, ticket in others.items()} == {
        question: alone[question] for question in others
    }
    wait_until(lambda: room.count("cells_reserved") == 0)
    # Her seat and all others are taken again, by more learners than there are sequences.
    assert room.together(QUESTIONS) == alone
    assert room.together(QUESTIONS) == alone


def test_a_conversation_goes_on_from_its_last_state(room):
    question, more = QUESTIONS[3], "And then?"
    first = room.hear(room.ask(question))
    before = room.count("shared_tokens_total")
    again = room.hear(room.ask(more, before=[question, first]))
    assert again
    whole = room.count("shared_tokens_total") - before
    # Letters that are no UTF-8 are written otherwise when they come back; then the lesson is what is shared.
    assert whole >= room.lesson_tokens()


def test_a_lesson_outlives_a_restart(hybrid: Path, alone: dict[str, str], tmp_path: Path) -> None:
    first = open_room(hybrid, tmp_path)
    assert first.alone(QUESTIONS[:3]) == {question: alone[question] for question in QUESTIONS[:3]}
    wait_until(lambda: any(tmp_path.glob("*.json")))
    first.close()
    second = open_room(hybrid, tmp_path)
    assert second.alone(QUESTIONS[3:6]) == {question: alone[question] for question in QUESTIONS[3:6]}
    assert second.count("shared_tokens_total") == 3 * second.lesson_tokens()
    second.close()
