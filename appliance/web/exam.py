"""The teacher's page of exams: begin one, see that it holds, end it, take its certificate."""

from flask import Blueprint, Response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance.errors import ApplianceError
from appliance.people.roster import SchoolClass
from appliance.permission import exam
from appliance.permission.exam import Exam
from appliance.permission.exam_chain import refused_in
from appliance.permission.exam_guard import read_moment
from appliance.web.context import db, form, get_teacher_class, services
from appliance.web.errors import sentences

pages = Blueprint("exam", __name__, url_prefix="/teacher/exam")

# A quiz, lessons of one and two periods, and the long ones.
MINUTES = (15, 20, 30, 40, 45, 60, 80, 90, 120, 180, 240)
DEFAULT_MINUTES = 45
# A quarter of a school year of weekly tests; older ones stay in the table.
EXAMS_SHOWN = 10


@pages.get("")
def show() -> ResponseReturnValue:
    return _page(get_teacher_class())


@pages.post("")
def begin() -> ResponseReturnValue:
    school_class = get_teacher_class()
    minutes = form().get("minutes", "")
    try:
        _begun, ended = services().guard.start(
            db(), school_class.id, int(minutes) if minutes.isascii() and minutes.isdigit() else 0
        )
    except ApplianceError as error:
        return _page(school_class, error)
    services().board.stop(ended)
    return redirect(url_for("exam.show"), 303)


@pages.post("/end")
def end() -> ResponseReturnValue:
    school_class = get_teacher_class()
    services().guard.end(db(), school_class.id)
    services().board.touch()
    services().assistant.wake()
    return redirect(url_for("exam.show"), 303)


@pages.get("/<exam_id>.jsonl")
def certificate(exam_id: str) -> ResponseReturnValue:
    there = exam.get(db(), exam_id, get_teacher_class().id)
    response = Response(exam.certificate(db(), there), content_type="application/jsonl")
    # The id is ours, sixteen hexadecimal digits: `get` has found it.
    response.headers["Content-Disposition"] = f'attachment; filename="exam-{there.id}.jsonl"'
    return response


def _page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    latest = exam.of_class(db(), school_class.id, newest=EXAMS_SHOWN)
    running = next((there for there in latest if there.ended_at is None), None)
    page = render_template(
        "exam.html",
        school_class=school_class,
        running=_view(running) if running else None,
        past=[_view(there) for there in latest if there.ended_at is not None],
        choices=MINUTES,
        chosen=DEFAULT_MINUTES,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _view(there: Exam) -> dict[str, object]:
    """What the page says of an exam; counts come from its records, as the certificate's do."""
    facts = [record.facts for record in exam.records(db(), there)]
    left = there.planned_seconds - there.elapsed_at(read_moment())
    return {
        "exam": there,
        "engine": facts[0]["engine"],
        "minutes": round(there.elapsed_seconds / 60),
        "planned": there.planned_seconds // 60,
        "minutes_left": max(0, -(-int(left) // 60)),
        "refused": refused_in(facts),
        "answers": exam.answers_given(db(), there) if there.ended_at is None else facts[-1]["answers"],
        "restarts": sum(fact["kind"] == "restarted" for fact in facts),
    }
