"""Carry waiting questions to the engine and bring answers back.

One dispatcher thread claims questions in their order; a few threads each follow one answer. Whatever
fails, a question ends in exactly one of: answered, failed with a reason, stopped by the teacher, or
still waiting. No database transaction is open while the model writes.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from appliance import permission, prompts, questions, roster
from appliance.database import connection, saving
from appliance.engine_client import EngineClient, EngineState, Piece
from appliance.errors import AnswerFailed, DatabaseBusy, DiskFull, EngineUnreachable
from appliance.exam_guard import ExamGuard
from appliance.live import LiveBoard
from appliance.questions import Answer, Question

log = logging.getLogger(__name__)

# How long the dispatcher sleeps when nobody wakes it: also how stale the engine's state can be.
LOOK_SECONDS = 1.0
# A full disk is emptied by people, in minutes; asking it again costs nothing.
RETRY_SAVE_SECONDS = 3.0
# Threads end at their next piece; a hung engine must not hold the door of a box that is switched off.
STOP_SECONDS = 3.0


class Assistant:
    """The box's side of the conversation with the engine."""

    def __init__(
        self, database: Path, client: EngineClient, board: LiveBoard, guard: ExamGuard, *, in_flight: int
    ) -> None:
        self._database = database
        self._client = client
        self._board = board
        self._guard = guard
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
        self._dispatcher.join(STOP_SECONDS)
        with suppress(DiskFull, DatabaseBusy):
            self._guard.settle(self._database)
        self._writers.shutdown(wait=False, cancel_futures=True)

    def _dispatch(self) -> None:
        # One connection stays open: when the last one closes, SQLite folds the log back, once a request.
        with connection(self._database) as db:
            while not self._closing.is_set():
                self._state = self._client.state()
                try:
                    self._guard.look(db, self._state)
                    self._end_refused(db)
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

    def _end_refused(self, db: Database) -> None:
        """A stop may come from outside the pages, as the region's does."""
        if permission.has_refused(db):
            with saving(db):
                ended = permission.end_refused(db, now=datetime.now(UTC))
            self._board.stop(ended)

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
                self._save(lambda db: questions.finish(db, question, answer, now=datetime.now(UTC)))
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
            if refusal is not None:
                with saving(db):
                    questions.stop(db, question, error=refusal.key, now=now)
            return questions.get(db, question.id).is_open

    def _group_of(self, question: Question) -> str:
        """The engine closes itself to a class during an exam, so it must know for which class it writes."""
        with connection(self._database) as db:
            learner = roster.find_learner(db, question.learner_id)
            return learner.school_class_id if learner else ""

    def _follow(self, question: Question, stop: threading.Event) -> Answer | None:
        """Return the finished answer, or None when the teacher stopped it (the row says so already)."""
        text, end = "", Piece()
        model = self._state
        draft = Answer("failed", model=model.model, model_sha256=model.model_sha256)
        try:
            for piece in self._client.stream(
                prompts.messages(question.text, question.language),
                max_tokens=prompts.MAX_ANSWER_TOKENS,
                max_characters=prompts.MAX_ANSWER_CHARACTERS,
                learner=question.learner_id,
                model=model.model,
                group=self._group_of(question),
            ):
                if stop.is_set():
                    return None
                if piece.text:
                    text += piece.text
                    self._board.append(question.id, piece.text)
                elif piece.place is not None and not text:
                    self._board.set_place(question.id, piece.place, piece.estimate_seconds)
                end = piece
        except AnswerFailed as error:
            log.warning("the engine refused a question: %s", error.params["reason"])
            return replace(draft, error=AnswerFailed.key, duration_ms=_since(question))
        return replace(
            draft,
            outcome="answered",
            text=text.strip(),
            duration_ms=_since(question),
            answer_tokens=end.answer_tokens,
        )

    def _give_back(self, question: Question) -> None:
        """The engine went away: wait again, unless this question has broken too many answers."""
        if self._board.progress(question.id).text == "":
            self._save(lambda db: questions.release(db, question.id, counts_as_attempt=False))
        elif question.attempts < questions.MAX_ATTEMPTS:
            self._save(lambda db: questions.release(db, question.id, counts_as_attempt=True))
        else:
            failed = Answer("failed", error=AnswerFailed.key, duration_ms=_since(question))
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


def _since(question: Question) -> int:
    return int((datetime.now(UTC) - question.asked_at).total_seconds() * 1000)
