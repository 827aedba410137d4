"""What happened in one lesson: for the teacher, on paper and as a table. Reads, never writes.

Every figure is about the class. There is no learner in it, no order of learners and nothing about the
teacher's own work: a report that ranks people would be asked for by somebody above them.
"""

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlite_utils import Database

from appliance import labels
from appliance.errors import NotFound
from appliance.people.roster import SchoolClass

MINUTE = timedelta(minutes=1)
# A lesson that nobody closed ends for the report after this; no school has longer ones.
LONGEST_LESSON = timedelta(hours=4)
# The same question of so many learners is the class's question.
LEAST_ASKERS = 2
# A spreadsheet takes what begins like this for a formula (OWASP, "CSV injection"); the last four are the
# full-width forms that some of them fold.
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
# Reasons that are told apart on paper. Distress is not: the sheet may lie on a desk.
TOLD_REASONS = ("asked_for_person", "third_hint", "low_confidence")


@dataclass(frozen=True)
class Asked:
    at: datetime
    text: str
    language: str
    state: str
    seconds: int | None
    answer: str
    model: str

    @property
    def is_by_ai(self) -> bool:
        return bool(self.model and self.answer)


@dataclass(frozen=True)
class HardTask:
    """A task that not everybody who tried has solved."""

    text: str
    tried: int
    solved: int
    wrong: int


@dataclass(frozen=True)
class LessonReport:
    session_id: str
    school_class: str
    opened_at: datetime
    closed_at: datetime | None
    joined: int
    minutes: tuple[bool, ...]  # each minute of the lesson: was AI at work in it?
    asked: tuple[Asked, ...]
    repeated: tuple[tuple[str, int], ...]  # a question, and how many learners asked it
    hard_tasks: tuple[HardTask, ...]
    refusals: tuple[tuple[str, int], ...]
    hand_backs: tuple[tuple[str, int], ...]
    contests: int
    open_contests: int

    @property
    def minutes_with_ai(self) -> int:
        return sum(self.minutes)

    @property
    def minutes_without_ai(self) -> int:
        return len(self.minutes) - self.minutes_with_ai

    def count(self, state: str) -> int:
        return sum(question.state == state for question in self.asked)


def lessons(db: Database, school_class_id: str, *, newest: int) -> list[dict[str, Any]]:
    """Return the latest lessons of a class: id, times, and how much was asked."""
    return list(
        db.query(
            "SELECT id, opened_at, closed_at, "
            "(SELECT count(*) FROM question WHERE session_id = session.id) AS asked FROM session "
            "WHERE school_class_id = ? ORDER BY opened_at DESC, id LIMIT ?",
            [school_class_id, newest],
        )
    )


def report(db: Database, school_class: SchoolClass, session_id: str, *, now: datetime) -> LessonReport:
    """Return what happened in a lesson of this class.

    Raises:
        NotFound: the class had no such lesson.
    """
    sql = "SELECT opened_at, closed_at FROM session WHERE id = ? AND school_class_id = ?"
    row = next(iter(db.query(sql, [session_id, school_class.id])), None)
    if row is None:
        raise NotFound
    opened_at = datetime.fromisoformat(row["opened_at"])
    closed_at = datetime.fromisoformat(row["closed_at"]) if row["closed_at"] else None
    until = min(closed_at or now, opened_at + LONGEST_LESSON)
    rows = list(db.query("SELECT * FROM question WHERE session_id = ? ORDER BY asked_at, id", [session_id]))
    spans = [(_time(one["asked_at"]), _time(one["finished_at"]) or until) for one in rows]
    contests = [row["decision"] for row in db.query(_CONTESTS, [session_id])]
    return LessonReport(
        session_id,
        school_class.name,
        opened_at,
        closed_at,
        joined=_count(db, _JOINED, session_id),
        minutes=minutes_with(spans, opened_at, until),
        asked=tuple(map(_asked, rows)),
        repeated=repeated_questions((one["learner_id"], one["text"]) for one in rows),
        hard_tasks=tuple(HardTask(**one) for one in db.query(_HARD_TASKS, [session_id])),
        refusals=_counts(db, _REFUSALS, session_id),
        hand_backs=_told(_counts(db, _HAND_BACKS, session_id)),
        contests=len(contests),
        open_contests=contests.count(None),
    )


