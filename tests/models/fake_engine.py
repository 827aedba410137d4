"""A small deterministic engine: no model, real rules.

It keeps every sequence's tokens in cells that sequences may share, refuses gaps, overflow and foreign
threads as llama.cpp would (or would crash), and answers by a rule, so that tests know what must come
out. test_engine_contract.py checks that it and the real one behave alike.
"""

import json
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path

from models.errors import EngineAborted, EngineOutOfCells, EngineRefusedRows, ModelsError
from models.protocol import Sampling, Span

IM_START, IM_END = 256, 257
_CONTROLS = {IM_START: "<|im_start|>", IM_END: "<|im_end|>"}
_ANSWER_HEAD = b"assistant\n"
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class FakeVocabulary:
    """One token a byte, so every Kazakh letter is split over two."""

    def __init__(self, chat_template: str | None = CHATML, start_token: int | None = None) -> None:
        self.chat_template = chat_template
        self.start_token = start_token
        self.start_text = "<|im_start|>"
        self.end_text = "<|im_end|>"

    def tokenise(self, text: str, *, controls: bool) -> list[int]:
        if controls:
            for token, spelling in _CONTROLS.items():
                before, found, rest = text.partition(spelling)
                if found:
                    return [*self.tokenise(before, controls=True), token, *self.tokenise(rest, controls=True)]
        return list(text.encode("utf-8", errors="replace"))

    def piece(self, token: int) -> bytes:
        return bytes([token]) if token < 256 else b""

    def control_text(self, token: int) -> str | None:
        return _CONTROLS.get(token)

    def is_end(self, token: int) -> bool:
        return token == IM_END

    def takes_grammar(self, grammar: str) -> bool:
        return grammar.startswith("root ::= ")


def fake_answer(prompt: bytes, seed: int = 0) -> bytes:
    """What the fake engine says to a prompt; a prompt with "long" gets an endless answer."""
    if b"long" in prompt:
        return "сөз ".encode() * 5000
    return f"Жауап {zlib.crc32(prompt, seed):08x}.".encode()


