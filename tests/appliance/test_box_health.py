"""The box tells the region of itself once a day, and of nobody."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.care import box_health
from appliance.care.health import Reading
from appliance.database import connection, saving
from appliance.lesson.sessions import Session
from sync.event import KINDS
from tests.classroom import Classroom

NOW = datetime(2026, 9, 7, 5, tzinfo=UTC)
READINGS = (Reading("heat", 0.8, "77 °C", "watch"), Reading("disk", 0.9, "27 / 30 GiB", "good"))


def test_two_lessons_of_a_day_say_it_once_and_the_next_day_says_it_again(classroom: Classroom) -> None:
    with connection(classroom.database) as db, saving(db):
        session = Session("lesson", "7A", NOW)
        for hours in (0, 2, 24):
            box_health.note(db, session, READINGS, now=NOW + timedelta(hours=hours))
        told = db.execute("SELECT fields FROM event WHERE kind = 'box_health'").fetchall()
    assert len(told) == 2
    assert '"disk": "good", "heat": "watch"' in told[0][0]


@pytest.mark.parametrize(
    ("text", "number"),
    [("0.1.0", 1_000), ("1.2.3", 1_002_003), ("2.0.0rc1", 2_000_000), ("7", 7_000_000), ("", 0)],
)
def test_versions_are_numbers_that_compare(text: str, number: int) -> None:
    assert box_health.software_number(text) == number


def test_nothing_of_it_is_about_anybody() -> None:
    assert set(KINDS["box_health"].fields) == {"software", "disk", "heat"}
    assert [name for name, kind in KINDS.items() if kind.is_of_machine] == ["box_health"]
