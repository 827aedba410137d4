"""The teacher's pages: open and close the lesson, see the class and how the box feels."""

import ipaddress

import segno
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from appliance import access, policy, questions, roster, sessions
from appliance.access import Login
from appliance.database import saving
from appliance.errors import ApplianceError, BrokenText, WrongPin
from appliance.roster import SchoolClass
from appliance.web.context import (
    LOGIN_COOKIE,
    address,
    db,
    form,
    get_teacher_class,
    now,
    services,
)
from appliance.web.entry import with_login
from appliance.web.errors import sentences
from appliance.web.now import drawn_parts

pages = Blueprint("teacher", __name__, url_prefix="/teacher")


@pages.get("/login")
def login_form() -> ResponseReturnValue:
    if not access.is_set_up(db()):
        return redirect(url_for("setup.show"), 303)
    return _login_page()


@pages.post("/login")
def log_in() -> ResponseReturnValue:
    scope = "pin"
    try:
        left = access.verify_tries_left(db(), scope, address(), now=now())
        # Slow on purpose, so outside any transaction.
        teacher_id = access.find_teacher_by_pin(db(), form().get("pin", "").strip())
        with saving(db()):
            if teacher_id is None:
                access.count_miss(db(), scope, address(), now=now())
            else:
                token = access.log_in(db(), Login(teacher_id=teacher_id), now=now())
        if teacher_id is None:
            raise WrongPin(left=left - 1)
    except ApplianceError as error:
        return _login_page(error)
    return with_login(redirect(url_for("teacher.view"), 303), token)


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    with saving(db()):
        access.log_out(db(), request.cookies.get(LOGIN_COOKIE, ""))
    return redirect(url_for("entry.first"), 303)


@pages.get("")
def view() -> ResponseReturnValue:
    school_class = get_teacher_class()
    link = class_link(request.host, services().addresses, services().port, school_class.code)
    return render_template(
        "teacher.html",
        school_class=school_class,
        session=sessions.find_open_session(db(), school_class.id),
        link=link,
        qr=_qr(link),
        parts=drawn_parts(db(), school_class),
    )


@pages.post("/session")
def change_session() -> ResponseReturnValue:
    school_class = get_teacher_class()
    stopped: list[str] = []
    with saving(db()):
        if form().get("wish") == "open":
            sessions.open_session(db(), school_class, now=now())
        else:
            session = sessions.find_open_session(db(), school_class.id)
            if session is not None:
                stopped = questions.stop_session(db(), session, now=now())
                sessions.close_session(db(), session, now=now())
    services().board.stop(stopped)
    services().assistant.wake()
    return redirect(url_for("teacher.view"), 303)


@pages.get("/learners")
def learners_form() -> ResponseReturnValue:
    return _learners_page(get_teacher_class())


@pages.post("/learners")
def add_learners() -> ResponseReturnValue:
    school_class = get_teacher_class()
    names = form().get("learners", "")
    try:
        if policy.is_broken(names):
            raise BrokenText
        with saving(db()):
            roster.add_learners(db(), school_class, names.splitlines(), now=now())
    except ApplianceError as error:
        return _learners_page(school_class, error)
    services().board.touch()
    return redirect(url_for("teacher.learners_form"), 303)


def class_link(host: str, addresses: list[str], port: int, code: str) -> str:
    """Return the link that a learner's phone can open: an address rather than a name, if we know one.

    A name such as `sandyq.local` is not understood by older phones, and `localhost` is another machine there.
    """
    name = host.rsplit(":", 1)[0].strip("[]")
    try:
        usable = not ipaddress.ip_address(name).is_loopback
    except ValueError:
        usable = False
    if not usable and addresses:
        host = f"{addresses[0]}:{port}"
    return f"http://{host.removesuffix(':80')}/class/{code}"


def _qr(link: str) -> Markup:
    """Return the link as an SVG drawing, without the inline style that our CSP forbids."""
    drawing = segno.make(link, error="m").svg_inline(border=2, svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawing)  # noqa: S704 - drawn by segno from numbers, no text of anybody's in it


def _login_page(error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template("login.html", problem=sentences(error) if error else None)
    return page, error.status if error else 200


def _learners_page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "learners.html",
        school_class=school_class,
        learners=roster.learners(db(), school_class.id),
        draft=form().get("learners", ""),
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
