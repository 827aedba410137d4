"""The teacher's pages about people: the list of learners, cards, the class, the recovery sheet."""

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.database import saving
from appliance.errors import ApplianceError, WrongRecoveryCode
from appliance.languages import languages
from appliance.people import access, accommodations, cards, pictures, roster
from appliance.people.access import Login
from appliance.people.class_list import ClassList, Row
from appliance.people.roster import SchoolClass
from appliance.web.context import (
    LOGIN_COOKIE,
    accept_files,
    address,
    db,
    form,
    form_list,
    get_teacher_class,
    get_teacher_id,
    now,
    services,
)
from appliance.web.entry import with_login
from appliance.web.errors import sentences
from appliance.web.incoming import as_text, has_files, read_list, sentences_of
from appliance.web.teacher import box_address, chosen_class_id, qr

pages = Blueprint("people", __name__, url_prefix="/teacher")


@pages.get("/learners")
def learners() -> ResponseReturnValue:
    return _learners_page(get_teacher_class())


@pages.post("/learners")
def add_learners() -> ResponseReturnValue:
    """Save a clean typed list at once; show a file, a list with bad rows or with repeated names first."""
    school_class = get_teacher_class()
    accept_files()
    try:
        found = read_list(school_class.grades, school_class.name)
        known = [learner.name for learner in roster.learners(db(), school_class.id)]
        chosen = found.rows if form().get("twins") == "yes" else found.without_repeats(known)
        needs_a_look = has_files() or len(chosen) < len(found.rows)
        if found.problems or not found.rows or (needs_a_look and form().get("sure") != "yes"):
            return _preview_page(school_class, found, chosen)
        with saving(db()):
            roster.add_learners(db(), school_class, _pairs(chosen), now=now())
    except ApplianceError as error:
        return _learners_page(school_class, error)
    services().board.touch()
    return redirect(url_for("people.learners"), 303)


@pages.get("/learners/<learner_id>")
def learner(learner_id: str) -> ResponseReturnValue:
    return _learner_page(get_teacher_class(), learner_id)


@pages.post("/learners/<learner_id>")
def change_learner(learner_id: str) -> ResponseReturnValue:
    school_class = get_teacher_class()
    chosen = roster.get_learner(db(), school_class.id, learner_id)
    try:
        with saving(db()):
            match form().get("wish"):
                case "pictures":
                    pictures.invite(db(), chosen.id, now=now())
                case "card":
                    cards.void(db(), chosen.id)
                case "out":
                    access.end_logins_of_learner(db(), chosen.id)
                case _:
                    grade = _grade(form().get("grade", ""))
                    roster.change_learner(db(), chosen, name=form().get("name", ""), grade=grade)
                    needs = accommodations.find(db(), chosen.id)
                    wanted = accommodations.from_form(form(), needs, by_teacher=True)
                    accommodations.save(db(), chosen.id, wanted)
    except ApplianceError as error:
        return _learner_page(school_class, learner_id, error)
    services().board.touch()
    return redirect(url_for("people.learner", learner_id=learner_id), 303)


@pages.get("/cards")
def choose_cards() -> ResponseReturnValue:
    school_class = get_teacher_class()
    return render_template(
        "cards.html",
        school_class=school_class,
        learners=roster.learners(db(), school_class.id),
        holders=cards.holders(db(), school_class.id),
    )


@pages.post("/cards")
def print_cards() -> ResponseReturnValue:
    """Make the cards and show them once, ready to print: the box keeps no token it could show again."""
    school_class = get_teacher_class()
    wanted = set(form_list("learner"))
    chosen = [each for each in roster.learners(db(), school_class.id) if each.id in wanted]
    if not chosen:
        return redirect(url_for("people.choose_cards"), 303)
    with saving(db()):
        tokens = {each.id: cards.issue(db(), each.id, now=now()) for each in chosen}
    start = box_address(request.host, services().addresses, services().port)
    drawn = [(each, qr(f"{start}{url_for('entry.show_card', token=tokens[each.id])}")) for each in chosen]
    return render_template("printed_cards.html", school_class=school_class, cards=drawn, start=start)


@pages.get("/class")
def school_class() -> ResponseReturnValue:
    return _class_page(get_teacher_class())


@pages.post("/class")
def change_class() -> ResponseReturnValue:
    own = get_teacher_class()
    chosen_language = form().get("language", "")
    try:
        with saving(db()):
            roster.change_school_class(
                db(),
                own,
                name=form().get("school_class", ""),
                grades=chosen_grades(),
                language=chosen_language if chosen_language in languages() else own.language,
                uses_pictures=form().get("uses_pictures") == "yes",
                own_rules=form().get("own_rules", ""),
            )
    except ApplianceError as error:
        return _class_page(own, error)
    services().board.touch()
    return redirect(url_for("people.school_class"), 303)


