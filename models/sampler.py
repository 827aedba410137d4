"""How the next token of an answer is chosen, by llama.cpp's samplers and a grammar."""

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import AnswerFailed
from models.native import llama, pointer, set_fields
from models.protocol import Sampling

# Where a grammar refuses the model's choice, the likeliest tokens are tried first: holding all 49,152 of
# SmolLM2 against it takes 15 ms and more on one core, these 0.05 ms; hardly ever is none of them allowed.
GRAMMAR_FIRST = 256
_CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class Sampler:
    """Chooses the tokens of one answer.

    A grammar is asked about one token only, the one the model likes; all tokens are held against it only when
    it refuses that one. llama.cpp ends the process when a grammar is told of a token it does not allow.
    """

    def __init__(self, vocab: Any, sampling: Sampling) -> None:
        self._vocab = vocab
        self._chain: Any = None
        self._grammar: Any = None
        if sampling.grammar:
            self._grammar = grammar_sampler(vocab, sampling.grammar)
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
    data = pointer(array, llama.llama_token_data)
    set_fields(candidates, data=data, size=len(array), selected=-1, sorted=False)
    return candidates


def grammar_sampler(vocab: Any, grammar: str) -> Any:
    return llama.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
