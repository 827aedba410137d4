"""Stops: AI is off for one learner, a class or the school until somebody lifts it; and the drill of it.

The only writer of `stop` and `stop_drill`. A stop is a row, so no power cut lifts it. The region's stop
comes in its signed order and is only read here. Who may set or lift is decided in `policy`; what a stop
ends is decided in `permission`.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import events, policy
from appliance.people.roster import Learner
from appliance.policy import Actor, Target
from sync import policy as region_policy
from sync.event import Event, Value


@dataclass(frozen=True)
class Stop:
    id: str
    level: str
    school_class_id: str | None
    learner_id: str | None
    set_by: str  # the authority, "school_class" or "school"; never a person
    set_at: datetime
    quiet_ms: int | None = None  # from the tap until the last answer was let go

    @property
    def target(self) -> Target:
        return Target(self.school_class_id, self.learner_id)


@dataclass(frozen=True)
class Drill:
    at: datetime
    questions: int
    quiet_ms: int | None  # None: somebody still wrote when the wait was over


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


def record_set(db: Database, stop: Stop, questions: int, quiet_ms: int | None, *, now: datetime) -> None:
    """Keep how fast it was, and tell the region that a class was stopped; of one learner nothing is told."""
    db.execute("UPDATE stop SET quiet_ms = ? WHERE id = ?", [quiet_ms, stop.id])
    if stop.level != "learner":
        fields: dict[str, Value] = {"level": stop.level, "questions": questions}
        events.record(db, Event("stop_set", now, stop.id, None, fields))


def record_drill(
    db: Database, school_class_id: str, questions: int, quiet_ms: int | None, *, now: datetime
) -> None:
    db.table("stop_drill").insert(
        {
            "school_class_id": school_class_id,
            "at": now.isoformat(),
            "questions": questions,
            "quiet_ms": quiet_ms,
        }
    )
    events.record(db, Event("stop_drill", now, secrets.token_hex(8), None, {"quiet_ms": quiet_ms}))


def drills(db: Database, school_class_id: str, *, newest: int) -> list[Drill]:
    """Return the latest drills of a class, the newest first."""
    rows = db.query(
        "SELECT at, questions, quiet_ms FROM stop_drill WHERE school_class_id = ? ORDER BY id DESC LIMIT ?",
        [school_class_id, newest],
    )
    return [Drill(datetime.fromisoformat(row["at"]), row["questions"], row["quiet_ms"]) for row in rows]


def is_drill_due(db: Database, school_class_id: str, *, now: datetime) -> bool:
    last = drills(db, school_class_id, newest=1)
    sql = "SELECT min(opened_at) AS first FROM session WHERE school_class_id = ?"
    first = next(iter(db.query(sql, [school_class_id])))["first"]
    first_lesson = datetime.fromisoformat(first) if first else None
    return policy.is_drill_due(last[0].at if last else None, first_lesson, now)


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


_STOP = "id, level, school_class_id, learner_id, set_by, set_at, quiet_ms"
_TARGET = "coalesce(learner_id, school_class_id, '')"


def _stop(row: dict[str, str]) -> Stop:
    return Stop(**{**row, "set_at": datetime.fromisoformat(row["set_at"])})  # type: ignore[arg-type]  # columns are typed by the STRICT table
