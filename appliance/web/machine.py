"""What programs ask the box: its health, and the description of its JSON routes."""

from collections.abc import Mapping
from importlib.metadata import version

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from appliance.web.context import services

pages = Blueprint("machine", __name__)


@pages.get("/health")
def health() -> ResponseReturnValue:
    """The pages are up whatever the model does, so this answers 200 with the engine's phase inside."""
    engine = services().assistant.state
    return jsonify(status="ok", engine=engine.phase, model=engine.model)


@pages.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    return jsonify(description())


def description() -> dict[str, object]:
    """Return the OpenAPI 3.1 document of the box's JSON routes."""
    problem = {"$ref": "#/components/responses/Problem"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Sandyq box", "version": version("sandyq")},
        "paths": {
            "/health": {
                "get": {
                    "summary": "How the box is",
                    "responses": {
                        "200": _json(
                            "The pages are up; `engine` is ready, loading or down.",
                            {"status": _TEXT, "engine": _TEXT, "model": _TEXT},
                        ),
                        "default": problem,
                    },
                }
            },
            "/leaves.json": {
                "get": {
                    "summary": "What leaves this school next, row by row and byte by byte; no log-in",
                    "responses": {
                        "200": _json(
                            "`envelope` is null when nothing of a finished day waits.",
                            {
                                "is_sealed": {"type": "boolean"},
                                "state": {"type": "string", "enum": ["nothing", "waits", "ready", "sealed"]},
                                "leaves_on": {"type": ["string", "null"], "format": "date"},
                                "envelope": {"type": ["object", "null"]},
                                "nation": {"type": ["object", "null"]},
                                "nation_weeks": {
                                    "type": "array",
                                    "items": {"type": "string", "format": "date"},
                                },
                                "sealed_bytes": {"type": ["integer", "null"]},
                                "sealed_sha256": {"type": ["string", "null"]},
                                "clear_bytes": {"type": "string", "description": "hexadecimal"},
                            },
                        ),
                        "default": problem,
                    },
                }
            },
            "/openapi.json": {
                "get": {
                    "summary": "This document",
                    "responses": {"200": _json("OpenAPI 3.1", {"openapi": _TEXT}), "default": problem},
                }
            },
        },
        "components": {
            "responses": {
                "Problem": {
                    "description": "RFC 9457; `title` and `detail` are in the reader's language.",
                    "content": {"application/problem+json": {"schema": _schema(_PROBLEM)}},
                }
            }
        },
    }


_TEXT = {"type": "string"}
_PROBLEM = {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT, "code": _TEXT}


def _schema(properties: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _json(text: str, properties: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    return {"description": text, "content": {"application/json": {"schema": _schema(properties)}}}
