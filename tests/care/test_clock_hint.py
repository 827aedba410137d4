"""A teacher's phone tells a box without a clock battery the day: forward, in bounds, never for certain."""

import ast
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.care import senses
from sync import boots
from sync.clock import BUILT, LEAST_HINT, LONGEST_SILENCE, Boot, Quality, Reading, may_hint, true_time
from sync.database import open_database
from tests.classroom import PIN, SETUP, Browser, Classroom

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
TODAY = BUILT + timedelta(days=40)


class Machine:
    """The clocks of one box; the wall shows 1970, as after a power cut without a battery."""

    def __init__(self) -> None:
        self.boot, self.seconds, self.start = "boot-1", 100.0, EPOCH_START

    def read(self) -> Reading:
        return Reading(self.boot, self.seconds, self.start + timedelta(seconds=self.seconds))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(boots, "read", found.read)
    monkeypatch.setattr(senses, "is_synchronised", lambda: False)
    return found


def log_in(browser: Browser, shown: datetime | str, pin: str = PIN) -> int:
    clock = shown if isinstance(shown, str) else str(round(shown.timestamp() * 1000))
    return browser.post("/teacher/login", {"pin": pin, "clock": clock}).status_code


def known(classroom: Classroom) -> tuple[datetime, Quality]:
    with closing(open_database(classroom.database)) as db:
        moment = boots.now(db)
        return moment.at or EPOCH_START, moment.quality


def test_the_box_knows_the_day_after_the_teacher_has_logged_in(
    classroom: Classroom, dana: Browser, machine: Machine
) -> None:
    assert known(classroom) == (BUILT, Quality.UNKNOWN)
    assert "does not know the date" in dana.page("/teacher")
    assert log_in(classroom.browser(), TODAY) == 303
    assert known(classroom) == (TODAY, Quality.UNCONFIRMED)
    assert "does not know the date" not in dana.page("/teacher")
    machine.seconds += 3600
    assert known(classroom)[0] == TODAY + timedelta(hours=1)
    machine.boot, machine.seconds = "boot-2", 5.0
    assert known(classroom)[1] is Quality.UNKNOWN, "forgotten with this start"


def test_the_first_teacher_hints_while_setting_the_box_up(classroom: Classroom, machine: Machine) -> None:
    clock = {"clock": str(round(TODAY.timestamp() * 1000))}
    assert classroom.browser().post("/setup", SETUP | clock).status_code == 303
    assert known(classroom) == (TODAY, Quality.UNCONFIRMED)


@pytest.mark.parametrize(
    "shown",
    [
        *("", "soon", "-5", "1e12", "9" * 13, "9" * 5000, "٣٤٥", "0x12"),
        EPOCH_START,
        BUILT - timedelta(seconds=1),
        BUILT + LONGEST_SILENCE + timedelta(seconds=1),
    ],
)
def test_nonsense_and_times_out_of_bounds_are_not_heard(
    classroom: Classroom, dana: Browser, machine: Machine, shown: datetime | str
) -> None:
    assert log_in(classroom.browser(), shown) == 303, "the log-in goes on"
    assert known(classroom)[1] is Quality.UNKNOWN


def test_only_a_teacher_with_the_right_pin_is_heard(
    classroom: Classroom, dana: Browser, aigerim: Browser, machine: Machine
) -> None:
    assert log_in(classroom.browser(), TODAY, pin="000000") == 403
    assert log_in(aigerim, TODAY, pin="000000") == 403
    aigerim.post("/welcome", {"clock": str(round(TODAY.timestamp() * 1000))})
    assert known(classroom)[1] is Quality.UNKNOWN


def test_time_never_goes_back_and_what_is_certain_wins(
    classroom: Classroom, dana: Browser, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(classroom.browser(), TODAY)
    log_in(classroom.browser(), TODAY - timedelta(days=3))
    assert known(classroom)[0] == TODAY
    log_in(classroom.browser(), TODAY + timedelta(days=2))
    assert known(classroom)[0] == TODAY + timedelta(days=2)
    with closing(open_database(classroom.database)) as db:
        assert boots.floor(db) == BUILT, "a hint is never certain"
        boots.anchor(db, machine.read(), TODAY + timedelta(hours=1))
    assert known(classroom) == (TODAY + timedelta(hours=1), Quality.CONFIRMED)
    log_in(classroom.browser(), TODAY + timedelta(days=9))
    assert known(classroom) == (TODAY + timedelta(hours=1), Quality.CONFIRMED)


def test_a_box_that_a_time_server_has_set_needs_no_hint(
    classroom: Classroom, dana: Browser, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senses, "is_synchronised", lambda: True)
    log_in(classroom.browser(), TODAY)
    assert known(classroom)[1] is Quality.UNKNOWN


def test_exams_never_ask_a_clock_that_can_be_hinted() -> None:
    for path in Path("appliance").glob("**/exam*.py"):
        names = {
            alias.name if isinstance(node, ast.Import) else f"{node.module}.{alias.name}"
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert not [name for name in names if name.startswith(("sync.boots", "sync.clock"))], path


def test_an_exam_lasts_as_long_as_before_whatever_the_phone_says(
    classroom: Classroom, dana: Browser, machine: Machine
) -> None:
    assert dana.post("/teacher/exam", {"wish": "begin", "minutes": "40"}).status_code == 303
    log_in(classroom.browser(), TODAY + timedelta(days=100))
    time.sleep(0.1)
    assert classroom.value("SELECT count(*) FROM exam WHERE ended_at IS NULL") == 1


moments = st.datetimes(datetime(1970, 1, 1), datetime(2040, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@given(wall=moments, shown=moments, seconds=st.floats(0, 1e6), later=st.floats(0, 1e6))
def test_whatever_is_shown_time_moves_forward_and_stays_in_bounds(
    wall: datetime, shown: datetime, seconds: float, later: float
) -> None:
    reading, plain = Reading("b", seconds, wall), Boot(BUILT)
    before = true_time(reading, plain)
    if not may_hint(BUILT, plain, reading, shown):
        assert before.at is None or shown <= before.at + LEAST_HINT or shown > BUILT + LONGEST_SILENCE
        return
    hinted = Boot(BUILT, hinted_at=shown, hinted_seconds=seconds)
    after = true_time(reading, hinted)
    assert after.quality is Quality.UNCONFIRMED
    assert after.at == shown
    assert before.at is None or after.at > before.at
    next_one = true_time(Reading("b", seconds + later, wall + timedelta(seconds=later)), hinted)
    assert next_one.at is None or BUILT <= next_one.at <= BUILT + LONGEST_SILENCE
