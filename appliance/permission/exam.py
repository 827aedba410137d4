"""Exams: no AI for one class until its time has surely passed or a teacher ends it.

Every step is a row and a record of the chain in the same transaction, so a power cut leaves an exam that
goes on. The only writer of `exam` and `exam_record`. Keeps out: the note that closes the engine, and what
is counted in memory (`exam_guard`).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance import events
from appliance.errors import ExamRunsAlready, ExamTimeOutOfRange, NoSuchExam
from appliance.permission import exam_chain
from appliance.permission.exam_chain import Record, Value
from appliance.permission.exam_time import Moment, clock_jump_seconds, gained_seconds
from sync.event import Event
from sync.keys import SigningKey

# The longest state examination with its breaks; a typing error must not close a class for days.
MAX_MINUTES = 360
# How often progress is written down: as much evidence as a power cut can cost, at four writes a minute.
SAVE_SECONDS = 15.0


@dataclass(frozen=True)
class Exam:
    id: str
    school_class_id: str
    planned_seconds: int
    elapsed_seconds: float
    last: Moment
    started_at: datetime
    ended_at: datetime | None
    is_sealed: bool
    engine_refusals: int = -1  # the engine's own count at the last look; -1: not known yet

    def elapsed_at(self, now: Moment) -> float:
        return self.elapsed_seconds + gained_seconds(self.last, now)

    def is_over(self, now: Moment) -> bool:
        return self.elapsed_at(now) >= self.planned_seconds


def start(db: Database, school_class_id: str, minutes: int, engine: str, *, now: Moment) -> Exam:
    """Begin an exam; `engine` says how the engine was found: closed, open, away or other.

    Raises:
        ExamTimeOutOfRange, ExamRunsAlready.
    """
    if not 1 <= minutes <= MAX_MINUTES:
        raise ExamTimeOutOfRange(most=MAX_MINUTES)
    if find_running(db, school_class_id) is not None:
        raise ExamRunsAlready
    exam_id = secrets.token_hex(8)
    first_event = next(iter(db.query("SELECT coalesce(max(id), 0) AS last FROM event")))["last"]
    db.table("exam").insert(
        {
            "id": exam_id,
            "school_class_id": school_class_id,
            "planned_seconds": minutes * 60,
            "first_event": first_event,
            "started_at": now.wall.isoformat(),
            **_columns(now),
        }
    )
    started: dict[str, Value] = {
        "exam": exam_id,
        "class": school_class_id,
        "planned_minutes": minutes,
        "engine": engine,
    }
    exam = get(db, exam_id, school_class_id)
    note(db, exam, "started", started, now=now)
    return exam


def note(db: Database, exam: Exam, kind: str, facts: Mapping[str, Value], *, now: Moment) -> None:
    """Append one record to the chain. `at` is what the clock showed; `second` is beyond doubt."""
    rows = db.query("SELECT line FROM exam_record WHERE exam_id = ? ORDER BY number DESC LIMIT 1", [exam.id])
    last = next((exam_chain.read_line(row["line"]) for row in rows), None)
    told = {
        **facts,
        "kind": kind,
        "at": now.wall.isoformat(timespec="seconds"),
        "second": int(exam.elapsed_at(now)),
    }
    record = exam_chain.follow(last, told)
    db.table("exam_record").insert({"exam_id": exam.id, "number": record.number, "line": record.line})


def advance(db: Database, exam: Exam, *, now: Moment) -> Exam:
    """Write down how much time has surely passed, and what the machine and its clock did meanwhile."""
    jump = clock_jump_seconds(exam.last, now)
    if jump:
        note(db, exam, "clock_set", {"by_seconds": jump}, now=now)
    if exam.last.boot != now.boot:
        note(db, exam, "restarted", {}, now=now)
    columns = {**_columns(now), "elapsed_seconds": exam.elapsed_at(now)}
    assignments = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"UPDATE exam SET {assignments} WHERE id = ?", [*columns.values(), exam.id])  # noqa: S608
    return get(db, exam.id, exam.school_class_id)


def note_engine(db: Database, exam: Exam, count: int, *, now: Moment) -> None:
    """Write down what the engine has refused since the last look, of whichever class it was."""
    new = new_engine_refusals(exam, count)
    if new:
        note(db, exam, "refused", {"door": "engine", "count": new}, now=now)
    db.execute("UPDATE exam SET engine_refusals = ? WHERE id = ?", [count, exam.id])


def new_engine_refusals(exam: Exam, count: int) -> int:
    if exam.engine_refusals < 0:
        return 0
    # An engine that was started anew counts from nought.
    return count - exam.engine_refusals if count >= exam.engine_refusals else count


def needs_advance(exam: Exam, now: Moment) -> bool:
    return (
        exam.last.boot != now.boot
        or gained_seconds(exam.last, now) >= SAVE_SECONDS
        or clock_jump_seconds(exam.last, now) != 0
        or exam.is_over(now)
    )


def end(db: Database, exam: Exam, by: str, key: SigningKey, *, now: Moment) -> None:
    """End an exam by "time" or "teacher" and seal its record."""
    exam = advance(db, exam, now=now)
    facts = [record.facts for record in records(db, exam)]
    refused = exam_chain.refused_in(facts)
    given = answers_given(db, exam)
    told: dict[str, Value] = {
        "by": by,
        "refused": refused,
        "answers": given,
        "restarts": sum(fact["kind"] == "restarted" for fact in facts),
        "records": len(facts) + 1,
    }
    note(db, exam, "ended", told, now=now)
    seal = key.sign(exam_chain.seal_message(records(db, exam)[-1].hash))
    db.execute(
        "UPDATE exam SET ended_at = ?, seal = ? WHERE id = ?",
        [now.wall.isoformat(), f"{key.public.hex()} {seal.hex()}", exam.id],
    )
    # Nothing about who ended it, and no learner: the region counts exams and tries.
    minutes = int(exam.elapsed_seconds // 60)
    fields: dict[str, str | int | None] = {
        "exam_id": exam.id,
        "minutes": minutes,
        "refused": refused,
        "answers": given,
    }
    events.record(db, Event("exam_ended", now.wall, exam.id, None, fields))


def certificate(db: Database, exam: Exam) -> bytes:
    """Return the sealed record of an exam that has ended.

    Raises:
        NoSuchExam: it is still running.
    """
    row = next(db.query("SELECT seal FROM exam WHERE id = ? AND seal IS NOT NULL", [exam.id]), None)
    if row is None:
        raise NoSuchExam
    device, signature = map(bytes.fromhex, row["seal"].split())
    chain = records(db, exam)
    return exam_chain.write_certificate([record.line for record in chain], chain[-1].hash, device, signature)


def answers_given(db: Database, exam: Exam) -> int:
    """Return how many answers of the class were finished since the exam began, from the events themselves."""
    sql = """SELECT count(*) AS given FROM event JOIN learner ON learner.id = event.learner_id
             WHERE event.id > (SELECT first_event FROM exam WHERE id = ?) AND event.kind = 'answer_finished'
             AND json_extract(event.fields, '$.outcome') = 'answered' AND learner.school_class_id = ?"""
    return int(next(iter(db.query(sql, [exam.id, exam.school_class_id])))["given"])


def records(db: Database, exam: Exam) -> list[Record]:
    rows = db.query("SELECT line FROM exam_record WHERE exam_id = ? ORDER BY number", [exam.id])
    return [exam_chain.read_line(row["line"]) for row in rows]


def find_running(db: Database, school_class_id: str) -> Exam | None:
    return next((exam for exam in running(db) if exam.school_class_id == school_class_id), None)


def running(db: Database) -> list[Exam]:
    return [_exam(row) for row in db.query(f"SELECT {_EXAM} FROM exam WHERE ended_at IS NULL")]  # noqa: S608


def of_class(db: Database, school_class_id: str, *, newest: int) -> list[Exam]:
    """Return the latest exams of a class, the newest first: by order of coming, not by the clock."""
    sql = f"SELECT {_EXAM} FROM exam WHERE school_class_id = ? ORDER BY rowid DESC LIMIT ?"  # noqa: S608
    return [_exam(row) for row in db.query(sql, [school_class_id, newest])]


def get(db: Database, exam_id: str, school_class_id: str) -> Exam:
    """Return an exam of this class.

    Raises:
        NoSuchExam: there is none, or it is another class's.
    """
    sql = f"SELECT {_EXAM} FROM exam WHERE id = ? AND school_class_id = ?"  # noqa: S608
    found = next(db.query(sql, [exam_id, school_class_id]), None)
    if found is None:
        raise NoSuchExam
    return _exam(found)


_EXAM = (
    "id, school_class_id, planned_seconds, elapsed_seconds, boot, ticks, wall, started_at, ended_at, "
    "seal IS NOT NULL AS is_sealed, engine_refusals"
)


def _exam(row: Mapping[str, str]) -> Exam:
    return Exam(
        id=row["id"],
        school_class_id=row["school_class_id"],
        planned_seconds=int(row["planned_seconds"]),
        elapsed_seconds=float(row["elapsed_seconds"]),
        last=Moment(row["boot"], float(row["ticks"]), datetime.fromisoformat(row["wall"])),
        started_at=datetime.fromisoformat(row["started_at"]),
        ended_at=datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else None,
        is_sealed=bool(row["is_sealed"]),
        engine_refusals=int(row["engine_refusals"]),
    )


def _columns(now: Moment) -> dict[str, str | float]:
    return {"boot": now.boot, "ticks": now.ticks, "wall": now.wall.isoformat()}
