"""The routes of `sync/server/insight/insight_data`, described for programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from sync.server.insight.equity import AXES, MEASURES
from sync.server.insight.exports import SCHEMA_NAME, schema
from sync.server.insight.needs import NEEDS
from sync.transport import PROBLEM_TYPE

SECURITY = {"reader": {"type": "http", "scheme": "bearer", "description": "sandyq region token add NAME"}}
_TEXT = {"type": "string"}
_MOMENT = {"type": "string", "format": "date-time"}
_COUNT = {"type": "integer", "minimum": 0}
_MONTH = {"type": "string", "pattern": r"^\d{4}-\d{2}$"}
_SHARE = {"type": ["number", "null"], "minimum": 0, "maximum": 1}


def paths() -> dict[str, Any]:
    """Return the paths, to be put beside those of the boxes."""
    return {
        "/data/boxes": _get(
            "boxes", "How every box is and what it needs, the most urgent first", _list(_BOX)
        ),
        "/data/months": _get("months", "The months of which something was told", _MONTHS),
        "/data/equity/{month}": _get(
            "equity",
            "Every comparison of a month that is told as a whole",
            _list(_PANEL),
            _in_path("month", _MONTH),
        ),
        "/data/told/{name}": {
            "get": {
                "operationId": "told",
                "summary": "All that was told of a month: one row for each part of each block",
                "description": f"The columns are those of /data/schema/{SCHEMA_NAME} in all three forms.",
                "security": [{"reader": []}],
                "parameters": [_in_path("name", _file_name("csv|parquet|json"))],
                "responses": {
                    "200": {
                        "description": "The table",
                        "content": {
                            "application/json": {"schema": {"type": "array", "items": schema()["items"]}},
                            "text/csv": {},
                            "application/vnd.apache.parquet": {},
                        },
                    },
                    **_REFUSALS,
                },
            }
        },
        "/data/xapi/{name}": _get(
            "xapi",
            "The same as xAPI statements; the actor stands for ten learners or more together",
            _list({"type": "object", "required": ["id", "actor", "verb", "object", "result", "timestamp"]}),
            _in_path("name", _file_name("json")),
        ),
        f"/data/schema/{SCHEMA_NAME}": _get(
            "schema", "The JSON schema of a told table", {"type": "object"}, media="application/schema+json"
        ),
    }


def _get(
    name: str,
    summary: str,
    answer: dict[str, Any],
    *parameters: dict[str, Any],
    media: str = "application/json",
) -> dict[str, Any]:
    return {
        "get": {
            "operationId": f"data_{name}",
            "summary": summary,
            "security": [{"reader": []}],
            "parameters": list(parameters),
            "responses": {
                "200": {"description": summary, "content": {media: {"schema": answer}}},
                **_REFUSALS,
            },
        }
    }


def _in_path(name: str, form: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": form}


def _file_name(forms: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^\d{{4}}-\d{{2}}\.({forms})$"}


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": item}


def _problem(description: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


_REFUSALS = {
    "400": _problem("The request has the wrong form"),
    "401": _problem("The token is not known"),
    "403": _problem("The account may not read this"),
    "404": _problem("Nothing is told under this name"),
    "503": _problem("The database is away for a moment; try again"),
}
_MONTHS = {
    "type": "object",
    "required": ["told", "settled"],
    "properties": {"told": _list(_MONTH), "settled": _list(_MONTH)},
}
_BOX = {
    "type": "object",
    "required": ["label", "last_contact_at", "software", "needs"],
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("label", "school", "stratum", "size_class", "software", "disk", "heat"), _TEXT),
        **dict.fromkeys(("enrolled_at", "last_contact_at"), _MOMENT),
        **dict.fromkeys(("batches", "missing_batches"), _COUNT),
        "is_sent_away": {"type": "boolean"},
        "needs": _list(
            {
                "type": "object",
                "required": ["name", "level", "count"],
                "properties": {
                    "name": {"enum": list(NEEDS)},
                    "level": {"enum": ["now", "soon", "later"]},
                    "count": {**_COUNT, "description": "School days or envelopes; else 0"},
                },
            }
        ),
    },
}
_PANEL = {
    "type": "object",
    "required": ["measure", "share_of", "cannot_tell", "axis", "groups", "differ"],
    "additionalProperties": False,
    "properties": {
        "measure": {"enum": list(MEASURES)},
        "share_of": _TEXT,
        "cannot_tell": {
            **_TEXT,
            "description": "Show it beside the figures",
        },
        "axis": {"enum": list(AXES)},
        "groups": _list(
            {
                "type": "object",
                "required": ["group", "share", "low", "high"],
                "properties": {"group": _TEXT, "share": _SHARE, "low": _SHARE, "high": _SHARE},
            }
        ),
        "differ": {**_list(_list(_TEXT)), "description": "Pairs that differ by more than chance explains"},
    },
}
