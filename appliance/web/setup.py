"""The first start: the teacher names the class, its grades, language and learners, and chooses a PIN.

Later the same page adds another class: a teacher who is logged in hands the device to a colleague, who
chooses a PIN of their own.
"""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance import policy
from appliance.box.box_codes import find_codes, is_setup_code, note_set_up
from appliance.database import saving
from appliance.errors import N_, AlreadySetUp, ApplianceError, BrokenText, FieldMissing, WrongSetupCode
from appliance.languages import languages
from appliance.people import access, roster
from appliance.people.access import Login
from appliance.people.class_list import ClassList, Row
from appliance.web import care
from appliance.web.context import (
    LOGIN_COOKIE,
    accept_files,
    address,
    db,
    form,
    language,
    login,
    now,
    services,
)
from appliance.web.entry import with_login
from appliance.web.errors import sentences
from appliance.web.incoming import as_typed, has_files, read_list, sentences_of
from appliance.web.people import chosen_grades

pages = Blueprint("setup", __name__)


@pages.get("/setup")
def show() -> ResponseReturnValue:
    if access.is_set_up(db()) and login().teacher_id is None:
        return redirect(url_for("teacher.login_form"), 303)
    return _page()


@pages.post("/setup")
def save() -> ResponseReturnValue:
    """Save everything or nothing; a file is first turned into names that the teacher checks."""
    accept_files()
    found: ClassList | None = None
    try:
        _verify_may_set_up()
        if any(map(policy.is_broken, form().values())):
            raise BrokenText
        # Also before a file is read: what strangers send is not even looked at.
        _verify_setup_code()
        found = read_list(chosen_grades(), form().get("school_class", ""))
        if has_files() or found.problems:
            return _page(found=found)
        token = _save(found.rows)
        care.hear_clock(db(), form().get("clock", ""))
    except ApplianceError as error:
        return _page(error, found)
    note_set_up(services().home)
    return with_login(redirect(url_for("teacher.view"), 303), token)


def _verify_setup_code() -> None:
    """A box that has a screen and a card shows a code there: a learner who is faster does not get to own it.

    Raises:
        WrongSetupCode, TooManyTries: while the box has no teacher yet.
    """
    codes = find_codes(services().home)
    if codes is None or access.is_set_up(db()):
        return
    with saving(db()):
        left = access.take_try(db(), "setup", address(), now=now())
    if not is_setup_code(codes, form().get("setup_code", "")):
        raise WrongSetupCode(left=left)
    with saving(db()):
        access.forgive(db(), "setup", address())


def _verify_may_set_up() -> None:
    """Raise AlreadySetUp unless the box is new, or one of its teachers adds a colleague's class."""
    if access.is_set_up(db()) and login().teacher_id is None:
        raise AlreadySetUp


def _save(rows: tuple[Row, ...]) -> str:
    """Save the class and its teacher; return the teacher's login."""
    fields = form()
    pin = fields.get("pin", "").strip()
    access.verify_new_pin(pin, fields.get("pin_again", "").strip())
    if not rows:
        raise FieldMissing(field=N_("Learners, one name a line"))
    chosen_language = fields.get("language", "")
    pin_hash = access.hash_pin(pin)
    with saving(db()):
        _verify_may_set_up()
        school_class = roster.add_school_class(
            db(),
            fields.get("school_class", ""),
            chosen_grades(),
            chosen_language if chosen_language in languages() else language(),
            now=now(),
            uses_pictures=fields.get("uses_pictures") == "yes",
        )
        roster.add_learners(db(), school_class, [(row.name, row.grade) for row in rows], now=now())
        teacher_id = access.add_teacher(db(), school_class.id, pin_hash, now=now())
        old = request.cookies.get(LOGIN_COOKIE, "")
        return access.log_in(db(), Login(teacher_id=teacher_id), now=now(), replaces=old)


def _page(error: ApplianceError | None = None, found: ClassList | None = None) -> ResponseReturnValue:
    was_read = has_files() and found is not None and not found.problems
    typed = form().get("learners", "")
    page = render_template(
        "setup.html",
        form=form(),
        learners=as_typed(found.rows) if found and was_read else typed,
        grades=roster.GRADES,
        ticked=chosen_grades(),
        is_another=access.is_set_up(db()),
        asks_code=not access.is_set_up(db()) and find_codes(services().home) is not None,
        least_pin=access.LEAST_PIN_DIGITS,
        found=found,
        was_read=was_read,
        was_sent=has_files(),
        problems=sentences_of(found) if found else [],
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 400 if found and found.problems else 200
