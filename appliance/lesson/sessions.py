"""One sitting of a class: opened by the teacher, closed by the teacher. The only writer of `session`."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import events
from appliance.people.roster import SchoolClass
from sync.event import Event


@dataclass(frozen=True)
class Session:
    id: str
    school_class_id: str
    opened_at: datetime


def open_session(db: Database, school_class: SchoolClass, *, now: datetime) -> Session:
    """Open a lesson, or return the one that is open already: two taps are one wish."""
    current = find_open_session(db, school_class.id)
    if current is not None:
        return current
    session = Session(secrets.token_hex(8), school_class.id, now)
    db.table("session").insert(
        {"id": session.id, "school_class_id": school_class.id, "opened_at": now.isoformat()}
    )
    fields = {
        "school_class": school_class.name,
        "grade": school_class.grade,
        "language": school_class.language,
    }
    events.record(db, Event("session_opened", now, session.id, None, fields))
    return session


def close_session(db: Database, session: Session, *, now: datetime) -> None:
    """Close a lesson. What still waits for an answer is stopped by `questions.stop_session`."""
    db.execute(
        "UPDATE session SET closed_at = ? WHERE id = ? AND closed_at IS NULL", [now.isoformat(), session.id]
    )
    events.record(db, Event("session_closed", now, session.id, None, {}))


def find_latest_session(db: Database, school_class_id: str) -> Session | None:
    """Return the lesson that was opened last, open or not."""
    rows = db.query(
        "SELECT id, school_class_id, opened_at FROM session WHERE school_class_id = ? "
        "ORDER BY opened_at DESC, id DESC LIMIT 1",
        [school_class_id],
    )
    return next(map(_session, rows), None)


def find_open_session(db: Database, school_class_id: str) -> Session | None:
    rows = db.query(
        "SELECT id, school_class_id, opened_at FROM session WHERE school_class_id = ? AND closed_at IS NULL",
        [school_class_id],
    )
    return next(map(_session, rows), None)


def _session(row: dict[str, str]) -> Session:
    return Session(row["id"], row["school_class_id"], datetime.fromisoformat(row["opened_at"]))
