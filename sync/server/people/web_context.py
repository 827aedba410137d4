"""What every page of the region needs of this request: the store, the time, the reader's language.

Filled by `app`. Keeps out: who may open what, which is `web_access`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flask import Response, current_app, g, render_template, request

from sync.errors import N_
from sync.keys import SecretKey
from sync.server.people.roles import Need, Role, may
from sync.server.storage.database import RegionDatabase
from sync.server.storage.identity import Region
from sync.server.storage.store import Store
from sync.server.storage.stores import Stores
from sync.server.translation import LANGUAGES, PAGE_LANGUAGE, Speaker

EXTENSION = "sandyq_region"
LANGUAGE_COOKIE = "sandyq_region_language"
LANGUAGE_SECONDS = 365 * 24 * 3600
# The largest of our forms brings back signed orders, of about 2 kB each.
MAX_FORM_BYTES = 64 * 1024

# The pages of the first line, each with the need of its route: nobody is shown a door that is closed.
NAVIGATION: tuple[tuple[str, str, Need], ...] = (
    ("/", N_("Where help is needed"), "viewer"),
    ("/boxes", N_("Boxes"), "viewer"),
    ("/equity", N_("Treated alike?"), "viewer"),
    ("/tables", N_("Tables"), "viewer"),
    ("/enrolment", N_("Letting in"), "operator"),
    ("/desk", N_("Orders"), "operator"),
    ("/audit", N_("Record"), "auditor"),
    ("/account", N_("My account"), "self"),
)

# At the nation there are no boxes of its own: regions stand where boxes stand at a region.
NATION_NAVIGATION: tuple[tuple[str, str, Need], ...] = (
    ("/nation", N_("Regions"), "viewer"),
    ("/enrolment", N_("Letting in"), "operator"),
    ("/audit", N_("Record"), "auditor"),
    ("/account", N_("My account"), "self"),
)


@dataclass(frozen=True)
class Door:
    """The parts a page may call, built once by `app`."""

    region: Region
    clock: Callable[[], datetime]
    speakers: Mapping[str, Speaker]


def door() -> Door:
    found: Door = current_app.extensions[EXTENSION]
    return found


def now() -> datetime:
    return door().clock()


def key() -> SecretKey:
    return door().region.keys.desk


def store() -> Store:
    """Return this request's own connection; `app` gives it back."""
    if "store" not in g:
        stores: Stores = current_app.extensions["stores"]
        g.store = stores.take(door().region.database)
    found: Store = g.store
    return found


def db() -> RegionDatabase:
    return store().db


def language() -> str:
    for chosen in (request.args.get("lang", ""), request.cookies.get(LANGUAGE_COOKIE, "")):
        if chosen in LANGUAGES:
            return chosen
    return request.accept_languages.best_match(LANGUAGES) or PAGE_LANGUAGE


def speaker() -> Speaker:
    """Return the reader's language; looked up once a request, for a page asks it for every sentence."""
    if "speaker" not in g:
        g.speaker = door().speakers[language()]
    found: Speaker = g.speaker
    return found


def keep_language(response: Response) -> Response:
    """A language chosen on one page holds on the next."""
    chosen = request.args.get("lang", "")
    if chosen in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, chosen, max_age=LANGUAGE_SECONDS, samesite="Lax", secure=is_private_line()
        )
    return response


def is_private_line() -> bool:
    """Say whether the browser came by TLS, to us or to the proxy in front."""
    return request.is_secure or request.headers.get("X-Forwarded-Proto") == "https"


def form(name: str) -> str:
    """Return what was typed in a field, without what no keyboard types."""
    return "".join(letter for letter in request.form.get(name, "") if letter.isprintable() or letter == "\n")


def show(template: str, status: int = 200, **values: object) -> Response:
    """Return a page in the reader's language."""
    page = render_template(template, **{"region_name": door().region.name, **values})
    return Response(page, status)


def frame() -> dict[str, object]:
    """Return what every template may use."""
    person = g.get("operator")
    return {
        "speaker": speaker(),
        "languages": LANGUAGES,
        "operator": person,
        "form_token": g.get("form_token", ""),
        "navigation": _navigation(person.role) if person and not person.must_add_factor else (),
    }


def _navigation(role: Role) -> list[tuple[str, str]]:
    pages = NATION_NAVIGATION if door().region.is_nation else NAVIGATION
    return [(path, title) for path, title, need in pages if may(role, need, is_change=False)]
