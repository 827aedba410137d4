"""Questions and their answers: asked, waiting, answered. The only writer of `question`.

The table is the queue: a question is claimed with an UPDATE that must change its row, and whatever
a killed process had claimed waits again at the next start. A question is counted once, however often
its form is sent.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import events
from appliance.lesson.sessions import Session
from appliance.people.roster import Learner
from sync.event import Event, Value

# After this many answers cut off in the middle the question itself is suspect: it must not take the
# engine down for the whole class again.
MAX_ATTEMPTS = 3
OPEN_STATES = ("waiting", "answering")


@dataclass(frozen=True)
class Decision:
    """One thing the code decided about an answer, by the name of its rule: shown under "Why?"."""

    rule: str
    action: str


@dataclass(frozen=True)
class Question:
    id: str
    session_id: str
    learner_id: str
    text: str
    language: str
    asked_at: datetime
    state: str
    attempts: int
    answer: str | None
    model: str | None
    error: str | None
    task_id: str | None = None  # the task it belongs to, and how far up the ladder the learner stood
    rung: int | None = None
    mode: str = "open"
    prompt_version: str | None = None  # None and no request: no model was asked
    request: str | None = None  # the JSON that went to the engine
    decisions: tuple[Decision, ...] = ()

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_chosen(self) -> bool:
        """Return whether a model only chose this answer, and people wrote it."""
        return any(decision.rule.startswith("move_") for decision in self.decisions)


@dataclass(frozen=True)
class Answer:
    """How a question ended. `duration_ms` runs from asking to the last word, waiting included."""

    outcome: str  # answered, failed or stopped
    text: str = ""
    model: str = ""
    model_sha256: str = ""
    duration_ms: int = 0
    answer_tokens: int = 0
    error: str | None = None
    prompt_version: str | None = None
    request: str | None = None
    decisions: tuple[Decision, ...] = ()


def was_asked(db: Database, submission: str) -> bool:
    """Return whether this very form has arrived before: over bad Wi-Fi a browser sends it again."""
    return bool(db.table("question").count_where("submission = ?", [submission]))


def ask(
    db: Database,
    session: Session,
    learner: Learner,
    text: str,
    *,
    language: str,
    submission: str,
    now: datetime,
    mode: str = "open",
    task_id: str | None = None,
    rung: int | None = None,
) -> str:
    """Save a question and its event, and return its id. `was_asked` tells a form that comes twice."""
    question_id = _insert(
        db,
        session,
        learner,
        text,
        language=language,
        submission=submission,
        now=now,
        more={"mode": mode, "task_id": task_id, "rung": rung},
    )
    fields: dict[str, Value] = {
        "question_id": question_id,
        "learner_name": learner.name,
        "text": text,
        "language": language,
        "characters": len(text),
    }
    events.record(db, Event("question_asked", now, session.id, learner.id, fields))
    return question_id


def keep_for_person(
    db: Database,
    session: Session,
    learner: Learner,
    text: str,
    *,
    language: str,
    submission: str,
    now: datetime,
    rule: str,
) -> str:
    """Save words that only a person may read: never in line, never an event, nothing of them leaves."""
    ended = {
        "finished_at": now.isoformat(),
        "state": "stopped",
        "error": "tutor_held",
        "mode": "off",
        "decisions": _decisions_json((Decision(rule, "handed_back"),)),
    }
    return _insert(db, session, learner, text, language=language, submission=submission, now=now, more=ended)


def _insert(
    db: Database,
    session: Session,
    learner: Learner,
    text: str,
    *,
    language: str,
    submission: str,
    now: datetime,
    more: Mapping[str, object],
) -> str:
    """Save the row of a question and return its id."""
    question_id = secrets.token_hex(8)
    db.table("question").insert(
        {
            "id": question_id,
            "submission": submission,
            "session_id": session.id,
            "learner_id": learner.id,
            "text": text,
            "language": language,
            "asked_at": now.isoformat(),
            **more,
        }
    )
    return question_id


def claim_next(db: Database) -> Question | None:
    """Take the next question in line, or None."""
    waiting = waiting_ids(db)
    if not waiting:
        return None
    sql = "UPDATE question SET state = 'answering', attempts = attempts + 1 WHERE id = ? RETURNING *"
    return _question(next(iter(db.query(sql, [waiting[0]]))))


def release(db: Database, question_id: str, *, counts_as_attempt: bool) -> None:
    """Put a claimed question back in its place in line."""
    db.execute(
        "UPDATE question SET state = 'waiting', attempts = attempts - ? WHERE id = ? AND state = 'answering'",
        [0 if counts_as_attempt else 1, question_id],
    )


def release_all(db: Database) -> None:
    """At start: what a killed process was answering waits again in its old place, without blame."""
    db.execute("UPDATE question SET state = 'waiting', attempts = attempts - 1 WHERE state = 'answering'")


def finish(db: Database, question: Question, answer: Answer, *, now: datetime) -> bool:
    """Save how a question ended, once, with its event. Returns False if it had ended before (stopped)."""
    changed = db.execute(
        "UPDATE question SET state = ?, answer = ?, model = ?, error = ?, finished_at = ?, "
        "prompt_version = ?, request = ?, decisions = ? WHERE id = ? AND state IN ('waiting', 'answering')",
        [
            answer.outcome,
            answer.text,
            answer.model,
            answer.error,
            now.isoformat(),
            answer.prompt_version,
            answer.request,
            _decisions_json((*question.decisions, *answer.decisions)),
            question.id,
        ],
    ).rowcount
    if not changed:
        return False
    fields: dict[str, Value] = {
        "question_id": question.id,
        "text": answer.text,
        "outcome": answer.outcome,
        "model": answer.model,
        "model_sha256": answer.model_sha256,
        "duration_ms": answer.duration_ms,
        "answer_tokens": answer.answer_tokens,
        "language": question.language,
    }
    events.record(db, Event("answer_finished", now, question.session_id, question.learner_id, fields))
    return True


def open_ones(db: Database) -> list[Question]:
    """Return every question of the box that waits or is being answered."""
    rows = db.query("SELECT * FROM question WHERE state IN ('waiting', 'answering') ORDER BY asked_at, id")
    return [_question(row) for row in rows]


def stop_session(db: Database, session: Session, *, now: datetime) -> list[str]:
    """End every open question of a lesson as stopped; return their ids."""
    stopped = [question for question in open_ones(db) if question.session_id == session.id]
    for question in stopped:
        stop(db, question, now=now)
    return [question.id for question in stopped]


def stop(db: Database, question: Question, *, error: str | None = None, now: datetime) -> bool:
    """End a question as stopped; `error` is the key of the reason, None when the lesson was closed."""
    waited_ms = int((now - question.asked_at).total_seconds() * 1000)
    return finish(db, question, Answer("stopped", duration_ms=waited_ms, error=error), now=now)


def get(db: Database, question_id: str) -> Question:
    return _question(next(iter(db.query("SELECT * FROM question WHERE id = ?", [question_id]))))


def stop_learner(db: Database, learner_id: str, *, error: str, now: datetime) -> list[str]:
    """End every open question of one learner; return their ids."""
    stopped = [question for question in open_ones(db) if question.learner_id == learner_id]
    for question in stopped:
        stop(db, question, error=error, now=now)
    return [question.id for question in stopped]


def newest_of_session(db: Database, learner_id: str, session_id: str, *, newest: int) -> list[Question]:
    """Return a learner's latest finished questions of one lesson, newest first."""
    rows = db.query(
        "SELECT * FROM question WHERE learner_id = ? AND session_id = ? AND state IN ('answered', 'failed') "
        "ORDER BY finished_at DESC, id DESC LIMIT ?",
        [learner_id, session_id, newest],
    )
    return [_question(row) for row in rows]