def minutes_with(
    spans: Sequence[tuple[datetime | None, datetime]], opened_at: datetime, until: datetime
) -> tuple[bool, ...]:
    """Return for each minute begun of a lesson whether one of the spans touches it."""
    count = max(0, -((opened_at - until) // MINUTE))
    starts = [opened_at + number * MINUTE for number in range(count)]
    return tuple(
        any(begin is not None and begin < start + MINUTE and end >= start for begin, end in spans)
        for start in starts
    )


def repeated_questions(asked: Iterable[tuple[str, str]]) -> tuple[tuple[str, int], ...]:
    """Return the questions that several learners asked in the same words, the most asked first."""
    askers: dict[str, set[str]] = defaultdict(set)
    texts: dict[str, str] = {}
    for learner_id, text in asked:
        words = " ".join(re.findall(r"\w+", text.casefold()))
        askers[words].add(learner_id)
        texts.setdefault(words, text)
    common = [(texts[words], len(who)) for words, who in askers.items() if len(who) >= LEAST_ASKERS]
    return tuple(sorted(common, key=lambda found: (-found[1], found[0])))


def as_csv(lesson: LessonReport, separator: str) -> str:
    """Return the report as a table: first the figures, then each question with who wrote what.

    With the mark that makes a spreadsheet read UTF-8. No cell can act as a formula.
    """
    sheet = io.StringIO()
    writer = csv.writer(sheet, delimiter=separator, lineterminator="\r\n")
    writer.writerow(["section", "item", "value", "text", "written_by"])
    for row in _csv_rows(lesson):
        writer.writerow([harmless(cell) for cell in row])
    return "\ufeff" + sheet.getvalue()


def harmless(cell: object) -> str:
    """Return a cell that a spreadsheet shows and never computes."""
    text = "" if cell is None else str(cell).replace("\x00", "")
    is_formula = text.lstrip(" \u00a0").startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula else text


def _csv_rows(lesson: LessonReport) -> Iterable[tuple[object, ...]]:
    closed = lesson.closed_at.isoformat() if lesson.closed_at else ""
    yield ("lesson", "school_class", lesson.school_class, "", "person")
    yield ("lesson", "opened_at", lesson.opened_at.isoformat(), "", "")
    yield ("lesson", "closed_at", closed, "", "")
    yield ("lesson", "learners_joined", lesson.joined, "", "")
    yield ("minutes", "with_ai", lesson.minutes_with_ai, "", "")
    yield ("minutes", "without_ai", lesson.minutes_without_ai, "", "")
    yield ("questions", "asked", len(lesson.asked), "", "")
    for state in ("answered", "failed", "stopped"):
        yield ("questions", state, lesson.count(state), "", "")
    yield ("disagreements", "all", lesson.contests, "", "")
    yield ("disagreements", "open", lesson.open_contests, "", "")
    yield from (("refusals", reason, count, "", "") for reason, count in lesson.refusals)
    yield from (("hand_backs", reason, count, "", "") for reason, count in lesson.hand_backs)
    yield from (("same_question", "learners", count, text, "person") for text, count in lesson.repeated)
    for task in lesson.hard_tasks:
        yield ("hard_task", "tried", task.tried, task.text, "person")
        yield ("hard_task", "solved", task.solved, task.text, "person")
        yield ("hard_task", "wrong_answers", task.wrong, task.text, "person")
    for asked in lesson.asked:
        yield ("question", asked.at.isoformat(), asked.state, asked.text, "person")
        if asked.answer:
            writer = labels.AI if asked.is_by_ai else "person"
            yield ("answer", asked.at.isoformat(), asked.model, asked.answer, writer)


def _asked(row: dict[str, Any]) -> Asked:
    at, finished_at = datetime.fromisoformat(row["asked_at"]), _time(row["finished_at"])
    return Asked(
        at,
        row["text"],
        row["language"],
        row["state"],
        round((finished_at - at).total_seconds()) if finished_at else None,
        row["answer"] or "",
        row["model"] or "",
    )


def _told(reasons: Sequence[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    counts: Counter[str] = Counter()
    for reason, count in reasons:
        counts[reason if reason in TOLD_REASONS else "other"] += count
    return tuple(sorted(counts.items()))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _count(db: Database, sql: str, session_id: str) -> int:
    return int(db.execute(sql, [session_id]).fetchone()[0])


def _counts(db: Database, sql: str, session_id: str) -> tuple[tuple[str, int], ...]:
    return tuple((str(reason), int(count)) for reason, count in db.execute(sql, [session_id]).fetchall())


_JOINED = "SELECT count(DISTINCT learner_id) FROM event WHERE kind = 'learner_joined' AND session_id = ?"
_REFUSALS = """
    SELECT json_extract(fields, '$.reason') AS reason, count(*) FROM event
    WHERE kind = 'question_refused' AND session_id = ? GROUP BY 1 ORDER BY 1
"""
_HAND_BACKS = "SELECT reason, count(*) FROM hand_back WHERE session_id = ? GROUP BY 1 ORDER BY 1"
_CONTESTS = """
    SELECT contest.decision FROM contest JOIN question ON question.id = contest.question_id
    WHERE question.session_id = ?
"""
_HARD_TASKS = """
    SELECT task.text AS text, count(DISTINCT learner_id) AS tried,
           count(DISTINCT CASE WHEN is_right THEN learner_id END) AS solved,
           sum(NOT is_right AND attempt.kind = 'answer') AS wrong
    FROM attempt JOIN task ON task.id = attempt.task_id WHERE attempt.session_id = ?
    GROUP BY task.id HAVING solved < tried OR wrong > 0
    ORDER BY solved - tried, wrong DESC, task.id
"""
