"""The teacher's brake: stop AI for a learner, the class or the school, and let it go on."""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from appliance import permission, roster, stops
from appliance.database import saving
from appliance.errors import NotYourClass
from appliance.policy import Actor, Target
from appliance.web.context import db, form, get_teacher_class, login, now, services

pages = Blueprint("control", __name__, url_prefix="/teacher")

# A stop is over when the last answer has been let go; a slow machine notices within a step.
QUIET_SECONDS = 5.0


@pages.post("/stop")
def change_stop() -> ResponseReturnValue:
    """`level` is learner, school_class or school; `wish` is stop or lift."""
    actor = get_actor()
    target = _read_target(actor)
    ended: list[str] = []
    with saving(db()):
        if form().get("wish") == "lift":
            stops.lift(db(), actor, target, now=now())
        else:
            stops.set_stop(db(), actor, target, now=now())
            ended = permission.end_refused(db(), now=now())
    services().board.stop(ended)
    services().assistant.wake()
    return redirect(url_for("teacher.view"), 303)


def get_actor() -> Actor:
    """Return what the teacher who is logged in may speak for.

    Raises:
        NotAllowed: it is not a teacher.
    """
    school_class = get_teacher_class()
    return stops.actor_of(db(), login().teacher_id or "", school_class.id)


def _read_target(actor: Actor) -> Target:
    level = form().get("level", "school_class")
    if level == "school":
        return Target()
    if level != "learner":
        return Target(actor.school_class_id)
    learner = roster.find_learner(db(), form().get("learner", ""))
    if learner is None:
        raise NotYourClass  # as for a learner of another class: who guesses learns nothing
    return Target(learner.school_class_id, learner.id)
