"""The region's JSON routes, described for programs (OpenAPI 3.1)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from sync.server.insight import insight_openapi
from sync.transport import ENVELOPE_TYPE, KEYS_TYPE, PIECE_TYPE, PROBLEM_TYPE, QUESTION_TYPE, REPLY_TYPE


def describe_region() -> dict[str, Any]:
    """Return the document /openapi.json answers."""
    return _with_busy(_document())


def _with_busy(document: dict[str, Any]) -> dict[str, Any]:
    """Whatever asks the database may meet one that starts again, or a full line."""
    for path, item in document["paths"].items():
        if path == "/openapi.json":
            continue
        for operation in item.values():
            if isinstance(operation, dict):
                operation["responses"].setdefault("503", _BUSY)
    return document


def _document() -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sandyq region",
            "version": version("sandyq"),
            "description": "Takes sealed, anonymised batches of learning events from classroom boxes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/enrolments": {"post": _enrolments()},
            "/v1/batches": {"post": _batches()},
            "/v1/news": {"post": _news()},
            "/v1/keys": {"get": _keys()},
            "/v1/uploads": {"post": _begin_upload()},
            "/v1/uploads/{name}": {
                "parameters": [
                    _named("name", "path", "The SHA-256 of the whole envelope, in hexadecimal digits")
                ],
                "head": _find_upload(),
                "patch": _continue_upload(),
            },
            **insight_openapi.paths(),
            "/health": {"get": _health()},
            "/metrics": {
                "get": {
                    "operationId": "metrics",
                    "summary": "Figures for Prometheus: of this worker, and of what is stored",
                    "responses": {"200": {"description": "Numbers only", "content": {"text/plain": {}}}},
                }
            },
            "/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This document",
                    "responses": {"200": _json("This document", {"type": "object"})},
                }
            },
        },
        "components": {
            "securitySchemes": {"box": {"type": "http", "scheme": "bearer"}, **insight_openapi.SECURITY},
            "schemas": {"Problem": _PROBLEM, "Enrolment": _ENROLMENT, "EnrolmentRequest": _REQUEST},
        },
    }


def _enrolments() -> dict[str, Any]:
    return {
        "operationId": "enrol",
        "summary": "Spend a one-time code and join the region",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EnrolmentRequest"}}},
        },
        "responses": {
            "201": _json("The box is enrolled", {"$ref": "#/components/schemas/Enrolment"}),
            "400": _problem("The request has the wrong form, or the key was not proven"),
            "403": _problem("The code is wrong, used or too old"),
            "413": _problem("The request is too large"),
            "429": _problem("Too many wrong codes; Retry-After says how long to wait"),
        },
    }


def _batches() -> dict[str, Any]:
    return {
        "operationId": "deliver",
        "summary": "Deliver one sealed batch",
        "description": "The same envelope again is answered with the same receipt and counted once.",
        "security": [{"box": []}],
        "requestBody": {"required": True, "content": {ENVELOPE_TYPE: {}, "application/octet-stream": {}}},
        "responses": {
            "200": {
                "description": "Stored; the reply with the signed receipt (docs/envelope.md)",
                "content": {REPLY_TYPE: {}},
            },
            "400": _problem("The envelope was refused; nothing was stored"),
            "401": _problem("The token is not known"),
            "403": _problem("The envelope comes from another box, or from one that waits for approval"),
            "409": _problem("Another batch with this number is stored; nothing was overwritten"),
            "413": _problem("The envelope is too large"),
            "429": _problem("This box has sent enough for today; Retry-After says when to try again"),
            "507": _problem("The region's disk is full; nothing was stored"),
        },
    }


def _news() -> dict[str, Any]:
    return {
        "operationId": "tell",
        "summary": "Say what is new for a box: order, time, receipts it may have missed",
        "security": [{"box": []}],
        "requestBody": {"required": True, "content": {QUESTION_TYPE: {}}},
        "responses": {
            "200": _REPLY,
            "400": _problem("The question has the wrong form"),
            "401": _problem("The token is not known"),
        },
    }


def _keys() -> dict[str, Any]:
    return {
        "operationId": "tell_keys",
        "summary": "The newest signed list of keys to seal to",
        "security": [{"box": []}],
        "responses": {
            "200": {"description": "The list (docs/envelope.md)", "content": {KEYS_TYPE: {}}},
            "401": _problem("The token is not known"),
            "403": _problem("The box's key was revoked"),
            "404": _problem("The region has published no list"),
        },
    }


def _begin_upload() -> dict[str, Any]:
    return {
        "operationId": "begin_upload",
        "summary": "Begin or resume an envelope that travels in pieces",
        "security": [{"box": []}],
        "parameters": [
            _named("Upload-Length", "header", "Bytes of the whole"),
            _named("Repr-Digest", "header", "sha-256=:base64: of the whole"),
        ],
        "responses": {
            "200": _REPLY,
            "201": _told("Go on at Upload-Offset", "Location", "Upload-Offset"),
            "400": _problem("A header is missing"),
            "401": _problem("The token is not known"),
            "413": _problem("The envelope would be too large"),
            "503": _problem("Too much is unfinished; Retry-After says when to try again"),
        },
    }


def _find_upload() -> dict[str, Any]:
    return {
        "operationId": "find_upload",
        "summary": "Ask how much of an envelope is kept",
        "security": [{"box": []}],
        "responses": {
            "204": _told("So much is on the disk", "Upload-Offset", "Upload-Length"),
            "401": {"description": "The token is not known"},
            "404": {"description": "Nobody began this envelope"},
        },
    }


def _continue_upload() -> dict[str, Any]:
    return {
        "operationId": "continue_upload",
        "summary": "Send the next piece; the last one is answered with the reply",
        "security": [{"box": []}],
        "parameters": [_named("Upload-Offset", "header", "Where this piece begins")],
        "requestBody": {"required": True, "content": {PIECE_TYPE: {}}},
        "responses": {
            "200": _REPLY,
            "204": _told("On the disk; go on at Upload-Offset", "Upload-Offset"),
            "400": _problem("The whole is damaged or refused; begin again"),
            "401": _problem("The token is not known"),
            "404": _problem("Nobody began this envelope"),
            "409": _problem("Another offset is the right one: it is in Upload-Offset"),
            "413": _problem("The piece is too large"),
            "507": _problem("The region's disk is full"),
        },
    }


def _named(name: str, place: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": place, "required": True, "description": description, "schema": _TEXT}


def _told(description: str, *headers: str) -> dict[str, Any]:
    return {"description": description, "headers": {name: {"schema": _TEXT} for name in headers}}


def _health() -> dict[str, Any]:
    healthy = {
        "type": "object",
        "required": ["status", "region"],
        "properties": {"status": {"const": "ok"}, "region": {"type": "string"}},
    }
    return {
        "operationId": "health",
        "summary": "Say whether the region can store",
        "responses": {"200": _json("Ready", healthy), "500": _problem("The database cannot be read")},
    }


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": schema}}}


_BUSY = {
    **_problem("Nothing was stored; the same may come again"),
    "headers": {"Retry-After": {"schema": {"type": "string"}}},
}
_REPLY = {"description": "The region's reply (docs/envelope.md)", "content": {REPLY_TYPE: {}}}
_TEXT = {"type": "string"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457, in the reader's language (Accept-Language: kk, ru, en)",
    "required": ["type", "title", "status", "detail", "code", "hint"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": {"type": "string", "description": "A stable key"},
        "hint": {"type": "string", "description": "What to do next"},
    },
}
_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["code", "device_key", "proof", "software"],
    "properties": {
        "code": {"type": "string", "description": "The first ten letters of the code"},
        "device_key": _BASE64,
        "proof": {**_BASE64, "description": "Ed25519 over 'sandyq/enrol/1' and the ten letters"},
        "software": {"type": "string", "maxLength": 40},
    },
}
_ENROLMENT: dict[str, Any] = {
    "type": "object",
    "required": [
        "region_id",
        "region_name",
        "sealing_key",
        "receipt_key",
        "policy_key",
        "policy_proof",
        "box_label",
        "token",
    ],
    "properties": {
        "region_id": _BASE64,
        "region_name": _TEXT,
        "sealing_key": _BASE64,
        "receipt_key": _BASE64,
        "policy_key": _BASE64,
        "policy_proof": {**_BASE64, "description": "The receipt key vouches for the policy key"},
        "nation_key": {**_BASE64, "description": "What the nation's section is sealed to, when there is one"},
        "nation_proof": {**_BASE64, "description": "The receipt key vouches for the nation's key"},
        "box_label": _TEXT,
        "token": _TEXT,
    },
}
