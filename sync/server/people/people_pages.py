"""Pages on which people of the region come in and look after their own account, and the record.

Accounts themselves are made on the region's machine alone. Keeps out: rules, SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, g, redirect, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sync.errors import SyncError
from sync.region_errors import LoginRefused
from sync.server.people import audit, logins, operators, record_words, second_factor, web_access, web_context
from sync.server.people.audit_chain import Entry
from sync.server.people.operators import Typed
from sync.server.people.web_access import current_operator, needs
from sync.server.people.web_context import db, form, key, now, show

people = Blueprint("people", __name__)

SEE_OTHER = 303


# Coming in ---------------------------------------------------------------------------------


@people.get("/login")
@needs("nobody")
def login() -> Response:
    return show("login.html", next_page=_own_page(request.args.get("next", "")))


@people.post("/login")
@needs("nobody")
def log_in() -> AnyResponse:
    typed = Typed(form("name"), request.form.get("password", ""), form("code"))
    mark = request.cookies.get(web_access.cookie_name(web_access.KNOWN_COOKIE), "")
    try:
        person, token = operators.log_in(db(), key(), typed, mark, now())
    except SyncError as error:
        return _again("login.html", error, next_page=_own_page(form("next")))
    response = redirect(_own_page(form("next")), SEE_OTHER)
    web_access.remember(response, token, logins.known_browser(key(), person.name))
    return response


@people.post("/logout")
@needs("self")
def log_out() -> AnyResponse:
    with db().transaction():
        logins.end(db(), g.login_token)
        audit.append(db(), key(), now(), current_operator().name, "log_out", current_operator().name)
    return _leave()


@people.get("/welcome")
@needs("nobody")
def welcome() -> Response:
    return show("welcome.html")


@people.post("/welcome")
@needs("nobody")
def set_up() -> AnyResponse:
    try:
        operators.set_up(
            db(),
            key(),
            form("name"),
            form("setup_code"),
            request.form.get("password", ""),
            request.form.get("password_again", ""),
            now(),
        )
    except SyncError as error:
        return _again("welcome.html", error)
    return redirect(url_for("people.login"), SEE_OTHER)


# One's own account -------------------------------------------------------------------------


@people.get("/account")
@needs("self")
def account() -> Response:
    person = current_operator()
    return show("account.html", recovery_left=operators.count_recovery(db(), person))


@people.post("/account/password")
@needs("self")
def change_password() -> AnyResponse:
    person = current_operator()
    passwords = [request.form.get(name, "") for name in ("old", "password", "password_again")]
    try:
        operators.change_password(db(), key(), person, passwords[0], passwords[1], passwords[2], now())
    except SyncError as error:
        return _again("account.html", error, recovery_left=operators.count_recovery(db(), person))
    return _leave()


@people.get("/account/telephone")
@needs("self")
def telephone() -> Response:
    return show("telephone.html", **_telephone())


@people.post("/account/telephone")
@needs("self")
def add_telephone() -> Response:
    person = current_operator()
    if person.second_factor is not None and not _has_proven(person):
        return _again("telephone.html", LoginRefused(), **_telephone())
    try:
        codes = operators.confirm_factor(db(), key(), person, form("code"), now())
    except SyncError as error:
        return _again("telephone.html", error, **_telephone())
    # Every log-in has ended, this one too: the account's name is all that is left to show.
    response = show("recovery.html", codes=codes, is_new=True)
    web_access.forget(response)
    return response


@people.post("/account/recovery")
@needs("self")
def renew_recovery() -> Response:
    person = current_operator()
    if person.second_factor is None or not _has_proven(person):
        left = operators.count_recovery(db(), person)
        return _again("account.html", LoginRefused(), recovery_left=left)
    return show("recovery.html", codes=operators.renew_recovery(db(), key(), person, now()), is_new=False)


def _has_proven(person: operators.Operator) -> bool:
    """What weakens or moves the second factor takes the second factor: a screen left open is not enough."""
    return operators.prove_again(db(), key(), person, form("old_code"), now())


def _telephone() -> dict[str, Any]:
    person = current_operator()
    secret = operators.propose_factor(db(), key(), person)
    region = web_context.door().region.name
    return {
        # Drawn by segno from a random secret and a name of our own alphabet.
        "drawing": Markup(second_factor.drawing(secret, person.name, region)),  # noqa: S704
        "letters": second_factor.letters(secret),
        "has_factor": person.second_factor is not None,
    }


# The record --------------------------------------------------------------------------------


@people.get("/audit")
@needs("auditor")
def record() -> Response:
    before = request.args.get("before", "")
    entries = audit.newest(db(), int(before) if before.isdecimal() and len(before) < 12 else None)
    return show(
        "audit.html",
        entries=[_in_words(link.entry) for link in entries],
        head=audit.head(db()),
        older=entries[-1].entry.number if len(entries) == audit.PAGE_ENTRIES else None,
    )


@people.get("/audit/verify")
@needs("auditor")
def verify_record() -> Response:
    verdict, since = audit.verify_newest(db(), key(), now())
    return show("audit_verified.html", verdict=verdict, since=since)


def _in_words(entry: Entry) -> tuple[Entry, str, str, list[tuple[str, str]]]:
    """Return an entry, who did it, what was done, and its details."""
    details = [
        (_word(record_words.DETAIL_WORDS, name), _word(record_words.VALUE_WORDS, str(value)))
        for name, value in entry.details.items()
    ]
    return (
        entry,
        _word(record_words.ACTOR_WORDS, entry.actor),
        _word(record_words.ACTION_WORDS, entry.action),
        details,
    )


def _word(words: Mapping[str, str], name: str) -> str:
    """A name of a person, a number, what a later version wrote: what has no word stands as it is."""
    return web_context.speaker().say(words[name]) if name in words else name


# Answers -----------------------------------------------------------------------------------


def _again(template: str, error: SyncError, **values: object) -> Response:
    """Return the form once more, with what was wrong; what was typed in secret is not sent back."""
    message, hint = web_context.speaker().explain(error)
    return show(template, error.status, problem=(message, hint), typed_name=form("name"), **values)


def _leave() -> AnyResponse:
    response = redirect(url_for("people.login"), SEE_OTHER)
    web_access.forget(response)
    return response


def _own_page(path: str) -> str:
    """Return where to go on: a page of ours, never another site's."""
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours and not path.startswith(("/login", "/logout")) else "/"
