"""The class as it is now: the parts of the teacher's page, the projector, the JSON door, and their stream."""

import time
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, jsonify, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup
from sqlite_utils import Database

from appliance.care import health
from appliance.care.health import Feeling
from appliance.database import saving
from appliance.errors import NotFound
from appliance.lesson import class_now, drawing, flags, hand_back
from appliance.lesson.class_now import ClassNow
from appliance.lesson.states import STATES
from appliance.people import roster
from appliance.people.roster import SchoolClass
from appliance.permission import permission
from appliance.web import care
from appliance.web.context import db, form, get_teacher_class, language, now, services
from appliance.web.stream import CLASS_REFRESH_SECONDS, Parts, event_stream, follow_class
from sync import outbox, usb

pages = Blueprint("now", __name__, url_prefix="/teacher")


@pages.get("/stream")
def stream() -> ResponseReturnValue:
    school_class = get_teacher_class()
    language()  # chosen now: the stream outlives the request's connection
    feel = _feeling_reader()

    def look(own: Database) -> Parts:
        return parts(own, school_class, feel)

    return event_stream(follow_class(services().board, services().database, look))


@pages.get("/projector")
def projector() -> ResponseReturnValue:
    school_class = get_teacher_class()
    return render_template(
        "projector.html", school_class=school_class, tiles=_tiles(look_at(db(), school_class).in_public())
    )


@pages.get("/projector/stream")
def projector_stream() -> ResponseReturnValue:
    school_class = get_teacher_class()
    language()

    def look(own: Database) -> Parts:
        shown = look_at(own, school_class).in_public()
        return {"tiles": (shown, lambda: _tiles(shown))}

    return event_stream(follow_class(services().board, services().database, look))


@pages.post("/hand-back/release")
def release() -> ResponseReturnValue:
    """The teacher has been there: the tutor may speak to this learner again."""
    school_class = get_teacher_class()
    with saving(db()):
        held = hand_back.find(db(), form().get("hand_back", ""))
        learner = roster.find_learner(db(), held.learner_id) if held else None
        if held is None or learner is None or learner.school_class_id != school_class.id:
            raise NotFound
        hand_back.release(db(), held.id, now())
    services().board.touch()
    return redirect(url_for("teacher.view"), 303)


@pages.get("/class.json")
def class_json() -> ResponseReturnValue:
    school_class = get_teacher_class()
    shown = look_at(db(), school_class)
    return jsonify(
        school_class=school_class.name,
        lesson_is_open=shown.is_open,
        engine=services().assistant.state.phase,
        counts={state: shown.count(state) for state in STATES},
        learners=[
            {
                "number": learner.number,
                "name": learner.name,
                "state": learner.state.name,
                "place": learner.state.place,
                "why": learner.state.why,
                "asked": learner.asked,
                "waits_seconds": learner.waits_seconds,
            }
            for learner in shown.learners
        ],
        flags=[
            {
                "kind": flag.kind,
                "learner": flag.learner_name,
                "reason": flag.reason,
                "at": flag.at.isoformat() if flag.at else None,
                "is_overdue": flag.is_overdue,
            }
            for flag in flags.raised(db(), school_class, shown, now=now())
        ],
    )


def look_at(own: Database, school_class: SchoolClass) -> ClassNow:
    stopped = permission.stopped_learners(own, school_class.id)
    return class_now.look(own, school_class, services().board, now=now(), stopped=stopped)


def parts(own: Database, school_class: SchoolClass, feel: Callable[[], Feeling]) -> Parts:
    """Return the parts of the teacher's page; each is drawn only when its facts have changed."""
    shown = look_at(own, school_class)
    raised = flags.raised(own, school_class, shown, now=now())
    engine = services().assistant.state
    feeling, waiting_rows, stick = feel(), outbox.status(own), usb.last_run(own)
    gauges, news = feeling.gauges, care.news(own, school_class.id, feeling.troubles)
    told_at = f"{day(stick.at)}, {clock(stick.at)}" if stick else ""
    return {
        "warnings": (news, lambda: render_template("_warnings.html", **care.shown(news))),
        "flags": (
            (engine.phase, raised),
            lambda: render_template("_flags.html", engine=engine, flags=raised),
        ),
        "class": (shown, lambda: _draw_class(shown)),
        "box": (
            (gauges, waiting_rows, stick, news.backup),
            lambda: render_template(
                "_box.html",
                gauges=gauges,
                outbox=waiting_rows,
                stick=stick,
                stick_at=told_at,
                backup=care.in_words(news.backup),
                backup_mood=news.backup.mood,
            ),
        ),
    }


def drawn_parts(own: Database, school_class: SchoolClass) -> dict[str, Markup]:
    """Return the parts for a page that is loaded whole."""
    feeling = health.feel(services().home)
    found = parts(own, school_class, lambda: feeling)
    # Made and escaped by our own templates.
    return {name: Markup(draw()) for name, (_, draw) in found.items()}  # noqa: S704


def clock(at: datetime) -> str:
    """Return the time of day as the wall clock beside the box shows it."""
    return at.astimezone().strftime("%H:%M")


def day(at: datetime) -> str:
    """Return the date as it is written in Kazakhstan, in all three languages."""
    return at.astimezone().strftime("%d.%m.%Y")


def _draw_class(shown: ClassNow) -> str:
    return render_template(
        "_class_now.html",
        now=shown,
        states=STATES,
        band=lambda label: drawing.class_band(shown, label),
        waits=lambda label: drawing.waits([one.waits_seconds for one in shown.waiting], label),
    )


def _tiles(shown: ClassNow) -> Markup:
    html = render_template(
        "_tiles.html", now=shown, states=STATES, band=lambda label: drawing.class_band(shown, label)
    )
    return Markup(html)  # noqa: S704 - made and escaped by our own template


def _feeling_reader() -> Callable[[], Feeling]:
    """Return a reader that asks the machine only as often as the view is refreshed anyway."""
    last = Feeling([], [])
    read_at = -CLASS_REFRESH_SECONDS

    def read() -> Feeling:
        nonlocal last, read_at
        if time.monotonic() - read_at >= CLASS_REFRESH_SECONDS:
            last, read_at = health.feel(services().home), time.monotonic()
        return last

    return read
