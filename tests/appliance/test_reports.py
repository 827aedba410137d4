"""The report of a lesson says what the tables say, names nobody, and computes nothing in a spreadsheet."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest

from appliance.database import connection, saving
from appliance.lesson import hand_back, sessions
from appliance.lesson.reports import as_csv, harmless, minutes_with, repeated_questions, report
from appliance.people import roster
from tests.classroom import Browser, Classroom, wait_until

OPENED = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SAME = "How do I add fractions?"


@pytest.fixture
def lesson(classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser) -> str:
    """A lesson with a bit of everything; returns its id."""
    for browser, text in (
        (aigerim, SAME),
        (bolat, "how do I add fractions"),
        (bolat, "=HYPERLINK(\"http://198.51.100.7\")"),
    ):  # fmt: skip
        browser.ask(text)
        wait_until(classroom.all_answered)
    aigerim.post(
        f"/why/{classroom.value('SELECT id FROM question ORDER BY asked_at LIMIT 1')}/contest",
        {"reason": "wrong"},
    )
    dana.post("/teacher/stop", {"level": "school_class", "wish": "stop"})
    aigerim.ask("Refused?")
    bolat.ask("Refused too?")
    dana.post("/teacher/stop", {"level": "school_class", "wish": "lift"})
    with connection(classroom.database) as db, saving(db):
        school_class = roster.find_first_class(db)
        session = sessions.find_open_session(db, school_class.id)
        for learner, reason in zip(
            roster.learners(db, school_class.id), ("third_hint", "distress"), strict=True
        ):
            hand_back.hand_back(db, learner, session, None, reason, datetime.now(UTC))
            db.table("attempt").insert_all(attempts(db, school_class.id, session.id, learner.id))
    dana.post("/teacher/session", {"wish": "close"})
    stretch(classroom, session.id)
    return session.id


def attempts(db, school_class_id: str, session_id: str, learner_id: str) -> list[dict[str, object]]:  # type: ignore[no-untyped-def]
    if not db.table("task").count:
        db.table("task").insert_all(
            [
                {"id": f"task-{number}", "school_class_id": school_class_id, "kind": "number", "text": text,
                 "answers": "[5]", "position": number, "created_at": OPENED.isoformat()}
                for number, text in enumerate(("2 + 3 = ?", "10 / 2 = ?"))
            ]
        )  # fmt: skip
    made = [("task-0", 0), ("task-0", 0), ("task-1", 1)]
    return [
        {"id": f"{learner_id}-{number}", "submission": f"{learner_id}-{number}", "task_id": task,
         "learner_id": learner_id, "session_id": session_id, "kind": "answer", "text": "4", "is_right": right,
         "rung": 0, "at": OPENED.isoformat()}
        for number, (task, right) in enumerate(made)
    ]  # fmt: skip


def stretch(classroom: Classroom, session_id: str) -> None:
    """Move the lesson's times to known minutes: 40 minutes, AI at work in four of them."""
    with connection(classroom.database) as db, saving(db):
        db.execute(
            "UPDATE session SET opened_at = ?, closed_at = ?",
            [OPENED.isoformat(), (OPENED + timedelta(minutes=40)).isoformat()],
        )
        ids = [row["id"] for row in db.query("SELECT id FROM question ORDER BY asked_at, id")]
        for question_id, begin, end in zip(ids, (60, 70, 605), (185, 75, 650), strict=True):
            db.execute(
                "UPDATE question SET asked_at = ?, finished_at = ? WHERE id = ?",
                [(OPENED + timedelta(seconds=second)).isoformat() for second in (begin, end)] + [question_id],
            )


MINUTES_BY_SQL = """
    WITH RECURSIVE minute(number, begins) AS (
        SELECT 0, julianday(opened_at) FROM session
        UNION ALL SELECT number + 1, begins + 1.0 / 1440 FROM minute, session
        WHERE number + 1 < round((julianday(closed_at) - julianday(opened_at)) * 1440)
    )
    SELECT count(*) AS all_minutes, sum(EXISTS (
        SELECT 1 FROM question
        WHERE julianday(asked_at) < begins + 1.0 / 1440 AND julianday(finished_at) >= begins
    )) AS with_ai FROM minute
"""


