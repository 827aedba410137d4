"""A learner's own page: ask, read the answer."""

import secrets
from collections.abc import Callable, Iterator
from datetime import datetime

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlite_utils import Database

from appliance import events, policy
from appliance.database import connection, saving
from appliance.errors import (
    ApplianceError,
    BrokenText,
    ExamRunning,
    QuestionEmpty,
    QuestionTooLong,
    SessionNotOpen,
    TutorHeld,
)
from appliance.lesson import hand_back, questions, sessions
from appliance.people.roster import Learner
from appliance.permission import permission
from appliance.tutor import distress, tasks
from appliance.web.context import db, form, language, learner, marked, now, save_with_others, services
from appliance.web.errors import sentences
from appliance.web.stream import HEARTBEAT_SECONDS, event_stream, follow_questions
from sync.event import Event, Value

pages = Blueprint("learner", __name__)

# What a learner mends alone, and what nobody else need know; the rest was refused by a rule of the class.
NOT_BY_RULE = (BrokenText, QuestionEmpty, QuestionTooLong, TutorHeld)
SERVER_FAULT = 500

# What fits two screens of a phone; older ones stay in the box for the teacher's report.
QUESTIONS_SHOWN = 10
RELOAD = "event: reload\ndata: {}\n\n"


@pages.get("/ask")
def ask_form() -> ResponseReturnValue:
    asker = learner()
    return _ask_page(asker) if asker else redirect(url_for("entry.first"), 303)


@pages.post("/ask")
def ask() -> ResponseReturnValue:
    asker = learner()
    if asker is None:
        return redirect(url_for("entry.first"), 303)
    text = form().get("question", "").replace("\r\n", "\n").strip()
    submission = form().get("submission", "")[:64] or secrets.token_hex(8)
    # Read before anything else is decided: no rule, stop or full line keeps these words from a person.
    wish = distress.wish_of(text)
    if wish is not None and call_person(asker, text, submission, wish):
        return redirect(url_for("learner.ask_form"), 303)
    try:
        save_with_others(_put_question(asker, text, submission, language(), now()))
    except ApplianceError as error:
        if isinstance(error, ExamRunning):
            services().guard.count(asker.school_class_id, "page")
        _note_refusal(asker, error)
        return _ask_page(asker, draft=text, submission=submission, error=error)
    services().assistant.wake()
    return redirect(url_for("learner.ask_form"), 303)


def _put_question(
    asker: Learner, text: str, submission: str, spoken: str, moment: datetime
) -> Callable[[Database], None]:
    """The work that saves one question, in a transaction it may share with others'."""

    def put(own: Database) -> None:
        session = sessions.find_open_session(own, asker.school_class_id)
        verify_not_held(own, asker)
        if questions.was_asked(own, submission):
            return
        allowed = permission.look(own, asker, now=moment)
        refusal = policy.decide_question(
            text,
            session_is_open=session is not None,
            open_questions=questions.open_count(own, asker.id),
            refusal=allowed.refusal,
        ).refusal
        if refusal is not None:
            raise refusal
        if session is None:
            raise SessionNotOpen
        questions.ask(
            own, session, asker, text, language=spoken, submission=submission, now=moment, mode=allowed.mode
        )

    return put


def _note_refusal(asker: Learner, error: ApplianceError) -> None:
    """A rule said no: the report of the lesson counts it. A form filled in badly is not counted."""
    session = sessions.find_open_session(db(), asker.school_class_id)
    if session is None or isinstance(error, NOT_BY_RULE) or error.status >= SERVER_FAULT:
        return
    fields: dict[str, Value] = {"learner_name": asker.name, "reason": error.key, "language": language()}
    with saving(db()):
        events.record(db(), Event("question_refused", now(), session.id, asker.id, fields))


@pages.post("/person")
def ask_for_person() -> ResponseReturnValue:
    asker = learner()
    if asker is None:
        return redirect(url_for("entry.first"), 303)
    if not call_person(asker, "", "", distress.PERSON):
        return _ask_page(asker, error=SessionNotOpen())
    return redirect(url_for("learner.ask_form"), 303)


