"""Stops: AI is off for one learner, a class or the school until somebody lifts it. The only writer of `stop`.

A stop is a row, so no power cut lifts it. The region's stop comes in its signed policy and is only read
here. Who may set or lift is decided in `policy`; what a stop ends is decided in `permission`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import policy
from appliance.policy import Actor, Target
from appliance.roster import Learner
from sync import policy as region_policy


@dataclass(frozen=True)
class Stop:
    id: str
    level: str
    school_class_id: str | None
    learner_id: str | None
    set_by: str  # the authority, "school_class" or "school"; never a person
    set_at: datetime

    @property
    def target(self) -> Target:
        return Target(self.school_class_id, self.learner_id)


def actor_of(db: Database, teacher_id: str, school_class_id: str) -> Actor:
    """Return what a teacher may speak for: the first teacher of a box also speaks for the school."""
    # By order of coming, not by time: a box without a clock battery does not know when.
    first = next(iter(db.query("SELECT id FROM teacher ORDER BY rowid LIMIT 1")), {"id": None})["id"]
    return Actor(school_class_id, speaks_for_school=first == teacher_id)


def set_stop(db: Database, actor: Actor, target: Target, *, now: datetime) -> Stop:
    """Stop AI for the target; a stop that is there already stays, with the greater authority.

    Raises:
        NotYourClass: the teacher may not.
    """
    decision, authority = policy.decide_stop(actor, target)
    if decision.refusal is not None:
        raise decision.refusal
    there = find(db, target)
    if there is None:
        made = Stop(
            secrets.token_hex(8), target.level, target.school_class_id, target.learner_id, authority, now
        )
        db.table("stop").insert({**vars(made), "set_at": now.isoformat()})
        return made
    if policy.LEVELS.index(authority) > policy.LEVELS.index(there.set_by):
        db.execute("UPDATE stop SET set_by = ? WHERE id = ?", [authority, there.id])
    return there


def lift(db: Database, actor: Actor, target: Target, *, now: datetime) -> bool:
    """Lift the stop of exactly this target; False when there is none.

    Raises:
        NotYourClass, StopSetAbove: the teacher may not.
    """
    there = find(db, target)
    set_by = there.set_by if there else "school_class"
    decision = policy.decide_lift(actor, target, set_by)
    if decision.refusal is not None:
        raise decision.refusal
    if there is None:
        return False
    db.execute("UPDATE stop SET lifted_at = ? WHERE id = ?", [now.isoformat(), there.id])
    return True


def find(db: Database, target: Target) -> Stop | None:
    """Return the stop of exactly this target; a wider one is another stop."""
    sql = f"SELECT {_STOP} FROM stop WHERE lifted_at IS NULL AND level = ? AND {_TARGET} = ?"  # noqa: S608
    found = db.query(sql, [target.level, target.learner_id or target.school_class_id or ""])
    return next(map(_stop, found), None)


def in_force(db: Database, learner: Learner) -> list[Stop]:
    """Return what stops this learner on this box, the widest first."""
    sql = f"SELECT {_STOP} FROM stop WHERE lifted_at IS NULL AND {_TARGET} IN (?, ?, '')"  # noqa: S608
    found = map(_stop, db.query(sql, [learner.id, learner.school_class_id]))
    return sorted(found, key=lambda stop: -policy.LEVELS.index(stop.level))


def of_class(db: Database, school_class_id: str) -> list[Stop]:
    """Return the stops that touch a class: the school's, its own, and those of its learners."""
    sql = f"SELECT {_STOP} FROM stop WHERE lifted_at IS NULL AND coalesce(school_class_id, ?) = ?"  # noqa: S608
    return [_stop(row) for row in db.query(sql, [school_class_id, school_class_id])]


def region_has_stopped(db: Database) -> bool:
    """Return whether the region's signed order stops AI. Only a newer order lifts it."""
    order = region_policy.current(db)
    return order is not None and order.stop


_STOP = "id, level, school_class_id, learner_id, set_by, set_at"
_TARGET = "coalesce(learner_id, school_class_id, '')"


def _stop(row: dict[str, str]) -> Stop:
    return Stop(**{**row, "set_at": datetime.fromisoformat(row["set_at"])})  # type: ignore[arg-type]  # columns are typed by the STRICT table
