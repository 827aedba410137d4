"""What every page needs of this request: the database, whose browser it is, and its language."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from flask import current_app, g, request
from sqlite_utils import Database

from appliance import access, languages, roster
from appliance.access import Login
from appliance.assistant import Assistant
from appliance.errors import BodyTooLarge, ForeignOrigin, NotAllowed
from appliance.live import LiveBoard
from appliance.replay import Replays
from appliance.roster import Learner, SchoolClass
from sync.database import open_database

# The largest of our forms, the first start, has six.
MAX_FIELDS = 20
LOGIN_COOKIE = "sandyq_login"
LANGUAGE_COOKIE = "sandyq_language"


@dataclass(frozen=True)
class Services:
    """The parts a page may call, built once by `appliance.app`."""

    home: Path
    database: Path
    language: str
    assistant: Assistant
    board: LiveBoard
    addresses: list[str]
    port: int
    replays: Replays
    model_languages: tuple[str, ...] = ()  # of the model card in use; empty when not known


def services() -> Services:
    return cast("Services", current_app.extensions["sandyq"])


def db() -> Database:
    """Return this request's connection; it is closed with the request."""
    if "db" not in g:
        g.db = open_database(services().database)
    return cast("Database", g.db)


def close_db(_error: BaseException | None = None) -> None:
    opened = g.pop("db", None)
    if opened is not None:
        opened.close()


def now() -> datetime:
    return datetime.now(UTC)


def address() -> str:
    return request.remote_addr or "unknown"


def login() -> Login:
    """Return whose browser this is; an empty login for a stranger."""
    if "login" not in g:
        token = request.cookies.get(LOGIN_COOKIE, "")
        g.login = (access.find_login(db(), token, now=now()) if token else None) or Login()
    return cast("Login", g.login)


def learner() -> Learner | None:
    found = login().learner_id
    return roster.find_learner(db(), found) if found else None


def get_teacher_class() -> SchoolClass:
    """Return the class of the teacher who is logged in.

    Raises:
        NotAllowed: it is not the teacher.
    """
    teacher_id = login().teacher_id
    class_id = access.class_of_teacher(db(), teacher_id) if teacher_id else None
    if class_id is None:
        raise NotAllowed
    return roster.get_school_class(db(), class_id)


def language() -> str:
    """Return the reader's language: their own choice, then the class's, then the browser's wish."""
    if "language" not in g:
        g.language = _language()
    return cast("str", g.language)


def _language() -> str:
    chosen = [request.args.get("lang"), request.cookies.get(LANGUAGE_COOKIE)]
    try:
        school_class = roster.find_first_class(db())
        chosen.append(school_class.language if school_class else None)
    except Exception:  # noqa: BLE001 - the page that says the database is broken needs a language, too
        chosen.append(None)
    return languages.choose([*chosen, *request.accept_languages.values()], services().language)


def form() -> dict[str, str]:
    """Return the fields of the form that was sent; damaged UTF-8 shows as U+FFFD.

    Werkzeug would leave a damaged letter as its percent code, which reads like text somebody meant.

    Raises:
        BodyTooLarge: more fields than any of our forms has.
    """
    if "form" not in g:
        try:
            pairs = parse_qsl(
                request.get_data().decode("ascii", "replace"),
                keep_blank_values=True,
                errors="replace",
                max_num_fields=MAX_FIELDS,
            )
        except ValueError as error:
            raise BodyTooLarge from error
        g.form = dict(pairs)
    return cast("dict[str, str]", g.form)


def verify_same_origin() -> None:
    """Refuse a form that another site sent with this browser's cookies.

    Browsers name the sender of every POST in `Origin`; cookies are SameSite=Strict as well. (The
    newer Sec-Fetch-Site is not sent over plain HTTP, which is all that a classroom has.)

    Raises:
        ForeignOrigin: the sender is another site.
    """
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise ForeignOrigin
