"""May this learner use AI now, and how? The one question that pages and the assistant both ask.

It is asked when a question is sent and again when it is claimed; `end_refused` asks it for whatever is
open. Reads exams, stops and rules; writes nothing but the end of questions.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.errors import (
    ApplianceError,
    ClassStopped,
    ExamRunning,
    LearnerStopped,
    MinutesUsed,
    RegionStopped,
    RuleOff,
    RuleOffUntil,
    SchoolStopped,
    TutorHeld,
)
from appliance.lesson import questions
from appliance.lesson.questions import Question
from appliance.people import roster
from appliance.people.roster import Learner
from appliance.permission import exam, rules, stops

STOPPED: dict[str, type[ApplianceError]] = {
    "learner": LearnerStopped,
    "school_class": ClassStopped,
    "school": SchoolStopped,
    "region": RegionStopped,
}


@dataclass(frozen=True)
class Permission:
    """`mode` is open, hints or off; `refusal` says why not, and what to do instead."""

    mode: str = "open"
    refusal: ApplianceError | None = None
    minutes_left: int | None = None  # today; None = no limit


def look(db: Database, learner: Learner, *, now: datetime) -> Permission:
    """Return what this learner may do with AI at this moment: stops first, then the class's rules."""
    refusal = find_stop(db, learner)
    if refusal is not None:
        return Permission("off", refusal)
    rule = rules.look(db, learner, now=now)
    if rule.mode == "off":
        return Permission("off", RuleOffUntil(until=f"{rule.until:%H:%M}") if rule.until else RuleOff())
    if rule.minutes_left == 0:
        return Permission("off", MinutesUsed(limit=rule.limit), 0)
    return Permission(rule.mode, None, rule.minutes_left)


def find_end(db: Database, learner: Learner, *, now: datetime) -> ApplianceError | None:
    """Return why a question that waited must not be answered any more.

    Minutes do not count here: the question itself may have taken the last one.
    """
    refusal = find_stop(db, learner)
    if refusal is None and rules.look(db, learner, now=now).mode == "off":
        return RuleOff()
    return refusal


def in_exam(db: Database, school_class_id: str) -> bool:
    """Return whether the class writes an exam: then earlier answers are not shown either."""
    return exam.find_running(db, school_class_id) is not None


def find_stop(db: Database, learner: Learner) -> ApplianceError | None:
    """Return what must end this learner's answers at once, in the words for a learner."""
    if in_exam(db, learner.school_class_id):
        return ExamRunning()
    if stops.region_has_stopped(db):
        return RegionStopped()
    there = stops.in_force(db, learner)
    return STOPPED[there[0].level]() if there else None


def stopped_learners(db: Database, school_class_id: str) -> set[str]:
    """Return the learners of a class for whom AI is stopped now, in a few queries whatever the class."""
    everyone = {learner.id for learner in roster.learners(db, school_class_id)}
    if in_exam(db, school_class_id) or stops.region_has_stopped(db):
        return everyone
    there = stops.of_class(db, school_class_id)
    if any(stop.learner_id is None for stop in there):
        return everyone
    return {stop.learner_id for stop in there if stop.learner_id} & everyone


def has_refused(db: Database) -> bool:
    """Return whether `end_refused` would find anything; a look that takes no lock."""
    return any(_refusal_of(db, question) for question in questions.open_ones(db))


def end_refused(db: Database, *, now: datetime) -> list[str]:
    """End every open question that a stop forbids; return their ids, for `LiveBoard.stop`."""
    ended = []
    for question in questions.open_ones(db):
        refusal = _refusal_of(db, question)
        if refusal is not None and questions.stop(db, question, error=refusal.key, now=now):
            ended.append(question.id)
    return ended


def find_reason(key: str | None) -> ApplianceError | None:
    """Return why a stopped question was stopped; None when the lesson was closed."""
    reasons: list[type[ApplianceError]] = [ExamRunning, RuleOff, TutorHeld, *STOPPED.values()]
    return next((reason() for reason in reasons if reason.key == key), None)


def _refusal_of(db: Database, question: Question) -> ApplianceError | None:
    learner = roster.find_learner(db, question.learner_id)
    return find_stop(db, learner) if learner else None
