"""The teacher's page of rules: what AI may do when, for how long, and what is being taught now."""

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance.database import saving
from appliance.errors import ApplianceError, NoSuchRule, SessionNotOpen
from appliance.lesson import sessions
from appliance.people.roster import SchoolClass
from appliance.permission import rules
from appliance.permission.rule_matrix import MODES, ClassRule, find_rule, situation
from appliance.web.context import db, form, get_teacher_class, now, services
from appliance.web.errors import sentences

pages = Blueprint("rules", __name__, url_prefix="/teacher/rules")


@pages.get("")
def show() -> ResponseReturnValue:
    return _page(get_teacher_class())


@pages.post("")
def change() -> ResponseReturnValue:
    """`wish` is general, minutes, subject, add or remove."""
    school_class = get_teacher_class()
    try:
        with saving(db()):
            _change(school_class, form().get("wish", ""))
    except ApplianceError as error:
        return _page(school_class, error)
    services().board.touch()
    return redirect(url_for("rules.show"), 303)


def _change(school_class: SchoolClass, wish: str) -> None:
    if wish == "general":
        rules.set_general(db(), school_class.id, form().get("mode", ""))
        rules.set_daily_minutes(db(), school_class.id, form().get("minutes", ""))
    elif wish == "subject":
        session = sessions.find_open_session(db(), school_class.id)
        if session is None:
            raise SessionNotOpen
        rules.set_subject(db(), session, form().get("subject", ""))
    elif wish == "add":
        rules.add(db(), school_class.id, form())
    elif wish == "remove":
        rules.remove(db(), school_class.id, form().get("rule", ""))
    else:
        raise NoSuchRule


def _page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    session = sessions.find_open_session(db(), school_class.id)
    subject = rules.subject_of(db(), session) if session else ""
    stored = rules.of_class(db(), school_class.id)
    holds = find_rule((there.rule for there in stored), situation(subject, now().astimezone()))
    general = next((there.rule.mode for there in stored if not there.rule.narrowness), "open")
    page = render_template(
        "rules.html",
        school_class=school_class,
        session=session,
        subject=subject,
        subjects=rules.SUBJECTS,
        weekdays=rules.WEEKDAYS,
        modes=MODES,
        general=general,
        narrow=[there for there in stored if there.rule.narrowness],
        holds=holds or ClassRule("open"),
        minutes=rules.daily_minutes(db(), school_class.id),
        minute_choices=rules.DAILY_MINUTES,
        draft=form() if error else {},
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
