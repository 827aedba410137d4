"""Rules on the pages: what a learner may do, reads when not, and who may change it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from appliance.database import connection, saving
from appliance.people import roster
from appliance.permission import permission, rules
from appliance.permission.permission import Permission
from tests.appliance.test_stops import erlan as erlan
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

TUESDAY_NINE = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock_of_the_wall_is_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as here:
        here.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def permitted(classroom: Classroom, name: str, now: datetime) -> Permission:
    with connection(classroom.database) as db:
        row = next(row for row in db.query("SELECT id FROM learner WHERE name = ?", [name]))
        learner = roster.find_learner(db, row["id"])
        assert learner is not None
        return permission.look(db, learner, now=now)


def add(dana: Browser, **fields: str):
    return dana.post("/teacher/rules", {"wish": "add", **fields})


def test_a_class_without_rules_is_open(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    assert permitted(classroom, "Aigerim", TUESDAY_NINE) == Permission("open")
    assert "Now: Open" in dana.page("/teacher/rules")


def test_off_refuses_with_a_reason_and_something_to_do(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/rules", {"wish": "general", "mode": "off", "minutes": "0"})
    answer = aigerim.ask("May I?")
    assert answer.status_code == 409
    assert "that is a rule of your class" in answer.text
    assert "Go on with your book" in answer.text
    assert "May I?" in answer.text
    assert "Now: Off" in dana.page("/teacher/rules")


def test_hints_only_is_said_to_the_learner(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    dana.post("/teacher/rules", {"wish": "general", "mode": "hints", "minutes": "0"})
    assert "Hints only now" in aigerim.page()
    assert permitted(classroom, "Aigerim", TUESDAY_NINE).mode == "hints"


def test_a_rule_of_the_timetable_says_until_when(classroom: Classroom, dana: Browser) -> None:
    assert add(dana, mode="off", weekday="1", begins="08:45", ends="09:30").status_code == 303
    refusal = permitted(classroom, "Aigerim", TUESDAY_NINE).refusal
    assert refusal is not None
    assert "AI is off until 09:30" in str(refusal)
    assert permitted(classroom, "Aigerim", TUESDAY_NINE + timedelta(minutes=30)).refusal is None
    assert permitted(classroom, "Aigerim", TUESDAY_NINE + timedelta(days=1)).refusal is None
    page = dana.page("/teacher/rules")
    assert "Tuesday · 08:45–09:30" in page


def test_a_rule_for_a_subject_counts_when_the_teacher_says_what_is_taught(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    add(dana, mode="off", subject="mathematics")
    assert permitted(classroom, "Aigerim", TUESDAY_NINE).refusal is None
    dana.post("/teacher/rules", {"wish": "subject", "subject": "mathematics"})
    assert permitted(classroom, "Aigerim", TUESDAY_NINE).mode == "off"
    dana.post("/teacher/rules", {"wish": "subject", "subject": "history"})
    assert permitted(classroom, "Aigerim", TUESDAY_NINE).refusal is None
    dana.post("/teacher/session", {"wish": "close"})
    assert dana.post("/teacher/rules", {"wish": "subject", "subject": "history"}).status_code == 409


def test_a_rule_is_removed_and_only_by_its_own_class(
    classroom: Classroom, dana: Browser, erlan: Browser, aigerim: Browser
) -> None:
    add(dana, mode="off", subject="history")
    rule = classroom.value("SELECT id FROM class_rule")
    erlan.post("/teacher/rules", {"wish": "remove", "rule": rule})
    assert aigerim.post("/teacher/rules", {"wish": "remove", "rule": rule}).status_code == 403
    assert aigerim.get("/teacher/rules").status_code == 403
    assert classroom.value("SELECT count(*) FROM class_rule") == 1
    dana.post("/teacher/rules", {"wish": "remove", "rule": rule})
    assert classroom.value("SELECT count(*) FROM class_rule") == 0


def test_rules_of_one_class_are_not_the_others(classroom: Classroom, dana: Browser, erlan: Browser) -> None:
    erlan.post("/teacher/rules", {"wish": "general", "mode": "off", "minutes": "10"})
    assert permitted(classroom, "Aigerim", TUESDAY_NINE) == Permission("open")


def test_minutes_are_counted_and_end_with_a_kind_word(
    classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    dana.post("/teacher/rules", {"wish": "general", "mode": "open", "minutes": "10"})
    for _ in range(5):
        aigerim.ask("And?")
        wait_until(classroom.all_answered)
    start = datetime.now(UTC).replace(hour=12)
    with connection(classroom.database) as db, saving(db):
        rows = [row["id"] for row in db.query("SELECT id FROM question ORDER BY asked_at")]
        for number, row in enumerate(rows[:4]):
            at = start + timedelta(minutes=10 * number)
            db.execute("UPDATE question SET asked_at = ? WHERE id = ?", [at.isoformat(), row])
        db.execute("DELETE FROM question WHERE id = ?", [rows[4]])
    later = start + timedelta(hours=2)
    assert permitted(classroom, "Aigerim", later).minutes_left == 2
    with connection(classroom.database) as db, saving(db):
        at = start + timedelta(minutes=50)
        db.execute("UPDATE question SET asked_at = ? WHERE id = ?", [at.isoformat(), rows[0]])
        db.execute("UPDATE class_limit SET minutes = 8")
    refusal = permitted(classroom, "Aigerim", later).refusal
    assert refusal is not None
    assert "Your 8 minutes of AI for today are used up" in str(refusal)
    assert permitted(classroom, "Bolat", later).minutes_left == 8
    assert permitted(classroom, "Aigerim", later + timedelta(days=1)).minutes_left == 8


def test_who_needs_more_time_has_more(classroom: Classroom, dana: Browser) -> None:
    dana.post("/teacher/rules", {"wish": "general", "mode": "open", "minutes": "10"})
    with connection(classroom.database) as db, saving(db):
        row = next(db.query("SELECT id FROM learner WHERE name = 'Bolat'"))
        db.execute(
            "INSERT INTO accommodation VALUES (?, '', 100, '', '', 0, 50)",
            [row["id"]],
        )
    assert permitted(classroom, "Bolat", TUESDAY_NINE).minutes_left == 15


def test_a_question_that_waited_into_a_rule_ends_with_the_reason(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.phase = "loading"
    wait_until(lambda: classroom.assistant.state.phase == "loading")
    aigerim.ask("Early?")
    dana.post("/teacher/rules", {"wish": "general", "mode": "off", "minutes": "0"})
    engine.phase = "ok"
    wait_until(classroom.all_answered)
    assert not engine.requests
    assert "that is a rule of your class" in aigerim.page()


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "material"},
        {"mode": "everything"},
        {"mode": "off", "subject": "alchemy"},
        {"mode": "off", "weekday": "7"},
        {"mode": "off", "weekday": "٣"},
        {"mode": "off", "begins": "09:00"},
        {"mode": "off", "ends": "09:00"},
        {"mode": "off", "begins": "09:00", "ends": "09:00"},
        {"mode": "off", "begins": "10:00", "ends": "09:00"},
        {"mode": "off", "begins": "24:00", "ends": "25:00"},
        {"mode": "off", "begins": "9", "ends": "10"},
        {},
    ],
)
def test_a_rule_that_is_none_is_refused_and_the_form_stays_open(
    classroom: Classroom, dana: Browser, fields: dict[str, str]
) -> None:
    answer = add(dana, **fields)
    assert answer.status_code == 400
    assert "<details open>" in answer.text
    assert classroom.value("SELECT count(*) FROM class_rule") == 0


@pytest.mark.parametrize(
    "form",
    [
        {"wish": "general", "mode": "open", "minutes": "7"},
        {"wish": "general", "mode": "material", "minutes": "0"},
        {"wish": "general"},
        {"wish": "subject", "subject": "alchemy"},
        {"wish": "dance"},
        {},
    ],
)
def test_a_form_that_wants_nothing_known_changes_nothing(
    classroom: Classroom, dana: Browser, form: dict[str, str]
) -> None:
    assert dana.post("/teacher/rules", form).status_code == 400
    assert classroom.value("SELECT count(*) FROM class_rule") == 0
    assert classroom.value("SELECT count(*) FROM class_limit") == 0


def test_rules_come_to_an_end(classroom: Classroom, dana: Browser) -> None:
    for number in range(rules.MAX_RULES):
        hour, minute = divmod(number * 10, 60)
        answer = add(dana, mode="off", begins=f"{hour:02}:{minute:02}", ends=f"{hour:02}:{minute + 5:02}")
        assert answer.status_code == 303
    assert add(dana, mode="off", subject="history").status_code == 400


def test_a_rule_for_always_is_the_general_one(classroom: Classroom, dana: Browser) -> None:
    add(dana, mode="hints")
    add(dana, mode="off")
    assert classroom.rows("SELECT mode FROM class_rule") == [{"mode": "off"}]
