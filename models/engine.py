"""The only file that knows llama.cpp: model, memory, batch and samplers through its C functions.

One `LlamaEngine` belongs to one thread; two threads in a context crash the process. Its vocabulary is
safe from any thread. Every call leaves Python's lock while C works. Nothing is decided here: the
scheduler says which rows, the worker says for whom.
"""

import ctypes
import logging
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before llama.cpp's threads exist: threads that wait for each other spin only for a moment and then sleep.
# Spinning on a core that another process needs made two threads up to 30 times slower (decision 0013).
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import llama_cpp.llama_cpp as llama
import numpy as np
import numpy.typing as npt
from llama_cpp import _ggml

from models.errors import (
    AnswerFailed,
    EngineAborted,
    EngineDied,
    EngineOutOfCells,
    EngineRefusedRows,
    ModelUnloadable,
)
from models.protocol import Sampling, Span

logger = logging.getLogger(__name__)

# Spare sequences of a model with a recurrent state, which costs memory for each (50 MB in a 4B model).
RECURRENT_SPARE = 4
# For the same reason such a model has fewer seats: 8 are what a small processor gains from.
RECURRENT_ANSWERS = 8
# Where a grammar refuses the model's choice, the likeliest tokens are tried first: holding all 49,152 of
# SmolLM2 against it takes 15 ms and more on one core, these 0.05 ms; hardly ever is none of them allowed.
GRAMMAR_FIRST = 256
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data
_BF16 = 30  # ggml_type, where the package stops naming them
# llama_decode's answers.
_OK, _NO_CELLS, _ABORTED, _INVALID = 0, 1, 2, -1
_WARN, _ERROR, _CONTINUED = 3, 4, 5  # ggml_log_level as the library sends it

_recent_errors: deque[str] = deque(maxlen=8)


@llama.llama_log_callback  # type: ignore[untyped-decorator, unused-ignore] # ctypes has no types for it
def _log(level: int, text: bytes, _: object) -> None:
    # Called from inside C, some thousand times while a model loads: look at the level first.
    if level not in (_WARN, _ERROR):
        return
    line = text.decode("utf-8", errors="replace").strip()
    if level == _ERROR:
        _recent_errors.append(line)
    logger.warning("llama.cpp: %s", line)


def _set_fields(structure: ctypes.Structure, **values: object) -> None:
    """ctypes takes an unknown field without a word; a field that was renamed upstream must not pass."""
    known = {field[0] for field in structure._fields_}
    for name, value in values.items():
        if name not in known:
            raise AttributeError(f"{type(structure).__name__} has no field {name}")
        setattr(structure, name, value)


