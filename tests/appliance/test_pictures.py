"""Log-in with three pictures: nothing is typed, guessing is braked for one learner and not for the class."""

import threading
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pytest

from appliance import languages
from appliance.database import connection, saving
from appliance.people import pictures, roster
from tests.appliance.people_pages import CODE, door_of, pick, with_pictures
from tests.classroom import Browser, Classroom


@pytest.fixture
def dana(classroom: Classroom) -> Browser:
    return with_pictures(classroom)


def test_the_first_log_in_chooses_the_pictures_and_the_next_one_needs_them(
    classroom: Classroom, dana: Browser
) -> None:
    door = door_of(classroom, "Aigerim")
    phone = classroom.browser()
    assert "Remember them" in pick(phone, door).text
    assert classroom.value("SELECT count(*) FROM picture_code") == 0, "not before the learner is sure"
    assert pick(phone, door, sure="yes").location == "/ask"
    assert classroom.value("SELECT pictures FROM picture_code") == "sun yurt fish"
    tablet = classroom.browser()
    assert pick(tablet, door).location == "/ask"
    assert tablet.get("/ask").location == "/welcome"


def test_without_a_script_each_tap_is_a_form(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    phone = classroom.browser()
    page = phone.post(door, {"picked": "", "picture": "sun"}).text
    assert 'name="picked" value="sun"' in page
    page = phone.post(door, {"picked": "sun", "picture": "yurt"}).text
    assert 'name="picked" value="sun yurt"' in page
    assert phone.post(door, {"picked": "sun yurt", "picture": "fish"}).location == "/ask"


def test_a_name_alone_opens_nothing(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    phone = classroom.browser()
    learner = door.rsplit("/", 1)[1]
    assert phone.post(f"/class/{classroom.code()}", {"learner": learner}).location == door
    assert phone.get("/ask").location == "/"


def test_order_counts_and_a_picture_counts_once(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    assert pick(classroom.browser(), door, ("fish", "yurt", "sun")).status_code == 403
    answer = classroom.browser().post(door, {"picked": "sun sun sun sun", "picture": "nonsense"})
    assert answer.status_code == 200
    assert 'value="sun"' in answer.text
    assert len(list(permutations(pictures.PICTURES, pictures.LENGTH))) == 1_320


def test_guessing_is_braked_for_one_learner_and_not_for_the_class(
    classroom: Classroom, dana: Browser
) -> None:
    aigerim, bolat = door_of(classroom, "Aigerim"), door_of(classroom, "Bolat")
    for door in (aigerim, bolat):
        pick(classroom.browser(), door, sure="yes")
    wrong = ("moon", "star", "tree")
    # Each guess from another device: the brake belongs to the name, not to the address.
    answers = [pick(classroom.browser(), aigerim, wrong) for _ in range(7)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 2
    assert "Tries left: 0" in answers[4].text
    right = pick(classroom.browser(), aigerim)
    assert right.status_code == 429, "even the right pictures must wait now"
    assert "Ask your teacher to let you in" in right.text
    assert pick(classroom.browser(), bolat).location == "/ask"


def test_thirty_guesses_at_once_are_braked_like_thirty_in_a_row(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    statuses: list[int] = []
    browsers = [classroom.browser() for _ in range(30)]

    def guess(browser: Browser) -> None:
        statuses.append(pick(browser, door, ("moon", "star", "tree")).status_code)

    threads = [threading.Thread(target=guess, args=(browser,)) for browser in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(403) == pictures.MAX_TRIES
    assert statuses.count(429) == 30 - pictures.MAX_TRIES


def test_the_brake_lets_go_by_itself_and_by_the_teacher(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    for _ in range(6):
        pick(classroom.browser(), door, ("moon", "star", "tree"))
    learner = door.rsplit("/", 1)[1]
    later = datetime.now(UTC) + timedelta(minutes=16)
    with connection(classroom.database) as db, saving(db):
        assert pictures.find_refusal(db, learner, CODE, now=later) is None
    for _ in range(6):
        pick(classroom.browser(), door, ("moon", "star", "tree"))
    assert "sun" in dana.get("/teacher/learners").text, "the teacher can help a child who forgot"
    dana.post(f"/teacher/learners/{learner}", {"wish": "pictures"})
    assert pick(classroom.browser(), door, ("moon", "star", "tree"), sure="yes").location == "/ask"


def test_two_phones_choosing_at_once_make_one_code(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    assert pick(classroom.browser(), door, sure="yes").location == "/ask"
    other = pick(classroom.browser(), door, ("moon", "star", "tree"), sure="yes")
    assert other.status_code == 403, "the second one does not overwrite the first"
    assert classroom.value("SELECT pictures FROM picture_code") == "sun yurt fish"


def test_nobody_comes_in_while_the_lesson_is_closed(classroom: Classroom, dana: Browser) -> None:
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    dana.post("/teacher/session", {"wish": "close"})
    answer = pick(classroom.browser(), door)
    assert answer.status_code == 409
    assert classroom.browser().get(door).status_code == 303
    assert classroom.value("SELECT count(*) FROM failed_try") == 0, "a closed lesson is nobody's mistake"


def test_a_learner_of_another_class_is_not_behind_this_door(classroom: Classroom, dana: Browser) -> None:
    assert classroom.browser().get(f"/class/{classroom.code()}/0123456789abcdef").status_code == 404


def test_every_picture_is_drawn_and_named_in_every_language() -> None:
    drawing = ET.parse(Path("appliance/static/pictures.svg"))
    drawn = {node.get("id") for node in drawing.iter("{http://www.w3.org/2000/svg}symbol")}
    assert drawn == set(pictures.PICTURES)
    assert len(drawn) == 12
    for code in languages.languages():
        names = {languages.render(code, name, {}) for name in pictures.PICTURES.values()}
        assert len(names) == 12


def test_a_class_may_do_without_pictures(classroom: Classroom, dana: Browser) -> None:
    form = {"school_class": "7A", "grade": "7", "language": "kk", "uses_pictures": "no", "own_rules": ""}
    assert dana.post("/teacher/class", form).status_code == 303
    assert classroom.joined("Aigerim").get("/ask").status_code == 200


def test_the_next_child_at_a_device_ends_the_log_in_of_the_one_before(
    classroom: Classroom, dana: Browser
) -> None:
    device = classroom.browser()
    pick(device, door_of(classroom, "Aigerim"), sure="yes")
    old = device.client.get_cookie("sandyq_login").value
    pick(device, door_of(classroom, "Bolat"), sure="yes")
    thief = classroom.browser()
    thief.client.set_cookie("sandyq_login", old)
    assert thief.get("/ask").location == "/"
    assert classroom.value("SELECT count(*) FROM login WHERE learner_id IS NOT NULL") == 1


def days_ago(classroom: Classroom, days: int) -> None:
    """Let the pictures that were chosen today have been chosen some days ago."""
    with connection(classroom.database) as db, saving(db):
        when = datetime.now(UTC) - timedelta(days=days)
        db.execute("UPDATE picture_code SET chosen_at = ?", [when.isoformat()])


def test_a_classmate_cannot_take_a_name_that_was_away_on_the_first_day(
    classroom: Classroom, dana: Browser
) -> None:
    everybody = [row["name"] for row in classroom.rows("SELECT name FROM learner")]
    away = "Aigerim"
    for name in everybody:
        if name != away:
            assert pick(classroom.browser(), door_of(classroom, name), sure="yes").location == "/ask"
    with connection(classroom.database) as db, saving(db):  # so that the others are most of the class
        school_class = roster.school_classes(db)[0]
        more = roster.add_learners(db, school_class, ["Kamshat"], now=datetime.now(UTC))
        pictures.choose(db, more[0].id, ("sun", "moon", "star"), now=datetime.now(UTC))
    door = door_of(classroom, away)
    days_ago(classroom, 1)
    thief = classroom.browser()
    page = thief.get(door)
    assert page.status_code == 403
    assert "Nobody has chosen pictures for this name yet." in page.text
    assert pick(thief, door, sure="yes").status_code == 403
    assert classroom.value("SELECT count(*) FROM login WHERE learner_id IS NOT NULL") == len(everybody) - 1
    learner = door.rsplit("/", 1)[1]
    assert "it waits for your tap" in dana.page(f"/teacher/learners/{learner}")
    dana.post(f"/teacher/learners/{learner}", {"wish": "pictures"})
    assert pick(classroom.browser(), door, sure="yes").location == "/ask"
    assert pick(thief, door, ("cup", "boat", "key"), sure="yes").status_code == 403


def test_a_teacher_who_tried_it_the_evening_before_closes_no_name(
    classroom: Classroom, dana: Browser
) -> None:
    assert pick(classroom.browser(), door_of(classroom, "Bolat"), sure="yes").location == "/ask"
    days_ago(classroom, 1)
    assert pick(classroom.browser(), door_of(classroom, "Aigerim"), sure="yes").location == "/ask"


def test_a_leave_to_choose_ends_with_the_day(classroom: Classroom, dana: Browser) -> None:
    names = [row["name"] for row in classroom.rows("SELECT name FROM learner")]
    for name in names:
        pick(classroom.browser(), door_of(classroom, name), sure="yes")
    learner = door_of(classroom, "Aigerim").rsplit("/", 1)[1]
    dana.post(f"/teacher/learners/{learner}", {"wish": "pictures"})
    with connection(classroom.database) as db:
        soon, late = (datetime.now(UTC) + timedelta(hours=hours) for hours in (2, 20))
        class_id = db.execute("SELECT school_class_id FROM learner").fetchone()[0]
        assert pictures.find(db, learner) is None
        assert pictures.may_choose(db, learner, class_id, now=soon)
        is_most = 2 * (len(names) - 1) > len(names)
        assert pictures.may_choose(db, learner, class_id, now=late) is not is_most
