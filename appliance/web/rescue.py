"""The one page of a box whose database is damaged: says so plainly, and offers the newest good backup.

A small application of its own, shown in place of the classroom until the teacher has restored. Whoever
restores shows a PIN that the backup knows, so that no learner turns the class back in time; tries are counted
as at the log-in. Nothing is overwritten: the damaged file is kept.
"""

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask, Response, jsonify, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from jinja2 import StrictUndefined

from appliance import languages
from appliance.care import rescue_offer
from appliance.care.backup_folder import DATABASE
from appliance.care.rescue_offer import Offer
from appliance.database import saving
from appliance.errors import ApplianceError, WrongPin
from appliance.people import access, roster
from appliance.people.accommodations import Accommodation
from appliance.web.context import LANGUAGE_COOKIE, SECURITY_HEADERS, VERSION, verify_same_origin
from sync.database import open_database
from sync.errors import SyncError

# The page asks again by itself while the backup is being opened.
LOOK_SECONDS = 3
MAX_BODY_BYTES = 4096
SCOPE = "pin"

Restore = Callable[[Offer], None]


def create_rescue_app(
    home: Path,
    default_language: str,
    is_looking: Callable[[], bool],
    restore: Restore,
) -> Flask:
    """Return the application; `restore` exchanges the database and opens the classroom."""
    app = Flask("appliance", static_folder="static", template_folder="templates")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    _set_up_templates(app, default_language)
    one_at_a_time = threading.Lock()

    def page(problem: ApplianceError | SyncError | None = None) -> ResponseReturnValue:
        offer = None if is_looking() else rescue_offer.find_offer(home)
        code = _language(default_language)
        sentences = problem and tuple(
            languages.render(code, text, problem.params) for text in (problem.message, problem.hint)
        )
        html = render_template(
            "rescue.html",
            offer=offer.found if offer else None,
            made_at=_local(offer.found.made_at) if offer else "",
            days=max(0, (datetime.now(UTC) - offer.found.made_at).days) if offer else 0,
            is_looking=is_looking(),
            look_seconds=LOOK_SECONDS,
            problem=sentences,
        )
        # 503: programs and browsers must not take this for the page they asked for.
        return html, problem.status if problem else 503

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return jsonify(status="damaged", engine="down", model="")

    @app.get("/", defaults={"path": ""})
    @app.get("/<path:path>")
    def show(path: str) -> ResponseReturnValue:  # noqa: ARG001 - whatever was asked for
        return page()

    @app.post("/rescue")
    def take() -> ResponseReturnValue:
        with one_at_a_time:
            offer = None if is_looking() else rescue_offer.find_offer(home)
            if offer is None:
                return redirect("/", 303)  # a second tap: it is done already, or there is nothing
            try:
                verify_same_origin()
                _verify_pin(offer, request.form.get("pin", "").strip())
                restore(offer)
            except (ApplianceError, SyncError) as error:
                return page(error)
            return redirect("/teacher/login", 303)

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        chosen = request.args.get("lang")
        if chosen in languages.languages():
            response.set_cookie(LANGUAGE_COOKIE, chosen, samesite="Strict", httponly=True)
        return make_response(response)

    return app


def _verify_pin(offer: Offer, pin: str) -> None:
    """Raise WrongPin unless a teacher of the backup has this PIN; TooManyTries after a few."""
    now, address = datetime.now(UTC), request.remote_addr or "unknown"
    with closing(open_database(offer.found.folder / DATABASE)) as db:
        with saving(db):
            left = access.take_try(db, SCOPE, address, now=now)
        for school_class in roster.school_classes(db):
            if access.find_teacher_by_pin(db, pin, school_class.id) is not None:
                return
    raise WrongPin(left=left)


def _set_up_templates(app: Flask, default_language: str) -> None:
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        lambda text: languages.translations(_language(default_language)).gettext(text),
        lambda one, many, count: languages.translations(_language(default_language)).ngettext(
            one, many, count
        ),
        newstyle=True,
    )
    app.context_processor(
        lambda: {
            "language": _language(default_language),
            "languages": languages.languages(),
            "version": VERSION,
            "accommodation": Accommodation(),
            "reader_id": None,
        }
    )


def _language(default: str) -> str:
    wishes = [request.args.get("lang"), request.cookies.get(LANGUAGE_COOKIE)]
    return languages.choose([*wishes, *request.accept_languages.values()], default)


def _local(at: datetime) -> str:
    return at.astimezone().strftime("%d.%m.%Y, %H:%M")