class LlamaVocabulary:
    """Text and tokens. llama.cpp promises that these calls are safe from several threads."""

    def __init__(self, model: Any) -> None:
        self._vocab = llama.llama_model_get_vocab(model)
        self._pieces: dict[int, bytes] = {}  # every token is looked up once, not once an answer
        self._ends: dict[int, bool] = {}
        template = llama.llama_model_chat_template(model, None)
        self.chat_template: str | None = template.decode("utf-8", errors="replace") if template else None
        start: int = llama.llama_vocab_bos(self._vocab)
        end: int = llama.llama_vocab_eos(self._vocab)
        self.start_token = start if llama.llama_vocab_get_add_bos(self._vocab) and start >= 0 else None
        self.start_text = self.control_text(start) or "" if start >= 0 else ""
        self.end_text = self.control_text(end) or "" if end >= 0 else ""

    def tokenise(self, text: str, *, controls: bool) -> list[int]:
        raw = text.encode("utf-8", errors="replace")
        room = len(raw) + 2  # a token is at least one byte; one more where a space is put in front
        while True:
            buffer = (llama.llama_token * room)()
            count: int = llama.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, controls)  # noqa: FBT003
            if count >= 0:
                return list(buffer[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._read_piece(token, special=False)
        return piece

    def control_text(self, token: int) -> str | None:
        if not llama.llama_vocab_is_control(self._vocab, token):
            return None
        return self._read_piece(token, special=True).decode("utf-8", errors="replace")

    def is_end(self, token: int) -> bool:
        is_end = self._ends.get(token)
        if is_end is None:
            is_end = self._ends[token] = bool(llama.llama_vocab_is_eog(self._vocab, token))
        return is_end

    def takes_grammar(self, grammar: str) -> bool:
        sampler = _grammar_sampler(self._vocab, grammar)
        if not sampler:
            return False
        llama.llama_sampler_free(sampler)
        return True

    def _read_piece(self, token: int, *, special: bool) -> bytes:
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            count: int = llama.llama_token_to_piece(self._vocab, token, buffer, room, 0, special)
            if count >= 0:
                return buffer.raw[:count]
            room = -count


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
        _set_fields(
            self.c,
            token=_pointer(self._token, llama.llama_token),
            pos=_pointer(self._position, llama.llama_pos),
            n_seq_id=_pointer(self._one_each, ctypes.c_int32),
            seq_id=_pointer(self._sequence_pointers, ctypes.POINTER(llama.llama_seq_id)),
            logits=_pointer(self._wanted, ctypes.c_int8),
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


def _pointer(array: npt.NDArray[Any], kind: Any) -> Any:
    return ctypes.cast(array.ctypes.data, ctypes.POINTER(kind))


class _Sampler:
    """Chooses the tokens of one answer.

    A grammar is asked about one token only, the one the model likes; all tokens are held against it only when
    it refuses that one. llama.cpp ends the process when a grammar is told of a token it does not allow.
    """

    def __init__(self, vocab: Any, sampling: Sampling) -> None:
        self._vocab = vocab
        self._chain: Any = None
        self._grammar: Any = None
        if sampling.grammar:
            self._grammar = _grammar_sampler(vocab, sampling.grammar)
            if not self._grammar:
                raise AnswerFailed  # the door has asked takes_grammar before
        if sampling.temperature <= 0:
            return  # greedy needs no chain: numpy finds the largest
        self._chain = llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
        for sampler in (
            # top_p alone would sort the whole vocabulary (262,144 tokens in Gemma's) for every token.
            llama.llama_sampler_init_top_k(sampling.top_k),
            llama.llama_sampler_init_top_p(sampling.top_p, 1),
            llama.llama_sampler_init_min_p(sampling.min_p, 1),
            llama.llama_sampler_init_temp(sampling.temperature),
            llama.llama_sampler_init_dist(sampling.seed),
        ):
            llama.llama_sampler_chain_add(self._chain, sampler)  # the chain owns it from here

    def choose(self, logits: npt.NDArray[np.float32], context: Any, row: int) -> int:
        token: int
        if self._chain is None:
            token = int(logits.argmax())
        else:
            token = llama.llama_sampler_sample(self._chain, context, row)
        if self._grammar is None:
            return token
        if not len(self._allowed(np.array([token]), logits)):
            token = self._choose_allowed(logits)
        if not llama.llama_vocab_is_eog(self._vocab, token):
            llama.llama_sampler_accept(self._grammar, token)
        return token

    def _choose_allowed(self, logits: npt.NDArray[np.float32]) -> int:
        first = min(GRAMMAR_FIRST, len(logits))
        for tokens in (np.argpartition(logits, -first)[-first:], np.arange(len(logits))):
            allowed = self._allowed(tokens, logits)
            if not len(allowed):
                continue
            if self._chain is None:
                return int(allowed["id"][allowed["logit"].argmax()])
            candidates = _candidates(allowed)
            llama.llama_sampler_apply(self._chain, ctypes.byref(candidates))
            return int(candidates.data[candidates.selected].id)
        # No token of this vocabulary goes on as the grammar wants.
        return int(llama.llama_vocab_eos(self._vocab))

    def _allowed(
        self, tokens: npt.NDArray[np.int64], logits: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.void]:
        array = np.zeros(len(tokens), _CANDIDATE)
        array["id"] = tokens
        array["logit"] = logits[tokens]
        llama.llama_sampler_apply(self._grammar, ctypes.byref(_candidates(array)))
        allowed: npt.NDArray[np.void] = array[array["logit"] > -np.inf]
        return allowed

    def close(self) -> None:
        for sampler in (self._chain, self._grammar):
            if sampler is not None:
                llama.llama_sampler_free(sampler)


def _candidates(array: npt.NDArray[np.void]) -> Any:
    candidates = llama.llama_token_data_array()
    data = _pointer(array, llama.llama_token_data)
    _set_fields(candidates, data=data, size=len(array), selected=-1, sorted=False)
    return candidates


def _grammar_sampler(vocab: Any, grammar: str) -> Any:
    return llama.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")


# llama.cpp asks this between two layers whether to abort. strlen answers from a flag of two bytes without
# entering Python, which a decode that hangs might never let in.
_C = ctypes.CDLL(None)
_ASK_FLAG = ctypes.cast(_C.strlen, llama.ggml_abort_callback)

# glibc gives every few threads an arena of their own to take memory from; with seventy that mostly wait, most
# of what is in them lies idle: about 8 MB after two classes.
_M_ARENA_MAX, _ARENAS = -8, 2
if hasattr(_C, "mallopt"):
    _C.mallopt(_M_ARENA_MAX, _ARENAS)


def _load_processor_library() -> None:
    """Load the best of several libraries for this processor, where the engine was built with several.

    A machine that builds its own engine has one, linked; an image has one for each kind of processor
    (provisioning/image_engine), and llama.cpp then starts without any.
    """
    ggml = _ggml.libggml
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    if ggml.ggml_backend_dev_count() == 0:
        folder = str(_ggml.libggml_base_path).encode()
        ggml.ggml_backend_load_all_from_path(ctypes.c_char_p(folder))


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
        llama.llama_log_set(_log, None)
        llama.llama_backend_init()
        _load_processor_library()
        _recent_errors.clear()
        self._name = name
        self._abort_flag = ctypes.create_string_buffer(2)
        self._context: Any = None
        self._samplers: dict[int, _Sampler] = {}
        self._rows: dict[int, int] = {}
        self.answers = sequences
        self.step_rows = step_rows
        parameters = llama.llama_model_default_params()
        _set_fields(parameters, n_gpu_layers=0, use_extra_bufts=_may_repack())
        self._model = llama.llama_model_load_from_file(str(path).encode(), parameters)
        if not self._model:
            raise ModelUnloadable(name=name, detail=_reason("it is not a model file we understand"))
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
        _set_fields(
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
            raise ModelUnloadable(name=name, detail=_reason("there is not enough memory"))
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
            raise ModelUnloadable(name=name, detail=_reason("it cannot decode")) from error
        self.free(0)

    def begin(self, sequence: int, sampling: Sampling) -> None:
        self._forget_sampler(sequence)  # of an answer whose tokens were kept and not freed
        if sampling.temperature > 0 or sampling.grammar:  # plain greedy needs none: numpy finds the largest
            self._samplers[sequence] = _Sampler(llama.llama_model_get_vocab(self._model), sampling)

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
            raise EngineRefusedRows(detail=_reason("invalid rows"))
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
            raise OSError(_reason("the state could not be written"))

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


def _may_repack() -> bool:
    """Weights packed for the processor are worth 2x in prompts, but llama.cpp's AMX form of them crashes.

    A step of two rows or more ends in a segmentation fault on processors with AMX (Sapphire Rapids and
    later; seen here with Q4_1, llama.cpp issue 20824 with Q4_K_M). No classroom box has one; servers do.
    """
    return b"AMX_INT8 = 1" not in llama.llama_print_system_info()


def _reason(otherwise: str) -> str:
    """llama.cpp's first complaint: the later ones only say that the caller failed too."""
    return _recent_errors[0].partition(": ")[2] if _recent_errors else otherwise