class FakeEngine:
    def __init__(
        self,
        *,
        sequences: int = 4,
        spare: int = 12,
        cells: int = 1024,
        step_rows: int = 256,
        step_seconds: float = 0.0,
    ) -> None:
        self.vocabulary = FakeVocabulary()
        self.sequences, self.answers = sequences + spare, sequences
        self.cells, self.step_rows = cells, step_rows
        self.divisible = True
        self.context_tokens = cells
        self.step_seconds = step_seconds
        self.faults: list[Exception] = []  # raised by the next decodes, one each
        self.poisoned: bytes | None = None  # a prompt with these bytes makes its rows invalid
        self.held: dict[int, list[int]] = {}
        self.threads = 1
        self.decoded_rows: list[int] = []  # one entry a step
        self.closed = False
        self.hangs = False  # the next decode does not come back before abort()
        self.renewals = 0
        self._aborted = threading.Event()
        self._cells: dict[int, list[int]] = {}  # by sequence: the very cells, which may be shared
        self._holders: dict[int, int] = {}  # by cell: how many sequences
        self._next_cell = 0
        self._sampling: dict[int, Sampling] = {}
        self._wanted: set[int] = set()
        self._thread: int | None = None
        self._guesses: dict[int, int] = {}  # by sequence, of the last step
        self._ends: dict[int, int] = {}  # tokens after the last step, by sequence

    @property
    def cells_used(self) -> int:
        return len(self._holders)

    def _hold(self, sequence: int, cells: Sequence[int]) -> None:
        self._cells.setdefault(sequence, []).extend(cells)
        for cell in cells:
            self._holders[cell] = self._holders.get(cell, 0) + 1

    def _take_cells(self, count: int) -> Sequence[int]:
        self._next_cell += count
        return range(self._next_cell - count, self._next_cell)

    def _let_go(self, cells: Sequence[int]) -> None:
        for cell in cells:
            self._holders[cell] -= 1
            if not self._holders[cell]:
                del self._holders[cell]

    def begin(self, sequence: int, sampling: Sampling) -> None:
        """Before its first row; a shared prefix may be there already."""
        self._check(sequence)
        if sequence in self._sampling:
            raise ModelsError
        self._sampling[sequence] = sampling

    def decode(self, spans: Sequence[Span]) -> None:
        if sum(len(span.tokens) for span in spans) > self.step_rows:
            raise ValueError("too many rows")
        if self.step_seconds:
            time.sleep(self.step_seconds)
        self._wanted = set()
        self._guesses = {span.sequence: span.guesses for span in spans}
        if self.hangs:
            self.hangs = False
            self._aborted.wait()
            self._aborted.clear()
            raise EngineAborted
        if self.faults:
            raise self.faults.pop(0)
        for span in spans:
            self._check(span.sequence)
            if span.position != len(self.held.get(span.sequence, [])):
                raise EngineRefusedRows(detail="a gap")
            if self.poisoned and self.poisoned in bytes(token for token in span.tokens if token < 256):
                raise EngineRefusedRows(detail="poison")
        rows = sum(len(span.tokens) for span in spans)
        if self.cells_used + rows > self.cells:
            raise EngineOutOfCells
        for span in spans:
            self.held.setdefault(span.sequence, []).extend(span.tokens)
            self._hold(span.sequence, self._take_cells(len(span.tokens)))
            self._ends[span.sequence] = len(self.held[span.sequence])
            if span.wants_token:
                self._wanted.add(span.sequence)
        if len(self._wanted) > self.answers:
            raise RuntimeError("llama.cpp would abort: too many outputs")
        self.decoded_rows.append(rows)

    def abort(self) -> None:
        self._aborted.set()

    def renew(self) -> None:
        self.renewals += 1
        self.held.clear()
        self._cells.clear()
        self._holders.clear()
        self._sampling.clear()

    def sample(self, sequence: int, guesses: int = 0) -> int:
        if sequence not in self._wanted:
            raise KeyError(sequence)
        # A guess that did not come true may have been trimmed already.
        end = self._ends[sequence] - self._guesses[sequence] + guesses
        tokens = self.held[sequence][:end]
        sampling = self._sampling.get(sequence, Sampling())
        if IM_START not in tokens:
            return sum(tokens) % 256
        turn = len(tokens) - tokens[::-1].index(IM_START) + len(_ANSWER_HEAD)
        prompt = bytes(token for token in tokens[:turn] if token < 256)
        answer = fake_answer(prompt, sampling.seed if sampling.temperature > 0 else 0)
        done = len(tokens) - turn
        return answer[done] if done < len(answer) else IM_END

    def free(self, sequence: int) -> None:
        self._check(sequence)
        self.held.pop(sequence, None)
        self._let_go(self._cells.pop(sequence, []))
        self._sampling.pop(sequence, None)

    def tidy(self) -> None:
        pass

    def empty_bin(self) -> bool:
        return False

    def share(self, source: int, target: int, tokens: int) -> None:
        self._check(source)
        self._check(target)
        if self.held.get(target) or not 0 < tokens <= len(self.held.get(source, [])):
            raise ValueError(f"sequence {target} cannot share {tokens} tokens of {source}")
        self.held[target] = self.held[source][:tokens]
        self._hold(target, self._cells[source][:tokens])

    def trim(self, sequence: int, tokens: int) -> bool:
        self._check(sequence)
        self._let_go(self._cells[sequence][tokens:])
        del self.held[sequence][tokens:], self._cells[sequence][tokens:]
        return True

    def save(self, sequence: int, path: Path, tokens: Sequence[int]) -> None:
        self._check(sequence)
        if self.held[sequence] != list(tokens):
            raise ValueError("these are not the sequence's tokens")
        path.write_text(json.dumps(self.held[sequence]))

    def load(self, sequence: int, path: Path) -> list[int] | None:
        self._check(sequence)
        try:
            tokens: list[int] = json.loads(path.read_text())
        except (OSError, ValueError):
            return None
        if self.cells_used + len(tokens) > self.cells:
            return None
        self.held[sequence] = list(tokens)
        self._hold(sequence, self._take_cells(len(tokens)))
        return tokens

    def set_threads(self, threads: int) -> None:
        self.threads = threads

    def close(self) -> None:
        self.closed = True

    def _check(self, sequence: int) -> None:
        if not 0 <= sequence < self.sequences:
            raise ValueError(f"sequence {sequence}")
        if self._thread is None:
            self._thread = threading.get_ident()
        if threading.get_ident() != self._thread:
            raise RuntimeError("a second thread in the engine")
