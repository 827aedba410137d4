"""Who may open what, and what guessing costs."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.errors import TooManyTries
from appliance.people import access
from tests.classroom import PIN, Browser, Classroom


def test_the_pin_opens_the_teachers_page(classroom: Classroom, dana: Browser) -> None:
    phone = classroom.browser()
    assert phone.post("/teacher/login", {"pin": PIN}).location == "/teacher"
    assert phone.get("/teacher").status_code == 200


def test_a_wrong_pin_says_how_many_tries_are_left_and_then_waits(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser()
    for left in (4, 3, 2, 1, 0):
        answer = stranger.post("/teacher/login", {"pin": "000000"})
        assert answer.status_code == 403
        assert f"Tries left: {left}" in answer.text
    answer = stranger.post("/teacher/login", {"pin": PIN})
    assert answer.status_code == 429, "even the right PIN must wait now"
    assert "Wait 15 minutes" in answer.text


def test_one_devices_guessing_does_not_lock_the_teachers_own_out(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser()
    for _ in range(7):
        stranger.post("/teacher/login", {"pin": "000000"})
    assert classroom.browser().post("/teacher/login", {"pin": PIN}).status_code == 303


def test_misses_are_forgiven_after_a_quarter_of_an_hour(classroom: Classroom) -> None:
    from appliance.database import connection, saving

    start = datetime(2026, 9, 1, 8, tzinfo=UTC)
    with connection(classroom.database) as db:
        for second in range(access.MAX_TRIES):
            with saving(db):
                access.count_miss(db, "pin", "192.168.7.9", now=start + timedelta(seconds=second))
        with pytest.raises(TooManyTries):
            access.verify_tries_left(db, "pin", "192.168.7.9", now=start + timedelta(minutes=14))
        later = start + timedelta(minutes=15, seconds=5)
        assert access.verify_tries_left(db, "pin", "192.168.7.9", now=later) == access.MAX_TRIES


@pytest.mark.parametrize("path", ["/teacher", "/teacher/learners", "/teacher/stream"])
def test_learners_and_strangers_see_no_teachers_page(
    classroom: Classroom, aigerim: Browser, path: str
) -> None:
    for browser in (aigerim, classroom.browser()):
        answer = browser.get(path)
        assert answer.status_code == 403
        assert "Bolat" not in answer.text


@pytest.mark.parametrize("path", ["/teacher/session", "/teacher/learners"])
def test_learners_and_strangers_change_nothing(classroom: Classroom, aigerim: Browser, path: str) -> None:
    before = classroom.rows("SELECT * FROM session") + classroom.rows("SELECT * FROM learner")
    for browser in (aigerim, classroom.browser()):
        answer = browser.post(path, {"wish": "close", "learners": "Erlan"})
        assert answer.status_code == 403
    assert classroom.rows("SELECT * FROM session") + classroom.rows("SELECT * FROM learner") == before


def test_a_learner_reads_only_their_own_answers(
    classroom: Classroom, aigerim: Browser, bolat: Browser
) -> None:
    aigerim.ask("What is a secret of Aigerim?")
    assert "secret of Aigerim" in aigerim.page()
    assert "secret of Aigerim" not in bolat.page()
    assert "secret of Aigerim" not in bolat.get("/stream").text


def test_a_learner_of_another_class_cannot_join_with_this_code(classroom: Classroom, dana: Browser) -> None:
    answer = classroom.browser().post(f"/class/{classroom.code()}", {"learner": "no-such-learner"})
    assert answer.status_code == 404
    assert "This name is not in the class" in answer.text


def test_logging_out_ends_the_login_on_the_box_too(classroom: Classroom, dana: Browser) -> None:
    token = dana.client.get_cookie("sandyq_login").value
    dana.post("/teacher/logout")
    thief = classroom.browser()
    thief.client.set_cookie("sandyq_login", token)
    refused = thief.get("/teacher")
    assert refused.status_code == 403
    # Whoever typed the address of the page finds the way in from there.
    assert 'href="/teacher/login"' in refused.text


def test_a_login_ends_by_itself(classroom: Classroom, dana: Browser) -> None:
    from appliance.database import connection, saving

    past = datetime.now(UTC) - access.LOGIN_LIFETIME - timedelta(seconds=1)
    teacher = classroom.value("SELECT id FROM teacher")
    with connection(classroom.database) as db, saving(db):
        token = access.log_in(db, access.Login(teacher_id=teacher), now=past)
    old = classroom.browser()
    old.client.set_cookie("sandyq_login", token)
    assert old.get("/teacher").status_code == 403


def test_tokens_are_kept_only_as_hashes(classroom: Classroom, aigerim: Browser) -> None:
    token = aigerim.client.get_cookie("sandyq_login").value
    raw = b"".join(path.read_bytes() for path in classroom.home.glob("box.sqlite*"))
    assert token.encode() not in raw


def test_a_form_from_another_site_does_nothing(classroom: Classroom, dana: Browser) -> None:
    answer = dana.post("/teacher/session", {"wish": "close"}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert classroom.value("SELECT count(*) FROM session WHERE closed_at IS NULL") == 1


def test_login_cookies_are_out_of_reach_for_scripts_and_other_sites(
    classroom: Classroom, aigerim: Browser
) -> None:
    cookie = aigerim.client.get_cookie("sandyq_login")
    assert cookie.http_only
    assert cookie.same_site == "Strict"
