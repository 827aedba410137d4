"""The real engine ends a running decode when asked, and begins anew on the same model."""

import threading
from pathlib import Path

import pytest

from models.engine import LlamaEngine
from models.errors import EngineAborted
from models.protocol import Sampling, Span
from models.store import Store

pytestmark = pytest.mark.slow

ROWS = 256


def greedy(engine: LlamaEngine, tokens: list[int], length: int) -> list[int]:
    engine.begin(0, Sampling())
    engine.decode([Span(0, 0, tokens, wants_token=True)])
    chosen = [engine.sample(0)]
    while len(chosen) < length:
        engine.decode([Span(0, len(tokens) + len(chosen) - 1, chosen[-1:], wants_token=True)])
        chosen.append(engine.sample(0))
    engine.free(0)
    return chosen


def test_a_running_decode_is_aborted_and_the_renewed_engine_answers_as_before(real_model_home: Path) -> None:
    store = Store(real_model_home)
    card = store.get_current()
    engine = LlamaEngine(
        store.path_of(card), name=card.name, sequences=2, spare=0, cells=1024, step_rows=ROWS, threads=1
    )
    tokens = engine.vocabulary.tokenise("What is a prime number?", controls=False)
    before = greedy(engine, tokens, 8)
    # A step of 256 rows takes about a second here and far longer than the bell on any machine.
    bell = threading.Timer(0.05, engine.abort)
    bell.start()
    with pytest.raises(EngineAborted):
        for _ in range(100):
            engine.decode([Span(1, 0, list(range(100, 100 + ROWS)), wants_token=True)])
            engine.free(1)
    engine.renew()
    assert greedy(engine, tokens, 8) == before
    engine.close()
