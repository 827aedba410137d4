"""Pages of the policy desk: write an order, see what it changes, carry it to the keys, release it.

Nothing here signs. Keeps out: rules, SQL.
"""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync.budget import HOURS
from sync.errors import SyncError
from sync.keys import key_id
from sync.policy import Policy
from sync.region_errors import BadRequest, SigningFileWrong
from sync.server.desk import drafts, offers, order_words, rollout
from sync.server.desk.drafts import Draft
from sync.server.desk.offers import Released
from sync.server.desk.signing_file import MAX_FILE_BYTES, read_signing_file
from sync.server.people import record_words, web_context
from sync.server.people.web_access import current_operator, needs
from sync.server.people.web_context import db, door, form, now, show

desk = Blueprint("desk", __name__)

SEE_OTHER = 303
MAX_DIGITS = 9
FILE_TYPE = "application/vnd.sandyq.signing+json"


@desk.get("/desk")
@needs("operator")
def overview() -> Response:
    signers = offers.find_desk(db())
    return show(
        "desk.html",
        signers=signers,
        keys=[key_id(public).hex() for public in signers.keys] if signers else [],
        order=drafts.in_force(db(), door().region),
        drafts=[_draft_line(draft) for draft in drafts.open_drafts(db())],
        history=[_history_line(released) for released in offers.released(db())],
    )


@desk.get("/desk/new")
@needs("operator")
def new() -> Response:
    return show("desk_new.html", order=drafts.in_force(db(), door().region))


@desk.post("/desk/new")
@needs("operator")
def write() -> AnyResponse:
    try:
        draft = drafts.write_order(db(), door().region, current_operator().name, now(), **_asked())
    except SyncError as error:
        problem = web_context.speaker().explain(error)
        order = drafts.in_force(db(), door().region)
        return show("desk_new.html", error.status, order=order, problem=problem)
    return _to(draft)


@desk.get("/desk/draft/<int:draft_id>")
@needs("operator")
def preview(draft_id: int) -> Response:
    return _preview(drafts.get_draft(db(), draft_id))


@desk.post("/desk/draft/<int:draft_id>/file")
@needs("operator")
def export(draft_id: int) -> Response:
    draft = drafts.get_draft(db(), draft_id)
    file = drafts.export(db(), door().region, draft)
    drafts.note_export(db(), door().region, draft, current_operator().name, now())
    name = f"sandyq-{draft.kind}-{draft.version}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(file.to_bytes(), content_type=FILE_TYPE, headers=headers)


@desk.post("/desk/draft/<int:draft_id>/signatures")
@needs("operator")
def bring_back(draft_id: int) -> AnyResponse:
    draft = drafts.get_draft(db(), draft_id)
    upload = request.files.get("file")
    try:
        file = read_signing_file(upload.read(MAX_FILE_BYTES + 1) if upload else b"")
        if file.body != draft.body:
            raise SigningFileWrong
        drafts.bring_back(db(), door().region, file, current_operator().name, now())
    except SyncError as error:
        return _preview(draft, error)
    return _to(draft)


@desk.post("/desk/draft/<int:draft_id>/release")
@needs("operator")
def release(draft_id: int) -> AnyResponse:
    draft = drafts.get_draft(db(), draft_id)
    try:
        share = _number("share", 1, rollout.WHOLE) or rollout.STEPS[0]
        drafts.release(db(), door().region, draft, current_operator().name, now(), share)
    except SyncError as error:
        return _preview(draft, error)
    return redirect(url_for("desk.overview"), SEE_OTHER)


@desk.post("/desk/draft/<int:draft_id>/withdraw")
@needs("operator")
def withdraw(draft_id: int) -> AnyResponse:
    drafts.withdraw(db(), door().region, drafts.get_draft(db(), draft_id), current_operator().name, now())
    return redirect(url_for("desk.overview"), SEE_OTHER)


