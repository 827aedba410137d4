"""From messages to tokens, by the model's own chat template.

Pure. The template writes control tokens; what a person typed never can: the template is rendered with
stand-ins in place of the texts, its control tokens are found, and everything between them, typed text
included, is read as plain text. Tokens are exactly those of the whole prompt, without seams.
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
        parts = self._render(messages)
        tokens: list[int] = []
        plain = ""
        for part in parts:
            if isinstance(part, int):
                tokens += self._plain_tokens(plain)
                tokens.append(part)
                plain = ""
            else:
                plain += part
        tokens += self._plain_tokens(plain)
        start = self._vocabulary.start_token
        # Some templates write the start token themselves, some leave it to the tokeniser.
        if start is not None and tokens[:1] != [start]:
            tokens.insert(0, start)
        return tokens

    def _plain_tokens(self, text: str) -> list[int]:
        return self._vocabulary.tokenise(text, controls=False) if text else []

    def _render(self, messages: Sequence[Message]) -> list[str | int]:
        """The prompt as plain texts and control tokens."""
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
        parts: list[str | int] = []
        # split() with one group: template text and message numbers alternate.
        for place, piece in enumerate(_STAND_IN_PATTERN.split(rendered)):
            parts += [messages[int(piece)].text] if place % 2 else self._split_controls(piece)
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


def _refuse(reason: str) -> NoReturn:
    raise TemplateError(reason)