def test_every_figure_equals_sql(classroom: Classroom, dana: Browser, lesson: str) -> None:
    told = dana.get(f"/teacher/reports/{lesson}.json").json
    by_sql = classroom.rows(MINUTES_BY_SQL)[0]
    assert (told["minutes_with_ai"], told["minutes_without_ai"]) == (4, 36)
    assert by_sql == {"all_minutes": 40, "with_ai": 4}
    assert len(told["questions"]) == classroom.value("SELECT count(*) FROM question") == 3
    assert told["joined"] == classroom.value("SELECT count(DISTINCT learner_id) FROM question") == 2
    assert told["contests"] == told["open_contests"] == classroom.value("SELECT count(*) FROM contest") == 1
    assert sum(told["hand_backs"].values()) == classroom.value("SELECT count(*) FROM hand_back") == 2
    assert sum(told["refusals"].values()) == 2
    assert list(told["refusals"]) == ["class_stopped"]
    assert told["repeated"] == [{"text": SAME, "learners": 2}]
    hard = classroom.rows(
        "SELECT count(DISTINCT learner_id) AS tried, sum(1 - is_right) AS wrong "
        "FROM attempt WHERE task_id = 'task-0'"
    )[0]
    assert told["hard_tasks"] == [{"text": "2 + 3 = ?", "solved": 0, **hard}]


def test_page_table_and_document_say_the_same(dana: Browser, lesson: str) -> None:
    told = dana.get(f"/teacher/reports/{lesson}.json").json
    page = dana.page(f"/teacher/reports/{lesson}")
    rows = list(csv.reader(io.StringIO(dana.get(f"/teacher/reports/{lesson}.csv").text.lstrip("\ufeff"))))
    table = {(section, item): value for section, item, value, *_ in rows}
    assert table["minutes", "with_ai"] == str(told["minutes_with_ai"]) == "4"
    assert table["questions", "asked"] == str(len(told["questions"]))
    assert table["same_question", "learners"] == "2"
    for words in ("minutes with AI", "2 + 3 = ?", SAME, "three hints did not help", "has paused AI"):
        assert words in page, words


def test_nobody_is_named_and_distress_is_not_told_apart(dana: Browser, lesson: str) -> None:
    for path in (lesson, f"{lesson}.csv", f"{lesson}.json"):
        text = dana.get(f"/teacher/reports/{path}").text
        for secret in ("Aigerim", "Bolat", "distress", "learner_id"):
            assert secret not in text, (path, secret)
    assert dana.get(f"/teacher/reports/{lesson}.json").json["hand_backs"] == {"third_hint": 1, "other": 1}


def test_no_cell_of_the_table_is_a_formula(dana: Browser, lesson: str) -> None:
    answer = dana.get(f"/teacher/reports/{lesson}.csv")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sandyq.csv"'
    rows = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff"))))
    assert any("'=HYPERLINK" in cell for row in rows for cell in row)
    assert not [cell for row in rows for cell in row if cell.lstrip().startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "\u00a0=1", "=cmd|' /C calc'!A0"],
)
def test_formulas_are_shown_and_not_computed(cell: str) -> None:
    assert harmless(cell).startswith("'")


def test_harmless_text_is_left_as_it_is() -> None:
    for cell in ("What is 2 + 2?", "Сұрақ", "", "7A", 5):
        assert harmless(cell) == str(cell)


def test_ai_texts_are_marked_in_page_table_and_document(dana: Browser, lesson: str) -> None:
    for path in (lesson, f"{lesson}.csv", f"{lesson}.json"):
        assert dana.get(f"/teacher/reports/{path}").headers["X-AI-Generated"] == "partly"
    assert '<div class="answer" data-generator="ai"' in dana.get(f"/teacher/reports/{lesson}").text
    assert {q["answer_generator"] for q in dana.get(f"/teacher/reports/{lesson}.json").json["questions"]} == {
        "ai"
    }
    rows = csv.DictReader(io.StringIO(dana.get(f"/teacher/reports/{lesson}.csv").text.lstrip("\ufeff")))
    writers = {
        (row["section"], row["written_by"]) for row in rows if row["section"] in ("question", "answer")
    }
    assert writers == {("question", "person"), ("answer", "ai")}


