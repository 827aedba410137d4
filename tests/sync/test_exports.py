"""What is told can be taken away: three forms of one table, and statements for an LRS."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import duckdb
import pytest
from jsonschema import Draft202012Validator

from sync.server.insight import exports
from sync.server.insight.equity import VECTORS
from sync.server.insight.exports import COLUMNS, ToldRow

ROWS = (
    ToldRow(1, "2026-10-01", "2026-09-07", "rural", "small", "kk", "tries", "right", 300),
    ToldRow(1, "2026-10-01", "2026-09-07", "rural", "small", "kk", "tries", "wrong", 200),
    ToldRow(2, "2026-10-21", "2026-09", "", "", "", "questions", "asked", 5000),
)
REGION = bytes(range(16))


def test_the_schema_is_a_schema_and_the_rows_keep_it() -> None:
    Draft202012Validator.check_schema(exports.schema())
    Draft202012Validator(exports.schema()).validate(json.loads(exports.as_json(ROWS)))


@pytest.mark.parametrize("wrong", [{"amount": 9}, {"part": "teacher"}, {"stratum": "school 43"}, {"box": 1}])
def test_the_schema_refuses_what_may_not_be_told(wrong: dict[str, object]) -> None:
    row = json.loads(exports.as_json(ROWS))[0] | wrong
    assert list(Draft202012Validator(exports.schema()).iter_errors([row]))


def test_no_column_is_about_a_school_a_teacher_or_a_learner() -> None:
    assert (
        *("block", "told_on", "period", "stratum", "size_class", "language", "vector", "part", "amount"),
    ) == COLUMNS


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    read = list(csv.DictReader(io.StringIO(exports.as_csv(ROWS))))
    assert [tuple(row.values()) for row in read] == [
        tuple(str(value) for value in vars(row).values()) for row in ROWS
    ]
    path = tmp_path / "told.parquet"
    path.write_bytes(exports.as_parquet(ROWS))
    with duckdb.connect() as memory:
        found = memory.execute("SELECT * FROM read_parquet(?) ORDER BY block, part", [str(path)])
        assert [name for name, *_ in found.description] == list(COLUMNS)
        assert found.fetchall() == [tuple(vars(row).values()) for row in ROWS]


def test_statements_are_xapi_and_keep_their_id() -> None:
    told = list(exports.statements(REGION, ROWS))
    assert told == list(exports.statements(REGION, ROWS))
    assert len({one["id"] for one in told}) == len(ROWS)
    for one in told:
        assert set(one) >= {"id", "actor", "verb", "object", "result", "timestamp"}
        assert one["actor"]["account"]["name"].startswith("ten-or-more-")
        assert set(one["actor"]) == {"objectType", "account"}
        assert one["verb"]["id"].startswith(("http://", "https://", "urn:"))
        assert one["result"]["extensions"]["urn:sandyq:xapi:extension:count"] >= 10
    assert [one["result"].get("success") for one in told] == [True, False, None]
    # One block, one account: of another block nothing joins them.
    assert told[0]["actor"] == told[1]["actor"] != told[2]["actor"]


def test_every_part_has_a_verb() -> None:
    for vector in VECTORS.values():
        for part in vector.parts:
            row = ToldRow(1, "2026-10-01", "2026-09", "", "", "ru", vector.name, part, 10)
            (one,) = exports.statements(REGION, [row])
            assert one["verb"]["display"]["en"]
