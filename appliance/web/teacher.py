"""The teacher's pages: open and close the lesson, see the class and how the box feels."""

import ipaddress

import segno
from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from appliance.care import box_health, health
from appliance.database import saving
from appliance.errors import N_, ApplianceError, FieldMissing, WrongPin
from appliance.lesson import questions, sessions
from appliance.people import access, roster
from appliance.people.access import Login
from appliance.web import care, control
from appliance.web.context import (
    LOGIN_COOKIE,
    address,
    db,
    form,
    get_teacher_class,
    get_teacher_id,
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
        class_id = chosen_class_id()
        with saving(db()):
            left = access.take_try(db(), scope, address(), now=now())
        # Slow on purpose, so outside any transaction.
        teacher_id = access.find_teacher_by_pin(db(), form().get("pin", "").strip(), class_id)
        if teacher_id is None:
            raise WrongPin(left=left)
        with saving(db()):
            access.forgive(db(), scope, address())
            old = request.cookies.get(LOGIN_COOKIE, "")
            token = access.log_in(db(), Login(teacher_id=teacher_id), now=now(), replaces=old)
        care.hear_clock(db(), form().get("clock", ""))
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
        has_sheet=access.has_recovery(db(), get_teacher_id()),
        link=link,
        qr=qr(link),
        parts=drawn_parts(db(), school_class),
        controls=control.look(db(), school_class),
    )


@pages.post("/session")
def change_session() -> ResponseReturnValue:
    school_class = get_teacher_class()
    stopped: list[str] = []
    wants_open = form().get("wish") == "open"
    readings = health.read(services().home) if wants_open else []
    with saving(db()):
        if wants_open:
            opened = sessions.open_session(db(), school_class, now=now())
            box_health.note(db(), opened, readings, now=now())
        else:
            session = sessions.find_open_session(db(), school_class.id)
            if session is not None:
                stopped = questions.stop_session(db(), session, now=now())
                sessions.close_session(db(), session, now=now())
    services().board.stop(stopped)
    services().assistant.wake()
    return redirect(url_for("teacher.view"), 303)


def chosen_class_id() -> str:
    """Return the class chosen in the form; a box with one class does not ask.

    Raises:
        FieldMissing: there are several and none was chosen.
    """
    known = [school_class.id for school_class in roster.school_classes(db())]
    chosen = form().get("school_class", "")
    if len(known) != 1 and chosen not in known:
        raise FieldMissing(field=N_("Class"))
    return known[0] if len(known) == 1 else chosen


def class_link(host: str, addresses: list[str], port: int, code: str) -> str:
    """Return the link that a learner's phone can open: an address rather than a name, if we know one.

    A name such as `sandyq.local` is not understood by older phones, and `localhost` is another machine there.
    """
    return f"{box_address(host, addresses, port)}/class/{code}"


def box_address(host: str, addresses: list[str], port: int) -> str:
    """Return the start of a link to this box, without the slash."""
    name = host.rsplit(":", 1)[0].strip("[]")
    try:
        usable = not ipaddress.ip_address(name).is_loopback
    except ValueError:
        usable = False
    if not usable and addresses:
        host = f"{addresses[0]}:{port}"
    return f"http://{host.removesuffix(':80')}"


def qr(link: str) -> Markup:
    """Return the link as an SVG drawing, without the inline style that our CSP forbids."""
    drawing = segno.make(link, error="m").svg_inline(border=2, svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawing)  # noqa: S704 - drawn by segno from numbers, no text of anybody's in it


def _login_page(error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "login.html",
        school_classes=roster.school_classes(db()),
        chosen=form().get("school_class", ""),
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
