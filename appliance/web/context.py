"""What every page needs of this request: the database, whose browser it is, and its language."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from flask import Request, Response, current_app, g, make_response, request
from flask.typing import ResponseReturnValue
from sqlite_utils import Database

from appliance import labels, languages
from appliance.box import root_calls
from appliance.box.discovery import Presence
from appliance.database import KeptConnections
from appliance.errors import BodyTooLarge, ForeignOrigin, NotAllowed
from appliance.lesson.live import LiveBoard
from appliance.lesson.questions import Question
from appliance.lesson.replay import Replays
from appliance.people import access, accommodations, roster
from appliance.people.access import Login
from appliance.people.accommodations import Accommodation
from appliance.people.roster import Learner, SchoolClass
from appliance.people.together import Together
from appliance.permission.exam_guard import ExamGuard
from appliance.tutor.assistant import Assistant

T = TypeVar("T")

# The largest of our forms, printing cards, has one for each learner and a few more.
MAX_FIELDS = 80
# A class list with pictures and styles in it; roster and archive have their own, tighter limits.
MAX_UPLOAD_BYTES = 3 * 1024 * 1024
LOGIN_COOKIE = "sandyq_login"
LANGUAGE_COOKIE = "sandyq_language"

VERSION = version("sandyq")
SECURITY_HEADERS = {
    # No inline script or style anywhere, so that a name or an answer can never become one.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Services:
    """The parts a page may call, built once by `appliance.app`."""

    home: Path
    database: Path
    language: str
    assistant: Assistant
    board: LiveBoard
    guard: ExamGuard
    presence: Presence
    port: int
    replays: Replays
    model_languages: tuple[str, ...] = ()  # of the model card in use; empty when not known
    has_portal: bool = True
    helpers: Path = root_calls.FOLDER

    @property
    def addresses(self) -> list[str]:
        """Where other devices reach the box, now."""
        return self.presence.addresses

    bell: Together = field(default_factory=Together)  # what a whole class sends at once shares its commits


class BoxRequest(Request):
    """Keeps what is uploaded in memory: a list of children is never written to a temporary file.

    The route's limit on its body bounds it (MAX_BODY_BYTES, and MAX_UPLOAD_BYTES where files are taken).
    """

    def _get_file_stream(self, *_args: object, **_kwargs: object) -> BytesIO:
        return BytesIO()


def services() -> Services:
    return cast("Services", current_app.extensions["sandyq"])


def db() -> Database:
    """Return this request's connection; it goes back with the request."""
    if "db" not in g:
        g.db = _kept_connections().take()
    return cast("Database", g.db)


def save_with_others(act: Callable[[Database], T]) -> T:
    """Save in one commit with whoever saves at this moment; who waits for it holds no connection.

    Raises:
        DiskFull, DatabaseBusy: nothing was saved.
    """
    if "db" in g:
        _kept_connections().give_back(g.pop("db"), is_sound=True)
    return services().bell.save(db, act)


def note_status(response: Response) -> Response:
    """Remember how the request went: after an error its connection is not given to the next page."""
    g.went_well = response.status_code < HTTPStatus.BAD_REQUEST
    return response


def close_db(error: BaseException | None = None) -> None:
    taken = g.pop("db", None)
    if taken is not None:
        _kept_connections().give_back(taken, is_sound=error is None and g.pop("went_well", False))


def _kept_connections() -> KeptConnections:
    return cast("KeptConnections", current_app.extensions["sandyq_connections"])


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


def reader_id() -> str | None:
    """Return the learner whose browser this is, for what the page keeps on the device until they leave."""
    try:
        return login().learner_id
    except Exception:  # noqa: BLE001 - as for the language: the page about a broken database is shown, too
        return None


def accommodation() -> Accommodation:
    """Return how this reader needs pages to be; nothing special for a teacher or a stranger."""
    if "accommodation" not in g:
        try:
            reader = reader_id()
            g.accommodation = accommodations.find(db(), reader) if reader else Accommodation()
        except Exception:  # noqa: BLE001 - the page that says the database is broken is read by somebody, too
            g.accommodation = Accommodation()
    return cast("Accommodation", g.accommodation)


def get_teacher_id() -> str:
    """Return who the teacher is.

    Raises:
        NotAllowed: it is not a teacher.
    """
    teacher_id = login().teacher_id
    if teacher_id is None:
        raise NotAllowed
    return teacher_id


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
        chosen.append(_class_language())
    except Exception:  # noqa: BLE001 - the page that says the database is broken needs a language, too
        chosen.append(None)
    return languages.choose([*chosen, *request.accept_languages.values()], services().language)


def _class_language() -> str | None:
    """Return the language of the reader's class; a stranger's is the first class of the box."""
    own = login()
    class_id = access.class_of_teacher(db(), own.teacher_id) if own.teacher_id else None
    reader = roster.find_learner(db(), own.learner_id) if own.learner_id else None
    class_id = reader.school_class_id if reader else class_id
    school_class = roster.get_school_class(db(), class_id) if class_id else roster.find_first_class(db())
    return school_class.language if school_class else None


def form() -> dict[str, str]:
    """Return the fields of the form that was sent; of a field sent twice the last one.

    Raises:
        BodyTooLarge: more fields or bytes than this route's form has.
    """
    return dict(_fields())


def form_list(name: str) -> list[str]:
    """Return every value of a field that may be sent more than once, such as a box to tick."""
    return [value for key, value in _fields() if key == name]


def accept_files() -> None:
    """Let this one route take files: its body may be larger. Called before the form is read."""
    request.max_content_length = MAX_UPLOAD_BYTES
    request.max_form_parts = MAX_FIELDS


def files(name: str) -> dict[str, bytes]:
    """Return what was sent under this field by the sender's file names, which are never used as paths."""
    if "files" not in g:
        # Asked about a plain form, Werkzeug would use up the body that the fields are read from.
        sent = request.files.getlist(name) if request.mimetype == "multipart/form-data" else []
        g.files = {str(upload.filename): upload.read() for upload in sent if upload.filename}
    return cast("dict[str, bytes]", g.files)


def _fields() -> list[tuple[str, str]]:
    """Return names and values as sent; damaged UTF-8 shows as U+FFFD.

    Werkzeug would leave a damaged letter of a plain form as its percent code, which reads like text
    somebody meant.
    """
    if "fields" not in g:
        if request.mimetype == "multipart/form-data":
            g.fields = list(request.form.items(multi=True))
        else:
            g.fields = _plain_fields()
    return cast("list[tuple[str, str]]", g.fields)


def _plain_fields() -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            request.get_data().decode("ascii", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise BodyTooLarge from error


def marked(page: ResponseReturnValue, shown: Iterable[Question]) -> Response:
    """Return a learner's page, with the mark of programs when a text of the model is on it."""
    return labelled(page) if any(question.model for question in shown) else make_response(page)


def labelled(page: ResponseReturnValue) -> Response:
    """Return the answer with the mark that texts of the model are among the others."""
    response = make_response(page)
    response.headers[labels.HEADER] = labels.PARTLY
    return response


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
