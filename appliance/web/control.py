"""The teacher's brake: stop AI for a learner, the class or the school, let it go on, and try the brake."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlite_utils import Database

from appliance import policy
from appliance.database import saving
from appliance.errors import ExamRunning, ExamRunsAlready, NotYourClass, StopSetAlready
from appliance.people import roster
from appliance.people.roster import Learner, SchoolClass
from appliance.permission import exam, permission, stops
from appliance.permission.stops import Stop
from appliance.policy import Actor, Target
from appliance.web.context import db, form, get_teacher_class, learner, login, now, services

pages = Blueprint("control", __name__, url_prefix="/teacher")

# A stop is over when the last answer has been let go; a slow machine notices within a step. Past this the
# teacher is told that it is not quiet yet.
QUIET_SECONDS = 5.0
# A year of monthly drills.
DRILLS_SHOWN = 12


# What a learner may open during an exam: coming in and leaving, the page that says why AI is off, how pages
# look, and the way to a person, which nothing closes. Whatever else there is or will be, an answer from
# before could stand on it.
OPEN_IN_EXAM = {
    "entry",
    "machine",
    "learner.ask_form",
    "learner.ask",
    "learner.stream",
    "learner.ask_for_person",
    "learner.held_stream",
    "reading.show",
    "reading.save",
    "reading.say_rules",
    "stored.for_everybody",
    "static",
}


@dataclass(frozen=True)
class Controls:
    """What the top of the teacher's page shows, with the buttons this teacher may press."""

    actor: Actor
    region_stops: bool
    school: Stop | None
    school_class: Stop | None
    learners: list[tuple[Learner, Stop]]
    in_exam: bool
    drill_is_due: bool
    may_lift: Callable[[Stop], bool]


@pages.post("/stop")
def change_stop() -> ResponseReturnValue:
    """`level`: learner, school_class or school; `wish`: stop or lift; `back` leads to the page of stops."""
    actor = get_actor()
    target = _read_target(actor)
    if form().get("wish") == "lift":
        with saving(db()):
            stops.lift(db(), actor, target, now=now())
    else:
        _stop(actor, target)
    services().board.touch()
    services().assistant.wake()
    return redirect(url_for("control.show" if form().get("back") else "teacher.view"), 303)


@pages.get("/stops")
def show() -> ResponseReturnValue:
    school_class = get_teacher_class()
    return render_template(
        "stops.html",
        school_class=school_class,
        learners=roster.learners(db(), school_class.id),
        drills=stops.drills(db(), school_class.id, newest=DRILLS_SHOWN),
        controls=look(db(), school_class),
    )


@pages.post("/drill")
def drill() -> ResponseReturnValue:
    """Stop the class for real, wait until all is quiet, write down how long it took, and let it go on."""
    actor = get_actor()
    target = Target(actor.school_class_id)
    if exam.find_running(db(), actor.school_class_id) is not None:
        raise ExamRunsAlready
    if stops.find(db(), target) is not None:
        raise StopSetAlready
    # Should the power fail in between, the stop stays, and the teacher lifts it: the safe way round.
    questions, quiet_ms = _stop(actor, target)
    with saving(db()):
        stops.lift(db(), actor, target, now=now())
        stops.record_drill(db(), actor.school_class_id, questions, quiet_ms, now=now())
    services().board.touch()
    services().assistant.wake()
    return redirect(url_for("control.show"), 303)


def keep_exam_closed() -> None:
    """Refuse a learner every page of an earlier answer during an exam; the app asks before each request.

    Raises:
        ExamRunning: the learner's class writes one. Teachers' pages refuse learners by themselves.
    """
    if {request.endpoint, request.blueprint} & OPEN_IN_EXAM or request.path.startswith("/teacher"):
        return
    asker = learner()
    if asker is not None and permission.in_exam(db(), asker.school_class_id):
        services().guard.count(asker.school_class_id, "page")
        raise ExamRunning


def get_actor() -> Actor:
    """Return what the teacher who is logged in may speak for.

    Raises:
        NotAllowed: it is not a teacher.
    """
    school_class = get_teacher_class()
    return stops.actor_of(db(), login().teacher_id or "", school_class.id)


def look(own: Database, school_class: SchoolClass) -> Controls:
    actor = get_actor()
    there = stops.of_class(own, school_class.id)
    names = {known.id: known for known in roster.learners(own, school_class.id)}
    return Controls(
        actor=actor,
        region_stops=stops.region_has_stopped(own),
        school=next((stop for stop in there if stop.level == "school"), None),
        school_class=next((stop for stop in there if stop.level == "school_class"), None),
        learners=[(names[stop.learner_id], stop) for stop in there if stop.learner_id in names],
        in_exam=permission.in_exam(own, school_class.id),
        drill_is_due=stops.is_drill_due(own, school_class.id, now=now()),
        may_lift=lambda stop: policy.decide_lift(actor, stop.target, stop.set_by).refusal is None,
    )


def _stop(actor: Actor, target: Target) -> tuple[int, int | None]:
    """Set a stop and wait until all is quiet; return how many questions ended, and the milliseconds."""
    began = time.monotonic()
    with saving(db()):
        stop = stops.set_stop(db(), actor, target, now=now())
        ended = permission.end_refused(db(), now=now())
    services().board.stop(ended)
    is_quiet = services().board.wait_until_quiet(ended, QUIET_SECONDS)
    quiet_ms = round((time.monotonic() - began) * 1000) if is_quiet else None
    with saving(db()):
        stops.record_set(db(), stop, len(ended), quiet_ms, now=now())
    return len(ended), quiet_ms


def _read_target(actor: Actor) -> Target:
    level = form().get("level", "school_class")
    if level == "school":
        return Target()
    if level != "learner":
        return Target(actor.school_class_id)
    chosen = roster.find_learner(db(), form().get("learner", ""))
    if chosen is None:
        raise NotYourClass  # as for a learner of another class: who guesses learns nothing
    return Target(chosen.school_class_id, chosen.id)
