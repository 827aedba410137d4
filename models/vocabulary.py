"""Text and tokens of one model, by llama.cpp."""

import ctypes
from typing import Any

from models.native import llama
from models.sampler import grammar_sampler


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
        sampler = grammar_sampler(self._vocab, grammar)
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
