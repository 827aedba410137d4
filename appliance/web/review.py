"""Why was this written, and "I disagree": the learner's page, and the teacher's with its decision."""

from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance.database import connection, saving
from appliance.errors import ApplianceError, ExamRunning, NotFound, NothingToReplay
from appliance.lesson import review
from appliance.lesson.review import Contest, Why
from appliance.people import roster
from appliance.people.roster import Learner
from appliance.permission import permission
from appliance.tutor import distress
from appliance.web.context import db, form, get_teacher_class, labelled, learner, login, now, services
from appliance.web.errors import sentences
from appliance.web.learner import call_person

pages = Blueprint("review", __name__)


@pages.get("/why/<question_id>")
def why(question_id: str) -> ResponseReturnValue:
    return _page(_get_readable(question_id))


@pages.post("/why/<question_id>/contest")
def contest(question_id: str) -> ResponseReturnValue:
    found = _get_readable(question_id)
    asker = learner()
    if asker is None:
        raise NotFound  # a teacher does not disagree in a child's name
    words = form().get("words", "").strip()
    # As everywhere a child writes: words of pain go to a person at once, whatever else the form lacks.
    is_called = distress.wish_of(words) == distress.DISTRESS and call_person(
        asker, words, f"contest-{question_id}", distress.DISTRESS
    )
    try:
        with saving(db()):
            review.contest(db(), found, form().get("reason", ""), words, now=now())
    except ApplianceError as error:
        if not is_called:
            return _page(found, error)
    services().board.touch()
    if is_called:
        return redirect(url_for("learner.ask_form"), 303)
    return redirect(url_for("review.why", question_id=question_id), 303)


@pages.post("/why/<question_id>/decide")
def decide(question_id: str) -> ResponseReturnValue:
    found = _get_of_class(question_id)
    contested = review.find_contest(db(), question_id)
    if contested is None:
        raise NotFound
    try:
        with saving(db()):
            review.decide(db(), contested.id, form().get("decision", ""), form().get("words", ""), now=now())
    except ApplianceError as error:
        return _page(found, error)
    services().board.touch()
    return redirect(url_for("review.contests"), 303)


@pages.post("/why/<question_id>/replay")
def replay(question_id: str) -> ResponseReturnValue:
    found = _get_of_class(question_id)
    asker = roster.find_learner(db(), found.learner_id)
    try:
        if not found.request or asker is None:
            raise NothingToReplay
        refusal = permission.look(db(), asker, now=now()).refusal
        if refusal is not None:
            raise refusal
        services().replays.start(question_id, found.request, _may_go_on(asker))
    except ApplianceError as error:
        return _page(found, error)
    return redirect(url_for("review.why", question_id=question_id) + "#replay", 303)


@pages.get("/teacher/contests")
def contests() -> ResponseReturnValue:
    school_class = get_teacher_class()
    found = review.of_class(db(), school_class.id)
    return labelled(
        render_template(
            "contests.html",
            contests=found,
            whys={contest.question_id: review.get_why(db(), contest.question_id) for contest in found},
            now=now(),
        )
    )


def contest_of(question_id: str) -> Contest | None:
    """Return what came of a disagreement, for the card of an answer."""
    return review.find_contest(db(), question_id)


def _may_go_on(asker: Learner) -> Callable[[], bool]:
    """Return the question that a replay asks with every piece, from a thread without a request."""
    path = services().database

    def ask() -> bool:
        with connection(path) as own:
            return permission.look(own, asker, now=datetime.now(UTC)).refusal is None

    return ask


def _get_readable(question_id: str) -> Why:
    """Return what the learner who asked, or the teacher of the class, may read.

    Raises:
        NotFound: there is no such answer, or it is somebody else's.
    """
    found = review.get_why(db(), question_id)
    reader = learner()
    if reader is not None:
        if reader.id != found.learner_id:
            raise NotFound
        if permission.in_exam(db(), reader.school_class_id):
            raise ExamRunning  # earlier answers are help, too
        return found
    return _get_of_class(question_id)


def _get_of_class(question_id: str) -> Why:
    school_class = get_teacher_class()
    found = review.get_why(db(), question_id)
    if found.school_class_id != school_class.id:
        raise NotFound
    return found


def _page(found: Why, error: ApplianceError | None = None) -> ResponseReturnValue:
    is_teacher = login().teacher_id is not None
    page = render_template(
        "why.html",
        why=found,
        contest=review.find_contest(db(), found.question_id),
        is_teacher=is_teacher,
        replay=services().replays.find(found.question_id) if is_teacher else None,
        reasons=review.REASONS,
        most_words=review.MAX_WORDS,
        draft=form(),
        now=now(),
        problem=sentences(error) if error else None,
    )
    response = labelled(page)
    response.status_code = error.status if error else 200
    return response
