"""The region's JSON routes, described for programs (OpenAPI 3.1)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from sync.transport import ENVELOPE_TYPE, PROBLEM_TYPE, RECEIPT_TYPE


def describe_region() -> dict[str, Any]:
    """Return the document /openapi.json answers."""
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
            "/health": {"get": _health()},
            "/openapi.json": {
                "get": {
                    "operationId": "describe",
                    "summary": "This document",
                    "responses": {"200": _json("This document", {"type": "object"})},
                }
            },
        },
        "components": {
            "securitySchemes": {"box": {"type": "http", "scheme": "bearer"}},
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
                "description": "Stored; the signed receipt (docs/envelope.md)",
                "content": {RECEIPT_TYPE: {}},
            },
            "400": _problem("The envelope was refused; nothing was stored"),
            "401": _problem("The token is not known"),
            "403": _problem("The envelope comes from another box"),
            "409": _problem("Another batch with this number is stored; nothing was overwritten"),
            "413": _problem("The envelope is too large"),
            "507": _problem("The region's disk is full; nothing was stored"),
        },
    }


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
        "box_label": _TEXT,
        "token": _TEXT,
    },
}