def of_learner(db: Database, learner_id: str, *, newest: int) -> list[Question]:
    """Return a learner's latest questions, newest first."""
    rows = db.query(
        "SELECT * FROM question WHERE learner_id = ? ORDER BY asked_at DESC, id DESC LIMIT ?",
        [learner_id, newest],
    )
    return [_question(row) for row in rows]


def of_task(db: Database, learner_id: str, task_id: str, *, newest: int) -> list[Question]:
    """Return a learner's latest questions about one task, newest first."""
    rows = db.query(
        "SELECT * FROM question WHERE learner_id = ? AND task_id = ? ORDER BY asked_at DESC, id DESC LIMIT ?",
        [learner_id, task_id, newest],
    )
    return [_question(row) for row in rows]


def open_count(db: Database, learner_id: str) -> int:
    return db.table("question").count_where(
        "learner_id = ? AND state IN ('waiting', 'answering')", [learner_id]
    )


def waiting_ids(db: Database) -> Sequence[str]:
    """Return the waiting questions in the order they will be answered."""
    rows = db.query(_LINE)
    return [row["id"] for row in rows]


def latest_by_learner(db: Database, session: Session) -> dict[str, Question]:
    """Return each learner's newest question of this lesson, open ones before finished ones."""
    rows = db.query(
        "SELECT * FROM question WHERE session_id = ? "
        "ORDER BY state IN ('waiting', 'answering'), asked_at DESC, id",
        [session.id],
    )
    newest: dict[str, Question] = {}
    for question in map(_question, rows):
        if question.is_open or question.learner_id not in newest:
            newest[question.learner_id] = question
    return newest


def count_by_learner(db: Database, session: Session) -> dict[str, int]:
    rows = db.query(
        "SELECT learner_id, count(*) AS asked FROM question WHERE session_id = ? GROUP BY 1", [session.id]
    )
    return {row["learner_id"]: row["asked"] for row in rows}


# Who asks twice must not be answered twice before a neighbour is answered once.
_LINE = """
    SELECT id FROM question AS asked WHERE state = 'waiting'
    ORDER BY (SELECT count(*) FROM question AS other WHERE other.learner_id = asked.learner_id
              AND (other.state = 'answering' OR other.state = 'waiting' AND other.asked_at < asked.asked_at)),
             asked_at, id
"""


def _question(row: dict[str, object]) -> Question:
    known = {name: row[name] for name in Question.__dataclass_fields__}
    decided = tuple(Decision(**each) for each in json.loads(str(row["decisions"])))
    asked_at = datetime.fromisoformat(str(row["asked_at"]))
    return Question(**{**known, "asked_at": asked_at, "decisions": decided})  # type: ignore[arg-type]  # columns are typed by the STRICT table


def _decisions_json(decisions: Sequence[Decision]) -> str:
    return json.dumps([vars(decision) for decision in decisions])
