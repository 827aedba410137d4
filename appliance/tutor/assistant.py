"""Carry waiting questions to the engine and bring answers back.

One dispatcher thread claims questions in their order; a few threads each follow one answer. Whatever
fails, a question ends in exactly one of: answered, failed with a reason, stopped by the teacher, or
still waiting. No database transaction is open while the model writes.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from appliance.database import connection, saving
from appliance.engine_client import EngineClient, EngineState
from appliance.errors import (
    AnswerFailed,
    ApplianceError,
    DatabaseBusy,
    DiskFull,
    EngineUnreachable,
    TutorHeld,
)
from appliance.lesson import hand_back, questions, sessions
from appliance.lesson.live import LiveBoard
from appliance.lesson.questions import Answer, Decision, Question
from appliance.people import roster
from appliance.people.roster import Learner
from appliance.permission import permission
from appliance.permission.exam_guard import ExamGuard
from appliance.tutor import ladder, moves, prompts, tasks, tutoring
from appliance.tutor.answer_reading import Reader, authored, since
from appliance.tutor.tutoring import Plan
from sync.errors import SyncError

log = logging.getLogger(__name__)

# How long the dispatcher sleeps when nobody wakes it: also how stale the engine's state can be.
LOOK_SECONDS = 1.0
# A full disk is emptied by people, in minutes; asking it again costs nothing.
RETRY_SAVE_SECONDS = 3.0
# A learner with a task does not wait for an engine that is away: the box has hints of its own.
AWAY_SECONDS = 4.0
# Longer than this for a first word, and the thought is gone; the hint comes from the box.
TOO_SLOW_SECONDS = 60.0
# So many answers in a row that say nothing, or that had to be held back, and a person is asked.
DOUBTS_TO_PERSON = 2
HELD_BACK_TO_PERSON = 3
# A key told in pieces needs few answers; more of them cost time with every question.
ANSWERS_REMEMBERED = 12
# On one rung a model chooses once; so much is looked through for that choice.
MOVES_REMEMBERED = 100
# Threads end at their next piece; a hung engine must not hold the door of a box that is switched off.
STOP_SECONDS = 3.0


class Assistant:
    """The box's side of the conversation with the engine."""

    def __init__(
        self,
        database: Path,
        client: EngineClient,
        board: LiveBoard,
        guard: ExamGuard,
        *,
        in_flight: int,
        model_languages: tuple[str, ...] = (),
    ) -> None:
        self._database = database
        self._client = client
        self._board = board
        self._guard = guard
        self._reader = Reader(client, board, model_languages)
        self._places = threading.Semaphore(in_flight)
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._state = EngineState("loading")
        self._in_flight = in_flight
        self._seconds_each = 0.0  # between two answers of the whole class, as it has been lately
        self._writers = ThreadPoolExecutor(max_workers=in_flight, thread_name_prefix="answer")
        self._dispatcher = threading.Thread(target=self._dispatch, name="dispatcher", daemon=True)

    @property
    def state(self) -> EngineState:
        """How the engine was at the last look, at most about a second ago."""
        return self._state

    def start(self) -> None:
        self._guard.settle(self._database)
        with connection(self._database) as db, saving(db):
            questions.release_all(db)
        self._dispatcher.start()

    def wake(self) -> None:
        """Something was asked, or a place became free."""
        self._wake.set()

    def close(self) -> None:
        """Let go of every answer; what is unfinished waits for the next start."""
        self._closing.set()
        self._board.close()
        self._wake.set()
        if self._dispatcher.is_alive():  # the stop may come before the start was done
            self._dispatcher.join(STOP_SECONDS)
        self._guard.settle(self._database)
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        # One connection stays open: when the last one closes, SQLite folds the log back, once a request.
        with connection(self._database) as db:
            while not self._closing.is_set():
                self._state = self._client.state()
                try:
                    self._watch_exams(db)
                    self._end_refused(db)
                    self._answer_without_engine(db)
                    while self._state.phase == "ready" and self._start_one(db):
                        pass
                    self._board.set_places(questions.waiting_ids(db), self._seconds_each)
                except (DiskFull, DatabaseBusy) as error:
                    log.warning("questions wait: %s", error.key)
                except Exception:
                    # Without this thread nobody would be answered again until a restart.
                    log.exception("the dispatcher stumbled and goes on")
                self._wake.wait(LOOK_SECONDS)
                self._wake.clear()

    def _watch_exams(self, db: Database) -> None:
        """An exam that cannot be written down goes on, and so do the other classes."""
        try:
            if self._guard.look(db, self._state):
                self._board.touch()
        except (ApplianceError, SyncError) as error:
            log.warning("the record of an exam waits: %s", error.key)

    def _end_refused(self, db: Database) -> None:
        """A stop may come from outside the pages, as the region's does."""
        if permission.has_refused(db):
            with saving(db):
                ended = permission.end_refused(db, now=datetime.now(UTC))
            self._board.stop(ended)

    def _answer_without_engine(self, db: Database) -> None:
        """Give the authored hint to who waits with a task for an engine that is away or far too slow."""
        patience = TOO_SLOW_SECONDS if self._state.phase == "ready" else AWAY_SECONDS
        now = datetime.now(UTC)
        for question in questions.open_ones(db):
            waited = (now - question.asked_at).total_seconds()
            if question.task_id is None or question.state != "waiting" or waited < patience:
                continue
            plan = self._plan(db, question)
            answer = authored(question, plan, Decision("engine_away", "authored_hint"))
            with saving(db):
                questions.finish(db, question, answer, now=now)
            self._board.touch()

    def _start_one(self, db: Database) -> bool:
        """Claim the next question if a place is free; return whether there may be another."""
        if not self._places.acquire(blocking=False):
            return False
        question: Question | None = None
        try:
            with saving(db):
                question = questions.claim_next(db)
        finally:
            if question is None:
                self._places.release()
        if question is None:
            return False
        self._writers.submit(self._answer, question)
        return True

    def _answer(self, question: Question) -> None:
        stop = self._board.begin(question.id)
        began = time.monotonic()
        try:
            answer = self._follow(question, stop) if self._is_wanted(question) else None
            if answer is not None:
                self._note_speed(time.monotonic() - began)
                self._save(lambda db: self._finish(db, question, answer))
        except EngineUnreachable:
            self._give_back(question)
        except Exception:
            log.exception("an answer broke off")
            self._give_back(question)
        finally:
            self._board.finish(question.id)
            self._places.release()
            self.wake()

    def _note_speed(self, seconds: float) -> None:
        """Learn how fast the line moves; the newest answer weighs a third, so that one slow one passes."""
        latest = seconds / self._in_flight
        self._seconds_each = latest if not self._seconds_each else (2 * self._seconds_each + latest) / 3

    def _is_wanted(self, question: Question) -> bool:
        """The teacher may have closed the lesson, or set a stop, between the claim and the start."""
        now = datetime.now(UTC)
        with connection(self._database) as db:
            learner = roster.find_learner(db, question.learner_id)
            refusal = permission.find_end(db, learner, now=now) if learner else None
            if hand_back.find_held(db, question.learner_id):
                refusal = TutorHeld()
            if refusal is not None:
                with saving(db):
                    questions.stop(db, question, error=refusal.key, now=now)
            return questions.get(db, question.id).is_open

    def _group_of(self, question: Question) -> str:
        """The engine closes itself to a class during an exam, so it must know for which class it writes."""
        with connection(self._database) as db:
            learner = roster.find_learner(db, question.learner_id)
            return learner.school_class_id if learner else ""

    def _plan(self, db: Database, question: Question) -> Plan:
        """Decide how to answer, from what the tables say at this moment."""
        learner = roster.find_learner(db, question.learner_id)
        where = tasks.standings(db, question.learner_id)
        task = tasks.find(db, question.task_id) if question.task_id else None
        unsolved: list[tasks.Task] = []
        if task is None and learner is not None:
            # Whoever pastes the task into a free question is met as on its page.
            every = tasks.of_class(db, learner.school_class_id)
            unsolved = [one for one in every if not where.get(one.id, ladder.Standing()).may_see_solution]
            task = tutoring.recognise(question.text, unsolved)
        mode = permission.look(db, learner, now=datetime.now(UTC)).mode if learner else question.mode
        step = tasks.last_answer(db, question.learner_id, task.id) if task else ""
        stands = where.get(task.id) if task else None
        stricter = "hints" if "hints" in (mode, question.mode) else question.mode
        tells_task = task is None and tutoring.is_told(question.text, unsolved)
        near = [] if task else tutoring.near(question.text, unsolved)
        before = self._seen_before(db, question) if task or near else []
        asked = questions.of_task(db, question.learner_id, task.id, newest=MOVES_REMEMBERED) if task else []
        met = [decision for one in reversed(asked) for decision in one.decisions]
        return tutoring.plan(
            question.text, question.language, stricter, task, stands, step, before,
            heard=lambda rung: tutoring.letters_met(met, rung), near_tasks=near,
            tells_task=tells_task,
        )  # fmt: skip

    def _seen_before(self, db: Database, question: Question) -> list[str]:
        """Return the answers that the learner has seen in this lesson, oldest first."""
        latest = questions.newest_of_session(
            db, question.learner_id, question.session_id, newest=ANSWERS_REMEMBERED
        )
        return [one.answer for one in reversed(latest) if one.answer and one.id != question.id]

    def _follow(self, question: Question, stop: threading.Event) -> Answer | None:
        """Return the finished answer, or None when the teacher stopped it (the row says so already)."""
        with connection(self._database) as db:
            plan = self._plan(db, question)
        if not plan.messages:
            return authored(question, plan)
        model = self._state
        request = self._client.request(
            list(plan.messages),
            max_tokens=moves.MAX_CHOICE_TOKENS if plan.menu else prompts.MAX_ANSWER_TOKENS,
            max_characters=0 if plan.menu else prompts.MAX_ANSWER_CHARACTERS,
            learner=question.learner_id,
            model=model.model,
            group=self._group_of(question),
            response_format=moves.response_format(plan.menu) if plan.menu else None,
        )
        draft = Answer(
            "failed",
            model=model.model,
            model_sha256=model.model_sha256,
            prompt_version=plan.prompt_version,
            request=json.dumps(request, ensure_ascii=False),
            decisions=plan.decisions,
        )
        try:
            return self._reader.read(question, plan, request, draft, stop)
        except AnswerFailed as error:
            log.warning("the engine refused a question: %s", error.params["reason"])
            if question.task_id is not None:
                return authored(question, plan, Decision("engine_refused", "authored_hint"))
            return replace(draft, error=AnswerFailed.key, duration_ms=since(question))

    def _finish(self, db: Database, question: Question, answer: Answer) -> None:
        """Save an answer, and hand the learner to a person when the last ones helped nobody."""
        now = datetime.now(UTC)
        if not questions.finish(db, question, answer, now=now):
            return
        learner = roster.find_learner(db, question.learner_id)
        session = sessions.find_open_session(db, learner.school_class_id) if learner else None
        if learner is None or session is None or session.id != question.session_id:
            return
        if self._helps_nobody(db, learner, question):
            hand_back.hand_back(
                db, learner, session, question.id, hand_back.LOW_CONFIDENCE, now, question.language
            )
            self._board.stop(questions.stop_learner(db, learner.id, error=TutorHeld.key, now=now))

    def _helps_nobody(self, db: Database, learner: Learner, question: Question) -> bool:
        released = hand_back.last_release(db, learner.id)
        latest = [
            one
            for one in questions.newest_of_session(
                db, learner.id, question.session_id, newest=HELD_BACK_TO_PERSON
            )
            # What was before the teacher came is settled.
            if released is None or one.asked_at > released
        ]
        rules = [{decision.rule.partition("_")[0] for decision in one.decisions} for one in latest]
        doubtful = [one.state == "failed" or "doubt" in said for one, said in zip(latest, rules, strict=True)]
        held_back = ["gate" in said for said in rules]
        return _all_of_first(doubtful, DOUBTS_TO_PERSON) or _all_of_first(held_back, HELD_BACK_TO_PERSON)

    def _give_back(self, question: Question) -> None:
        """The engine went away: wait again, unless this question has broken too many answers."""
        if self._board.progress(question.id).text == "":
            self._save(lambda db: questions.release(db, question.id, counts_as_attempt=False))
        elif question.attempts < questions.MAX_ATTEMPTS:
            self._save(lambda db: questions.release(db, question.id, counts_as_attempt=True))
        else:
            failed = Answer("failed", error=AnswerFailed.key, duration_ms=since(question))
            self._save(lambda db: questions.finish(db, question, failed, now=datetime.now(UTC)))

    def _save(self, change: Callable[[Database], object]) -> None:
        """Commit a change, however long the disk stays full: an answer on the screen must become a fact."""
        while not self._closing.is_set():
            try:
                with connection(self._database) as db, saving(db):
                    change(db)
            except (DiskFull, DatabaseBusy) as error:
                log.warning("an answer waits to be saved: %s", error.key)
                self._closing.wait(RETRY_SAVE_SECONDS)
            else:
                return


def _all_of_first(signs: list[bool], count: int) -> bool:
    return len(signs) >= count and all(signs[:count])
