"""What is stored about me, and what leaves: for everybody, for a learner, and for the teacher to delete."""

from contextlib import suppress

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance import labels
from appliance.care import deleted_marks
from appliance.errors import ApplianceError, ExamRunning, NotAllowed, NotConfirmed, NotFound
from appliance.lesson import deletion, stored
from appliance.people import roster
from appliance.people.roster import Learner
from appliance.permission import permission
from appliance.web.context import db, form, get_teacher_class, labelled, learner, login, now, services
from appliance.web.errors import sentences
from appliance.web.teacher import class_link, qr
from sync import outbox

pages = Blueprint("stored", __name__)


@pages.get("/stored")
def for_everybody() -> ResponseReturnValue:
    """No log-in: parents read it at home from the QR code on the wall."""
    link = class_link(request.host, services().addresses, services().port, "").split("/class/")[0]
    return render_template(
        "stored.html",
        leaving=list(stored.what_leaves()),
        link=link + url_for("stored.for_everybody"),
        qr=qr(link + url_for("stored.for_everybody")),
        outbox=outbox.status(db()),
        reader=learner(),
    )


@pages.get("/me")
def mine() -> ResponseReturnValue:
    if learner() is None:
        return redirect(url_for("entry.first"), 303)
    return _personal_page(_get_reader())


@pages.get("/me/export.json")
def my_export() -> ResponseReturnValue:
    return _json(_get_reader())


@pages.get("/me/export.html")
def my_readable_export() -> ResponseReturnValue:
    return _html(_get_reader())


@pages.get("/teacher/learners/<learner_id>/stored")
def of_learner(learner_id: str) -> ResponseReturnValue:
    return _personal_page(_get_of_class(learner_id))


@pages.get("/teacher/learners/<learner_id>/export.json")
def export(learner_id: str) -> ResponseReturnValue:
    return _json(_get_of_class(learner_id))


@pages.get("/teacher/learners/<learner_id>/export.html")
def readable_export(learner_id: str) -> ResponseReturnValue:
    return _html(_get_of_class(learner_id))


@pages.post("/teacher/learners/<learner_id>/delete")
def delete(learner_id: str) -> ResponseReturnValue:
    found = _get_of_class(learner_id)
    try:
        if form().get("sure") != "yes":
            raise NotConfirmed
        question_ids = [row["id"] for row in deletion.stored(db(), found).get("question", ())]
        counts = deletion.delete(db(), found, now=now())
        services().replays.forget(question_ids)
        # Beside the backups as well: the database, which knows it, may be the thing that is lost. When the
        # file cannot be written, it goes with the next backup.
        with suppress(ApplianceError, OSError):
            deleted_marks.add_at_home(services().home, deletion.marks(db()))
    except ApplianceError as error:
        return _personal_page(found, error)
    services().board.touch()
    is_clean = deletion.clean(db(), now=now())
    return render_template("deleted.html", counts=counts, tables=stored.TABLES, is_clean=is_clean)


def _get_reader() -> Learner:
    reader = learner()
    if reader is None:
        raise NotAllowed
    if permission.in_exam(db(), reader.school_class_id):
        raise ExamRunning  # earlier answers are help, too
    return reader


def _get_of_class(learner_id: str) -> Learner:
    school_class = get_teacher_class()
    found = roster.find_learner(db(), learner_id)
    if found is None or found.school_class_id != school_class.id:
        raise NotFound
    return found


def _personal_page(about: Learner, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "stored_personal.html",
        about=about,
        school_class=roster.get_school_class(db(), about.school_class_id),
        rows=deletion.stored(db(), about),
        tables=stored.TABLES,
        is_teacher=login().teacher_id is not None,
        problem=sentences(error) if error else None,
    )
    response = labelled(page)
    response.status_code = error.status if error else 200
    return response


def _json(about: Learner) -> Response:
    rows = deletion.stored(db(), about)
    for row in rows.get("question", ()):
        row["answer_generator"] = labels.AI if row.get("model") else None
    response = jsonify(exported_at=now().isoformat(), ai_source_type=labels.SOURCE, rows=rows)
    response.headers["Content-Disposition"] = 'attachment; filename="sandyq.json"'
    return labelled(response)


def _html(about: Learner) -> Response:
    page = render_template(
        "export.html", about=about, rows=deletion.stored(db(), about), tables=stored.TABLES, now=now()
    )
    response = make_response(page)
    response.headers["Content-Disposition"] = 'attachment; filename="sandyq.html"'
    return labelled(response)
