"""The class as it is now: one reading of the tables for the teacher's page, the projector and programs.

Reads, never writes. A fixed number of queries whatever the size of the class, and a value at the end that
can be compared: a stream draws again only when it differs.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.lesson import hand_back, sessions, states
from appliance.lesson.live import LiveBoard
from appliance.lesson.sessions import Session
from appliance.lesson.states import Signs, State
from appliance.people import access, roster
from appliance.people.roster import Learner, SchoolClass

# Waits are shown in steps of this many seconds: a figure that changes each second tells no more.
WAIT_STEP_SECONDS = 5


@dataclass(frozen=True)
class LearnerNow:
    id: str
    name: str
    number: int  # their place in the list of the class: all that a projector shows
    state: State
    asked: int = 0
    question_id: str | None = None
    question: str = ""
    question_state: str = ""
    waits_seconds: int = 0

    @property
    def needs_help(self) -> bool:
        return self.state.name in (states.STUCK, states.WANTS_PERSON)


@dataclass(frozen=True)
class ClassNow:
    is_open: bool
    learners: tuple[LearnerNow, ...]

    def in_public(self) -> "ClassNow":
        """Return what a whole class may see: no names, no texts, and nobody who needs help stands out."""
        return ClassNow(
            self.is_open,
            tuple(
                LearnerNow("", "", one.number, State(states.WORKING) if one.needs_help else one.state)
                for one in self.learners
            ),
        )

    def count(self, state: str) -> int:
        return sum(learner.state.name == state for learner in self.learners)

    @property
    def waiting(self) -> list[LearnerNow]:
        """Those who wait, the next one first."""
        waiting = [learner for learner in self.learners if learner.state.name == states.WAITING]
        return sorted(
            waiting, key=lambda learner: (learner.state.place or len(self.learners), learner.number)
        )


def look(
    db: Database, school_class: SchoolClass, board: LiveBoard, *, now: datetime, stopped: set[str]
) -> ClassNow:
    """Return the class at this moment; `stopped` are the learners for whom AI is off."""
    session = sessions.find_open_session(db, school_class.id)
    joined = access.joined_learners(db, school_class.id, now=now)
    held = {handed.learner_id for handed in hand_back.open_ones(db, school_class.id)}
    asked = _questions(db, session)
    attempts = _attempts(db, session)
    has_solved_all = _have_solved_all(db, school_class.id)
    return ClassNow(
        session is not None,
        tuple(
            _learner_now(
                learner,
                number,
                _signs(
                    asked[learner.id],
                    attempts[learner.id],
                    board,
                    # What was solved before today is no news; the last task of today is.
                    has_solved_all=learner.id in has_solved_all
                    and any(attempt.is_right for attempt in attempts[learner.id]),
                    is_here=learner.id in joined,
                    is_stopped=learner.id in stopped,
                    wants_person=learner.id in held,
                ),
                asked[learner.id],
                now=now,
            )
            for number, learner in enumerate(roster.learners(db, school_class.id), 1)
        ),
    )


def number_of(db: Database, learner: Learner) -> int:
    """Return a learner's number on the projector, so that they find their own tile."""
    return [one.id for one in roster.learners(db, learner.school_class_id)].index(learner.id) + 1


@dataclass(frozen=True)
class _Asked:
    id: str
    text: str
    state: str
    asked_at: datetime
    finished_at: datetime | None
    task_id: str | None

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "answering")


@dataclass(frozen=True)
class _Attempt:
    task_id: str
    is_right: bool
    at: datetime


def _questions(db: Database, session: Session | None) -> dict[str, list[_Asked]]:
    found: dict[str, list[_Asked]] = defaultdict(list)
    sql = (
        "SELECT id, learner_id, text, state, asked_at, finished_at, task_id FROM question "
        "WHERE session_id = ? ORDER BY asked_at, id"
    )
    for row in db.query(sql, [session.id]) if session else ():
        ended = datetime.fromisoformat(row["finished_at"]) if row["finished_at"] else None
        asked_at = datetime.fromisoformat(row["asked_at"])
        found[row["learner_id"]].append(
            _Asked(row["id"], row["text"], row["state"], asked_at, ended, row["task_id"])
        )
    return found


def _attempts(db: Database, session: Session | None) -> dict[str, list[_Attempt]]:
    found: dict[str, list[_Attempt]] = defaultdict(list)
    sql = "SELECT learner_id, task_id, is_right, at FROM attempt WHERE session_id = ? ORDER BY at, id"
    for row in db.query(sql, [session.id]) if session else ():
        found[row["learner_id"]].append(
            _Attempt(row["task_id"], bool(row["is_right"]), datetime.fromisoformat(row["at"]))
        )
    return found


def _have_solved_all(db: Database, school_class_id: str) -> set[str]:
    """Return who has solved every task that the class has now, today or earlier."""
    sql = """
        SELECT learner_id FROM attempt JOIN task ON task.id = attempt.task_id
        WHERE is_right AND school_class_id = :class AND retired_at IS NULL
        GROUP BY learner_id HAVING count(DISTINCT task_id) =
            (SELECT count(*) FROM task WHERE school_class_id = :class AND retired_at IS NULL)
    """
    return {row["learner_id"] for row in db.query(sql, {"class": school_class_id})}


def _signs(
    asked: list[_Asked],
    attempts: list[_Attempt],
    board: LiveBoard,
    *,
    has_solved_all: bool,
    is_here: bool,
    is_stopped: bool,
    wants_person: bool,
) -> Signs:
    waiting = [question for question in asked if question.is_open]
    progress = [board.progress(question.id) for question in waiting]
    is_answered_now = any(shown.text for shown in progress)
    places = [shown.place for shown in progress if shown.place]
    solved = {attempt.task_id for attempt in attempts if attempt.is_right}
    wrong = _wrong_in_a_row(attempts)
    helped = [
        *(attempt.at for attempt in attempts if attempt.task_id not in solved),
        *(q.finished_at for q in asked if q.finished_at and q.task_id and q.task_id not in solved),
    ]
    acted = [*(question.asked_at for question in asked), *(attempt.at for attempt in attempts)]
    return Signs(
        is_here=is_here,
        is_stopped=is_stopped,
        wants_person=wants_person,
        place=None if not waiting or is_answered_now else min(places, default=0),
        is_answered_now=is_answered_now,
        wrong_in_a_row=wrong,
        questions=tuple(question.text for question in asked[-2:]),
        hint_at=max(helped, default=None),
        acted_at=max(acted, default=None),
        has_solved_all=has_solved_all,
    )


def _wrong_in_a_row(attempts: list[_Attempt]) -> int:
    """Count the wrong answers since the last right one, on the task tried last."""
    count = 0
    for attempt in reversed(attempts):
        if attempt.is_right or attempt.task_id != attempts[-1].task_id:
            break
        count += 1
    return count


def _learner_now(
    learner: Learner, number: int, signs: Signs, asked: list[_Asked], *, now: datetime
) -> LearnerNow:
    latest = next((question for question in asked if question.is_open), asked[-1] if asked else None)
    state = states.decide_state(signs, now=now)
    waits = (now - latest.asked_at).total_seconds() if latest and state.name == states.WAITING else 0
    return LearnerNow(
        learner.id,
        learner.name,
        number,
        state,
        asked=len(asked),
        question_id=latest.id if latest else None,
        question=latest.text if latest else "",
        question_state=latest.state if latest else "",
        waits_seconds=max(0, int(waits)) // WAIT_STEP_SECONDS * WAIT_STEP_SECONDS,
    )
