"""Answers in words: is this word, or what stands in its place, the one that must not be told? Pure.

Compares by sound and by look, so that the three alphabets meet. Keeps out what may be quoted (`gate`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from appliance.tutor.folding import is_mixed, is_one_off, look, sound

# Shorter answers in words are matched whole, longer ones by their stem: endings change in Kazakh and Russian.
STEM_CHARACTERS = 5
LONGEST_ENDING = 6
# Words of one answer need not stand side by side.
WORDS_APART = 12


@dataclass(frozen=True)
class Form:
    """A word to look for, as it sounds and looks."""

    plain: str
    sounded: str
    looked: str
    is_stem: bool


def forms(word: str) -> Iterator[Form]:
    stem = word
    if len(word) > STEM_CHARACTERS:
        stem = word[: max(STEM_CHARACTERS - 1, len(word) - 2)]
    yield Form(word, sound(stem), look(stem), is_stem=True)
    if len(word) > 2 and word != word[::-1]:
        yield Form(word, sound(word[::-1]), look(word[::-1]), is_stem=False)


def compare(form: Form, tokens: Sequence[re.Match[str]], text: str, *, is_end: bool) -> str:
    """Return whole, begun (the text ends before it is decided) or other."""
    plain = ""
    for count, token in enumerate(tokens[: len(form.plain) + 1]):
        plain += token[0]
        reaches_end = token.end() == len(text) and not is_end
        for target, seen in (
            (form.sounded, sound(plain)),
            (form.looked, look(plain) if is_mixed(plain) else ""),
        ):
            if not target or not seen:
                continue
            if seen.startswith(target):
                ending = len(seen) - len(target)
                if ending <= (
                    LONGEST_ENDING
                    if len(target) >= STEM_CHARACTERS - 1 and form.is_stem
                    else 2
                    if form.is_stem and len(target) > 2
                    else 0
                ) and not (count and ending > 3):
                    return "begun" if reaches_end and len(target) < STEM_CHARACTERS - 1 else "whole"
            elif target.startswith(seen):
                break
        else:
            return "other"
        if seen_all(form, plain):
            return "other"
    return "begun" if not is_end else "other"


def is_misspelt(form: Form, token: str) -> bool:
    whole = sound(form.plain)
    return form.is_stem and len(whole) > STEM_CHARACTERS and is_one_off(sound(token), whole)


def is_halved(word: str, said: Sequence[str]) -> bool:
    """Return whether a word is told in two parts with something between: "photo", and goes on "synthesis"."""
    if len(word) <= STEM_CHARACTERS:
        return False
    for place, first in enumerate(said):
        rest = word[len(first) :]
        if (
            len(first) > 1
            and len(rest) > 1
            and word.startswith(first)
            and rest in said[place : place + WORDS_APART]
        ):
            return True
    return False


def seen_all(form: Form, plain: str) -> bool:
    return len(plain) > len(form.plain) + LONGEST_ENDING


def same_word(word: str, other: str) -> bool:
    return any(
        form.is_stem and sound(other).startswith(form.sounded) and len(other) <= len(word) + LONGEST_ENDING
        for form in forms(word)
    )
