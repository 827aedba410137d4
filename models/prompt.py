"""From messages to tokens, by the model's own chat template.

Pure. The template writes control tokens; what a person typed never can: the template is rendered with
stand-ins in place of the texts, its control tokens are found, and everything between them, typed text
included, is read as plain text. Tokens are exactly those of the whole prompt, without seams.

A lesson opens the prompt, so that all who ask about it begin with the same tokens.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from models.errors import TemplateAbsent, TemplateRefused
from models.protocol import Vocabulary

# Plain letters and digits: no filter of a template (trim, tojson, escape) changes them.
_STAND_IN = "sandyqtext{}x"
_STAND_IN_PATTERN = re.compile(r"sandyqtext(\d+)x")


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Written:
    tokens: list[int]
    shared: int  # leading tokens that are the same for everyone with the same lesson; 0 = none was named
    head: int  # leading tokens that are the same for everyone with the same first message


@dataclass(frozen=True, slots=True)
class _Typed:
    message: int
    text: str


class Prompt:
    """Writes prompts for one model. May be used from several threads."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _refuse
        source = vocabulary.chat_template
        self._fault: str | None = None
        self._template = None
        try:
            self._template = environment.from_string(source) if source else None
        except TemplateError as error:
            self._fault = str(error)

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """The tokens up to where the model's answer begins."""
        return self.write(messages).tokens

    def write(self, messages: Sequence[Message], lesson: str = "") -> Written:
        """The same, with a lesson at the head of the system message."""
        if lesson:
            messages = _with_lesson(messages, lesson)
        tokens: list[int] = []
        plain = ""
        head: list[int] | None = None  # how every prompt with this first message begins
        controls_end = 0  # behind the last control token after the first message
        is_behind_first = False
        for part in self._render(messages):
            if isinstance(part, int):
                tokens += [*self._plain_tokens(plain), part]
                plain = ""
                controls_end = len(tokens) if is_behind_first else 0
                continue
            if isinstance(part, _Typed):
                if part.message and is_behind_first and head is None:
                    head = tokens[:controls_end] or [*tokens, *self._settled_tokens(plain)]
                is_behind_first = is_behind_first or part.message == 0
            plain += part if isinstance(part, str) else part.text
        tokens += self._plain_tokens(plain)
        start = self._vocabulary.start_token
        # Some templates write the start token themselves, some leave it to the tokeniser.
        if start is not None and tokens[:1] != [start]:
            tokens.insert(0, start)
            head = [start, *(head or ())]
        common = _common(tokens, head or ())
        return Written(tokens, common if lesson else 0, common)

    def _settled_tokens(self, text: str) -> list[int]:
        """The tokens of a text that do not depend on what follows, as far as two letters can tell."""
        one, other = (self._plain_tokens(text + letter) for letter in "aж")
        return one[: _common(one, other)]

    def _plain_tokens(self, text: str) -> list[int]:
        return self._vocabulary.tokenise(text, controls=False) if text else []

    def _render(self, messages: Sequence[Message]) -> list[str | int | _Typed]:
        """The prompt as the template's texts, control tokens and typed texts."""
        if self._fault is not None:
            raise TemplateRefused(detail=self._fault)
        if self._template is None:
            raise TemplateAbsent
        stand_ins = [
            # An empty text stays empty: templates ask `if message.content`.
            {"role": message.role, "content": _STAND_IN.format(index) if message.text else ""}
            for index, message in enumerate(messages)
        ]
        try:
            rendered = self._template.render(
                messages=stand_ins,
                add_generation_prompt=True,
                bos_token=self._vocabulary.start_text,
                eos_token=self._vocabulary.end_text,
            )
        except (TemplateError, TypeError, ValueError, KeyError) as error:
            raise TemplateRefused(detail=str(error)) from error
        parts: list[str | int | _Typed] = []
        # split() with one group: template text and message numbers alternate.
        for place, piece in enumerate(_STAND_IN_PATTERN.split(rendered)):
            if place % 2:
                parts.append(_Typed(int(piece), messages[int(piece)].text))
            else:
                parts += self._split_controls(piece)
        return parts

    def _split_controls(self, text: str) -> list[str | int]:
        parts: list[str | int] = []
        for token in self._vocabulary.tokenise(text, controls=True):
            spelling = self._vocabulary.control_text(token)
            before, found, rest = text.partition(spelling) if spelling else ("", "", text)
            if found:
                parts += [before, token]
                text = rest
        return [*parts, text]


def _with_lesson(messages: Sequence[Message], lesson: str) -> list[Message]:
    if messages and messages[0].role == "system":
        return [Message("system", f"{lesson}\n\n{messages[0].text}"), *messages[1:]]
    return [Message("system", lesson), *messages]


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many leading tokens are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)
