"""The region's HTTP door: routes, limits, languages, answers.

Wires the rooms' parts together and decides nothing. Each request opens its own
connection to the store. Errors of the family become RFC 9457 problem documents
in the reader's language. Tokens and payloads are never logged.
"""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask, Response, current_app, g, jsonify, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from sync.batch import SHA256_BYTES
from sync.envelope import MAX_ENVELOPE_BYTES
from sync.errors import (
    CodeRefused,
    EnvelopeOversized,
    NotFound,
    RefusedEnvelope,
    RequestTooLarge,
    SyncError,
    TokenRefused,
    TooManyCodes,
)
from sync.keys import vouch_for_nation_key, vouch_for_policy_key
from sync.region_errors import (
    BadRequest,
    MethodNotAllowed,
    QuotaSpent,
    Unexpected,
    UploadOffsetWrong,
    UploadsFull,
    UploadUnknown,
)
from sync.reply import read_question
from sync.server.arrivals import answers
from sync.server.arrivals.inbox import sign_for
from sync.server.arrivals.ingest import Ingest, Quota, no_quota
from sync.server.arrivals.metrics import RegionMetrics
from sync.server.arrivals.uploads import MAX_PIECE_BYTES, Uploads
from sync.server.desk.desk_pages import desk
from sync.server.enrolment import registry
from sync.server.enrolment.enrolment_pages import enrolment
from sync.server.insight.insight_data import insight_data
from sync.server.insight.insight_pages import insight
from sync.server.insight.rollups import counted_to
from sync.server.nation import national
from sync.server.nation.nation_pages import nation
from sync.server.openapi import describe_region
from sync.server.people import web_access, web_context
from sync.server.people.people_pages import people
from sync.server.people.web_context import Door, show
from sync.server.storage.identity import Region
from sync.server.storage.store import Box, Store
from sync.server.storage.stores import Stores
from sync.server.translation import LANGUAGES, PROBLEM_LANGUAGE, Speaker, load_speakers
from sync.transport import KEYS_TYPE, ORDER_HEADER, ORDER_OF_DESK, PROBLEM_TYPE, REPLY_TYPE

MAX_ENROLMENT_BYTES = 4096  # an honest request has about 300
MAX_QUESTION_BYTES = 256  # an honest one has about 20
MAX_HEADER_DIGITS = 9
UPLOADS_FOLDER = "uploads"
UPLOADS_RETRY_SECONDS = 600
# PostgreSQL starts again in less; a full line is a few commits long.
RETRY_SECONDS = 30
QUOTA_RETRY_SECONDS = 6 * 3600  # it may send again tomorrow; how far that is, nobody needs to know exactly
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HEADERS = {
    # No script at all, styles only from our own file, forms only to ourselves.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none';"
    " form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # With `no-referrer` a browser would not say that a form comes from our own page.
    "Referrer-Policy": "same-origin",
}

Clock = Callable[[], datetime]


def now() -> datetime:
    return datetime.now(UTC)


def create_app(region: Region, clock: Clock = now, quota: Quota = no_quota) -> Flask:
    """Return the WSGI application of one region. Whoever serves it closes `app.extensions["stores"]`."""
    app = Flask(__name__)
    stores = app.extensions["stores"] = Stores()
    metrics = RegionMetrics()
    app.extensions["ingest"] = Ingest(region.keys, region.id, metrics, quota)
    app.config["MAX_CONTENT_LENGTH"] = MAX_ENVELOPE_BYTES
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    speakers = load_speakers()
    app.extensions[web_context.EXTENSION] = Door(region, clock, speakers)
    web_access.guard(app)
    for pages in (people, desk, enrolment, nation, insight, insight_data):
        app.register_blueprint(pages)
    _add_machine_routes(app, region, clock)
    _add_upload_routes(app, region, clock)
    _add_metrics(app, region, metrics)
    _add_answers_to_errors(app, speakers, metrics)

    @app.after_request
    def harden(response: Response) -> Response:
        # Programs draw no page; on a line of 20 kbit/s their answers carry no idle words.
        response.headers.update({} if request.path.startswith("/v1/") else _HEADERS)
        # What is counted changes; only the style sheet may be kept.
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.teardown_appcontext
    def close_store(_error: BaseException | None) -> None:
        store = g.pop("store", None)
        if store is not None:
            stores.give_back(store)

    return app


