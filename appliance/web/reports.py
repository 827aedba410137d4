"""The report of a lesson: a page to print, a table, and a document for programs."""

import re
from dataclasses import asdict

from flask import Blueprint, jsonify, make_response, render_template
from flask.typing import ResponseReturnValue

from appliance import labels, languages
from appliance.errors import N_, ApplianceError
from appliance.lesson import drawing, reports
from appliance.lesson.reports import LessonReport
from appliance.web.context import db, get_teacher_class, labelled, language, now

pages = Blueprint("reports", __name__, url_prefix="/teacher")

# A school year has about 170 lessons of a subject; the list shows a term.
LESSONS_SHOWN = 60
# In these languages a spreadsheet takes the comma for the decimal sign and the semicolon for the border.
SEMICOLON_LANGUAGES = ("kk", "ru")
HAND_BACK_WORDS = {
    "asked_for_person": N_("a learner asked for a person"),
    "third_hint": N_("three hints did not help"),
    "low_confidence": N_("the tutor was not sure"),
    "other": N_("other reasons"),
}


@pages.get("/reports")
def lessons() -> ResponseReturnValue:
    school_class = get_teacher_class()
    found = reports.lessons(db(), school_class.id, newest=LESSONS_SHOWN)
    return render_template("reports.html", school_class=school_class, lessons=found)


@pages.get("/reports.json")
def lessons_document() -> ResponseReturnValue:
    return jsonify(lessons=reports.lessons(db(), get_teacher_class().id, newest=LESSONS_SHOWN))


@pages.get("/reports/<session_id>")
def lesson(session_id: str) -> ResponseReturnValue:
    report = _get(session_id)
    page = render_template(
        "report.html",
        report=report,
        band=lambda label: drawing.minutes_band(report.minutes, label),
        refusal_words=_refusal_words,
        hand_back_words=HAND_BACK_WORDS,
    )
    return labelled(page)


@pages.get("/reports/<session_id>.csv")
def table(session_id: str) -> ResponseReturnValue:
    separator = ";" if language() in SEMICOLON_LANGUAGES else ","
    response = make_response(reports.as_csv(_get(session_id), separator))
    response.content_type = "text/csv; charset=utf-8"
    response.headers["Content-Disposition"] = 'attachment; filename="sandyq.csv"'
    return labelled(response)


@pages.get("/reports/<session_id>.json")
def document(session_id: str) -> ResponseReturnValue:
    report = _get(session_id)
    fields = {name: value for name, value in asdict(report).items() if name not in ("asked", "minutes")}
    return labelled(
        jsonify(
            {
                **fields,
                "opened_at": report.opened_at.isoformat(),
                "closed_at": report.closed_at.isoformat() if report.closed_at else None,
                "minutes_with_ai": report.minutes_with_ai,
                "minutes_without_ai": report.minutes_without_ai,
                "repeated": [{"text": text, "learners": count} for text, count in report.repeated],
                "refusals": dict(report.refusals),
                "hand_backs": dict(report.hand_backs),
                "questions": [
                    {
                        **asdict(asked),
                        "at": asked.at.isoformat(),
                        "answer_generator": labels.AI if asked.is_by_ai else None,
                    }
                    for asked in report.asked
                ],
            }
        )
    )


def _get(session_id: str) -> LessonReport:
    return reports.report(db(), get_teacher_class(), session_id, now=now())


def _refusal_words(key: str) -> str:
    """Return what a learner was told: the error's own sentence, without the figures of one moment."""
    found = next((error for error in _all(ApplianceError) if error.key == key), ApplianceError)
    sentence = languages.translations(language()).gettext(found.message)
    return re.sub(r"%\(\w+\)[ds]", "…", sentence)


def _all(family: type[ApplianceError]) -> list[type[ApplianceError]]:
    return [error for child in family.__subclasses__() for error in (child, *_all(child))]
