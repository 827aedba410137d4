"""How a learner comes in and leaves: find the class, choose a name, prove it with pictures or a card.

Nothing is typed but the class code, and a card or the class's QR code saves that too. The rules of the
class are shown once, before the first question.
"""

from collections.abc import Callable

from flask import Blueprint, Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlite_utils import Database

from appliance import events
from appliance.database import saving
from appliance.errors import ApplianceError, PicturesByTeacher, SessionNotOpen, UnknownCard, UnknownClassCode
from appliance.lesson import sessions
from appliance.people import access, cards, conduct, pictures, roster
from appliance.people.access import Login
from appliance.people.roster import Learner, SchoolClass
from appliance.web.context import (
    LOGIN_COOKIE,
    address,
    db,
    form,
    language,
    learner,
    login,
    now,
    save_with_others,
    services,
)
from appliance.web.errors import sentences
from sync.event import Event

pages = Blueprint("entry", __name__)

# Whoever opens one of these pages has read the rules first.
AFTER_THE_RULES = ("learner", "tasks")


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
    return _names_page(_get_class(code))


@pages.post("/class/<code>")
def join(code: str) -> ResponseReturnValue:
    school_class = _get_class(code)
    try:
        chosen = roster.get_learner(db(), school_class.id, form().get("learner", ""))
        if school_class.uses_pictures:
            return redirect(url_for("entry.show_pictures", code=code, learner_id=chosen.id), 303)
        token = save_with_others(_log_in(chosen))
    except ApplianceError as error:
        return _names_page(school_class, error)
    return _come_in(token)


@pages.get("/class/<code>/<learner_id>")
def show_pictures(code: str, learner_id: str) -> ResponseReturnValue:
    school_class = _get_class(code)
    chosen = roster.get_learner(db(), school_class.id, learner_id)
    if not school_class.uses_pictures or sessions.find_open_session(db(), school_class.id) is None:
        return redirect(url_for("entry.names", code=code), 303)
    refusal = _late_choice(db(), chosen)
    return _names_page(school_class, refusal) if refusal else _pictures_page(school_class, chosen)


@pages.post("/class/<code>/<learner_id>")
def pick(code: str, learner_id: str) -> ResponseReturnValue:
    """Each tap on a picture sends the form; with a script the browser collects all three first."""
    school_class = _get_class(code)
    chosen = roster.get_learner(db(), school_class.id, learner_id)
    if not school_class.uses_pictures:
        return redirect(url_for("entry.names", code=code), 303)
    refusal = _late_choice(db(), chosen)
    if refusal is not None:
        return _names_page(school_class, refusal)
    tapped = pictures.picked(f"{form().get('picked', '')} {form().get('picture', '')}")
    if len(tapped) < pictures.LENGTH:
        return _pictures_page(school_class, chosen, tapped)
    is_sure = form().get("sure") == "yes"
    if not is_sure and pictures.find(db(), chosen.id) is None:
        return _pictures_page(school_class, chosen, tapped)
    try:
        entered = save_with_others(_check_pictures(chosen, tapped, _log_in(chosen), is_sure=is_sure))
        if isinstance(entered, ApplianceError):
            raise entered
    except ApplianceError as error:
        return _pictures_page(school_class, chosen, error=error)
    return _come_in(entered)


@pages.get("/card/<token>")
def show_card(token: str) -> ResponseReturnValue:
    """A link alone logs nobody in: a preview or a second scan must not change whose browser it is."""
    return _card_page(token, _get_card_holder(token))


@pages.post("/card/<token>")
def use_card(token: str) -> ResponseReturnValue:
    holder = _get_card_holder(token)
    try:
        login_token = save_with_others(_log_in(holder))
    except ApplianceError as error:
        return _card_page(token, holder, error)
    return _come_in(login_token)


@pages.get("/welcome")
def welcome() -> ResponseReturnValue:
    """The rules of the class: before the first question, and whenever a learner wants to read them again."""
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    school_class = roster.get_school_class(db(), reader.school_class_id)
    return render_template("welcome.html", learner=reader, school_class=school_class, rules=conduct.RULES)


