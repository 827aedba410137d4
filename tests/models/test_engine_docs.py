"""docs/engine.md keeps up with the engine: codes, routes, fields and numbers."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import chat, json_grammar, resume
from models.errors import ModelsError
from models.server import MAX_BODY_BYTES
from models.worker import MAX_ANSWER_TOKENS
from tests.models.box import Box
from tests.models.fake_engine import FakeEngine

TEXT = Path("docs/engine.md").read_text(encoding="utf-8")
# Raised by commands, before there is a door; or by the engine for the worker alone.
NOT_TOLD = {"models_error", "engine_out_of_cells", "engine_refused_rows"}


def family(error: type[ModelsError] = ModelsError) -> Iterator[type[ModelsError]]:
    yield error
    for child in error.__subclasses__():
        yield from family(child)


def table(heading: str) -> list[list[str]]:
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", TEXT, re.S | re.M)
    assert section
    rows = [line.strip("|").split(" | ") for line in section[1].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_every_error_code_of_the_door_is_in_the_table_with_its_status():
    told = {code: int(row[0]) for row in table("Errors") for code in re.findall(r"`(\w+)`", row[1])}
    known = {error.key: error.status for error in family()}
    for code, status in told.items():
        assert known[code] == status, code
    # A status of their own means that an error is meant for HTTP.
    for code, status in known.items():
        if status != ModelsError.status and code not in NOT_TOLD:
            assert code in told, code


def test_every_route_is_in_the_table():
    box = Box(FakeEngine())
    try:
        rules = box.door.application().url_map.iter_rules()
        for rule in rules:
            path = re.sub(r"<path:name>|<name>", lambda at: "NAME" if "path" in at[0] else "ID", rule.rule)
            method = next(iter((rule.methods or set()) - {"HEAD", "OPTIONS"}))
            assert f"`{method} {path}`" in TEXT, rule.rule
    finally:
        box.close()


def test_every_field_is_in_the_table():
    named = {field for row in table("The fields of a question") for field in re.findall(r"`(\w+)", row[0])}
    assert named >= chat._READ


@pytest.mark.parametrize(
    "said",
    [
        f"at most {MAX_ANSWER_TOKENS} count",
        f"({chat.DEFAULT_ANSWER_TOKENS})",
        f"1 … {chat.MAX_TOP_K} ({chat.DEFAULT_TOP_K})",
        f"1 … {chat.MAX_ANSWER_CHARACTERS:,}",
        f"1 to {chat.MAX_MESSAGES} ",
        f"up to {chat.MAX_STOPS}, of 1 to {chat.MAX_STOP_CHARACTERS} letters",
        f"up to {chat.MAX_USER_CHARACTERS} letters",
        f"For {resume.GRACE_SECONDS:.0f} s after",
        f"the newest {resume.MAX_COMPLETE}",
        f"up to {json_grammar.MAX_VALUES} values",
        f"up to {json_grammar.MAX_SCHEMA_BYTES // 1024} KiB, {json_grammar.MAX_RULES} parts, ",
        f"{json_grammar.MAX_PROPERTIES} properties an object, ",
        f"lengths of {json_grammar.MAX_REPETITIONS} together",
        f"more than {MAX_BODY_BYTES >> 20} MiB",
    ],
)
def test_the_numbers_are_those_of_the_code(said):
    assert said in TEXT
