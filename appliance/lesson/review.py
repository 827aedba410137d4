"""Answers can be questioned: why was this written, and "I disagree". The only writer of `contest`.

A contest is between a learner and their teacher: it makes no event, and nothing of it leaves the box.
What `why` tells comes from the answer's own row, never from a model's opinion of itself.
"""

import json
import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlite_utils import Database

from appliance import policy
from appliance.errors import (
    AlreadyContested,
    AlreadyDecided,
    BrokenText,
    ChoiceMissing,
    CorrectionMissing,
    NotFound,
    WordsTooLong,
)
from appliance.lesson import school_days

WRONG, UNCLEAR, NOT_MY_QUESTION, HURTFUL, OTHER = REASONS = (
    "wrong",
    "unclear",
    "not_my_question",
    "hurtful",
    "other",
)
UPHELD, CORRECTED = DECISIONS = ("upheld", "corrected")
# Half a page: enough to say what is wrong, too little to paste a book.
MAX_WORDS = 1_000


@dataclass(frozen=True)
class Contest:
    id: str
    question_id: str
    learner_id: str
    reason: str
    words: str
    at: datetime
    decision: str | None
    decision_words: str
    decided_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.decision is None

    @property
    def due_on(self) -> date:
        return school_days.due_on(self.at.date())

    def is_overdue(self, now: datetime) -> bool:
        return self.is_open and school_days.is_overdue(self.at.date(), now.date())


@dataclass(frozen=True)
class Why:
    """What the box knows of how an answer came to be."""

    question_id: str
    learner_id: str
    learner_name: str
    school_class_id: str
    text: str
    answer: str
    state: str
    language: str
    asked_at: datetime
    model: str
    model_sha256: str
    prompt_version: str
    mode: str
    rung: int | None
    task_text: str
    decisions: tuple[dict[str, str], ...]  # {"rule": …, "action": …}, as the gate wrote them
    request: dict[str, Any]  # the exact body that went to the engine; empty when none did

    @property
    def is_by_ai(self) -> bool:
        return bool(self.model) and bool(self.answer)

    @property
    def is_chosen(self) -> bool:
        """Return whether a model only chose among hints of people."""
        return self.is_by_ai and any(one["rule"].startswith("move_") for one in self.decisions)

    @property
    def messages(self) -> list[dict[str, str]]:
        return list(self.request.get("messages", ()))

    @property
    def settings(self) -> dict[str, Any]:
        """Return the dials of the request: all of it but the words and who asked."""
        return {name: value for name, value in self.request.items() if name not in ("messages", "user")}


def get_why(db: Database, question_id: str) -> Why:
    """Return what is known of an answer.

    Raises:
        NotFound: there is no such question.
    """
    row = next(iter(db.query(_WHY, [question_id])), None)
    if row is None:
        raise NotFound
    return Why(
        **{
            **row,
            "asked_at": datetime.fromisoformat(row["asked_at"]),
            "decisions": tuple(json.loads(row["decisions"] or "[]")),
            "request": json.loads(row["request"] or "{}"),
        }
    )


def contest(db: Database, why: Why, reason: str, words: str, *, now: datetime) -> Contest:
    """Save a learner's disagreement with an answer.

    Raises:
        ChoiceMissing, WordsTooLong, BrokenText: the form is not right.
        AlreadyContested: they have said so before.
        NotFound: there is no answer to disagree with.
    """
    words = _tidy(words)
    if reason not in REASONS:
        raise ChoiceMissing
    if not why.answer:
        raise NotFound
    if find_contest(db, why.question_id):
        raise AlreadyContested
    made = Contest(secrets.token_hex(8), why.question_id, why.learner_id, reason, words, now, None, "", None)
    db.table("contest").insert({**vars(made), "at": now.isoformat()})
    return made


def decide(db: Database, contest_id: str, decision: str, words: str, *, now: datetime) -> None:
    """Save the teacher's decision, once.

    Raises:
        ChoiceMissing, CorrectionMissing, WordsTooLong, BrokenText: the form is not right.
        AlreadyDecided: somebody was faster.
    """
    words = _tidy(words)
    if decision not in DECISIONS:
        raise ChoiceMissing
    if decision == CORRECTED and not words:
        raise CorrectionMissing
    changed = db.execute(
        "UPDATE contest SET decision = ?, decision_words = ?, decided_at = ? "
        "WHERE id = ? AND decision IS NULL",
        [decision, words, now.isoformat(), contest_id],
    ).rowcount
    if not changed:
        raise AlreadyDecided


def find_contest(db: Database, question_id: str) -> Contest | None:
    rows = db.query("SELECT * FROM contest WHERE question_id = ?", [question_id])
    return next(map(_contest, rows), None)


def of_class(db: Database, school_class_id: str, *, only_open: bool = False) -> list[Contest]:
    """Return the contests of a class: open ones first, the oldest of them first."""
    rows = db.query(
        "SELECT contest.* FROM contest JOIN learner ON learner.id = contest.learner_id "
        "WHERE learner.school_class_id = ? AND (decision IS NULL OR NOT ?) "
        "ORDER BY decision IS NOT NULL, at, contest.id",
        [school_class_id, only_open],
    )
    return [_contest(row) for row in rows]


def of_questions(db: Database, question_ids: list[str]) -> dict[str, Contest]:
    """Return the contests of these answers by question."""
    marks = ", ".join("?" * len(question_ids))
    rows = db.query(f"SELECT * FROM contest WHERE question_id IN ({marks})", question_ids)  # noqa: S608 - only marks
    return {row["question_id"]: _contest(row) for row in rows}


_WHY = """
    SELECT question.id AS question_id, learner_id, learner.name AS learner_name, school_class_id,
           question.text, coalesce(answer, '') AS answer, state, question.language, asked_at,
           coalesce(model, '') AS model, coalesce(prompt_version, '') AS prompt_version, mode, rung,
           decisions, request,
           coalesce((SELECT task.text FROM task WHERE task.id = question.task_id), '') AS task_text,
           coalesce((SELECT json_extract(fields, '$.model_sha256') FROM event
                     WHERE kind = 'answer_finished' AND event.learner_id = question.learner_id
                     AND json_extract(fields, '$.question_id') = question.id LIMIT 1), '') AS model_sha256
    FROM question JOIN learner ON learner.id = question.learner_id WHERE question.id = ?
"""


def _tidy(words: str) -> str:
    words = words.replace("\r\n", "\n").strip()
    if policy.is_broken(words):
        raise BrokenText
    if len(words) > MAX_WORDS:
        raise WordsTooLong(length=len(words), limit=MAX_WORDS)
    return words


def _contest(row: dict[str, Any]) -> Contest:
    decided_at = datetime.fromisoformat(row["decided_at"]) if row["decided_at"] else None
    return Contest(**{**row, "at": datetime.fromisoformat(row["at"]), "decided_at": decided_at})
