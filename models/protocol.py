"""What the rest of the room may ask of an engine.

Pure. `engine.LlamaEngine` is the real one; tests use a deterministic one; both pass the same contract
tests. A `Vocabulary` may be used from any thread; an `Engine` belongs to the one thread that made it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Protocol


class Priority(IntEnum):
    """Who goes first when not all can."""

    TEACHER = 0
    LEARNER = 1
    BACKGROUND = 2


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen; temperature 0 is greedy, and then the rest does not matter."""

    temperature: float = 0.0
    top_k: int = 40
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0
    grammar: str = ""  # in llama.cpp's GBNF; "" = free text


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive tokens of one sequence, to be decoded in one step."""

    sequence: int
    position: int  # of the first token; there must be no gap after what was decoded before
    tokens: Sequence[int]
    wants_token: bool  # the last row's successor will be sampled
    guesses: int = 0  # so many of the last tokens are guesses: the successor of the row before them is, too


class Vocabulary(Protocol):
    @property
    def chat_template(self) -> str | None: ...
    @property
    def start_token(self) -> int | None:
        """The token that must open every prompt, or None when the model wants none."""

    @property
    def start_text(self) -> str: ...
    @property
    def end_text(self) -> str: ...

    def tokenise(self, text: str, *, controls: bool) -> list[int]:
        """With `controls`, the spelling of a control token becomes that token: never for a learner's text."""

    def piece(self, token: int) -> bytes:
        """The token's bytes; a character may be split over several. Control tokens are empty."""

    def control_text(self, token: int) -> str | None:
        """The spelling of a control token, or None for an ordinary token."""

    def is_end(self, token: int) -> bool: ...
    def takes_grammar(self, grammar: str) -> bool:
        """Can it be put into Sampling.grammar? One that cannot would end the request."""


class Engine(Protocol):
    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def sequences(self) -> int:
        """Sequence numbers run from 0 to here: those that answer, and those that only hold tokens."""

    @property
    def answers(self) -> int:
        """Sequences that may want a token in the same step."""

    @property
    def divisible(self) -> bool:
        """May a part of a sequence be shared and its end be forgotten? Not in recurrent models."""

    @property
    def cells(self) -> int:
        """Tokens that fit into memory, all sequences together."""

    @property
    def context_tokens(self) -> int:
        """Tokens that one sequence may hold: what the model learnt, and no more than the cells."""

    @property
    def step_rows(self) -> int:
        """Rows that one decode may hold."""

    def begin(self, sequence: int, sampling: Sampling) -> None:
        """Make the empty sequence ready for a new answer."""

    def decode(self, spans: Sequence[Span]) -> None:
        """Run one step.

        EngineOutOfCells and EngineRefusedRows leave everything as before the call; after EngineDied
        nothing can be trusted any more.
        """

    def abort(self) -> None:
        """Ask the running decode to end with EngineAborted; any thread may call this."""

    def renew(self) -> None:
        """Forget all sequences and begin anew, after EngineAborted or EngineDied."""

    def sample(self, sequence: int, guesses: int = 0) -> int:
        """Choose the next token after the last decode, which must have wanted one for this sequence.

        `guesses`: how many of the span's guesses came true; in ascending order, from 0.
        """

    def free(self, sequence: int) -> None:
        """Forget the sequence; cells that no other sequence shares are free at once. Harmless when empty."""

    def tidy(self) -> None:
        """Nobody is being written: a good moment for what would hold up an answer."""

    def empty_bin(self) -> bool:
        """Let new tokens into the cells of all that were freed; False when there are none.

        Only while nobody is written, or when no other cell is left: attention adds up in the order of cells.
        """

    def share(self, source: int, target: int, tokens: int) -> None:
        """The first tokens of `source` belong to the empty `target` too: no copy, the same cells."""

    def trim(self, sequence: int, tokens: int) -> bool:
        """Forget what follows the first tokens; False, and nothing is changed, where the model cannot."""

    def save(self, sequence: int, path: Path, tokens: Sequence[int]) -> None:
        """Write the sequence, which holds exactly these tokens, to a file. Raises OSError."""

    def load(self, sequence: int, path: Path) -> list[int] | None:
        """Fill the empty sequence from a file, with cells of its own; its tokens, or None and it is empty.

        Only from a file that is known to be whole: llama.cpp ends the process on some that are cut short.
        """

    @property
    def threads(self) -> int: ...
    def set_threads(self, threads: int) -> None: ...

    def close(self) -> None: ...
