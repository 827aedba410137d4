"""The box's JSON routes, described for programs (OpenAPI 3.1).

Every route that answers JSON is here, and a test compares the list with the routes themselves. People's
pages and forms are not: a script that teaches needs a person beside it.
"""

from importlib.metadata import version
from typing import Any

from appliance.lesson import review
from appliance.lesson.states import STATES
from appliance.web.context import LOGIN_COOKIE

Schema = dict[str, Any]


def describe_box() -> Schema:
    """Return the document that /openapi.json answers."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sandyq box",
            "version": version("sandyq"),
            "description": "What scripts may ask a classroom box. Log in as the page does: POST the field "
            "`pin` to /teacher/login and keep the cookie. Answers with words of a model carry the header "
            "X-AI-Generated, and each such text is marked beside it.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/health": {"get": _get("health", "How the box is", _HEALTH)},
            "/leaves.json": {"get": _get("leaves", "What leaves this school next; no log-in", _LEAVES)},
            "/openapi.json": {"get": _get("describe", "This document", {"type": "object"})},
            "/teacher/class.json": {"get": _for_teacher("class", "The class as it is now", _ref("Class"))},
            "/teacher/reports.json": {
                "get": _for_teacher("lessons", "The latest lessons, newest first", _LESSONS)
            },
            "/teacher/reports/{session_id}.json": {
                "get": _for_teacher(
                    "report",
                    "What happened in a lesson",
                    {"$ref": "#/components/schemas/Report"},
                    "session_id",
                )
            },
            "/teacher/learners/{learner_id}/export.json": {
                "get": _for_teacher("export", "Everything kept of a learner", _EXPORT, "learner_id")
            },
            "/me/export.json": {
                "get": _get(
                    "my_export", "Everything kept of the learner who asks", _EXPORT, problems=("403", "409")
                )
                | {"security": [{"learner": []}]}
            },
        },
        "components": {
            "securitySchemes": {
                "teacher": {"type": "apiKey", "in": "cookie", "name": LOGIN_COOKIE},
                "learner": {"type": "apiKey", "in": "cookie", "name": LOGIN_COOKIE},
            },
            "schemas": {"Class": _CLASS, "Report": _REPORT, "Problem": _PROBLEM},
            "responses": {"Problem": _PROBLEM_RESPONSE},
            "parameters": {"lang": _LANG},
        },
    }


def _get(name: str, summary: str, schema: Schema, problems: tuple[str, ...] = ()) -> Schema:
    answers = {number: {"$ref": "#/components/responses/Problem"} for number in (*problems, "default")}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [{"$ref": "#/components/parameters/lang"}],
        "responses": {
            "200": {"description": summary, "content": {"application/json": {"schema": schema}}},
            **answers,
        },
    }


def _for_teacher(name: str, summary: str, schema: Schema, in_path: str = "") -> Schema:
    described = _get(name, summary, schema, problems=("403", "404") if in_path else ("403",))
    if in_path:
        described["parameters"].append(
            {"name": in_path, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        )
    return described | {"security": [{"teacher": []}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


_TEXT = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_TIME = {"type": "string", "format": "date-time"}
_MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
_AI_OR_NOT = {"enum": ["ai", None]}
_COUNTS = {"type": "object", "additionalProperties": _COUNT}
_LANG = {
    "name": "lang",
    "in": "query",
    "description": "Language of the sentences in a problem document.",
    "schema": {"type": "string", "enum": ["kk", "ru", "en"]},
}
_PROBLEM = _object(type=_TEXT, title=_TEXT, status={"type": "integer"}, detail=_TEXT, code=_TEXT)
_PROBLEM_RESPONSE = {
    "description": "RFC 9457; `title` says what happened and `detail` what to do, in the reader's language.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_HEALTH = _object(status={"const": "ok"}, engine={"enum": ["ready", "loading", "down"]}, model=_TEXT)
_CLASS = _object(
    school_class=_TEXT,
    lesson_is_open=_FLAG,
    engine={"enum": ["ready", "loading", "down"]},
    counts=_object(**dict.fromkeys(STATES, _COUNT)),
    learners=_list(
        _object(
            number={"type": "integer", "minimum": 1},
            name=_TEXT,
            state={"enum": list(STATES)},
            place=_COUNT,
            why={"enum": ["", "wrong", "again", "quiet"]},
            asked=_COUNT,
            waits_seconds=_COUNT,
        )
    ),
    flags=_list(
        _object(
            kind={"enum": ["hand_back", "contest", "stuck"]},
            learner=_TEXT,
            reason={"type": "string", "examples": [*review.REASONS, "asked_for_person"]},
            at=_MAYBE_TIME,
            is_overdue=_FLAG,
        )
    ),
)
_LESSONS = _object(
    lessons=_list(_object(id=_TEXT, opened_at=_TIME, closed_at=_MAYBE_TIME, asked=_COUNT)),
)
_REPORT = _object(
    session_id=_TEXT,
    school_class=_TEXT,
    opened_at=_TIME,
    closed_at=_MAYBE_TIME,
    joined=_COUNT,
    minutes_with_ai=_COUNT,
    minutes_without_ai=_COUNT,
    repeated=_list(_object(text=_TEXT, learners=_COUNT)),
    hard_tasks=_list(_object(text=_TEXT, tried=_COUNT, solved=_COUNT, wrong=_COUNT)),
    refusals=_COUNTS,
    hand_backs=_COUNTS,
    contests=_COUNT,
    open_contests=_COUNT,
    questions=_list(
        _object(
            at=_TIME,
            text=_TEXT,
            language=_TEXT,
            state=_TEXT,
            seconds={"type": ["integer", "null"]},
            answer=_TEXT,
            model=_TEXT,
            answer_generator=_AI_OR_NOT,
        )
    ),
)
_LEAVES = _object(
    is_sealed=_FLAG,
    state={"enum": ["nothing", "waits", "ready", "sealed"]},
    leaves_on={"type": ["string", "null"], "format": "date"},
    # Null when nothing of a finished day waits.
    envelope={"type": ["object", "null"]},
    nation={"type": ["object", "null"]},
    nation_weeks=_list({"type": "string", "format": "date"}),
    sealed_bytes={"type": ["integer", "null"]},
    sealed_sha256={"type": ["string", "null"]},
    clear_bytes={"type": "string", "description": "hexadecimal"},
)
_EXPORT = _object(
    exported_at=_TIME,
    ai_source_type=_TEXT,
    # By table: what the box keeps may grow, and the copy with it.
    rows={"type": "object", "additionalProperties": _list({"type": "object"})},
)
