"""What keeps an exam closed while the box lives: the engine's note, the machine's ticking, the tries.

One object a process. It looks once a second with the assistant; what pages refuse is counted in memory
and written down at the next look, so a flood of tries costs one record a second and no write for each.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlite_utils import Database

from appliance.database import connection, saving
from appliance.engine_client import EngineClient, EngineState
from appliance.errors import ApplianceError, ExamNotClosed
from appliance.permission import exam, permission
from appliance.permission.exam import Exam
from appliance.permission.exam_time import Moment
from models.closure import Closure, read_closure, write_closure
from models.errors import StoreUnwritable
from sync.errors import SyncError
from sync.keys import SigningKey, ensure_device_key

Tries = Counter[tuple[str, str]]  # of a class, at a door

log = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_moment() -> Moment:
    """Look at the machine's own ticking; it runs on while the machine sleeps, and nobody can set it."""
    boot = BOOT_ID.read_text(encoding="ascii").strip()
    return Moment(boot, time.clock_gettime(time.CLOCK_BOOTTIME), datetime.now(UTC))


class ExamGuard:
    """Starts, watches and ends the exams of one box. Safe to use from several threads."""

    def __init__(self, home: Path, client: EngineClient) -> None:
        self._home = home
        self._client = client
        # Closing the engine and starting the exam are one act: a look between them would open it again.
        self._acting = threading.Lock()
        self._counting = threading.Lock()
        self._tries: Tries = Counter()

    def settle(self, database: Path) -> None:
        """Before the first page: what was closed is closed again, whatever happened in between. And after
        the last one: what was counted is written down."""
        try:
            with connection(database) as db:
                self.look(db, EngineState("down"))
        except (ApplianceError, SyncError) as error:
            # Pages come up all the same: the tables still say that the class is closed.
            log.warning("the record of an exam waits: %s", error.key)

    def start(self, db: Database, school_class_id: str, minutes: int) -> tuple[Exam, list[str]]:
        """Close the engine, then begin the exam; return it with the questions it ended.

        Raises:
            ExamTimeOutOfRange, ExamRunsAlready: as `exam.start`.
            ExamNotClosed: the engine could not be closed, so there is no exam.
        """
        with self._acting:
            try:
                self._close(db, also=school_class_id)
                state, now = self._client.state(), read_moment()
                with saving(db):
                    begun = exam.start(db, school_class_id, minutes, self._engine_word(state), now=now)
                    if state.phase == "ready":
                        exam.note_engine(db, begun, state.closed_refusals, now=now)
                    ended = permission.end_refused(db, now=now.wall)
                    if ended:
                        exam.note(db, begun, "answers_ended", {"count": len(ended)}, now=now)
            finally:
                # With the exam this changes nothing; without it the class is opened again.
                self._keep_closed(db)
            return begun, ended

    def end(self, db: Database, school_class_id: str) -> Exam | None:
        """End the exam of a class by its teacher's wish; None when none is running."""
        with self._acting:
            key = ensure_device_key(self._home)
            state, now = self._client.state(), read_moment()
            with self._writing_tries(school_class_id) as tries, saving(db):
                there = exam.find_running(db, school_class_id)
                if there is not None:
                    _note_tries(db, there, tries, state, now)
                    exam.end(db, there, "teacher", key, now=now)
            self._keep_closed(db)
            return there

    def count(self, school_class_id: str, door: str) -> None:
        """Remember one refused try at a door of the pages."""
        with self._counting:
            self._tries[school_class_id, door] += 1

    def look(self, db: Database, engine: EngineState) -> bool:
        """Write down tries and time, end what is over, keep the note right; return whether an exam ended."""
        with self._acting:
            try:
                return self._look(db, engine)
            finally:
                # Also when nothing can be written down: what was closed stays closed.
                self._keep_closed(db)

    def _look(self, db: Database, engine: EngineState) -> bool:
        there = exam.running(db)
        now = read_moment()
        over = [running for running in there if running.is_over(now)]
        if self._tries or any(_has_news(running, engine, now) for running in there):
            key = ensure_device_key(self._home) if over else None
            with self._writing_tries() as tries, saving(db):
                for running in there:
                    _note_tries(db, running, tries, engine, now)
                    self._advance(db, running, key, now)
        return bool(over)

    def _advance(self, db: Database, running: Exam, key: SigningKey | None, now: Moment) -> None:
        if key is not None and running.is_over(now):
            exam.end(db, running, "time", key, now=now)
        elif exam.needs_advance(running, now):
            exam.advance(db, running, now=now)

    @contextmanager
    def _writing_tries(self, school_class_id: str = "") -> Iterator[Tries]:
        """Give the tries of a class, or all; they are forgotten when the block has saved them."""
        with self._counting:
            taken = Counter({key: n for key, n in self._tries.items() if school_class_id in ("", key[0])})
        yield taken
        with self._counting:
            self._tries -= taken

    def _close(self, db: Database, *, also: str) -> None:
        closed = {running.school_class_id for running in exam.running(db)} | {also}
        try:
            write_closure(self._home, closed, _classes(db) - closed)
        except StoreUnwritable as error:
            log.warning("an exam cannot start: %s", error)
            raise ExamNotClosed from error

    def _keep_closed(self, db: Database) -> None:
        """Make the note say what the table says. A note that cannot be written stays as closed as it is."""
        closed = {running.school_class_id for running in exam.running(db)}
        wanted = Closure(frozenset(closed), frozenset(_classes(db) - closed) if closed else frozenset())
        if read_closure(self._home) != wanted:
            try:
                write_closure(self._home, wanted.closed, wanted.open)
            except StoreUnwritable as error:
                log.warning("the engine's closure is out of date: %s", error)

    def _engine_word(self, state: EngineState) -> str:
        """Return what the certificate says of the engine at the start."""
        if not self._client.is_ours:
            return "other"
        if state.phase != "ready":
            return "away"  # it will find the note when it comes
        return "closed" if state.is_closed else "open"


def _has_news(running: Exam, engine: EngineState, now: Moment) -> bool:
    return exam.needs_advance(running, now) or (
        engine.phase == "ready" and engine.closed_refusals != running.engine_refusals
    )


def _note_tries(db: Database, running: Exam, tries: Tries, engine: EngineState, now: Moment) -> None:
    for (school_class_id, door), count in sorted(tries.items()):
        if school_class_id == running.school_class_id:
            exam.note(db, running, "refused", {"door": door, "count": count}, now=now)
    if engine.phase == "ready":
        exam.note_engine(db, running, engine.closed_refusals, now=now)


def _classes(db: Database) -> set[str]:
    return {row["id"] for row in db.query("SELECT id FROM school_class")}