def _add_machine_routes(app: Flask, region: Region, clock: Clock) -> None:
    wrong_codes, lock = registry.WrongCodes(), threading.Lock()

    @app.post("/v1/enrolments")
    def enrol() -> tuple[Response, int]:
        request.max_content_length = MAX_ENROLMENT_BYTES
        asked = registry.read_request(request.get_json(force=True, silent=True))
        address, at = request.remote_addr or "", clock()
        with lock:
            wrong_codes.check(address, at)
            try:
                admission = registry.enrol(_store(region), asked, at)
            except CodeRefused:
                wrong_codes.note(address, at)
                raise
        answer = {
            "region_id": _text(region.id),
            "region_name": region.name,
            "sealing_key": _text(region.keys.opening.public),
            "receipt_key": _text(region.keys.receipts.public),
            "policy_key": _text(region.keys.policy.public),
            "policy_proof": _text(vouch_for_policy_key(region.keys, region.id)),
            "box_label": admission.label,
            "token": admission.token,
        }
        if region.nation_public is not None:
            proof = vouch_for_nation_key(region.keys, region.id, region.nation_public)
            answer |= {"nation_key": _text(region.nation_public), "nation_proof": _text(proof)}
        return jsonify(answer), 201

    @app.post("/v1/batches")
    def deliver() -> Response:
        box = _sender(region)
        return _reply(_take(region, box, request.get_data(), clock()))

    @app.post("/v1/news")
    def tell() -> Response:
        request.max_content_length = MAX_QUESTION_BYTES
        box = _sender(region)
        question = read_question(request.get_data())
        return _reply(
            answers.answer_question(_store(region), region, box, question, clock(), reads_desk=_reads_desk())
        )

    @app.get("/v1/keys")
    def tell_keys() -> Response:
        _sender(region)
        document = _store(region).find_key_list()
        if document is None:
            raise NotFound
        return Response(document, content_type=KEYS_TYPE)

    @app.get("/health")
    def health() -> Response:
        counted_to(_store(region).db)
        return jsonify({"status": "ok", "region": region.name})

    @app.get("/openapi.json")
    def describe() -> Response:
        return jsonify(describe_region())


def _add_upload_routes(app: Flask, region: Region, clock: Clock) -> None:
    """The subset of the IETF's resumable uploads that a box needs; docs/envelope.md says which."""
    uploads = Uploads(region.folder / UPLOADS_FOLDER)

    @app.post("/v1/uploads")
    def begin_upload() -> Response:
        box = _sender(region)
        sha256, length = _digest(), _whole_header("Upload-Length")
        stored = _store(region).find_stored(box, sha256)
        if stored is not None:
            receipt = sign_for(stored, box, region.keys)
            return _reply(
                answers.answer_receipts(
                    *(_store(region), region, box, stored.epoch, [receipt], clock()),
                    reads_desk=_reads_desk(),
                )
            )
        offset = uploads.begin(box.label, sha256, length, clock())
        return _offset(201, offset, {"Location": f"/v1/uploads/{sha256.hex()}"})

    @app.route("/v1/uploads/<name>", methods=["HEAD"])
    def find_upload(name: str) -> Response:
        box = _sender(region)
        offset, length = uploads.offset(box.label, _named(name))
        return _offset(204, offset, {"Upload-Length": str(length)})

    @app.patch("/v1/uploads/<name>")
    def continue_upload(name: str) -> Response:
        request.max_content_length = MAX_PIECE_BYTES
        box, sha256 = _sender(region), _named(name)
        piece = request.get_data()
        # A piece whose end was cut off is not a piece.
        if len(piece) != (request.content_length or 0):
            raise BadRequest
        progress = uploads.append(box.label, sha256, _whole_header("Upload-Offset"), piece)
        if progress.whole is None:
            return _offset(204, progress.offset, {})
        try:
            reply = _take(region, box, progress.whole, clock())
        except RefusedEnvelope:
            uploads.discard(box.label, sha256)
            raise
        uploads.discard(box.label, sha256)
        return _reply(reply)


def _add_metrics(app: Flask, region: Region, metrics: RegionMetrics) -> None:
    @app.get("/metrics")
    def tell_metrics() -> Response:
        return Response(metrics.text(_store(region).counted()), content_type=METRICS_TYPE)


