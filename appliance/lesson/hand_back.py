"""The tutor steps back and a person takes over. The only writer of `hand_back`.

While one is open for a learner, nothing of theirs goes to the model. Promises that words of distress
leave no event: neither a row nor the lack of a reason could tell the region of them.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import events
from appliance.lesson.sessions import Session
from appliance.people.roster import Learner
from sync.event import Event

ASKED_FOR_PERSON = "asked_for_person"
DISTRESS = "distress"
THIRD_HINT = "third_hint"
LOW_CONFIDENCE = "low_confidence"


@dataclass(frozen=True)
class HandBack:
    id: str
    learner_id: str
    session_id: str
    question_id: str | None
    reason: str
    at: datetime
    released_at: datetime | None


def hand_back(
    db: Database,
    learner: Learner,
    session: Session,
    question_id: str | None,
    reason: str,
    now: datetime,
    language: str | None = None,
) -> HandBack:
    """Hold the tutor for this learner until a teacher releases them.

    Who is held already stays so; words of distress take the place of any other reason, because they
    decide how fast somebody goes there.
    """
    held = find_held(db, learner.id)
    if held is None:
        made = HandBack(secrets.token_hex(8), learner.id, session.id, question_id, reason, now, None)
        _open(db, made, session, language)
        return made
    if reason == DISTRESS != held.reason:
        db.execute(
            "UPDATE hand_back SET reason = ?, question_id = ? WHERE id = ?", [reason, question_id, held.id]
        )
    return find_held(db, learner.id) or held


def find_held(db: Database, learner_id: str) -> HandBack | None:
    """Return the open hand-back of a learner, or None when the tutor may speak."""
    rows = db.query("SELECT * FROM hand_back WHERE learner_id = ? AND released_at IS NULL", [learner_id])
    return next(map(_hand_back, rows), None)


def find(db: Database, hand_back_id: str) -> HandBack | None:
    return next(map(_hand_back, db.query("SELECT * FROM hand_back WHERE id = ?", [hand_back_id])), None)


def last_release(db: Database, learner_id: str) -> datetime | None:
    """Return when a teacher last let the tutor speak to this learner again."""
    rows = db.query("SELECT max(released_at) AS at FROM hand_back WHERE learner_id = ?", [learner_id])
    latest = next(rows)["at"]
    return datetime.fromisoformat(latest) if latest else None


def open_ones(db: Database, school_class_id: str) -> list[HandBack]:
    """Return who waits for a person: distress first, then the longest wait."""
    rows = db.query(
        "SELECT hand_back.* FROM hand_back JOIN learner ON learner.id = hand_back.learner_id "
        "WHERE learner.school_class_id = ? AND released_at IS NULL ORDER BY reason <> ?, at, hand_back.id",
        [school_class_id, DISTRESS],
    )
    return [_hand_back(row) for row in rows]


def release(db: Database, hand_back_id: str, now: datetime) -> None:
    """The teacher has been there: the tutor may speak again."""
    db.execute(
        "UPDATE hand_back SET released_at = ? WHERE id = ? AND released_at IS NULL",
        [now.isoformat(), hand_back_id],
    )


def _open(db: Database, made: HandBack, session: Session, language: str | None) -> None:
    db.table("hand_back").insert({**vars(made), "at": made.at.isoformat()})
    if made.reason != DISTRESS:
        fields = {"hand_back_id": made.id, "reason": made.reason, "language": language}
        events.record(db, Event("hand_back", made.at, session.id, made.learner_id, fields))


def _hand_back(row: dict[str, str]) -> HandBack:
    released = row["released_at"]
    return HandBack(
        **{
            **row,
            "at": datetime.fromisoformat(row["at"]),
            "released_at": datetime.fromisoformat(released) if released else None,
        }  # type: ignore[arg-type]  # columns are typed by the STRICT table
    )
