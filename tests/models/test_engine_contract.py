"""The fake engine and the real one keep the same promises."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from models.errors import EngineOutOfCells, EngineRefusedRows, ModelUnloadable
from models.protocol import Engine, Sampling, Span
from models.store import Store
from tests.models.fake_engine import FakeEngine

CELLS = 512


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.slow)])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "fake":
        yield FakeEngine(sequences=3, spare=3, cells=CELLS, step_rows=64)
        return
    from models.engine import LlamaEngine

    store = Store(request.getfixturevalue("real_model_home"))
    card = store.get_current()
    real = LlamaEngine(
        store.path_of(card), name=card.name, sequences=3, spare=3, cells=CELLS, step_rows=64, threads=1
    )
    yield real
    real.close()


def prompt(engine: Engine, text: str) -> list[int]:
    vocabulary = engine.vocabulary
    head = vocabulary.tokenise("<|im_start|>user\n", controls=True)
    tail = vocabulary.tokenise("<|im_end|>\n<|im_start|>assistant\n", controls=True)
    return head + vocabulary.tokenise(text, controls=False) + tail


def answer_alone(
    engine: Engine, tokens: list[int], length: int, sampling: Sampling | None = None
) -> list[int]:
    engine.begin(0, sampling or Sampling())
    engine.decode([Span(0, 0, tokens, wants_token=True)])
    chosen = [engine.sample(0)]
    while len(chosen) < length:
        engine.decode([Span(0, len(tokens) + len(chosen) - 1, chosen[-1:], wants_token=True)])
        chosen.append(engine.sample(0))
    engine.free(0)
    return chosen


def test_sizes_are_as_asked(engine):
    assert engine.answers == 3
    assert engine.sequences == 6
    assert engine.divisible
    assert engine.cells == CELLS
    assert engine.context_tokens == CELLS
    assert engine.step_rows == 64


def test_the_same_prompt_gets_the_same_greedy_answer(engine):
    tokens = prompt(engine, "What is a prime number?")
    assert answer_alone(engine, tokens, 12) == answer_alone(engine, tokens, 12)


def test_a_seed_repeats_a_sampled_answer(engine):
    tokens = prompt(engine, "Tell me a story.")
    lively = [answer_alone(engine, tokens, 16, Sampling(1.0, top_p=0.95, seed=seed)) for seed in (1, 1, 2, 3)]
    assert lively[0] == lively[1]
    assert len({tuple(chosen) for chosen in lively}) > 1


def test_a_prompt_in_pieces_is_the_same_prompt(engine):
    tokens = prompt(engine, "Name three colours.")
    whole = answer_alone(engine, tokens, 8)
    engine.begin(1, Sampling())
    engine.decode([Span(1, 0, tokens[:5], wants_token=False)])
    engine.decode([Span(1, 5, tokens[5:], wants_token=True)])
    first = engine.sample(1)
    assert first == whole[0]
    engine.free(1)


def test_three_sequences_in_one_step_answer_as_each_alone(engine):
    texts = ["What is a prime number?", "Who wrote Abai's road?", "Name a planet."]
    prompts = [prompt(engine, text)[:20] for text in texts]
    alone = [answer_alone(engine, tokens, 1)[0] for tokens in prompts]
    for sequence in range(3):
        engine.begin(sequence, Sampling())
    engine.decode([Span(sequence, 0, tokens, wants_token=True) for sequence, tokens in enumerate(prompts)])
    # Batches of other shapes round differently; the fake has no rounding, the real one hardly ever differs.
    assert [engine.sample(sequence) for sequence in range(3)] == alone
    for sequence in range(3):
        engine.free(sequence)


def test_a_guess_that_came_true_saves_a_step_and_one_that_did_not_leaves_nothing(engine):
    tokens = prompt(engine, "Name three colours.")
    first, second, third = answer_alone(engine, tokens, 3)
    engine.begin(1, Sampling())
    engine.decode([Span(1, 0, tokens, wants_token=True)])
    place = len(tokens)
    wrong = (second + 1) % 100
    engine.decode([Span(1, place, (first, wrong), wants_token=True, guesses=1)])
    assert engine.sample(1) == second
    assert engine.trim(1, place + 1)
    engine.free(1)
    engine.begin(1, Sampling())
    engine.decode([Span(1, 0, tokens, wants_token=True)])
    engine.decode([Span(1, place, (first, second), wants_token=True, guesses=1)])
    assert [engine.sample(1), engine.sample(1, 1)] == [second, third]
    engine.free(1)


def test_a_gap_is_refused_and_changes_nothing(engine):
    engine.begin(0, Sampling())
    engine.decode([Span(0, 0, (1, 2, 3), wants_token=True)])
    with pytest.raises(EngineRefusedRows):
        engine.decode([Span(0, 5, (4,), wants_token=True)])
    engine.decode([Span(0, 3, (4,), wants_token=True)])
    engine.sample(0)
    engine.free(0)


def test_the_last_cell_can_be_used_and_not_one_more(engine):
    for sequence in range(2):
        engine.begin(sequence, Sampling())
    for position in range(0, CELLS // 2, 64):
        for sequence in range(2):
            engine.decode([Span(sequence, position, [1] * 64, wants_token=False)])
    with pytest.raises(EngineOutOfCells):
        engine.decode([Span(0, CELLS // 2, (1,), wants_token=True)])
    engine.free(1)
    engine.decode([Span(0, CELLS // 2, (1,), wants_token=True)])
    engine.sample(0)
    engine.free(0)


def decode_in_pieces(engine: Engine, sequence: int, position: int, tokens: list[int]) -> int:
    """Decode tokens of any number and return the next one."""
    while len(tokens) > 60:
        engine.decode([Span(sequence, position, tokens[:60], wants_token=False)])
        position, tokens = position + 60, tokens[60:]
    engine.decode([Span(sequence, position, tokens, wants_token=True)])
    return engine.sample(sequence)


def test_a_shared_prefix_answers_as_a_decoded_one_and_costs_its_cells_once(engine):
    head = prompt(engine, "The heart has four chambers. " * 6)
    tails = [prompt(engine, text) for text in ("What is a chamber?", "Why four?")]
    alone = []
    for tail in tails:
        engine.begin(0, Sampling())
        alone.append(decode_in_pieces(engine, 0, 0, head + tail))
        engine.free(0)
    decode_in_pieces(engine, 5, 0, head)
    for sequence, tail in enumerate(tails):
        engine.share(5, sequence, len(head))
        engine.begin(sequence, Sampling())
        assert decode_in_pieces(engine, sequence, len(head), tail) == alone[sequence]
    # Were the prefix there twice, this would not fit.
    left = CELLS - len(head) - sum(map(len, tails))
    decode_in_pieces(engine, 2, 0, [1] * left)
    with pytest.raises(EngineOutOfCells):
        engine.decode([Span(2, left, (1,), wants_token=False)])
    # The prefix outlives its first holder and goes with its last.
    engine.free(2)
    engine.free(5)
    engine.decode([Span(0, len(head) + len(tails[0]), (1,), wants_token=True)])
    engine.free(0)
    engine.free(1)
    decode_in_pieces(engine, 0, 0, [1] * CELLS)
    engine.free(0)


def test_a_sequence_can_be_cut_short(engine):
    tokens = prompt(engine, "Name three colours.")
    expected = answer_alone(engine, tokens, 1)
    engine.begin(0, Sampling())
    engine.decode([Span(0, 0, [*tokens, 5, 6, 7], wants_token=False)])
    assert engine.trim(0, len(tokens) - 1)
    engine.decode([Span(0, len(tokens) - 1, tokens[-1:], wants_token=True)])
    assert [engine.sample(0)] == expected
    engine.free(0)


def test_a_saved_sequence_comes_back(engine, tmp_path: Path):
    tokens = prompt(engine, "Name three colours.")
    expected = answer_alone(engine, tokens, 1)
    engine.begin(0, Sampling())
    engine.decode([Span(0, 0, tokens[:-1], wants_token=False)])
    engine.save(0, tmp_path / "state", tokens[:-1])
    engine.free(0)
    assert engine.load(4, tmp_path / "state") == tokens[:-1]
    engine.share(4, 0, len(tokens) - 1)
    engine.begin(0, Sampling())
    engine.decode([Span(0, len(tokens) - 1, tokens[-1:], wants_token=True)])
    assert [engine.sample(0)] == expected
    engine.free(0)
    engine.free(4)


def test_a_file_that_holds_no_sequence_is_not_loaded(engine, tmp_path: Path):
    (tmp_path / "state").write_bytes(b"\0" * 1000)
    assert engine.load(4, tmp_path / "state") is None
    assert engine.load(4, tmp_path / "absent") is None
    engine.load(4, tmp_path / "state")
    engine.free(4)


def test_too_many_rows_are_refused_before_they_reach_the_engine(engine):
    engine.begin(0, Sampling())
    with pytest.raises(ValueError, match="rows"):
        engine.decode([Span(0, 0, [1] * 65, wants_token=True)])
    engine.free(0)


def test_a_token_can_only_be_sampled_where_one_was_wanted(engine):
    engine.begin(0, Sampling())
    engine.decode([Span(0, 0, (1, 2), wants_token=False)])
    with pytest.raises(KeyError):
        engine.sample(0)
    engine.free(0)
    engine.free(0)  # harmless


def test_control_tokens_come_only_from_templates(engine):
    vocabulary = engine.vocabulary
    as_control = vocabulary.tokenise("<|im_start|>", controls=True)
    as_text = vocabulary.tokenise("<|im_start|>", controls=False)
    assert len(as_control) == 1
    assert vocabulary.control_text(as_control[0]) == "<|im_start|>"
    assert vocabulary.piece(as_control[0]) == b""
    assert all(vocabulary.control_text(token) is None for token in as_text)
    assert b"".join(map(vocabulary.piece, as_text)) == b"<|im_start|>"
    assert vocabulary.is_end(vocabulary.tokenise("<|im_end|>", controls=True)[0])


@pytest.mark.parametrize(
    "text", ["", "Сәлем, әлем!", "a\0b", "😀👩‍👧", " лидирует  \n\n\t", "x" * 5000, "\ud800"]
)
def test_text_survives_the_way_to_tokens_and_back(engine, text):
    vocabulary = engine.vocabulary
    back = b"".join(map(vocabulary.piece, vocabulary.tokenise(text, controls=False)))
    assert back == text.encode(errors="replace")


def test_many_threads_may_use_the_vocabulary(engine):
    results: list[list[int]] = []

    def tokenise() -> None:
        for _ in range(50):
            results.append(engine.vocabulary.tokenise("Қазақстан " * 20, controls=True))

    threads = [threading.Thread(target=tokenise) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 200
    assert all(result == results[0] for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["cut", "text", "empty"])
def test_a_file_that_is_no_model_is_refused_with_a_reason(fault, real_model_home, tmp_path: Path):
    from models.engine import LlamaEngine

    store = Store(real_model_home)
    content = store.path_of(store.get_current()).read_bytes()
    path = tmp_path / "model.gguf"
    path.write_bytes({"cut": content[:30_000_000], "text": b"hello" * 100, "empty": b""}[fault])
    with pytest.raises(ModelUnloadable) as caught:
        LlamaEngine(path, name="broken", sequences=1, cells=256, step_rows=64, threads=1)
    assert len(str(caught.value)) > 40


@pytest.mark.slow
def test_a_field_that_upstream_renamed_is_noticed():
    import llama_cpp.llama_cpp as llama

    from models.native import set_fields

    with pytest.raises(AttributeError, match="use_mmap"):
        set_fields(llama.llama_model_default_params(), use_mmap=True)
