"""Tasks: a learner tries, gets help by rungs, asks about a step; a teacher types tasks or imports them."""

import secrets
from collections.abc import Callable

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from appliance import languages, policy
from appliance.database import saving
from appliance.errors import (
    ApplianceError,
    BodyTooLarge,
    BrokenText,
    ExamRunning,
    SessionNotOpen,
    TaskIncomplete,
)
from appliance.lesson import hand_back, questions, sessions
from appliance.lesson.sessions import Session
from appliance.people.roster import Learner, SchoolClass
from appliance.permission import permission
from appliance.tutor import distress, hints, ladder, tasks
from appliance.tutor.ladder import Standing
from appliance.tutor.tasks import Task
from appliance.web.context import db, files, form, get_teacher_class, language, learner, marked, now, services
from appliance.web.errors import sentences
from appliance.web.learner import call_person, verify_not_held

pages = Blueprint("tasks", __name__)

# What was said about one task fits a phone's few screens.
QUESTIONS_SHOWN = 5
FILE_FIELD = "gift_file"


@pages.get("/tasks")
def every() -> ResponseReturnValue:
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    return render_template(
        "tasks.html",
        learner=reader,
        tasks=tasks.of_class(db(), reader.school_class_id),
        standings=tasks.standings(db(), reader.id),
        nobody=Standing(),
    )


@pages.get("/tasks/<task_id>")
def one(task_id: str) -> ResponseReturnValue:
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    return _task_page(reader, tasks.get(db(), task_id, reader.school_class_id))


@pages.post("/tasks/<task_id>/attempt")
def attempt(task_id: str) -> ResponseReturnValue:
    def check(reader: Learner, task: Task, session: Session, submission: str) -> None:
        answer = _words("answer", tasks.MAX_ANSWER_CHARACTERS)
        tasks.attempt(
            db(), session, reader, task, answer, language=language(), submission=submission, now=now()
        )

    return _step(task_id, "answer", check)


@pages.post("/tasks/<task_id>/no-help")
def refuse_hint(task_id: str) -> ResponseReturnValue:
    def refuse(reader: Learner, task: Task, session: Session, submission: str) -> None:
        reached = tasks.refuse_hint(db(), session, reader, task, submission=submission, now=now())
        if reached.needs_person and hand_back.last_release(db(), reader.id) is None:
            hand_back.hand_back(db(), reader, session, None, hand_back.THIRD_HINT, now(), language())

    return _step(task_id, "", refuse)


@pages.post("/tasks/<task_id>/ask")
def ask(task_id: str) -> ResponseReturnValue:
    def put(reader: Learner, task: Task, session: Session, submission: str) -> None:
        allowed = permission.look(db(), reader, now=now())
        text = form().get("question", "").replace("\r\n", "\n").strip()
        refusal = policy.decide_question(
            text,
            session_is_open=True,
            open_questions=questions.open_count(db(), reader.id),
            refusal=allowed.refusal,
        ).refusal
        if refusal is not None:
            raise refusal
        stands = tasks.standings(db(), reader.id).get(task.id, Standing())
        questions.ask(
            db(), session, reader, text, language=language(), submission=submission, now=now(),
            mode=allowed.mode, task_id=task.id, rung=stands.rung,
        )  # fmt: skip

    return _step(task_id, "question", put)


@pages.get("/teacher/tasks")
def teacher_form() -> ResponseReturnValue:
    return _teacher_page(get_teacher_class())


@pages.post("/teacher/tasks")
def add() -> ResponseReturnValue:
    def typed(school_class: SchoolClass) -> list[Task]:
        return [tasks.new_task(form(), school_class.id)]

    return _save(typed)


@pages.post("/teacher/tasks/import")
def import_gift() -> ResponseReturnValue:
    def brought(school_class: SchoolClass) -> list[Task]:
        return tasks.imported(_gift_text(), school_class.id)

    return _save(brought)


@pages.post("/teacher/tasks/<task_id>/retire")
def retire(task_id: str) -> ResponseReturnValue:
    task = tasks.get(db(), task_id, get_teacher_class().id)
    with saving(db()):
        tasks.retire(db(), task, now=now())
    return redirect(url_for("tasks.teacher_form"), 303)


