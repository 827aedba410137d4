"""Say what went wrong: a page for people, an RFC 9457 problem document for programs."""

import logging

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from appliance import languages
from appliance.errors import ApplianceError, BodyTooLarge, BrokenText, NotAllowed, NotFound
from appliance.web.context import language
from sync.errors import SyncError

log = logging.getLogger(__name__)


def register(app: Flask) -> None:
    app.register_error_handler(ApplianceError, answer)
    app.register_error_handler(SyncError, answer)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def sentences(error: ApplianceError | SyncError) -> tuple[str, str]:
    """Return what happened and what to do next, in the reader's language."""
    params = {name: _translated(value) for name, value in error.params.items()}
    return (
        languages.render(language(), error.message, params),
        languages.render(language(), error.hint, params),
    )


def answer(error: ApplianceError | SyncError) -> Response:
    """Return the answer that says this error."""
    message, hint = sentences(error)
    if _asks_json():
        response = jsonify(
            type=f"urn:sandyq:{error.key}",
            title=message,
            status=error.status,
            detail=hint,
            code=error.key,
        )
        response.content_type = "application/problem+json"
    else:
        page = render_template(
            "error.html", message=message, hint=hint, is_for_teacher=isinstance(error, NotAllowed)
        )
        response = make_response(page)
    response.status_code = error.status
    return response


def _asks_json() -> bool:
    """A route of the JSON door answers programs whatever they accept."""
    if request.path == "/health" or request.path.endswith(".json"):
        return True
    best = request.accept_mimetypes.best_match(["text/html", "application/json"], "text/html")
    return best == "application/json"


def _translated(value: object) -> object:
    """Field names are marked sentences themselves; anything else stays as it is."""
    return languages.translations(language()).gettext(value) if isinstance(value, str) and value else value


def _http_error(error: HTTPException) -> Response:
    if error.code in (301, 302, 303, 307, 308):
        return make_response(error.get_response())
    known = {400: BrokenText, 413: BodyTooLarge}
    ours = known.get(error.code or 404, NotFound)()
    response = answer(ours)
    response.status_code = error.code or ours.status
    return response


def _unexpected(error: Exception) -> Response:
    # The trace goes to the journal without the request's fields: those may hold a name.
    log.exception("unexpected fault in %s %s", request.method, request.endpoint, exc_info=error)
    return answer(ApplianceError())
