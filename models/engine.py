"""Model, memory and batch through llama.cpp's C functions.

One `LlamaEngine` belongs to one thread; two threads in a context crash the process. Its vocabulary is
safe from any thread. Every call leaves Python's lock while C works. Nothing is decided here: the
scheduler says which rows, the worker says for whom.
"""

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import (
    EngineAborted,
    EngineDied,
    EngineOutOfCells,
    EngineRefusedRows,
    ModelUnloadable,
)
from models.native import forget_errors, llama, may_repack, open_library, pointer, reason, set_fields
from models.protocol import Sampling, Span
from models.sampler import Sampler
from models.vocabulary import LlamaVocabulary

# Spare sequences of a model with a recurrent state, which costs memory for each (50 MB in a 4B model).
RECURRENT_SPARE = 4
# For the same reason such a model has fewer seats: 8 are what a small processor gains from.
RECURRENT_ANSWERS = 8
_BF16 = 30  # ggml_type, where the package stops naming them
# llama_decode's answers.
_OK, _NO_CELLS, _ABORTED, _INVALID = 0, 1, 2, -1


class _Batch:
    """The rows of one step, in arrays of our own that llama.cpp reads through pointers.

    llama.cpp checks no bounds, so the room is checked here; the arrays live as long as this object.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self._token = np.zeros(rows, np.int32)
        self._position = np.zeros(rows, np.int32)
        self._sequence = np.zeros(rows, np.int32)
        self._one_each = np.ones(rows, np.int32)
        self._wanted = np.zeros(rows, np.int8)
        step = self._sequence.itemsize
        self._sequence_pointers = self._sequence.ctypes.data + step * np.arange(rows, dtype=np.uintp)
        self.c = llama.llama_batch()
        set_fields(
            self.c,
            token=pointer(self._token, llama.llama_token),
            pos=pointer(self._position, llama.llama_pos),
            n_seq_id=pointer(self._one_each, ctypes.c_int32),
            seq_id=pointer(self._sequence_pointers, ctypes.POINTER(llama.llama_seq_id)),
            logits=pointer(self._wanted, ctypes.c_int8),
        )

    def fill(self, spans: Sequence[Span]) -> dict[int, int]:
        """Write the spans; return the first row of each sequence that wants a token."""
        wanted: dict[int, int] = {}
        row = 0
        for span in spans:
            end = row + len(span.tokens)
            if end > self.rows:
                raise ValueError(f"{end} rows do not fit a step of {self.rows}")
            self._token[row:end] = span.tokens
            self._position[row:end] = range(span.position, span.position + end - row)
            self._sequence[row:end] = span.sequence
            self._wanted[row:end] = 0
            if span.wants_token:
                first = end - 1 - span.guesses
                self._wanted[first:end] = 1
                wanted[span.sequence] = first
            row = end
        self.c.n_tokens = row
        return wanted


# llama.cpp asks this between two layers whether to abort. strlen answers from a flag of two bytes without
# entering Python, which a decode that hangs might never let in.
_C = ctypes.CDLL(None)
_ASK_FLAG = ctypes.cast(_C.strlen, llama.ggml_abort_callback)

# glibc gives every few threads an arena of their own to take memory from; with seventy that mostly wait, most
# of what is in them lies idle: about 8 MB after two classes.
_M_ARENA_MAX, _ARENAS = -8, 2
if hasattr(_C, "mallopt"):
    _C.mallopt(_M_ARENA_MAX, _ARENAS)


class LlamaEngine:
    def __init__(
        self,
        path: Path,
        *,
        name: str,
        sequences: int,
        cells: int,
        step_rows: int,
        threads: int,
        spare: int = 0,
    ) -> None:
        """Load the model; raise ModelUnloadable with llama.cpp's own reason.

        `sequences` may answer at the same time; `spare` more only hold tokens: lessons, paused answers.
        """
        open_library()
        forget_errors()
        self._name = name
        self._abort_flag = ctypes.create_string_buffer(2)
        self._context: Any = None
        self._samplers: dict[int, Sampler] = {}
        self._rows: dict[int, int] = {}
        self.answers = sequences
        self.step_rows = step_rows
        parameters = llama.llama_model_default_params()
        set_fields(parameters, n_gpu_layers=0, use_extra_bufts=may_repack())
        self._model = llama.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelUnloadable(name=name, detail=reason("it is not a model file we understand"))
        # A recurrent state is one for the whole sequence: it cannot be cut, and each sequence has its own.
        self.divisible: bool = not (
            llama.llama_model_is_recurrent(self._model) or llama.llama_model_is_hybrid(self._model)
        )
        if not self.divisible:
            self.answers, spare = min(sequences, RECURRENT_ANSWERS), min(spare, RECURRENT_SPARE)
        self.sequences = self.answers + spare
        try:
            self._open_context(name, cells, threads)
            self.vocabulary = LlamaVocabulary(self._model)
            self._warm_up(name)
        except BaseException:
            self.close()
            raise

    def _open_context(self, name: str, cells: int, threads: int) -> None:
        parameters = llama.llama_context_default_params()
        set_fields(
            parameters,
            n_ctx=cells,
            n_batch=self.step_rows,
            n_ubatch=self.step_rows,
            n_seq_max=self.sequences + 1,  # and the bin
            # One row of logits a sequence and step; the default reserves one for every row of a batch. Fewer
            # than n_seq_max, for those that only hold tokens, would abort the process.
            n_outputs_max=self.sequences + 1,
            # One pool for all: a short conversation lends its room to a long one.
            kv_unified=True,
            # Without it every row computes the cells of all learners.
            flash_attn_type=llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
            # With K and V of different types, a row that is alone is computed like any other. What cannot be
            # divided can have no guess beside it, and its few layers of attention hardly miss the tiles.
            type_v=llama.GGML_TYPE_F16 if self.divisible else _BF16,
            # The second is used for every step of more than one row, so with batching they are the same.
            n_threads=threads,
            n_threads_batch=threads,
            no_perf=True,
            abort_callback=_ASK_FLAG,
            abort_callback_data=ctypes.cast(self._abort_flag, ctypes.c_void_p),
        )
        self._context = llama.llama_init_from_model(self._model, parameters)
        if not self._context:
            raise ModelUnloadable(name=name, detail=reason("there is not enough memory"))
        self._memory = llama.llama_get_memory(self._context)
        self._bin = self.sequences  # a sequence of its own
        self._is_bin_empty = True
        self._batch = _Batch(self.step_rows)
        size: int = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))
        self._logits_type = ctypes.c_float * size
        self.cells: int = llama.llama_n_ctx(self._context)
        self.context_tokens: int = min(self.cells, llama.llama_model_n_ctx_train(self._model))

    def _warm_up(self, name: str) -> None:
        """Decode one token: the first question must not wait for the disk, and a bad model fails here."""
        try:
            self.decode([Span(0, 0, (0,), wants_token=True)])
        except (EngineOutOfCells, EngineRefusedRows, EngineDied) as error:
            raise ModelUnloadable(name=name, detail=reason("it cannot decode")) from error
        self.free(0)

    def begin(self, sequence: int, sampling: Sampling) -> None:
        self._forget_sampler(sequence)  # of an answer whose tokens were kept and not freed
        if sampling.temperature > 0 or sampling.grammar:  # plain greedy needs none: numpy finds the largest
            self._samplers[sequence] = Sampler(llama.llama_model_get_vocab(self._model), sampling)

    def decode(self, spans: Sequence[Span]) -> None:
        self._rows = {}
        self._abort_flag[0] = b"\0"
        rows = self._batch.fill(spans)
        outcome: int = llama.llama_decode(self._context, self._batch.c)
        if outcome == _NO_CELLS and self.empty_bin():
            outcome = llama.llama_decode(self._context, self._batch.c)
        if outcome == _OK:
            self._rows = rows
        elif outcome == _NO_CELLS:
            raise EngineOutOfCells
        elif outcome == _INVALID:
            raise EngineRefusedRows(detail=reason("invalid rows"))
        elif outcome == _ABORTED:
            raise EngineAborted
        else:
            raise EngineDied

    def abort(self) -> None:
        """Ask the running decode to end; the only call that another thread may make."""
        self._abort_flag[0] = b"\x01"

    def renew(self) -> None:
        """Begin with an empty memory on the same model, after EngineAborted or EngineDied.

        The old context is left where it is: after a fault it cannot be trusted, not even to be freed.
        """
        self._samplers = {}
        self._open_context(self._name, self.cells, llama.llama_n_threads(self._context))
        self._warm_up(self._name)

    def sample(self, sequence: int, guesses: int = 0) -> int:
        row = self._rows[sequence] + guesses
        address = ctypes.addressof(llama.llama_get_logits_ith(self._context, row).contents)
        logits = np.ctypeslib.as_array(self._logits_type.from_address(address))
        sampler = self._samplers.get(sequence)
        return int(logits.argmax()) if sampler is None else sampler.choose(logits, self._context, row)

    def free(self, sequence: int) -> None:
        """Its cells go to the bin first.

        llama.cpp would put the next tokens of whoever is written into the hole, before that one's own earlier
        tokens, and attention adds cells up in their order: an answer would depend on who has just finished.
        """
        self._forget_sampler(sequence)
        llama.llama_memory_seq_cp(self._memory, sequence, self._bin, -1, -1)
        self._is_bin_empty = False
        llama.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def tidy(self) -> None:
        if hasattr(_C, "malloc_trim"):
            _C.malloc_trim(0)  # what a class has left behind goes back to the system

    def empty_bin(self) -> bool:
        was_empty, self._is_bin_empty = self._is_bin_empty, True
        llama.llama_memory_seq_rm(self._memory, self._bin, -1, -1)
        return not was_empty

    def _forget_sampler(self, sequence: int) -> None:
        sampler = self._samplers.pop(sequence, None)
        if sampler is not None:
            sampler.close()

    def share(self, source: int, target: int, tokens: int) -> None:
        end = tokens if self.divisible else -1  # a recurrent state is shared whole or not at all
        llama.llama_memory_seq_cp(self._memory, source, target, 0, end)

    def trim(self, sequence: int, tokens: int) -> bool:
        return bool(llama.llama_memory_seq_rm(self._memory, sequence, tokens, -1))

    def save(self, sequence: int, path: Path, tokens: Sequence[int]) -> None:
        array = (llama.llama_token * len(tokens))(*tokens)
        written: int = llama.llama_state_seq_save_file(
            self._context, str(path).encode(), sequence, array, len(tokens)
        )
        if not written:
            raise OSError(reason("the state could not be written"))

    def load(self, sequence: int, path: Path) -> list[int] | None:
        tokens = (llama.llama_token * self.cells)()
        count = ctypes.c_size_t(0)
        read: int = llama.llama_state_seq_load_file(
            self._context, str(path).encode(), sequence, tokens, self.cells, ctypes.byref(count)
        )
        if not read:
            self.free(sequence)  # a file that ends too early may have left a part
            return None
        return list(tokens[: count.value])

    @property
    def threads(self) -> int:
        return int(llama.llama_n_threads(self._context))

    def set_threads(self, threads: int) -> None:
        llama.llama_set_n_threads(self._context, threads, threads)

    def close(self) -> None:
        for sampler in self._samplers.values():
            sampler.close()
        self._samplers = {}
        if self._context:
            llama.llama_free(self._context)
            self._context = None
        if self._model:
            llama.llama_model_free(self._model)
            self._model = None