def _step(
    task_id: str, field: str, act: Callable[[Learner, Task, Session, str], None]
) -> ResponseReturnValue:
    """Do one thing with a task, once, for a learner whom nothing holds back."""
    reader = learner()
    if reader is None:
        return redirect(url_for("entry.first"), 303)
    task = tasks.get(db(), task_id, reader.school_class_id)
    text = form().get(field, "").strip()
    submission = form().get("submission", "")[:64] or secrets.token_hex(8)
    wish = distress.wish_of(text)
    if wish is not None and call_person(reader, text, submission, wish):
        return redirect(url_for("learner.ask_form"), 303)
    try:
        with saving(db()):
            verify_not_held(db(), reader)
            session = sessions.find_open_session(db(), reader.school_class_id)
            if permission.in_exam(db(), reader.school_class_id):
                raise ExamRunning
            if session is None:
                raise SessionNotOpen
            if not tasks.was_sent(db(), submission) and not questions.was_asked(db(), submission):
                act(reader, task, session, submission)
    except ApplianceError as error:
        return _task_page(reader, task, draft={field: text}, error=error)
    services().board.touch()
    services().assistant.wake()
    return redirect(url_for("tasks.one", task_id=task.id), 303)


def _save(make: Callable[[SchoolClass], list[Task]]) -> ResponseReturnValue:
    school_class = get_teacher_class()
    try:
        if any(policy.is_broken(value) for value in form().values()):
            raise BrokenText
        new = make(school_class)
        with saving(db()):
            tasks.save(db(), new, now=now())
    except ApplianceError as error:
        return _teacher_page(school_class, error)
    return redirect(url_for("tasks.teacher_form"), 303)


def _gift_text() -> str:
    """Return the GIFT text that was pasted, or that of the file that was brought."""
    for content in files(FILE_FIELD).values():
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BrokenText from error
    return form().get("gift", "")


def _words(field: str, limit: int) -> str:
    text = form().get(field, "").strip()
    if policy.is_broken(text):
        raise BrokenText
    if len(text) > limit:
        raise BodyTooLarge
    return text


def _task_page(
    reader: Learner, task: Task, *, draft: dict[str, str] | None = None, error: ApplianceError | None = None
) -> ResponseReturnValue:
    in_exam = permission.in_exam(db(), reader.school_class_id)
    stands = tasks.standings(db(), reader.id)
    standing = stands.get(task.id, Standing())
    last = tasks.last_answer(db(), reader.id, task.id)
    shown = [] if in_exam else questions.of_task(db(), reader.id, task.id, newest=QUESTIONS_SHOWN)
    page = render_template(
        "task.html",
        learner=reader,
        task=task,
        standing=standing,
        hint=None if in_exam else hint_of(last, task, standing),
        questions=shown,
        next_task=_next_task(reader, task, stands),
        is_waiting=any(question.is_open for question in shown),
        is_open=sessions.find_open_session(db(), reader.school_class_id) is not None,
        is_held=hand_back.find_held(db(), reader.id) is not None,
        in_exam=in_exam,
        last=last,
        limit=policy.MAX_QUESTION_CHARACTERS,
        answer_limit=tasks.MAX_ANSWER_CHARACTERS,
        draft=draft or {},
        submission=secrets.token_hex(8),
        problem=sentences(error) if error else None,
    )
    response = marked(page, shown)
    response.status_code = error.status if error else 200
    return response


def hint_of(step: str, task: Task, standing: Standing) -> str | None:
    """Return the hint of the rung in the reader's language: the teacher's own where there is one."""
    if standing.is_solved or standing.rung == ladder.ATTEMPT:
        return None
    own = {ladder.NUDGE: task.nudge, ladder.PRINCIPLE: task.principle, ladder.TWIN: task.twin}.get(
        standing.rung
    )
    sentence = hints.authored(task.kind, standing.rung)
    return own or languages.render(language(), sentence, {"step": hints.shown_step(step)})


def _next_task(reader: Learner, task: Task, stands: dict[str, Standing]) -> Task | None:
    """Return the next task that is not done, after this one first."""
    every_task = tasks.of_class(db(), reader.school_class_id)
    place = next((number for number, each in enumerate(every_task) if each.id == task.id), -1)
    ahead = [*every_task[place + 1 :], *every_task[: max(place, 0)]]
    return next((each for each in ahead if not stands.get(each.id, Standing()).may_see_solution), None)


def _teacher_page(school_class: SchoolClass, error: ApplianceError | None = None) -> ResponseReturnValue:
    page = render_template(
        "teacher_tasks.html",
        school_class=school_class,
        tasks=tasks.of_class(db(), school_class.id),
        draft=form(),
        problem=sentences(error) if error else None,
        is_incomplete=isinstance(error, TaskIncomplete),
    )
    return page, error.status if error else 200