def _add_answers_to_errors(app: Flask, speakers: dict[str, Speaker], metrics: RegionMetrics) -> None:
    def answer(error: SyncError) -> Response:
        metrics.refused(error)
        if _wants_page():
            message, hint = web_context.speaker().explain(error)
            return show("problem.html", error.status, message=message, hint=hint)
        response = jsonify(_problem(error, speakers))
        response.status_code = error.status
        response.content_type = PROBLEM_TYPE
        response.headers["Vary"] = "Accept-Language"
        if isinstance(error, TooManyCodes):
            response.headers["Retry-After"] = str(error.params["wait_seconds"])
        if isinstance(error, QuotaSpent):
            response.headers["Retry-After"] = str(QUOTA_RETRY_SECONDS)
        if error.status == 503:
            seconds = UPLOADS_RETRY_SECONDS if isinstance(error, UploadsFull) else RETRY_SECONDS
            response.headers["Retry-After"] = str(seconds)
        if isinstance(error, UploadOffsetWrong):
            response.headers["Upload-Offset"] = str(error.params["offset"])
        if isinstance(error, TokenRefused):
            response.headers["WWW-Authenticate"] = "Bearer"
        return response

    @app.errorhandler(SyncError)
    def refuse(error: SyncError) -> Response:
        return answer(error)

    @app.errorhandler(HTTPException)
    def refuse_foreign(error: HTTPException) -> Response:
        if isinstance(error, RequestEntityTooLarge):
            too_large = (
                EnvelopeOversized if request.endpoint in {"deliver", "continue_upload"} else RequestTooLarge
            )
            return answer(too_large(limit_bytes=request.max_content_length))
        return answer({404: NotFound, 405: MethodNotAllowed}.get(error.code or 0, BadRequest)())

    @app.errorhandler(Exception)
    def survive(error: Exception) -> Response:
        app.logger.error("unexpected %s at %s", type(error).__name__, request.path, exc_info=error)
        return answer(Unexpected())


def _problem(error: SyncError, speakers: dict[str, Speaker]) -> dict[str, object]:
    language = request.accept_languages.best_match(LANGUAGES) or PROBLEM_LANGUAGE
    message, hint = speakers[language].explain(error)
    return {
        "type": f"urn:sandyq:problem:{error.key}",
        "title": message,
        "status": error.status,
        "detail": f"{message} {hint}",
        "code": error.key,
        "hint": hint,
    }


def _wants_page() -> bool:
    if request.path.startswith("/v1/"):
        return False
    return web_access.wants_page()


def _sender(region: Region) -> Box:
    """Return the box whose token came with the request."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise TokenRefused
    return registry.get_box_by_token(_store(region), token)


def _take(region: Region, box: Box, blob: bytes, now: datetime) -> bytes:
    """Store an envelope and return the reply with its receipt."""
    store = _store(region)
    if region.is_nation:
        stored = national.receive(store, region.keys, region.id, box, blob, now)
        # Promised already: what cannot be counted now waits for the next parcel.
        national.count_waiting(store, region.keys)
    else:
        ingest: Ingest = current_app.extensions["ingest"]
        stored = ingest.take(store, box, blob, now)
    return answers.answer_receipts(
        store, region, box, stored.epoch, [stored.receipt], now, reads_desk=_reads_desk()
    )


def _reads_desk() -> bool:
    """Say whether the box is new enough to read orders of a desk."""
    return request.headers.get(ORDER_HEADER) == ORDER_OF_DESK


def _reply(reply: bytes) -> Response:
    return Response(reply, content_type=REPLY_TYPE)


def _offset(status: int, offset: int, more: dict[str, str]) -> Response:
    return Response(status=status, headers={"Upload-Offset": str(offset)} | more)


def _whole_header(name: str) -> int:
    text = request.headers.get(name, "")
    if not text.isdecimal() or len(text) > MAX_HEADER_DIGITS:
        raise BadRequest
    return int(text)


def _digest() -> bytes:
    """Return the SHA-256 a box announces (RFC 9530: `sha-256=:...:`)."""
    text = request.headers.get("Repr-Digest", "")
    try:
        digest = base64.b64decode(text.removeprefix("sha-256=:").removesuffix(":"), validate=True)
    except ValueError as fault:
        raise BadRequest from fault
    if len(digest) != SHA256_BYTES:
        raise BadRequest
    return digest


def _named(name: str) -> bytes:
    if not re.fullmatch(r"[0-9a-f]{64}", name):
        raise UploadUnknown
    return bytes.fromhex(name)


def _store(_region: Region) -> Store:
    """Return this request's own connection."""
    return web_context.store()


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
