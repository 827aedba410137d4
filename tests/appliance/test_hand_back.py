"""A child who needs a person gets one, and the region never learns why."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlite_utils import Database

from appliance.database import saving
from appliance.lesson import hand_back, sessions
from appliance.lesson.sessions import Session
from appliance.people import roster
from appliance.people.roster import Learner
from sync.database import open_database
from tests.classroom import Browser, Classroom

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.fixture
def db(classroom: Classroom, dana: Browser) -> Iterator[Database]:
    opened = open_database(classroom.database)
    yield opened
    opened.close()


def learners_and_session(db: Database) -> tuple[Learner, Learner, Session]:
    school_class = roster.find_first_class(db)
    assert school_class is not None
    session = sessions.find_open_session(db, school_class.id)
    assert session is not None
    aigerim, bolat = roster.learners(db, school_class.id)
    return aigerim, bolat, session


def test_a_held_learner_is_found_until_the_teacher_releases_them(db: Database) -> None:
    aigerim, bolat, session = learners_and_session(db)
    with saving(db):
        made = hand_back.hand_back(db, aigerim, session, None, "asked_for_person", NOW)
    assert hand_back.find_held(db, aigerim.id) == made
    assert hand_back.find_held(db, bolat.id) is None
    with saving(db):
        hand_back.release(db, made.id, NOW)
    assert hand_back.find_held(db, aigerim.id) is None
    assert hand_back.open_ones(db, aigerim.school_class_id) == []


def test_a_second_reason_is_not_a_second_hand_back_but_distress_takes_its_place(db: Database) -> None:
    aigerim, _, session = learners_and_session(db)
    with saving(db):
        first = hand_back.hand_back(db, aigerim, session, None, "third_hint", NOW)
        again = hand_back.hand_back(db, aigerim, session, None, "asked_for_person", NOW)
        worse = hand_back.hand_back(db, aigerim, session, None, "distress", NOW)
    assert (first.id, first.reason) == (again.id, again.reason) == (worse.id, "third_hint")
    assert worse.reason == "distress"


def test_distress_comes_first_in_the_teachers_queue_then_the_longest_wait(db: Database) -> None:
    aigerim, bolat, session = learners_and_session(db)
    with saving(db):
        hand_back.hand_back(db, bolat, session, None, "third_hint", NOW - timedelta(minutes=5))
        hand_back.hand_back(db, aigerim, session, None, "distress", NOW)
    waiting = hand_back.open_ones(db, aigerim.school_class_id)
    assert [each.learner_id for each in waiting] == [aigerim.id, bolat.id]


def test_another_class_sees_none_of_them(db: Database) -> None:
    aigerim, _, session = learners_and_session(db)
    with saving(db):
        elsewhere = roster.add_school_class(db, "9B", 9, "ru", now=NOW)
        hand_back.hand_back(db, aigerim, session, None, "third_hint", NOW)
    assert hand_back.open_ones(db, elsewhere.id) == []


def test_distress_leaves_no_event_and_nothing_in_the_outbox(classroom: Classroom, db: Database) -> None:
    aigerim, bolat, session = learners_and_session(db)
    before = classroom.value("SELECT count(*) FROM event"), classroom.value("SELECT count(*) FROM outbox")
    with saving(db):
        hand_back.hand_back(db, aigerim, session, None, "distress", NOW)
    assert before == (
        classroom.value("SELECT count(*) FROM event"),
        classroom.value("SELECT count(*) FROM outbox"),
    )
    with saving(db):
        hand_back.hand_back(db, bolat, session, None, "third_hint", NOW)
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'hand_back'") == 1
