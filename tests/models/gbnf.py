"""Writes random texts that a GBNF grammar allows: the part of the format that json_grammar.py uses."""

import random
import re
from collections.abc import Callable

_TOKEN = re.compile(
    r'\s*(?:"((?:[^"\\]|\\.)*)"|\[((?:[^\]\\]|\\.)*)\]|([a-zA-Z0-9-]+)|([()|])|([?*+]|\{\d+(?:,\d*)?\}))'
)
_ANY_CHARACTER = "aZ9 қЖ.,{}[]:"

Write = Callable[[int], str]  # from the budget left to a text


class Gbnf:
    def __init__(self, text: str, seed: int) -> None:
        self._random = random.Random(seed)
        self._rules: dict[str, Write] = {}
        for line in text.split("\n"):
            name, _, body = line.partition(" ::= ")
            if name in self._rules:
                raise ValueError(f"two rules {name}")
            self._tokens = [match.groups() for match in _TOKEN.finditer(body)]
            if "".join(match.group(0) for match in _TOKEN.finditer(body)) != body:
                raise ValueError(f"cannot read {line!r}")
            self._rules[name] = self._alternatives()
            if self._tokens:
                raise ValueError(f"left over in {line!r}")

    def write(self, budget: int = 12) -> str:
        """Beyond the budget of nested rules the shortest way out is taken, where there is one."""
        return self._rules["root"](budget)

    def _alternatives(self) -> Write:
        options = [self._sequence()]
        while self._tokens and self._tokens[0][3] == "|":
            self._tokens.pop(0)
            options.append(self._sequence())

        def write(budget: int) -> str:
            if budget > 0:
                return self._random.choice(options)(budget)
            return options[-1](budget)  # json_grammar.py writes the plainest values last

        return write

    def _sequence(self) -> Write:
        parts: list[tuple[Write, int, int]] = []
        while self._tokens and self._tokens[0][3] not in ("|", ")"):
            part = self._part()
            low, high = 1, 1
            if self._tokens and self._tokens[0][4]:
                low, high = self._times(self._tokens.pop(0)[4])
            parts.append((part, low, high))

        def write(budget: int) -> str:
            texts = []
            for part, low, high in parts:
                times = self._random.randint(low, min(high, low + 3)) if budget > 0 else low
                texts += [part(budget - 1) for _ in range(times)]
            return "".join(texts)

        return write

    def _part(self) -> Write:
        literal, letters, name, bracket, _ = self._tokens.pop(0)
        if literal is not None:
            text = re.sub(r"\\(.)", r"\1", literal)
            return lambda _: text
        if letters is not None:
            choice = _letters(letters)
            return lambda _: self._random.choice(choice)
        if name is not None:
            return lambda budget: self._rules[name](budget)
        if bracket != "(":
            raise ValueError(bracket)
        inner = self._alternatives()
        self._tokens.pop(0)
        return inner

    def _times(self, sign: str) -> tuple[int, int]:
        if sign in "?*+":
            return {"?": (0, 1), "*": (0, 99), "+": (1, 99)}[sign]
        low, comma, high = sign[1:-1].partition(",")
        return int(low), int(high) if high else (99_999 if comma else int(low))


def _letters(inside: str) -> str:
    if inside.startswith("^"):
        return _ANY_CHARACTER
    plain = re.sub(r"(.)-(.)", lambda at: "".join(map(chr, range(ord(at[1]), ord(at[2]) + 1))), inside)
    return re.sub(r"\\(.)", r"\1", plain)
