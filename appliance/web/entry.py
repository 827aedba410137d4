"""How a person comes in and leaves: find the class, choose a name, log in, log out."""

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance import access, events, roster, sessions
from appliance.access import Login
from appliance.database import saving
from appliance.errors import ApplianceError, SessionNotOpen, UnknownClassCode, UnknownLearner
from appliance.roster import Learner, SchoolClass
from appliance.web.context import (
    LOGIN_COOKIE,
    address,
    db,
    form,
    language,
    learner,
    login,
    now,
    services,
)
from appliance.web.errors import sentences
from sync.event import Event

pages = Blueprint("entry", __name__)


@pages.get("/")
def first() -> ResponseReturnValue:
    if not access.is_set_up(db()):
        return redirect(url_for("setup.show"), 303)
    if learner() is not None:
        return redirect(url_for("learner.ask_form"), 303)
    return _code_page()


@pages.post("/")
def find_class() -> ResponseReturnValue:
    scope = "class code"
    try:
        access.verify_tries_left(db(), scope, address(), now=now(), most=access.MAX_CODE_TRIES)
        school_class = roster.get_class_by_code(db(), form().get("code", ""))
    except UnknownClassCode as error:
        with saving(db()):
            access.count_miss(db(), scope, address(), now=now())
        return _code_page(error)
    except ApplianceError as error:
        return _code_page(error)
    return redirect(url_for("entry.names", code=school_class.code), 303)


@pages.get("/class/<code>")
def names(code: str) -> ResponseReturnValue:
    school_class = roster.get_class_by_code(db(), code)
    return _names_page(school_class)


@pages.post("/class/<code>")
def join(code: str) -> ResponseReturnValue:
    school_class = roster.get_class_by_code(db(), code)
    try:
        chosen = _get_classmate(school_class, form().get("learner", ""))
        with saving(db()):
            session = sessions.find_open_session(db(), school_class.id)
            if session is None:
                raise SessionNotOpen
            token = access.log_in(db(), Login(learner_id=chosen.id), now=now())
            fields = {"learner_name": chosen.name, "language": language()}
            events.record(db(), Event("learner_joined", now(), session.id, chosen.id, fields))
    except ApplianceError as error:
        return _names_page(school_class, error)
    services().board.touch()
    return with_login(redirect(url_for("learner.ask_form"), 303), token)


@pages.post("/leave")
def leave() -> ResponseReturnValue:
    with saving(db()):
        access.log_out(db(), request.cookies.get(LOGIN_COOKIE, ""))
    response = make_response(redirect(url_for("entry.first"), 303))
    response.delete_cookie(LOGIN_COOKIE, samesite="Strict", httponly=True)
    return response


def with_login(response: ResponseReturnValue, token: str) -> Response:
    """Return the answer with the login's cookie, which no script and no other site can use."""
    answer = make_response(response)
    answer.set_cookie(
        LOGIN_COOKIE,
        token,
        max_age=int(access.LOGIN_LIFETIME.total_seconds()),
        httponly=True,
        samesite="Strict",
    )
    return answer


def _get_classmate(school_class: SchoolClass, learner_id: str) -> Learner:
    found = roster.find_learner(db(), learner_id)
    if found is None or found.school_class_id != school_class.id:
        raise UnknownLearner
    return found


def _code_page(error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "code.html",
        code=form().get("code", ""),
        problem=sentences(error) if error else None,
        is_teacher=login().teacher_id is not None,
    )
    return page, error.status if error else 200


def _names_page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "names.html",
        school_class=school_class,
        learners=roster.learners(db(), school_class.id),
        is_open=sessions.find_open_session(db(), school_class.id) is not None,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
