"""What was told, as tables and statements for other programs: CSV, Parquet, JSON, xAPI.

One row for each part of each told block, so that tomorrow's file begins with today's. The columns are
described by a JSON schema with a version in its name; what is added later gets another. Nothing here
reads anything but told blocks. Keeps out: HTTP, SQL.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

from sync.generalise import K
from sync.server.insight.equity import AXES, VECTORS
from sync.server.insight.threshold import FEWEST_BOXES
from sync.server.storage import parquet

VERSION = 1
SCHEMA_NAME = f"told-{VERSION}.json"


@dataclass(frozen=True)
class ToldRow:
    """One part of one told block."""

    block: int
    told_on: str
    period: str
    stratum: str
    size_class: str
    language: str
    vector: str
    part: str
    amount: int


COLUMNS = tuple(ToldRow.__dataclass_fields__)
_VALUES = attrgetter(*COLUMNS)


def schema() -> dict[str, Any]:
    """Return the JSON schema of a told row; JSON files are arrays of such rows."""

    def one_of(words: Iterable[str], description: str) -> dict[str, Any]:
        return {"type": "string", "enum": ["", *words], "description": f"{description}; empty: not told"}

    parts = [part for vector in VECTORS.values() for part in vector.parts]
    properties: dict[str, Any] = {
        "block": {
            "type": "integer",
            "minimum": 1,
            "description": "Rows of one block were told together; a block never changes",
        },
        "told_on": {"type": "string", "format": "date", "description": "The day it was told"},
        "period": {
            "type": "string",
            "pattern": r"^\d{4}-\d{2}(-\d{2})?$",
            "description": "The day, or the month for what no day could tell; they do not overlap",
        },
        "stratum": one_of(AXES["stratum"], "Where the schools are"),
        "size_class": one_of(AXES["size_class"], "How large the schools are"),
        "language": one_of(AXES["language"], "The language the learners used"),
        "vector": {"type": "string", "enum": list(VECTORS), "description": "What is counted together"},
        "part": {"type": "string", "enum": parts, "description": "What is counted"},
        "amount": {
            "type": "integer",
            "minimum": K,
            "description": f"How often, by {K} learners or more, in {FEWEST_BOXES} schools or more",
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:sandyq:schema:told:{VERSION}",
        "title": "Told rows of a Sandyq region",
        "type": "array",
        "items": {
            "type": "object",
            "properties": properties,
            "required": list(COLUMNS),
            "additionalProperties": False,
        },
    }


def as_csv(rows: Iterable[ToldRow]) -> str:
    """Return a table with a line of names."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(map(_VALUES, rows))
    return text.getvalue()


def as_json(rows: Iterable[ToldRow]) -> str:
    return json.dumps([vars(row) for row in rows], separators=(",", ":"))


_TYPES = {"block": "BIGINT", "amount": "BIGINT"}


def as_parquet(rows: Iterable[ToldRow]) -> bytes:
    """Return the same as Parquet."""
    with tempfile.TemporaryDirectory(prefix="sandyq-export-") as folder:
        table, made = Path(folder) / "told.csv", Path(folder) / "told.parquet"
        table.write_text(as_csv(rows), encoding="utf-8")
        columns = {name: _TYPES.get(name, "VARCHAR") for name in COLUMNS}
        parquet.from_csv(table, columns, made, select=f"* REPLACE ({_NEVER_NULL})")
        return made.read_bytes()


# An empty field of a CSV is nothing to the reader; in our rows it is the empty word.
_NEVER_NULL = ", ".join(f"coalesce({name}, '') AS {name}" for name in ("stratum", "size_class", "language"))


# xAPI ------------------------------------------------------------------------------------------

_VERBS = {
    "asked": ("http://adlnet.gov/expapi/verbs/asked", "asked"),
    "failed": ("http://adlnet.gov/expapi/verbs/failed", "got no answer"),
    "refused": ("urn:sandyq:xapi:verb:refused", "were refused"),
    "handed": ("urn:sandyq:xapi:verb:handed-to-a-person", "were handed to a person"),
    "right": ("http://adlnet.gov/expapi/verbs/answered", "answered"),
    "wrong": ("http://adlnet.gov/expapi/verbs/answered", "answered"),
}
_RECEIVED = ("urn:sandyq:xapi:verb:received", "received an answer")
_SUCCESS = {"right": True, "wrong": False}
_COUNT = "urn:sandyq:xapi:extension:count"
_CELL = "urn:sandyq:xapi:extension:"


def statements(region_id: bytes, rows: Iterable[ToldRow]) -> Iterator[dict[str, Any]]:
    """Return an xAPI 1.0.3 statement for each told row.

    Its actor is an account that stands for the learners of a block together, and for nobody: there are ten
    of them or more. How often it happened is an extension of the result. The same row has the same id for
    ever, so that an LRS takes it once.
    """
    for row in rows:
        yield _statement(region_id, row)


def _statement(region_id: bytes, row: ToldRow) -> dict[str, Any]:
    verb, said = _VERBS.get(row.part, _RECEIVED)
    result: dict[str, Any] = {"extensions": {_COUNT: row.amount}}
    if row.part in _SUCCESS:
        result["success"] = _SUCCESS[row.part]
    context: dict[str, Any] = {
        "platform": "Sandyq",
        "extensions": {
            f"{_CELL}{name}": getattr(row, name)
            for name in ("period", "stratum", "size_class", "part")
            if getattr(row, name)
        },
    }
    if row.language:
        context["language"] = row.language
    day = row.period if len(row.period) > len("2026-01") else f"{row.period}-01"
    return {
        "id": str(uuid5(UUID(bytes=region_id), f"told {row.block} {row.part}")),
        "actor": {
            "objectType": "Agent",
            "account": {
                "homePage": f"https://{region_id.hex()}.region.sandyq.invalid",
                "name": "ten-or-more-" + hashlib.sha256(f"{row.block}".encode()).hexdigest()[:16],
            },
        },
        "verb": {"id": verb, "display": {"en": said}},
        "object": {
            "objectType": "Activity",
            "id": f"urn:sandyq:xapi:activity:{row.vector}",
            "definition": {"name": {"en": VECTORS[row.vector].title}},
        },
        "result": result,
        "context": context,
        "timestamp": f"{day}T00:00:00Z",
        "version": "1.0.3",
    }
