"""Put the classroom's pages together: one factory, everything they need handed in."""

from datetime import datetime

from flask import Flask, Response, request
from jinja2 import StrictUndefined

from appliance import labels, languages
from appliance.database import KeptConnections
from appliance.lesson import class_now
from appliance.permission import permission
from appliance.rendering import render
from appliance.web import (
    care,
    context,
    control,
    entry,
    errors,
    exam,
    guide,
    learner,
    leaves,
    machine,
    network,
    now,
    people,
    portal,
    reading,
    reports,
    review,
    rules,
    setup,
    stored,
    tasks,
    teacher,
)
from appliance.web.context import LANGUAGE_COOKIE, SECURITY_HEADERS, VERSION, BoxRequest, Services

# A question is at most 2,000 characters; 256 KiB still reaches the page that says so kindly, and
# bounds what one browser can make the box hold.
MAX_BODY_BYTES = 256 * 1024
# A year: the choice of a language is no secret and should not be asked again next term.
LANGUAGE_SECONDS = 365 * 24 * 3600


def create_app(services: Services) -> Flask:
    """Return the WSGI application of one box."""
    app = Flask("appliance", static_folder="static", template_folder="templates")
    app.request_class = BoxRequest
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.extensions["sandyq"] = services
    app.extensions["sandyq_connections"] = KeptConnections(services.database)
    _set_up_templates(app)
    errors.register(app)
    for room in (
        care,
        control,
        entry,
        exam,
        guide,
        learner,
        leaves,
        machine,
        network,
        now,
        people,
        portal,
        reading,
        reports,
        review,
        rules,
        setup,
        stored,
        tasks,
        teacher,
    ):
        app.register_blueprint(room.pages)
    app.before_request(portal.answer_test)
    app.before_request(context.verify_same_origin)
    app.before_request(control.keep_exam_closed)
    app.before_request(entry.show_rules_first)
    app.after_request(_finish)
    app.after_request(context.note_status)
    app.teardown_request(context.close_db)
    return app


def _set_up_templates(app: Flask) -> None:
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
        lambda text: languages.translations(context.language()).gettext(text),
        lambda one, many, count: languages.translations(context.language()).ngettext(one, many, count),
        newstyle=True,
    )
    app.jinja_env.filters["language_name"] = lambda code: languages.languages().get(code, code)
    app.jinja_env.filters["render"] = render
    app.jinja_env.filters["clock"] = now.clock
    app.jinja_env.filters["day"] = now.day
    app.jinja_env.filters["moment"] = datetime.fromisoformat
    app.jinja_env.globals["progress_of"] = lambda question_id: context.services().board.progress(question_id)
    app.jinja_env.globals["number_of"] = lambda learner: class_now.number_of(context.db(), learner)
    app.jinja_env.globals.update(contest_of=review.contest_of, contest_now=context.now)
    app.jinja_env.globals.update(ai_mark=labels.MARK, ai_source=labels.SOURCE)
    app.jinja_env.filters["why_stopped"] = _why_stopped
    app.jinja_env.globals["seconds_of"] = lambda milliseconds: languages.decimal(
        context.language(), milliseconds / 1000
    )
    # The version in a file's address lets a browser keep the file and still see a new one.
    app.context_processor(
        lambda: {
            "language": context.language(),
            "languages": languages.languages(),
            "version": VERSION,
            "accommodation": context.accommodation(),
            "reader_id": context.reader_id(),
        }
    )


def _why_stopped(key: str | None) -> tuple[str, str] | None:
    reason = permission.find_reason(key)
    return errors.sentences(reason) if reason else None


def _finish(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    if request.endpoint == "static":
        # Style and script are named by their version in the page, so they may be kept.
        response.headers["Cache-Control"] = "public, max-age=86400"
    elif request.args.get("lang") in languages.languages():
        response.set_cookie(
            LANGUAGE_COOKIE,
            request.args["lang"],
            max_age=LANGUAGE_SECONDS,
            samesite="Strict",
            httponly=True,
        )
    return response