@pages.get("/stream")
def stream() -> ResponseReturnValue:
    asker = learner()
    if asker is None:
        return Response(status=204)  # tells EventSource not to come back

    language()  # chosen now: the stream outlives the request's connection

    def render(question: questions.Question) -> str:
        return render_template("_question.html", question=question)

    parts: Iterator[str] = follow_questions(
        services().board, services().database, asker.id, render, request.args.getlist("open")
    )
    return event_stream(_until_held(parts, asker.id))


@pages.get("/held")
def held_stream() -> ResponseReturnValue:
    asker = learner()
    if asker is None:
        return Response(status=204)
    return event_stream(_until_released(asker.id))


def _until_held(parts: Iterator[str], learner_id: str) -> Iterator[str]:
    """Pass the stream on; whoever was handed to a person meanwhile gets the page that says so."""
    database = services().database
    for part in parts:
        if part.startswith("event: done"):
            with connection(database) as own:
                if hand_back.find_held(own, learner_id) is not None:
                    yield RELOAD
        yield part


def _until_released(learner_id: str) -> Iterator[str]:
    """Wait until the teacher lets the tutor speak again, then show the page anew."""
    board, database = services().board, services().database
    with connection(database) as own:
        while not board.closed:
            seen = board.version
            if hand_back.find_held(own, learner_id) is None:
                yield RELOAD
                return
            if board.wait(seen, HEARTBEAT_SECONDS) == seen:
                yield ": still here\n\n"


def call_person(asker: Learner, text: str, submission: str, reason: str) -> bool:
    """Stop the tutor for a learner and call the teacher; False when no lesson is open.

    The words themselves are kept for the teacher, and go nowhere else. Words of distress do not wait for
    the next lesson: they stand with the last one.
    """
    with saving(db()):
        session = sessions.find_open_session(db(), asker.school_class_id)
        if session is None and reason == distress.DISTRESS:
            session = sessions.find_latest_session(db(), asker.school_class_id)
        if session is None:
            return False
        question_id = None
        if text and not questions.was_asked(db(), submission):
            question_id = questions.keep_for_person(
                db(),
                session,
                asker,
                text,
                language=language(),
                submission=submission or secrets.token_hex(8),
                now=now(),
                rule=reason,
            )
        stopped = questions.stop_learner(db(), asker.id, error=TutorHeld.key, now=now())
        hand_back.hand_back(db(), asker, session, question_id, reason, now(), language())
    services().board.stop(stopped)
    return True


def verify_not_held(own: Database, asker: Learner) -> None:
    """Raise TutorHeld while a person is on the way to this learner."""
    if hand_back.find_held(own, asker.id) is not None:
        raise TutorHeld


def _ask_page(
    asker: Learner, *, draft: str = "", submission: str = "", error: ApplianceError | None = None
) -> ResponseReturnValue:
    shown = questions.of_learner(db(), asker.id, newest=QUESTIONS_SHOWN)
    # What the model said before would be help, too.
    in_exam = permission.in_exam(db(), asker.school_class_id)
    if in_exam:
        shown = []
    permitted = permission.look(db(), asker, now=now())
    page = render_template(
        "ask.html",
        learner=asker,
        questions=shown,
        is_waiting=any(question.is_open for question in shown),
        is_open=sessions.find_open_session(db(), asker.school_class_id) is not None,
        engine=services().assistant.state,
        model_languages=services().model_languages,
        limit=policy.MAX_QUESTION_CHARACTERS,
        draft=draft,
        submission=submission or secrets.token_hex(8),
        problem=sentences(error) if error else None,
        in_exam=in_exam,
        is_held=hand_back.find_held(db(), asker.id) is not None,
        has_tasks=tasks.has_any(db(), asker.school_class_id),
        permitted=permitted,
        pause=sentences(permitted.refusal) if permitted.refusal and not error else None,
    )
    response = marked(page, shown)
    response.status_code = error.status if error else 200
    return response
