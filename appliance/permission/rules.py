"""A class's rules for AI: when it is open, gives hints only, or is off, and for how many minutes a day.

The only writer of `class_rule`, `class_limit` and `lesson_subject`. Which rule counts is decided in
`rule_matrix`. Times are the wall clock's, as on the timetable: rules make a lesson comfortable; what must
hold against a clock that was set is an exam.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from sqlite_utils import Database

from appliance.errors import N_, NoSuchRule, RuleTimeWrong, TooManyRules
from appliance.lesson import sessions
from appliance.lesson.sessions import Session
from appliance.people import accommodations
from appliance.people.roster import Learner
from appliance.permission.rule_matrix import MODES, ClassRule, find_rule, situation, used_minutes

SUBJECTS = {
    "mathematics": N_("Mathematics"),
    "kazakh": N_("Kazakh language"),
    "russian": N_("Russian language"),
    "english": N_("English language"),
    "literature": N_("Literature"),
    "science": N_("Natural science"),
    "digital_literacy": N_("Digital literacy"),
    "history": N_("History"),
    "geography": N_("Geography"),
    "biology": N_("Biology"),
    "physics": N_("Physics"),
    "chemistry": N_("Chemistry"),
    "other": N_("Another subject"),
}
WEEKDAYS = (
    N_("Monday"),
    N_("Tuesday"),
    N_("Wednesday"),
    N_("Thursday"),
    N_("Friday"),
    N_("Saturday"),
    N_("Sunday"),
)
# 0 = no limit. Above an hour a day a limit protects nobody.
DAILY_MINUTES = (0, 10, 15, 20, 30, 45, 60)
# Six lessons a day on six days, and a few general ones: more is a mistake.
MAX_RULES = 48
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True)
class StoredRule:
    id: str
    rule: ClassRule


@dataclass(frozen=True)
class RuleNow:
    """What the rules say to one learner at one moment."""

    mode: str
    until: time | None = None  # when the rule ends today
    limit: int = 0  # minutes a day, with this learner's own allowance; 0 = no limit
    used: int = 0

    @property
    def minutes_left(self) -> int | None:
        return max(0, self.limit - self.used) if self.limit else None


def of_class(db: Database, school_class_id: str) -> list[StoredRule]:
    """Return the rules of a class, general ones first, then as the week goes."""
    rows = db.query(
        "SELECT id, mode, subject, weekday, begins, ends FROM class_rule WHERE school_class_id = ? "
        "ORDER BY weekday IS NOT NULL, begins IS NOT NULL, subject <> '', weekday, begins, subject, id",
        [school_class_id],
    )
    return [StoredRule(row.pop("id"), ClassRule(**row)) for row in rows]


def look(db: Database, learner: Learner, *, now: datetime) -> RuleNow:
    """Return what the rules of the class say to this learner now."""
    local = now.astimezone()
    there = [stored.rule for stored in of_class(db, learner.school_class_id)]
    session = sessions.find_open_session(db, learner.school_class_id)
    taught = subject_of(db, session) if session else ""
    rule = find_rule(there, situation(taught, local)) or ClassRule("open")
    until = None if rule.ends is None else time(rule.ends // 60 % 24, rule.ends % 60)
    limit = daily_minutes(db, learner.school_class_id)
    if not limit:
        return RuleNow(rule.mode, until)
    own = accommodations.minutes_of(db, learner.id, limit)
    return RuleNow(rule.mode, until, own, minutes_today(db, learner.id, now=now))


def minutes_today(db: Database, learner_id: str, *, now: datetime) -> int:
    """Return the minutes of AI a learner has used since midnight."""
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = db.query(
        "SELECT asked_at FROM question WHERE learner_id = ? AND asked_at >= ?",
        [learner_id, midnight.astimezone(UTC).isoformat()],
    )
    return used_minutes((datetime.fromisoformat(row["asked_at"]) for row in rows), now)


def set_general(db: Database, school_class_id: str, mode: str) -> None:
    """Set what holds when no narrower rule fits.

    Raises:
        NoSuchRule: there is no such mode.
    """
    if mode not in MODES:
        raise NoSuchRule
    db.execute(
        "DELETE FROM class_rule WHERE school_class_id = ? AND subject = '' AND weekday IS NULL "
        "AND begins IS NULL",
        [school_class_id],
    )
    _insert(db, school_class_id, ClassRule(mode))


def add(db: Database, school_class_id: str, wish: Mapping[str, str]) -> None:
    """Save a narrower rule from a form: mode, subject, weekday, begins, ends; "" is any.

    Raises:
        NoSuchRule, RuleTimeWrong, TooManyRules.
    """
    if len(of_class(db, school_class_id)) >= MAX_RULES:
        raise TooManyRules(limit=MAX_RULES)
    mode, subject, weekday = wish.get("mode", ""), wish.get("subject", ""), wish.get("weekday", "")
    if mode not in MODES or subject not in ("", *SUBJECTS) or weekday not in ("", *"0123456"):
        raise NoSuchRule
    begins, ends = _minute(wish.get("begins", "")), _minute(wish.get("ends", ""))
    if (begins is None) != (ends is None) or (begins is not None and ends is not None and begins >= ends):
        raise RuleTimeWrong
    rule = ClassRule(mode, subject, int(weekday) if weekday else None, begins, ends)
    if not rule.narrowness:
        set_general(db, school_class_id, mode)
        return
    _insert(db, school_class_id, rule)


def remove(db: Database, school_class_id: str, rule_id: str) -> None:
    """Take a rule away; one that is gone already, or of another class, changes nothing."""
    db.execute("DELETE FROM class_rule WHERE id = ? AND school_class_id = ?", [rule_id, school_class_id])


def daily_minutes(db: Database, school_class_id: str) -> int:
    sql = "SELECT minutes FROM class_limit WHERE school_class_id = ?"
    return next((row["minutes"] for row in db.query(sql, [school_class_id])), 0)


def set_daily_minutes(db: Database, school_class_id: str, minutes: str) -> None:
    """Set the minutes of AI for each learner and day.

    Raises:
        NoSuchRule: it is none of DAILY_MINUTES.
    """
    if minutes not in map(str, DAILY_MINUTES):
        raise NoSuchRule
    row = {"school_class_id": school_class_id, "minutes": int(minutes)}
    db.table("class_limit").upsert(row, pk="school_class_id")


def subject_of(db: Database, session: Session) -> str:
    """Return what is taught in this lesson, "" when the teacher did not say."""
    sql = "SELECT subject FROM lesson_subject WHERE session_id = ?"
    return next((row["subject"] for row in db.query(sql, [session.id])), "")


def set_subject(db: Database, session: Session, subject: str) -> None:
    """Say what is taught in this lesson.

    Raises:
        NoSuchRule: it is no subject of the list.
    """
    if subject not in ("", *SUBJECTS):
        raise NoSuchRule
    db.table("lesson_subject").upsert({"session_id": session.id, "subject": subject}, pk="session_id")


def _insert(db: Database, school_class_id: str, rule: ClassRule) -> None:
    row = {"id": secrets.token_hex(8), "school_class_id": school_class_id, **vars(rule)}
    db.table("class_rule").insert(row)


def _minute(text: str) -> int | None:
    if not text:
        return None
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise RuleTimeWrong
    return int(found[1]) * 60 + int(found[2])
