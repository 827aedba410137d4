"""A model of another family: sliding window, 262,144 tokens, no chat template (Gemma 3, 270M, base).

Without a way to the package index the tests are skipped.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp.llama_cpp as llama
import pytest

from models.engine import LlamaEngine
from models.errors import TemplateAbsent
from models.prompt import Message, Prompt
from models.protocol import Sampling, Span
from tests.second_family import NotFetched, second_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

VOCABULARY = 262_144
WINDOW = 512
# As in the benchmark: logits so near change places when sums are added up in another order.
CLOSE_CALL = 0.25
# How far another order of the cells moves a logit (decision 0012). Past its window the model's cells are used
# again, in another order when a second sequence still holds them.
MOST_MOVED = 2.0
ANSWER_TOKENS = 24

PROMPTS = (
    "The largest planet of the solar system is",
    "Water boils at a temperature of",
    "Қазақстанның астанасы",
    "Столица Франции",
)
# Longer than the window: what a row may look at then is not all that came before.
LESSON = " ".join(["Rivers carry water from the mountains to the sea."] * 80)


@pytest.fixture(scope="session")
def gemma_file() -> Path:
    try:
        return second_model()
    except NotFetched as failure:
        pytest.skip(str(failure))


@pytest.fixture(scope="module")
def gemma(gemma_file: Path) -> Iterator[LlamaEngine]:
    engine = LlamaEngine(gemma_file, name="gemma", sequences=8, cells=4096, step_rows=256, threads=1)
    yield engine
    engine.close()


def read(engine: LlamaEngine, sequence: int, tokens: Sequence[int], start: int = 0) -> int:
    """Decode a prompt in steps; return the token that follows."""
    engine.begin(sequence, Sampling())
    for at in range(start, len(tokens), engine.step_rows):
        piece = tokens[at : at + engine.step_rows]
        engine.decode([Span(sequence, at, piece, wants_token=at + len(piece) == len(tokens))])
    return engine.sample(sequence)


def answers(engine: LlamaEngine, prompts: Sequence[Sequence[int]], shared: int = 0) -> list[list[int]]:
    """Greedy answers side by side, one sequence each; the first `shared` tokens are already there."""
    told = [[read(engine, sequence, prompt, shared)] for sequence, prompt in enumerate(prompts)]
    for _ in range(ANSWER_TOKENS - 1):
        engine.decode(
            [
                Span(s, len(prompts[s]) + len(told[s]) - 1, (told[s][-1],), wants_token=True)
                for s in range(len(prompts))
            ]
        )
        for sequence, answer in enumerate(told):
            answer.append(engine.sample(sequence))
    for sequence in range(len(prompts)):
        engine.free(sequence)
    return told


def is_close_call(
    engine: LlamaEngine, prompt: Sequence[int], one: list[int], other: list[int], close: float
) -> bool:
    """Where the answers part, were both tokens nearly as likely? Weights that are packed are computed four
    rows at a time and the rest one by one, which adds up in another order (decision 0033)."""
    parting = next(place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
    read(engine, 0, [*prompt, *one[:parting]])
    row = llama.llama_get_logits_ith(engine._context, engine._rows[0])
    gap = abs(row[one[parting]] - row[other[parting]])
    engine.free(0)
    return bool(gap <= close)


def are_alike(
    engine: LlamaEngine,
    prompts: Sequence[Sequence[int]],
    some: list[list[int]],
    others: list[list[int]],
    close: float = CLOSE_CALL,
) -> list[bool]:
    return [
        one == other or is_close_call(engine, prompt, one, other, close)
        for prompt, one, other in zip(prompts, some, others, strict=True)
    ]


def tokens_of(engine: LlamaEngine, text: str) -> list[int]:
    start = engine.vocabulary.start_token
    return ([start] if start is not None else []) + engine.vocabulary.tokenise(text, controls=False)


def test_a_large_vocabulary_and_kazakh_text_survive_the_round_trip(gemma: LlamaEngine) -> None:
    text = "Айгерім: «Өзендер қайда ағады?» 🙂"
    tokens = gemma.vocabulary.tokenise(text, controls=False)
    assert max(tokens) < VOCABULARY
    assert b"".join(map(gemma.vocabulary.piece, tokens)).decode() == text


def test_answers_side_by_side_are_those_given_alone(gemma: LlamaEngine) -> None:
    prompts = [tokens_of(gemma, text) for text in PROMPTS]
    alone = [answers(gemma, [prompt])[0] for prompt in prompts]
    together = answers(gemma, prompts)
    texts = [b"".join(map(gemma.vocabulary.piece, answer)).decode(errors="replace") for answer in together]
    assert are_alike(gemma, prompts, alone, together) == [True] * len(prompts), texts
    assert all(text.strip() for text in texts)


def test_a_prompt_longer_than_the_window_goes_on(gemma: LlamaEngine) -> None:
    prompt = tokens_of(gemma, LESSON)
    assert len(prompt) > WINDOW
    told = answers(gemma, [prompt])[0]
    assert "Rivers carry water" in b"".join(map(gemma.vocabulary.piece, told)).decode()


def test_a_lesson_longer_than_the_window_can_be_shared(gemma: LlamaEngine) -> None:
    lesson = tokens_of(gemma, LESSON)
    endings = [gemma.vocabulary.tokenise(text, controls=False) for text in (" The sea is", " Mountains are")]
    prompts = [lesson + ending for ending in endings]
    alone = []
    for prompt in prompts:
        read(gemma, 0, lesson)  # as the scheduler does: tiles up to where the lesson ends (decision 0032)
        alone += answers(gemma, [prompt], shared=len(lesson))
    source = 7
    read(gemma, source, lesson)
    for sequence in range(len(prompts)):
        gemma.share(source, sequence, len(lesson))
    shared = answers(gemma, prompts, shared=len(lesson))
    gemma.free(source)
    assert are_alike(gemma, prompts, alone, shared, MOST_MOVED) == [True, True]


def test_a_model_that_is_not_made_for_chat_says_so(gemma: LlamaEngine) -> None:
    assert gemma.vocabulary.chat_template is None
    with pytest.raises(TemplateAbsent):
        Prompt(gemma.vocabulary).tokens([Message("user", "Why is the sky blue?")])
