"""Pages on which operators let boxes in: codes, approvals, alarms, and one box's place and keys.

Each change is written into the record in the transaction that makes it. Keeps out: rules, SQL.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync.errors import N_, SyncError
from sync.region_errors import UnknownLabel
from sync.server.enrolment import code_sheet, enrolment_views, enrolments, registry
from sync.server.enrolment.enrolments import CodeSheet
from sync.server.people import audit, web_context
from sync.server.people.web_access import actor, needs
from sync.server.people.web_context import door, form, key, now, show, store
from sync.server.storage.store import Place
from sync.server.translation import Speaker

enrolment = Blueprint("enrolment", __name__)

SEE_OTHER = 303
MAX_LABEL_LETTERS = 16
MAX_URL_LETTERS = 200

REMARK_WORDS = {
    "fork": N_("two batches with one number: perhaps a copied card"),
    "epoch": N_("a second history: restored from a backup, or a copied card"),
    "foreign": N_("the history of another box: a copied card that was enrolled anew"),
    "gap": N_("a batch came out of order"),
    "chain": N_("a batch does not follow from the one before"),
}
STRATUM_WORDS = {"": N_("not stated"), "rural": N_("rural"), "urban": N_("urban")}
SIZE_WORDS = {"": N_("not stated"), "small": N_("small school"), "large": N_("large school")}


@enrolment.get("/enrolment")
@needs("operator")
def overview() -> Response:
    return _page()


@enrolment.post("/enrolment/codes")
@needs("operator")
def make_codes() -> Response:
    try:
        places = enrolments.read_places(form("schools")) or [Place()] * _number("count", enrolments.MAX_CODES)
        sheet = _made(places, needs_approval=bool(form("approval")))
    except SyncError as error:
        return _page(error)
    return _sheet(sheet)


@enrolment.post("/enrolment/renew")
@needs("operator")
def renew() -> Response:
    try:
        card = enrolment_views.box_card(store(), enrolments.get_box(store(), _label()))
        return _sheet(_made([card.place], renews=card.label))
    except UnknownLabel as error:
        return _page(error)


@enrolment.post("/enrolment/approve")
@needs("operator")
def approve() -> AnyResponse:
    region = door().region

    def change(label: str, at: datetime) -> None:
        enrolments.approve(store(), region.keys, region.id, label, at)

    return _change("box_approved", change)


@enrolment.post("/enrolment/revoke")
@needs("operator")
def revoke() -> AnyResponse:
    def change(label: str, at: datetime) -> None:
        registry.revoke(store(), label, at)

    return _change("box_revoked", change)


@enrolment.post("/enrolment/move")
@needs("operator")
def move() -> AnyResponse:
    def change(label: str, at: datetime) -> None:
        typed = [form(name).replace(";", " ").strip() for name in ("school", "stratum", "size_class")]
        place = Place(typed[0][: enrolments.MAX_SCHOOL_LETTERS], *_known_words(typed[1], typed[2]))
        enrolments.move(store(), label, place, at)

    return _change("box_moved", change)


def _change(action: str, change: Callable[[str, datetime], None]) -> AnyResponse:
    label = _label()
    try:
        with store().transaction():
            change(label, now())
            audit.append(store().db, key(), now(), actor(), action, label)
    except SyncError as error:
        return _page(error)
    return redirect(url_for("enrolment.overview", label=label), SEE_OTHER)


def _made(places: list[Place], *, needs_approval: bool = False, renews: str = "") -> CodeSheet:
    with store().transaction():
        sheet = enrolments.make_sheet(
            store(), door().region.keys, places, now(), needs_approval=needs_approval, renews=renews
        )
        audit.append(store().db, key(), now(), actor(), "codes_made", renews, codes=len(sheet.codes))
    return sheet


def _sheet(sheet: CodeSheet) -> Response:
    url = form("url").strip()[:MAX_URL_LETTERS]
    context = code_sheet.sheet_context(sheet, door().region.name, url, web_context.speaker())
    return Response(render_template("code_sheet.html", **context))


def _page(error: SyncError | None = None) -> Response:
    speaker = web_context.speaker()
    label = (request.args.get("label", "") or form("label")).strip().upper()[:MAX_LABEL_LETTERS]
    box = store().find_box_by_label(label) if label else None
    if label and box is None and error is None:
        error = UnknownLabel(label=label)
    return show(
        "enrolment.html",
        error.status if error else 200,
        problem=speaker.explain(error) if error else None,
        typed_label=label,
        typed_schools=form("schools"),
        card=enrolment_views.box_card(store(), box) if box else None,
        alarms=enrolment_views.alarms(store()),
        waiting=enrolment_views.waiting(store()),
        sheets=enrolment_views.open_sheets(store(), now()),
        region_url=request.url_root.rstrip("/"),
        sheet_days=enrolments.SHEET_DAYS,
        strata=_said(STRATUM_WORDS, speaker),
        sizes=_said(SIZE_WORDS, speaker),
        remark_words=_said(REMARK_WORDS, speaker),
    )


def _said(words: dict[str, str], speaker: Speaker) -> dict[str, str]:
    return {word: speaker.say(sentence) for word, sentence in words.items()}


def _label() -> str:
    return form("label").strip()[:MAX_LABEL_LETTERS]


def _number(name: str, most: int) -> int:
    typed = form(name)
    return max(1, min(int(typed), most)) if typed.isdecimal() and len(typed) < 6 else 1


def _known_words(stratum: str, size_class: str) -> tuple[str, str]:
    return (
        stratum if stratum in STRATUM_WORDS else "",
        size_class if size_class in SIZE_WORDS else "",
    )