@pages.get("/recovery")
def recovery() -> ResponseReturnValue:
    teacher_id = get_teacher_id()
    return render_template(
        "recovery.html",
        school_class=get_teacher_class(),
        code="",
        has_sheet=access.has_recovery(db(), teacher_id),
    )


@pages.post("/recovery")
def print_recovery() -> ResponseReturnValue:
    """Make the sheet and show it once; the sheet printed before is void from now on."""
    teacher_id = get_teacher_id()
    code = access.new_recovery_code()
    code_hash = access.hash_pin(code)
    with saving(db()):
        access.set_recovery(db(), teacher_id, code_hash)
    return render_template("recovery.html", school_class=get_teacher_class(), code=code, has_sheet=True)


@pages.get("/recover")
def recover_form() -> ResponseReturnValue:
    return _recover_page()


@pages.post("/recover")
def recover() -> ResponseReturnValue:
    try:
        token = _recover()
    except ApplianceError as error:
        return _recover_page(error)
    return with_login(redirect(url_for("people.recovery"), 303), token)


def chosen_grades() -> list[int]:
    """Return the grades ticked in the form."""
    return [grade for grade in map(_grade, form_list("grade")) if grade is not None]


def _recover() -> str:
    """Set the new PIN and return the teacher's login.

    Raises:
        WrongRecoveryCode and the errors of a new PIN: nothing is saved then but the counted try.
    """
    scope = "recovery"
    pin = form().get("pin", "").strip()
    class_id = chosen_class_id()
    access.verify_new_pin(pin, form().get("pin_again", "").strip())
    with saving(db()):
        left = access.take_try(db(), scope, address(), now=now())
    teacher_id = access.find_teacher_by_recovery(db(), form().get("code", ""), class_id)
    if teacher_id is None:
        raise WrongRecoveryCode(left=left)
    used = access.recovery_hash(db(), teacher_id)
    pin_hash = access.hash_pin(pin)
    with saving(db()):
        if not access.recover(db(), teacher_id, pin_hash, used):
            raise WrongRecoveryCode(left=left)
        access.forgive(db(), scope, address())
        old = request.cookies.get(LOGIN_COOKIE, "")
        return access.log_in(db(), Login(teacher_id=teacher_id), now=now(), replaces=old)


def _grade(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and int(text[:3]) in roster.GRADES else None


def _pairs(rows: tuple[Row, ...]) -> list[tuple[str, int | None]]:
    return [(row.name, row.grade) for row in rows]


def _learners_page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "learners.html",
        school_class=school_class,
        learners=roster.learners(db(), school_class.id),
        joined=access.joined_learners(db(), school_class.id, now=now()),
        pictures=pictures.of_class(db(), school_class.id),
        holders=cards.holders(db(), school_class.id),
        names=pictures.PICTURES,
        draft=form().get("learners", "") if error else "",
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _preview_page(
    school_class: SchoolClass, found: ClassList, chosen: tuple[Row, ...]
) -> ResponseReturnValue:
    page = render_template(
        "list_preview.html",
        school_class=school_class,
        found=found,
        left_out=len(found.rows) - len(chosen),
        repeats=dict(found.repeats),
        problems=sentences_of(found),
        known={each.name.casefold() for each in roster.learners(db(), school_class.id)},
        text=as_text(found.rows),
        draft=form().get("learners", ""),
    )
    return page, 400 if found.problems or not found.rows else 200


def _learner_page(
    school_class: SchoolClass, learner_id: str, error: ApplianceError | None = None
) -> ResponseReturnValue:
    chosen = roster.get_learner(db(), school_class.id, learner_id)
    page = render_template(
        "learner.html",
        school_class=school_class,
        learner=chosen,
        needs=accommodations.find(db(), chosen.id),
        choices=accommodations,
        grades=school_class.grades or roster.GRADES,
        pictures=pictures.find(db(), chosen.id),
        may_choose=pictures.may_choose(db(), chosen.id, school_class.id, now=now()),
        names=pictures.PICTURES,
        has_card=chosen.id in cards.holders(db(), school_class.id),
        is_here=chosen.id in access.joined_learners(db(), school_class.id, now=now()),
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _class_page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "school_class.html",
        school_class=school_class,
        grades=roster.GRADES,
        rules_limit=roster.MAX_RULES_CHARACTERS,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200


def _recover_page(error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "recover.html",
        school_classes=roster.school_classes(db()),
        chosen=form().get("school_class", ""),
        least_pin=access.LEAST_PIN_DIGITS,
        problem=sentences(error) if error else None,
    )
    return page, error.status if error else 200
