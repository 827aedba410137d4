"""Every sentence of this room is spoken in Kazakh, Russian and English."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import sync.server
from sync import errors, region_errors
from sync.server.translation import load_speakers

SERVER = Path(sync.server.__file__).parent
# The modules whose sentences a page says.
SPEAKING = (
    "desk/desk_pages.py",
    "desk/order_words.py",
    "enrolment/enrolment_pages.py",
    "insight/equity.py",
    "insight/insight_pages.py",
    "insight/needs.py",
    "nation/nation_pages.py",
    "people/people_pages.py",
    "people/record_words.py",
    "people/web_context.py",
)
FAMILY = [
    error
    for error in {**vars(errors), **vars(region_errors)}.values()
    if isinstance(error, type) and issubclass(error, errors.SyncError)
]
PLACES = re.compile(r"%\((\w+)\)[sd]")


def said_by(file: Path) -> Iterator[str]:
    """Find what a module marks with `N_` or lets a speaker say."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"N_", "say"} and isinstance(node.args[0].value, str):
            yield node.args[0].value


def sentences() -> set[str]:
    found = {sentence for error in FAMILY for sentence in (error.message, error.hint)}
    for file in SPEAKING:
        found |= set(said_by(SERVER / file))
    for file in (SERVER / "templates").glob("*.html"):
        for double, single in re.findall(r"""speaker\.say\(\s*(?:"([^"]+)"|'([^']+)')""", file.read_text()):
            found.add(double or single)
    return found


@pytest.mark.parametrize("language", ["kk", "ru"])
def test_every_sentence_is_translated_with_the_same_places(language: str) -> None:
    speaker = load_speakers()[language]
    for sentence in sentences():
        spoken = speaker.say(sentence)
        assert re.search("[а-яёәғқңөұүһі]", spoken.lower()), sentence
        assert sorted(PLACES.findall(spoken)) == sorted(PLACES.findall(sentence)), sentence


def test_no_catalogue_keeps_a_sentence_nobody_says() -> None:
    for language in ("kk", "ru"):
        text = (SERVER / "translations" / language / "LC_MESSAGES" / "region.po").read_text()
        kept = {line[7:-1] for line in text.splitlines() if line.startswith('msgid "') and line != 'msgid ""'}
        assert kept == sentences()


def test_every_error_has_its_own_key() -> None:
    keys = [error.key for error in FAMILY if error is not errors.SyncError]
    assert len(keys) == len(set(keys))