def test_a_spreadsheet_in_kazakhstan_opens_it_in_columns(dana: Browser, lesson: str) -> None:
    text = dana.get(f"/teacher/reports/{lesson}.csv?lang=kk").text
    assert text.startswith("\ufeffsection;item;value;text;written_by")


def test_only_the_teacher_of_the_class_reads_it(
    classroom: Classroom, dana: Browser, aigerim: Browser, lesson: str
) -> None:
    for browser in (aigerim, classroom.browser()):
        for path in ("", f"/{lesson}", f"/{lesson}.csv", f"/{lesson}.json"):
            assert browser.get(f"/teacher/reports{path}").status_code == 403
    assert dana.get("/teacher/reports/nothing").status_code == 404
    assert dana.get("/teacher/reports/nothing.csv").status_code == 404


def test_the_list_leads_to_each_lesson(dana: Browser, lesson: str) -> None:
    assert re.search(rf'href="/teacher/reports/{lesson}"', dana.get("/teacher/reports").text)


def test_an_empty_lesson_has_a_report_without_trouble(classroom: Classroom, dana: Browser) -> None:
    session_id = classroom.value("SELECT id FROM session")
    page = dana.get(f"/teacher/reports/{session_id}")
    assert page.status_code == 200
    assert "Nothing was asked." in page.text


def minute(*spans: tuple[int, int], minutes: int = 3) -> tuple[bool, ...]:
    at = lambda second: OPENED + timedelta(seconds=second)  # noqa: E731
    return minutes_with([(at(a), at(b)) for a, b in spans], OPENED, at(60 * minutes))


def test_a_minute_is_with_ai_when_an_answer_touches_it() -> None:
    assert minute() == (False, False, False)
    assert minute((0, 0)) == (True, False, False)
    assert minute((59, 61)) == (True, True, False)
    assert minute((10, 170)) == (True, True, True)
    assert minute((10, 20), (15, 18)) == (True, False, False)
    assert minutes_with([], OPENED, OPENED - timedelta(hours=1)) == (), "a clock that was set back"
    assert len(minutes_with([], OPENED, OPENED + timedelta(seconds=61))) == 2, "a minute begun counts"


def test_one_learner_alone_makes_no_common_question() -> None:
    assert repeated_questions([("a", "Why?"), ("a", "why"), ("b", "How?")]) == ()
    assert repeated_questions([("a", "Why?"), ("b", "why!")]) == (("Why?", 2),)


def test_refusals_of_rules_are_counted_and_slips_are_not(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    aigerim.ask("")
    aigerim.ask("x" * 3000)
    assert not classroom.value("SELECT count(*) FROM event WHERE kind = 'question_refused'")
    dana.post("/teacher/stop", {"level": "school_class", "wish": "stop"})
    aigerim.ask("Now?")
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'question_refused'") == 1


def test_the_report_of_a_deleted_learner_counts_what_is_left(
    classroom: Classroom, dana: Browser, lesson: str
) -> None:
    learner_id = classroom.value("SELECT id FROM learner WHERE name = 'Bolat'")
    dana.post(f"/teacher/learners/{learner_id}/delete", {"sure": "yes"})
    assert len(dana.get(f"/teacher/reports/{lesson}.json").json["questions"]) == 1


def test_the_csv_of_hostile_texts_is_read_back_whole(
    classroom: Classroom, dana: Browser, lesson: str
) -> None:
    hostile = 'a"b;c,d\r\n=1+1\x00'
    with connection(classroom.database) as db, saving(db):
        db.execute("UPDATE question SET text = ?", [hostile])
    with connection(classroom.database) as db:
        found = report(db, roster.find_first_class(db), lesson, now=OPENED)
        rows = list(csv.reader(io.StringIO(as_csv(found, ",").lstrip("\ufeff"), newline="")))
    assert [row[3] for row in rows if row[0] == "question"] == ['a"b;c,d\r\n=1+1'] * 3
