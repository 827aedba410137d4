"""What programs ask the box: its health, and the description of its JSON routes."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from appliance.web.context import services
from appliance.web.openapi import describe_box

pages = Blueprint("machine", __name__)


@pages.get("/health")
def health() -> ResponseReturnValue:
    """The pages are up whatever the model does, so this answers 200 with the engine's phase inside."""
    engine = services().assistant.state
    return jsonify(status="ok", engine=engine.phase, model=engine.model)


@pages.get("/openapi.json")
def openapi() -> ResponseReturnValue:
    return jsonify(describe_box())
