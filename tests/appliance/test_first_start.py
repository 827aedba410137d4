"""The first start: the teacher makes the box hers in one page."""

import pytest

from tests.classroom import PIN, SETUP, Browser, Classroom


def test_a_new_box_leads_everybody_to_its_first_start(classroom: Classroom) -> None:
    answer = classroom.browser().get("/")
    assert answer.status_code == 303
    assert answer.location == "/setup"


def test_the_teacher_is_logged_in_after_set_up_and_sees_the_class(classroom: Classroom) -> None:
    dana = classroom.dana_sets_up()
    page = dana.page("/teacher")
    assert "7A" in page
    assert "Aigerim" in page
    assert "Bolat" in page


def test_set_up_happens_once(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser()
    assert stranger.get("/setup").location == "/teacher/login"
    answer = stranger.post("/setup", {**SETUP, "pin": "999999", "pin_again": "999999"})
    assert answer.status_code == 409
    assert "already has its teacher" in answer.text
    assert classroom.value("SELECT count(*) FROM teacher") == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pin": "12345", "pin_again": "12345"}, "at least 6 digits"),
        ({"pin_again": "271829"}, "not the same"),
        ({"school_class": "  "}, "A field is empty: Class."),
        ({"learners": "\n \n"}, "A field is empty: Learners"),
        ({"learners": "Б" * 61}, "more than 60 characters"),
        ({"learners": "\n".join(f"Learner {n}" for n in range(61))}, "at most 60"),
        ({"learners": "Aig\ufffdrim"}, "arrived broken"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_half_saved(
    classroom: Classroom, change: dict[str, str], sentence: str
) -> None:
    answer = classroom.browser().post("/setup", {**SETUP, **change})
    assert answer.status_code == 400
    assert sentence in answer.text
    for table in ("school_class", "learner", "teacher", "login"):
        assert classroom.value(f"SELECT count(*) FROM {table}") == 0


def test_a_refused_form_keeps_what_was_typed_except_the_pin(classroom: Classroom) -> None:
    page = classroom.browser().post("/setup", {**SETUP, "pin_again": "1"}).text
    assert "Aigerim" in page
    assert PIN not in page


def test_the_pin_is_kept_only_as_an_argon2_hash(classroom: Classroom, dana: Browser) -> None:
    assert str(classroom.value("SELECT pin_hash FROM teacher")).startswith("$argon2id$")
    raw = b"".join(path.read_bytes() for path in classroom.home.glob("box.sqlite*"))
    assert PIN.encode() not in raw