@desk.post("/desk/order/<int:version>/widen")
@needs("operator")
def widen(version: int) -> AnyResponse:
    share = _number("share", 1, rollout.WHOLE) or rollout.WHOLE
    drafts.widen(db(), door().region, version, share, current_operator().name, now())
    return redirect(url_for("desk.overview"), SEE_OTHER)


@desk.post("/desk/order/<int:version>/halt")
@needs("operator")
def halt(version: int) -> AnyResponse:
    offers.halt(db(), door().region.keys.desk, version, current_operator().name, now())
    return redirect(url_for("desk.overview"), SEE_OTHER)


# What stands on the pages -----------------------------------------------------------------------


def _preview(draft: Draft, error: SyncError | None = None) -> Response:
    have, needed = drafts.progress(db(), door().region, draft)
    boxes = len(web_context.store().box_lines())
    return show(
        "desk_draft.html",
        error.status if error else 200,
        problem=web_context.speaker().explain(error) if error else None,
        draft=draft,
        changes=_changes(drafts.in_force(db(), door().region), draft.order),
        boxes=boxes,
        first_boxes=-(-boxes * rollout.STEPS[0] // rollout.WHOLE),
        have=have,
        needed=needed,
        signers=[each.kid.hex() for each in drafts.signatures(db(), draft).signatures],
        steps=rollout.STEPS,
        keys=[key_id(public).hex() for public in draft.desk.keys] if draft.desk else [],
    )


def _changes(before: Policy, order: Policy | None) -> list[tuple[str, bool]]:
    if order is None:
        return []
    speaker = web_context.speaker()
    said = order_words.changes(before, order)
    return [(speaker.say(each.text, **each.params), each.is_grave) for each in said]


def _draft_line(draft: Draft) -> dict[str, Any]:
    have, needed = drafts.progress(db(), door().region, draft)
    last = drafts.in_force(db(), door().region)
    return {"draft": draft, "have": have, "needed": needed, "changes": _changes(last, draft.order)}


def _history_line(released: Released) -> dict[str, Any]:
    speaker = web_context.speaker()
    verdict = offers.standing(db(), released, now())
    seconds = offers.middle(offers.seconds_to_take(db(), released))
    return {
        "released": released,
        "verdict": verdict,
        "halted": speaker.say(record_words.HALTED_WORDS[released.halted]) if released.halted else "",
        "next": rollout.next_step(released.share),
        "minutes": None if seconds is None else max(1, seconds // 60),
    }


def _to(draft: Draft) -> AnyResponse:
    return redirect(url_for("desk.preview", draft_id=draft.id), SEE_OTHER)


# What was typed ----------------------------------------------------------------------------------


def _asked() -> dict[str, Any]:
    """Return the order that was asked for; an empty field stays as it is in force."""
    if form("kind") == "drill":
        return {"changes": {}, "limits": {}, "is_drill": True}
    kilo = {
        name: value * 1000
        for name, value in (
            ("day_up_bytes", _number("day_kilobytes", 0)),
            ("month_up_bytes", _number("month_kilobytes", 0)),
        )
        if value is not None
    }
    plain = {"rate_kbit": _number("rate_kbit", 0)}
    plain |= {name: _number(name, 0, HOURS - 1) for name in ("first_hour", "last_hour")}
    changes: dict[str, Any] = {name: _number(name, 1, 36_500) for name in ("retention_days", "receipt_days")}
    changes["stop"] = {"stop": True, "go": False}.get(form("answers"))
    return {
        "changes": {name: value for name, value in changes.items() if value is not None},
        "limits": kilo | {name: value for name, value in plain.items() if value is not None},
        "valid_days": _number("valid_days", 1, 36_500),
    }


def _number(name: str, lowest: int, highest: int = 10**MAX_DIGITS) -> int | None:
    text = form(name).strip()
    if not text:
        return None
    if not re.fullmatch(rf"[0-9]{{1,{MAX_DIGITS}}}", text) or not lowest <= int(text) <= highest:
        raise BadRequest
    return int(text)
