"""The first start: the teacher names the class, its language, its learners, and chooses a PIN."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance import access, policy, roster
from appliance.access import Login
from appliance.database import saving
from appliance.errors import N_, AlreadySetUp, ApplianceError, BrokenText, FieldMissing
from appliance.languages import languages
from appliance.web.context import db, form, language, now
from appliance.web.entry import with_login
from appliance.web.errors import sentences

pages = Blueprint("setup", __name__)

GRADES = range(1, 13)  # Kazakhstan is moving to twelve grades


@pages.get("/setup")
def show() -> ResponseReturnValue:
    if access.is_set_up(db()):
        return redirect(url_for("teacher.login_form"), 303)
    return _page()


@pages.post("/setup")
def save() -> ResponseReturnValue:
    try:
        token = _save()
    except ApplianceError as error:
        return _page(error)
    return with_login(redirect(url_for("teacher.view"), 303), token)


def _save() -> str:
    """Save the class and its teacher, or nothing; return the teacher's login."""
    fields = form()
    if any(map(policy.is_broken, fields.values())):
        raise BrokenText
    pin = fields.get("pin", "").strip()
    access.verify_new_pin(pin, fields.get("pin_again", "").strip())
    names = fields.get("learners", "").splitlines()
    if not any(name.strip() for name in names):
        raise FieldMissing(field=N_("Learners, one name a line"))
    grade = fields.get("grade", "")
    chosen_language = fields.get("language", "")
    pin_hash = access.hash_pin(pin)
    with saving(db()):
        if access.is_set_up(db()):
            raise AlreadySetUp
        school_class = roster.add_school_class(
            db(),
            fields.get("school_class", ""),
            int(grade) if grade.isascii() and grade.isdigit() and int(grade) in GRADES else None,
            chosen_language if chosen_language in languages() else language(),
            now=now(),
        )
        roster.add_learners(db(), school_class, names, now=now())
        teacher_id = access.add_teacher(db(), school_class.id, pin_hash, now=now())
        return access.log_in(db(), Login(teacher_id=teacher_id), now=now())


def _page(error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "setup.html",
        form=form(),
        grades=GRADES,
        least_pin=access.LEAST_PIN_DIGITS,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
