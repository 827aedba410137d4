"""Who may open which page of the region: `@needs(...)` on a route, checked before every request.

What carries no `@needs` is closed: a route that was forgotten shows nothing. Open by themselves are the
boxes' own routes under /v1/, which ask for a box's token, and what tells nothing. A change takes a form
of this log-in, sent from a page of ours. Programs read with a token, and change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app, g, redirect, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from sync.errors import TokenRefused
from sync.region_errors import FormForged, LoginNeeded, RoleRefused
from sync.server.people import api_tokens, logins, operators, web_context
from sync.server.people.logins import ABSOLUTE
from sync.server.people.operators import Operator
from sync.server.people.roles import Need, Role, may

# Boxes bring their own tokens; the rest tells nothing about anybody.
OPEN_PREFIXES = ("/v1/", "/static/")
OPEN_PATHS = ("/health", "/openapi.json", "/metrics")
READING = ("GET", "HEAD", "OPTIONS")
LOGIN_COOKIE = "sandyq_region"
KNOWN_COOKIE = "sandyq_region_known"
KNOWN_SECONDS = 180 * 24 * 3600
_MARK = "sandyq_need"

View = TypeVar("View", bound=Callable[..., Any])


def needs(need: Need | Literal["nobody"]) -> Callable[[View], View]:
    """Say who may open a route; `nobody` needs to be logged in, as on the log-in page itself."""

    def mark(view: View) -> View:
        setattr(view, _MARK, need)
        return view

    return mark


def need_of(view: Callable[..., Any]) -> str | None:
    found: str | None = getattr(view, _MARK, None)
    return found


def current_operator() -> Operator:
    """Return the person of this request; on a route that needs nobody there may be none."""
    person: Operator | None = g.get("operator")
    if person is None:
        raise LoginNeeded
    return person


def actor() -> str:
    """Return who acts, as the record names them."""
    label = g.get("api_label")
    return f"token:{label}" if label else current_operator().name


def guard(app: Flask) -> None:
    """Check every request of this application."""
    app.before_request(_check)
    app.context_processor(web_context.frame)
    app.after_request(web_context.keep_language)


def _check() -> AnyResponse | None:
    if request.endpoint is None:
        return None  # no such page: the answer is the same for everybody
    need = need_of(current_app.view_functions[request.endpoint])
    if need is None:
        if request.path.startswith(OPEN_PREFIXES) or request.path in OPEN_PATHS:
            return None
        raise LoginNeeded
    is_change = request.method not in READING
    if is_change:
        request.max_content_length = web_context.MAX_FORM_BYTES
        _verify_origin()
    _recognise()
    return None if need == "nobody" else _admit(need, is_change=is_change)


def _admit(need: Any, *, is_change: bool) -> AnyResponse | None:
    if g.get("api_label"):
        if not may(Role.VIEWER, need, is_change=is_change) or need == "self":
            raise RoleRefused
        return None
    person: Operator | None = g.get("operator")
    if person is None:
        if is_change or not wants_page():
            raise LoginNeeded
        return redirect(url_for("people.login", next=request.full_path.rstrip("?")))
    if person.must_add_factor and need != "self":
        if is_change:
            raise RoleRefused
        return redirect(url_for("people.telephone"))
    if not may(person.role, need, is_change=is_change):
        raise RoleRefused
    if is_change and not logins.is_form_token(g.login_token, request.form.get("form_token", "")):
        raise FormForged
    return None


def _recognise() -> None:
    """Find out whose request this is: a program's by its token, a person's by the cookie."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    db, now = web_context.db(), web_context.now()
    if scheme.lower() == "bearer":
        label = api_tokens.find(db, token, now)
        if label is None:
            raise TokenRefused
        g.api_label = label
        return
    cookie = request.cookies.get(cookie_name(LOGIN_COOKIE), "")
    login = logins.find(db, cookie, now) if cookie else None
    person = operators.find(db, login.operator_id) if login else None
    if person is not None and not person.is_disabled:
        g.operator, g.login_token, g.form_token = person, cookie, logins.form_token(cookie)


def _verify_origin() -> None:
    """Refuse a form that another site's page sent: browsers say where a form comes from."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise FormForged
    if site is not None and site not in ("same-origin", "none"):
        raise FormForged


def wants_page() -> bool:
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


# Cookies -----------------------------------------------------------------------------------


def cookie_name(name: str) -> str:
    """Over TLS a name that no other host and no plain page can set."""
    return f"__Host-{name}" if web_context.is_private_line() else name


def remember(response: AnyResponse, token: str, mark: str) -> None:
    """Give the browser its log-in, and the mark by which the account knows it next time."""
    _set(response, LOGIN_COOKIE, token, int(ABSOLUTE.total_seconds()))
    _set(response, KNOWN_COOKIE, mark, KNOWN_SECONDS)


def forget(response: AnyResponse) -> None:
    _set(response, LOGIN_COOKIE, "", 0)


def _set(response: AnyResponse, name: str, value: str, seconds: int) -> None:
    response.set_cookie(
        cookie_name(name),
        value,
        max_age=seconds,
        httponly=True,
        samesite="Strict",
        secure=web_context.is_private_line(),
        path="/",
    )