@pages.post("/welcome")
def accept() -> ResponseReturnValue:
    reader = learner()
    if reader is not None:
        with saving(db()):
            roster.note_rules_read(db(), reader.id, now=now())
    return redirect(url_for("learner.ask_form" if reader else "entry.first"), 303)


def show_rules_first() -> ResponseReturnValue | None:
    """Lead a learner who has not read the rules to them; the app asks this before every request."""
    if request.blueprint not in AFTER_THE_RULES:
        return None
    reader = learner()
    if reader is None or reader.has_read_rules:
        return None
    return redirect(url_for("entry.welcome"), 303)


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


def _get_class(code: str) -> SchoolClass:
    """Return the class in this address; guessing addresses is braked like guessing in the form.

    Raises:
        UnknownClassCode, TooManyTries: say so on a page of their own.
    """
    scope = "class code"
    access.verify_tries_left(db(), scope, address(), now=now(), most=access.MAX_CODE_TRIES)
    try:
        return roster.get_class_by_code(db(), code)
    except UnknownClassCode:
        with saving(db()):
            access.count_miss(db(), scope, address(), now=now())
        raise


def _log_in(who: Learner) -> Callable[[Database], str]:
    """Return the work that saves the login and its event and gives the token.

    What it needs of this request is taken now: it may run in another thread. It raises SessionNotOpen,
    because nobody comes in outside a lesson.
    """
    old = request.cookies.get(LOGIN_COOKIE, "")
    fields = {"learner_name": who.name, "language": language()}

    def act(own: Database) -> str:
        session = sessions.find_open_session(own, who.school_class_id)
        if session is None:
            raise SessionNotOpen
        token = access.log_in(own, Login(learner_id=who.id), now=now(), replaces=old)
        events.record(own, Event("learner_joined", now(), session.id, who.id, fields))
        return token

    return act


def _late_choice(own: Database, who: Learner) -> PicturesByTeacher | None:
    """Return why pictures may not be chosen for this name now, or None when it has some or may get them."""
    if pictures.find(own, who.id) or pictures.may_choose(own, who.id, who.school_class_id, now=now()):
        return None
    return PicturesByTeacher()


def _check_pictures(
    who: Learner, tapped: tuple[str, ...], log_in: Callable[[Database], str], *, is_sure: bool
) -> Callable[[Database], str | ApplianceError]:
    """Return the work that checks the pictures and logs in; a refusal is returned: its miss is kept."""

    def act(own: Database) -> str | ApplianceError:
        refusal = _late_choice(own, who)
        if refusal is not None:
            return refusal
        if is_sure:
            pictures.choose(own, who.id, tapped, now=now())
        return pictures.find_refusal(own, who.id, tapped, now=now()) or log_in(own)

    return act


def _come_in(token: str) -> Response:
    services().board.touch()
    return with_login(redirect(url_for("learner.ask_form"), 303), token)


def _get_card_holder(token: str) -> Learner:
    learner_id = cards.find_learner_id(db(), token)
    holder = roster.find_learner(db(), learner_id) if learner_id else None
    if holder is None:
        raise UnknownCard
    return holder


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
        groups=_by_grade(school_class),
        is_open=sessions.find_open_session(db(), school_class.id) is not None,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _by_grade(school_class: SchoolClass) -> list[tuple[int | None, list[Learner]]]:
    """Return the learners by grade, those without one last; a class of one grade is one group."""
    everybody = roster.learners(db(), school_class.id)
    if len(school_class.grades) < 2:
        return [(None, everybody)]
    grades = sorted(
        {learner.grade for learner in everybody}, key=lambda grade: grade or len(roster.GRADES) + 1
    )
    return [(grade, [learner for learner in everybody if learner.grade == grade]) for grade in grades]


def _pictures_page(
    school_class: SchoolClass,
    chosen: Learner,
    tapped: tuple[str, ...] = (),
    error: ApplianceError | None = None,
) -> ResponseReturnValue:
    page = render_template(
        "pictures.html",
        school_class=school_class,
        learner=chosen,
        names=pictures.PICTURES,
        length=pictures.LENGTH,
        tapped=tapped,
        is_new=pictures.find(db(), chosen.id) is None,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _card_page(token: str, holder: Learner, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "card.html",
        token=token,
        learner=holder,
        school_class=roster.get_school_class(db(), holder.school_class_id),
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
