"""Tasks with their key, and what each learner did with them. The only writer of `task` and `attempt`."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlite_utils import Database

from appliance import events
from appliance.errors import N_, TaskIncomplete, UnknownTask
from appliance.lesson.sessions import Session
from appliance.people.roster import Learner
from appliance.tutor import answers, gift, ladder, numerals
from appliance.tutor.answers import Accepted
from appliance.tutor.gate import Gate, Key
from appliance.tutor.ladder import Standing, Step
from sync.event import Event, Value

# A task is a paragraph, a hint a few sentences.
MAX_TEXT_CHARACTERS = 2_000
MAX_HINT_CHARACTERS = 1_000
MAX_ANSWER_CHARACTERS = 200
MAX_ACCEPTED = 20
HINTS = ("nudge", "principle", "twin")


@dataclass(frozen=True)
class Task:
    id: str
    school_class_id: str
    kind: str  # number, words or choice
    text: str
    accepted: tuple[Accepted, ...]
    choices: tuple[str, ...] = ()
    nudge: str = ""
    principle: str = ""
    twin: str = ""
    solution: str = ""

    def key(self, language: str) -> Key:
        """Return what the gate must hold back while the ladder says so."""
        right = self.accepted[0].text
        return Key(
            tuple(each.text for each in self.accepted),
            task="\n".join((self.text, *self.choices)),
            tolerance=max(each.tolerance for each in self.accepted),
            language=language,
            position=self.choices.index(right) + 1 if right in self.choices else None,
        )

    @property
    def can_be_talked_about(self) -> bool:
        """Of two choices every true word tells which: no model is asked about those."""
        return len(self.choices) != 2


def new_task(fields: dict[str, str], school_class_id: str) -> Task:
    """Return the task a teacher typed: the answers one a line, the right choice with a star before it.

    Raises:
        TaskIncomplete: what is missing, or which hint tells the answer.
    """
    text = fields.get("text", "").replace("\r\n", "\n").strip()
    lines = [line.strip() for line in fields.get("answers", "").splitlines() if line.strip()]
    choices = (
        tuple(line.lstrip("* ") for line in lines) if any(line.startswith("*") for line in lines) else ()
    )
    right = [line.lstrip("* ") for line in lines if line.startswith("*")] if choices else lines
    if not text:
        raise TaskIncomplete(reason=N_("the text of the task is missing"))
    if not right:
        raise TaskIncomplete(reason=N_("the right answer is missing"))
    if choices and (len(right) > 1 or len(choices) == 1 or len(set(choices)) < len(choices)):
        raise TaskIncomplete(reason=N_("of several different choices, exactly one has a star"))
    is_number = not choices and all(numerals.value_of(line) for line in right)
    kind = "choice" if choices else "number" if is_number else "words"
    accepted = tuple(Accepted(line) for line in right)
    told = {name: fields.get(name, "").replace("\r\n", "\n").strip() for name in (*HINTS, "solution")}
    return _verified(Task(secrets.token_hex(8), school_class_id, kind, text, accepted, choices, **told))


def imported(text: str, school_class_id: str) -> list[Task]:
    """Return the tasks of a GIFT text, all or none.

    Raises:
        GiftUnreadable, TaskIncomplete: nothing is imported then.
    """
    return [
        _verified(
            Task(
                secrets.token_hex(8), school_class_id, item.kind, item.text, item.accepted, item.choices,
                solution=item.feedback,
            )
        )
        for item in gift.parse(text)
    ]  # fmt: skip


def _verified(task: Task) -> Task:
    sizes = [(task.text, MAX_TEXT_CHARACTERS), (task.solution, MAX_TEXT_CHARACTERS)]
    sizes += [(getattr(task, name), MAX_HINT_CHARACTERS) for name in HINTS]
    sizes += [(each.text, MAX_ANSWER_CHARACTERS) for each in task.accepted]
    sizes += [(choice, MAX_ANSWER_CHARACTERS) for choice in task.choices]
    if any(len(text) > limit for text, limit in sizes) or len(task.accepted) > MAX_ACCEPTED:
        raise TaskIncomplete(reason=N_("a text is too long"))
    for name in HINTS:
        if _tells(task, getattr(task, name)):
            raise TaskIncomplete(reason=N_("a hint tells the answer"))
    return task


def _tells(task: Task, hint: str) -> bool:
    gate = Gate([task.key("kk"), task.key("en")], by_person=True)
    gate.feed(hint)
    gate.finish()
    return gate.tripped is not None


def save(db: Database, new: Sequence[Task], *, now: datetime) -> None:
    """Add tasks at the end of the list of their class."""
    for task in new:
        last = db.execute(
            "SELECT coalesce(max(position), 0) FROM task WHERE school_class_id = ?", [task.school_class_id]
        ).fetchone()[0]
        accepted = [{"text": each.text, "tolerance": str(each.tolerance)} for each in task.accepted]
        db.table("task").insert(
            {
                "id": task.id,
                "school_class_id": task.school_class_id,
                "kind": task.kind,
                "text": task.text,
                "answers": json.dumps(accepted, ensure_ascii=False),
                "choices": json.dumps(task.choices, ensure_ascii=False),
                "nudge": task.nudge,
                "principle": task.principle,
                "twin": task.twin,
                "solution": task.solution,
                "position": last + 1,
                "created_at": now.isoformat(),
            }
        )


def retire(db: Database, task: Task, *, now: datetime) -> None:
    """Take a task off the list; what learners did with it stays."""
    db.execute("UPDATE task SET retired_at = ? WHERE id = ?", [now.isoformat(), task.id])


def of_class(db: Database, school_class_id: str) -> list[Task]:
    rows = db.query(
        "SELECT * FROM task WHERE school_class_id = ? AND retired_at IS NULL ORDER BY position, id",
        [school_class_id],
    )
    return [_task(row) for row in rows]


def has_any(db: Database, school_class_id: str) -> bool:
    """Return whether there is a list to show; asked on every page of a learner."""
    sql = "SELECT 1 FROM task WHERE school_class_id = ? AND retired_at IS NULL LIMIT 1"
    return db.execute(sql, [school_class_id]).fetchone() is not None


def get(db: Database, task_id: str, school_class_id: str) -> Task:
    """Return a task of this class, on the list or retired.

    Raises:
        UnknownTask: it is not of this class, or there is none.
    """
    rows = db.query("SELECT * FROM task WHERE id = ? AND school_class_id = ?", [task_id, school_class_id])
    found = next(map(_task, rows), None)
    if found is None:
        raise UnknownTask
    return found


def find(db: Database, task_id: str) -> Task | None:
    return next(map(_task, db.query("SELECT * FROM task WHERE id = ?", [task_id])), None)


def standings(db: Database, learner_id: str) -> dict[str, Standing]:
    """Return where a learner stands with each task they have begun."""
    rows = db.query(
        "SELECT task_id, kind, text, is_right, at FROM attempt WHERE learner_id = ? ORDER BY at, rowid",
        [learner_id],
    )
    steps: dict[str, list[Step]] = {}
    for row in rows:
        step = Step(row["kind"], row["text"], bool(row["is_right"]), datetime.fromisoformat(row["at"]))
        steps.setdefault(row["task_id"], []).append(step)
    return {task_id: ladder.standing(of_task) for task_id, of_task in steps.items()}


def last_answer(db: Database, learner_id: str, task_id: str) -> str:
    rows = db.query(
        "SELECT text FROM attempt WHERE learner_id = ? AND task_id = ? AND kind = 'answer' "
        "ORDER BY at DESC, rowid DESC LIMIT 1",
        [learner_id, task_id],
    )
    return next((str(row["text"]) for row in rows), "")


def was_sent(db: Database, submission: str) -> bool:
    return bool(db.table("attempt").count_where("submission = ?", [submission]))


def attempt(
    db: Database,
    session: Session,
    learner: Learner,
    task: Task,
    answer: str,
    *,
    language: str,
    submission: str,
    now: datetime,
) -> Standing:
    """Check an answer, save it with its event, and return where the learner stands now."""
    is_right = answers.is_right(task.kind, task.accepted, answer)
    step = Step("answer", answer, is_right, now)
    reached = _add(db, session, learner, task, step, submission=submission)
    fields: dict[str, Value] = {
        "task_id": task.id,
        "text": answer,
        "rung": reached.rung,
        "result": "right" if is_right else "wrong",
        "language": language,
    }
    events.record(db, Event("attempt_checked", now, session.id, learner.id, fields))
    return reached


def refuse_hint(
    db: Database, session: Session, learner: Learner, task: Task, *, submission: str, now: datetime
) -> Standing:
    """Save that the hint did not help, and return where the learner stands now."""
    return _add(
        db, session, learner, task, Step("no_help", "", is_right=False, at=now), submission=submission
    )


def _add(
    db: Database, session: Session, learner: Learner, task: Task, step: Step, *, submission: str
) -> Standing:
    before = standings(db, learner.id).get(task.id, Standing())
    reached = ladder.after(before, step)
    db.table("attempt").insert(
        {
            "id": secrets.token_hex(8),
            "submission": submission,
            "task_id": task.id,
            "learner_id": learner.id,
            "session_id": session.id,
            "kind": step.kind,
            "text": step.text,
            "is_right": int(step.is_right),
            "rung": reached.rung,
            "at": step.at.isoformat(),
        }
    )
    return reached


def _task(row: dict[str, str]) -> Task:
    accepted = tuple(
        Accepted(each["text"], Fraction(each["tolerance"])) for each in json.loads(row["answers"])
    )
    kept = {name: row[name] for name in ("id", "school_class_id", "kind", "text", *HINTS, "solution")}
    return Task(**kept, accepted=accepted, choices=tuple(json.loads(row["choices"])))
