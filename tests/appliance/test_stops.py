"""Stops at four levels: who is stopped, who may lift, and that a power cut lifts nothing."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from appliance import policy as policy_of_the_box
from appliance.database import connection, saving
from appliance.people import access, roster
from appliance.permission import stops
from sync import policy
from sync.keys import SigningKey
from sync.policy import REGION_ID_BYTES, Policy
from tests.appliance.test_stream import events
from tests.classroom import PIN, Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

NOW = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)
THIRTY = [f"Learner {number}" for number in range(30)]


def learner_id(classroom: Classroom, name: str) -> str:
    return next(row["id"] for row in classroom.rows("SELECT id, name FROM learner") if row["name"] == name)


@pytest.fixture
def erlan(classroom: Classroom, dana: Browser) -> Browser:
    """Teaches 8B on the same box, and came second."""
    with connection(classroom.database) as db, saving(db):
        other = roster.add_school_class(db, "8B", 8, "kk", now=NOW)
        access.add_teacher(db, other.id, access.hash_pin("314159"), now=NOW)
    browser = classroom.browser()
    assert browser.post("/teacher/login", {"pin": "314159", "school_class": other.id}).status_code == 303
    return browser


def test_thirty_learners_fall_silent_within_two_seconds(
    classroom: Classroom, engine: FakeEngine, dana: Browser
) -> None:
    dana.post("/teacher/learners", {"learners": "\n".join(THIRTY)})
    class_of_thirty = [classroom.joined(name) for name in THIRTY]
    engine.hold()
    for learner in class_of_thirty:
        assert learner.ask("And then?").status_code == 303
    wait_until(lambda: len(engine.requests) == 2, "the engine to be as busy as it gets")
    began = time.monotonic()
    dana.post("/teacher/stop", {"level": "school_class"})
    assert time.monotonic() - began < 2
    assert classroom.value("SELECT count(*) FROM question WHERE state = 'stopped'") == 30
    for learner in class_of_thirty:
        page = learner.page()
        assert "Your teacher has paused AI for the whole class" in page
        assert "Waiting for an answer" not in page
    wait_until(lambda: engine.abandoned == 2, "the engine to be let go")
    engine.go_on()
    assert classroom.value("SELECT count(*) FROM question WHERE state = 'answered'") == 0


def test_each_row_of_the_class_stops_its_learner(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    aigerim_id, bolat_id = learner_id(classroom, "Aigerim"), learner_id(classroom, "Bolat")
    page = dana.get("/teacher").text
    assert f'id="stop-{aigerim_id}"' in page
    assert f'id="stop-{bolat_id}"' in page
    dana.post("/teacher/stop", {"level": "learner", "learner": aigerim_id, "wish": "stop"})
    page = dana.get("/teacher").text
    assert f'id="stop-{aigerim_id}"' not in page
    assert f'id="stop-{bolat_id}"' in page


def test_a_stopped_learner_is_refused_kindly_and_the_neighbour_goes_on(
    classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    dana.post("/teacher/stop", {"level": "learner", "learner": learner_id(classroom, "Aigerim")})
    answer = aigerim.ask("May I?")
    assert answer.status_code == 409
    assert "Your teacher has paused AI for you" in answer.text
    assert "May I?" in answer.text, "the text stays"
    assert bolat.ask("May I?").status_code == 303


def test_a_stop_outlives_the_process_and_ends_when_it_is_lifted(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/stop", {"level": "school_class"})
    classroom.restart()
    dana = classroom.browser()
    dana.post("/teacher/login", {"pin": PIN})
    aigerim = classroom.joined("Aigerim")
    assert aigerim.ask("Now?").status_code == 409
    dana.post("/teacher/stop", {"level": "school_class", "wish": "lift"})
    assert aigerim.ask("Now?").status_code == 303


def test_only_the_school_lifts_what_the_school_has_set(
    classroom: Classroom, dana: Browser, erlan: Browser
) -> None:
    dana.post("/teacher/stop", {"level": "school"})
    assert erlan.post("/teacher/stop", {"level": "school", "wish": "lift"}).status_code == 403
    assert erlan.post("/teacher/stop", {"level": "school"}).status_code == 403
    # A class stop of his own is his to lift; the school's stays.
    assert erlan.post("/teacher/stop", {"level": "school_class"}).status_code == 303
    assert erlan.post("/teacher/stop", {"level": "school_class", "wish": "lift"}).status_code == 303
    rows = classroom.rows("SELECT level FROM stop WHERE lifted_at IS NULL")
    assert rows == [{"level": "school"}]


def test_a_teacher_of_another_class_and_a_learner_change_nothing(
    classroom: Classroom, erlan: Browser, aigerim: Browser
) -> None:
    form = {"level": "learner", "learner": learner_id(classroom, "Aigerim")}
    assert erlan.post("/teacher/stop", form).status_code == 403
    for level in ("learner", "school_class", "school"):
        assert aigerim.post("/teacher/stop", {**form, "level": level}).status_code == 403
        assert classroom.browser().post("/teacher/stop", {**form, "level": level}).status_code == 403
    assert classroom.value("SELECT count(*) FROM stop") == 0


def test_a_stop_that_the_school_set_on_a_class_is_not_the_class_teachers_to_lift(
    classroom: Classroom, dana: Browser, erlan: Browser
) -> None:
    with connection(classroom.database) as db, saving(db):
        other = next(row["id"] for row in db.query("SELECT id FROM school_class WHERE name = '8B'"))
        dana_id, erlan_id = (row["id"] for row in db.query("SELECT id FROM teacher ORDER BY rowid"))
        own = next(row["id"] for row in db.query("SELECT id FROM school_class WHERE name = '7A'"))
        stops.set_stop(db, stops.actor_of(db, dana_id, own), stops.Target(other), now=NOW)
        assert not stops.actor_of(db, erlan_id, other).speaks_for_school
    assert erlan.post("/teacher/stop", {"level": "school_class", "wish": "lift"}).status_code == 403


def test_a_question_that_was_claimed_before_the_stop_never_reaches_the_engine(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.phase = "loading"
    wait_until(lambda: classroom.assistant.state.phase == "loading")
    aigerim.ask("Early?")
    with connection(classroom.database) as db, saving(db):
        own = next(row["id"] for row in db.query("SELECT id FROM school_class"))
        stops.set_stop(db, stops.Actor(own), stops.Target(own), now=NOW)  # as another process would
    engine.phase = "ok"
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT error FROM question") == "class_stopped"
    assert not engine.requests


def test_a_deleted_learner_takes_the_stop_along(classroom: Classroom, dana: Browser) -> None:
    bolat = learner_id(classroom, "Bolat")
    dana.post("/teacher/stop", {"level": "learner", "learner": bolat})
    with connection(classroom.database) as db, saving(db):
        db.execute("DELETE FROM learner WHERE id = ?", [bolat])
    assert classroom.value("SELECT count(*) FROM stop") == 0


def test_a_reader_of_a_stopped_answer_is_told_at_once(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Long?")
    wait_until(lambda: engine.requests)
    seen = events(aigerim)
    assert next(name for name, _ in seen) == "place", "the stream is open"
    dana.post("/teacher/stop", {"level": "school_class"})
    *_, finished, done = seen
    assert "Your teacher has paused AI" in finished[1]["html"]
    assert done[0] == "done"
    engine.go_on()


def test_a_stop_of_the_region_ends_what_runs_and_no_teacher_lifts_it(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Still?")
    wait_until(lambda: engine.requests)
    key, region = SigningKey.from_seed(b"r" * 32), b"R" * REGION_ID_BYTES
    order = Policy(region, 1, NOW, stop=True)
    with connection(classroom.database) as db:
        policy.accept(db, policy.sign_policy(order, key), key.public, region)  # as the sync process does
    wait_until(classroom.all_answered, "the box to notice by itself")
    assert "AI is paused in the whole region" in aigerim.page()
    for level in ("school_class", "school"):
        dana.post("/teacher/stop", {"level": level, "wish": "lift"})
    assert aigerim.ask("Now?").status_code == 409
    with connection(classroom.database) as db:
        policy.accept(db, policy.sign_policy(replace(order, version=2, stop=False), key), key.public, region)
    engine.go_on()
    assert aigerim.ask("Now?").status_code == 303


def test_a_drill_stops_measures_and_lets_go_on(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Interrupted?")
    wait_until(lambda: engine.requests)
    assert dana.post("/teacher/drill").status_code == 303
    drill = classroom.rows("SELECT questions, quiet_ms FROM stop_drill")[0]
    assert drill["questions"] == 1
    assert 0 <= drill["quiet_ms"] < 2000
    assert classroom.value("SELECT count(*) FROM stop WHERE lifted_at IS NULL") == 0
    assert "Quiet after" in dana.page("/teacher/stops")
    engine.go_on()
    assert aigerim.ask("Again?").status_code == 303


def test_a_drill_that_finds_no_quiet_says_so(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.web.control.QUIET_SECONDS", 0.2)
    engine.is_silent = True
    engine.hold()
    aigerim.ask("Hung?")
    wait_until(lambda: engine.requests)
    dana.post("/teacher/drill")
    assert classroom.value("SELECT quiet_ms FROM stop_drill") is None
    assert "not in time" in dana.page("/teacher/stops")
    assert "paused AI" in aigerim.page(), "what the learner sees does not wait for the engine"
    engine.go_on()


def test_no_drill_while_a_stop_or_an_exam_holds(classroom: Classroom, dana: Browser) -> None:
    dana.post("/teacher/stop")
    assert dana.post("/teacher/drill").status_code == 409
    assert classroom.value("SELECT count(*) FROM stop WHERE lifted_at IS NULL") == 1
    dana.post("/teacher/stop", {"wish": "lift"})
    dana.post("/teacher/exam", {"minutes": "15"})
    assert dana.post("/teacher/drill").status_code == 409


def test_the_drill_is_asked_for_a_month_after_the_first_lesson_and_after_each_drill() -> None:
    month = policy_of_the_box.DRILL_PERIOD
    day = timedelta(days=1)
    due = policy_of_the_box.is_drill_due
    assert not due(None, None, NOW), "a class that never had a lesson"
    assert not due(None, NOW, NOW + month)
    assert due(None, NOW, NOW + month + day)
    assert not due(NOW + month, NOW, NOW + 2 * month)
    assert due(NOW + month, NOW, NOW + 2 * month + day)
    assert due(NOW, NOW, NOW - day), "a clock that was set back knows nothing"


def test_the_teachers_page_reminds_of_the_drill(classroom: Classroom, dana: Browser) -> None:
    assert "stop drill is due" not in dana.page("/teacher")
    with connection(classroom.database) as db, saving(db):
        db.execute("UPDATE session SET opened_at = '2025-09-01T08:00:00+00:00'")
    assert "stop drill is due" in dana.page("/teacher")
    dana.post("/teacher/drill")
    assert "stop drill is due" not in dana.page("/teacher")


def test_the_top_of_the_page_says_what_is_stopped_and_offers_to_lift_it(
    classroom: Classroom, dana: Browser, erlan: Browser, aigerim: Browser
) -> None:
    assert "Stop AI for the class" in dana.page("/teacher")
    dana.post("/teacher/stop")
    page = dana.page("/teacher")
    assert "AI is paused for the class." in page
    assert "All was quiet after 0." in page
    assert "Let AI go on for the class" in page
    dana.post("/teacher/stop", {"level": "learner", "learner": learner_id(classroom, "Bolat"), "back": "1"})
    assert "AI is paused for Bolat." in dana.page("/teacher")
    dana.post("/teacher/stop", {"level": "school"})
    page = erlan.page("/teacher")
    assert "AI is paused in the whole school." in page
    assert "Let AI go on in the school" not in page
    assert "The first teacher of this box lifts it." in page
    assert "The whole school" not in erlan.page("/teacher/stops")


def test_the_region_counts_stops_of_classes_but_never_of_a_learner(
    classroom: Classroom, dana: Browser
) -> None:
    dana.post("/teacher/stop", {"level": "learner", "learner": learner_id(classroom, "Bolat")})
    dana.post("/teacher/stop")
    rows = classroom.rows("SELECT kind, learner_id, fields FROM event WHERE kind LIKE 'stop%'")
    assert [row["kind"] for row in rows] == ["stop_set"]
    assert rows[0]["learner_id"] is None
