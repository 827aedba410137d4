"""The real engine under a grammar: nothing but allowed text, and no grammar ends the process."""

import json
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from models.errors import SchemaUnsupported
from models.json_grammar import JSON_OBJECT, write_grammar
from models.protocol import Sampling, Span
from models.store import Store
from tests.models.gbnf import Gbnf
from tests.models.test_json_grammar import QUIZ, SHAPES, TREE, nested, schemas

pytestmark = pytest.mark.slow

ANSWER = {
    "type": "object",
    "properties": {
        "қала": {"enum": ["Алматы", "Астана", "Шымкент"]},
        "people": {"type": "integer", "minimum": 0},
        "words": {
            "type": "array",
            "items": {"type": "string", "maxLength": 12},
            "minItems": 1,
            "maxItems": 3,
        },
    },
    "required": ["қала", "people", "words"],
}


@pytest.fixture(scope="module")
def engine(real_model_home: Path) -> Iterator[object]:
    from models.engine import LlamaEngine

    store = Store(real_model_home)
    card = store.get_current()
    real = LlamaEngine(store.path_of(card), name=card.name, sequences=2, cells=1024, step_rows=128, threads=1)
    yield real
    real.close()


def answer(engine, sampling: Sampling, question="Tell me about a city.", length=160) -> str:
    vocabulary = engine.vocabulary
    text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    tokens = vocabulary.tokenise(text, controls=True)
    engine.begin(0, sampling)
    engine.decode([Span(0, 0, tokens, wants_token=True)])
    said = b""
    for place in range(len(tokens), len(tokens) + length):
        token = engine.sample(0)
        if vocabulary.is_end(token):
            break
        said += vocabulary.piece(token)
        engine.decode([Span(0, place, (token,), wants_token=True)])
    engine.free(0)
    return said.decode(errors="replace")


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 3}, {"temperature": 2.0, "seed": 4}])
def test_an_answer_under_a_schema_fits_it(engine, sampling):
    text = answer(engine, Sampling(grammar=write_grammar(ANSWER), **sampling))
    jsonschema.validate(json.loads(text), ANSWER)


def test_the_same_seed_gives_the_same_json(engine):
    lively = [answer(engine, Sampling(1.5, seed=n, grammar=write_grammar(ANSWER))) for n in (7, 7, 8)]
    assert lively[0] == lively[1] != lively[2]


def test_a_grammar_that_the_model_would_not_choose_is_kept_to_its_end(engine):
    """Every token is refused at first, and the last allowed one is followed by the end alone."""
    odd = 'root ::= "ҚҢӘ" [ғ-ү]{3} "🙂"'
    text = answer(engine, Sampling(grammar=odd))
    assert text.startswith("ҚҢӘ")
    assert text.endswith("🙂")
    assert len(text) == 7


def test_an_answer_without_a_grammar_is_what_it_was(engine):
    """A grammar that allows everything refuses nothing, so it changes nothing."""
    free = answer(engine, Sampling(), length=24)
    assert answer(engine, Sampling(grammar='root ::= ([^\\x00] | "\\n")*'), length=24) == free


@pytest.mark.parametrize("schema", [QUIZ, TREE, SHAPES, JSON_OBJECT, True, nested(300)])
def test_llama_cpp_reads_our_grammars(engine, schema):
    assert engine.vocabulary.takes_grammar(write_grammar(schema))


@pytest.mark.parametrize(
    "grammar", ["root", 'root ::= "a', 'root ::= root "a"', "root ::= absent", "a ::= b"]
)
def test_a_broken_grammar_is_seen_beforehand(engine, grammar):
    assert not engine.vocabulary.takes_grammar(grammar)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(schemas, st.integers())
def test_what_one_reader_of_grammars_writes_the_other_allows(engine, schema, seed):
    """Each text of our small GBNF reader is fed to llama.cpp token by token, and it may end there."""
    from models.sampler import Sampler

    try:
        grammar = write_grammar(schema)
    except SchemaUnsupported:
        return
    assert engine.vocabulary.takes_grammar(grammar)
    sampler = Sampler(engine.vocabulary._vocab, Sampling(grammar=grammar))
    text = Gbnf(grammar, seed).write()
    tokens = engine.vocabulary.tokenise(text, controls=False)
    # This vocabulary lacks some bytes of rare letters.
    assume(b"".join(map(engine.vocabulary.piece, tokens)) == text.encode())
    for token in [*tokens, 2]:  # the end of SmolLM2's turn
        logits = np.zeros(49_152, np.float32)
        logits[token] = 1.0
        assert sampler.choose(logits, None, 0) == token
    sampler.close()
