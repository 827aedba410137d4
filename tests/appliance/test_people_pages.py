"""The teacher's pages about people: lists, a learner, several classes on one box, uploads."""

import pytest
from urllib3 import encode_multipart_formdata
from werkzeug.test import TestResponse

from appliance.database import connection
from appliance.people import roster
from appliance.web.context import MAX_UPLOAD_BYTES
from tests.appliance.people_pages import ERLANS_CLASS, ERLANS_PIN, erlan_joins_the_box
from tests.appliance.workbooks import packed, workbook
from tests.classroom import PIN, SETUP, Browser, Classroom

BAD = "Name;Grade\nZarina;7\n;7\nTimur;99\n"
GOOD = "Name;Grade\nZarina;7\nTimur;7\n"


def names(classroom: Classroom) -> list[str]:
    return [row["name"] for row in classroom.rows("SELECT name FROM learner ORDER BY created_at, rowid")]


def send_file(browser: Browser, path: str, *sent: tuple[bytes, str], **fields: str) -> TestResponse:
    parts = [*fields.items(), *(("list", (name, raw, "text/csv")) for raw, name in sent)]
    body, kind = encode_multipart_formdata(parts)
    return browser.client.post(path, data=body, content_type=kind, headers={"Accept-Language": "en"})


# Lists -----------------------------------------------------------------------


def test_a_file_is_shown_before_it_is_saved(classroom: Classroom, dana: Browser) -> None:
    answer = send_file(dana, "/teacher/learners", (GOOD.encode("utf-16"), "7a.csv"))
    assert answer.status_code == 200
    assert "Check the list" in answer.text
    assert names(classroom) == ["Aigerim", "Bolat"]
    form = {"learners": "Zarina\t7\nTimur\t7", "sure": "yes"}
    assert dana.post("/teacher/learners", form).status_code == 303
    assert names(classroom) == ["Aigerim", "Bolat", "Zarina", "Timur"]
    assert classroom.value("SELECT grade FROM learner WHERE name = 'Timur'") == 7


def test_a_bad_row_is_named_and_nothing_half_imported(classroom: Classroom, dana: Browser) -> None:
    for sure in ("", "yes"):
        answer = send_file(dana, "/teacher/learners", (BAD.encode(), "7a.csv"), sure=sure)
        assert answer.status_code == 400
        assert "<b>Row 3:</b> There is no name in this row." in answer.text
        assert "<b>Row 4:</b> This is no grade: 99." in answer.text
        assert names(classroom) == ["Aigerim", "Bolat"]


def test_bad_rows_are_named_in_the_teachers_language(classroom: Classroom, dana: Browser) -> None:
    dana.get("/teacher?lang=kk")
    assert "3-жол" in send_file(dana, "/teacher/learners", (BAD.encode(), "7a.csv")).text


def test_two_learners_of_one_name_are_allowed_and_told_apart(classroom: Classroom, dana: Browser) -> None:
    form = {"learners": "Bolat\nZarina\nZarina"}
    answer = dana.post("/teacher/learners", form)
    assert "2 names come twice" in answer.text
    assert names(classroom) == ["Aigerim", "Bolat"]
    dana.post("/teacher/learners", {**form, "sure": "yes", "twins": "yes"})
    assert names(classroom) == ["Aigerim", "Bolat", "Bolat (2)", "Zarina", "Zarina (2)"]


def test_the_same_file_twice_adds_nobody_twice(classroom: Classroom, dana: Browser) -> None:
    for _ in range(2):
        dana.post("/teacher/learners", {"learners": "Zarina\nTimur", "sure": "yes"})
    assert names(classroom) == ["Aigerim", "Bolat", "Zarina", "Timur"]


def test_a_list_that_is_too_long_saves_nothing(classroom: Classroom, dana: Browser) -> None:
    many = "\n".join(f"Learner {n}" for n in range(59))
    answer = dana.post("/teacher/learners", {"learners": many})
    assert answer.status_code == 400
    assert "at most 60 learners" in answer.text
    assert names(classroom) == ["Aigerim", "Bolat"]


def test_a_workbook_and_its_bomb(classroom: Classroom, dana: Browser) -> None:
    good = workbook([["Аты-жөні", "Сынып"], ["Әсел 🦊", 7]])
    assert "Әсел 🦊" in send_file(dana, "/teacher/learners", (good, "7a.xlsx")).text
    bomb = packed({"xl/workbook.xml": b"\0" * 15_000_000})
    answer = send_file(dana, "/teacher/learners", (bomb, "7a.xlsx"))
    assert answer.status_code == 413
    assert "too large for a class list" in answer.text


def test_names_are_shown_as_text_whatever_they_look_like(classroom: Classroom, dana: Browser) -> None:
    evil = "<script>alert(1)</script>"
    page = dana.post("/teacher/learners", {"learners": f"{evil}\n{evil}"}).text
    assert evil not in page
    dana.post("/teacher/learners", {"learners": evil, "sure": "yes"})
    assert evil not in dana.get("/teacher/learners").text
    assert evil not in classroom.browser().get(f"/class/{classroom.code()}").text


def test_learners_stand_in_the_order_of_the_kazakh_alphabet(classroom: Classroom, dana: Browser) -> None:
    dana.post("/teacher/learners", {"learners": "Яна\nӘсел\nАсан\nҚанат\nКамила\nЁлка\nЖанар"})
    with connection(classroom.database) as db:
        class_id = classroom.value("SELECT id FROM school_class")
        shown = [learner.name for learner in roster.learners(db, class_id)]
    assert [n for n in shown if n > "Z"] == ["Асан", "Әсел", "Ёлка", "Жанар", "Камила", "Қанат", "Яна"]


# Uploads ---------------------------------------------------------------------


def test_only_the_pages_for_lists_take_a_large_body(classroom: Classroom, dana: Browser) -> None:
    half = b"x" * (MAX_UPLOAD_BYTES // 2)
    assert send_file(dana, "/teacher/learners", (half, "x.csv")).status_code == 400
    assert send_file(dana, "/teacher/class", (half, "x.csv")).status_code == 413
    assert send_file(classroom.browser(), "/", (half, "x.csv")).status_code == 413
    whole = b"x" * (MAX_UPLOAD_BYTES + 1)
    assert send_file(dana, "/teacher/learners", (whole, "x.csv")).status_code == 413


def test_a_stranger_cannot_make_the_box_read_a_large_body(classroom: Classroom, dana: Browser) -> None:
    half = b"x" * (MAX_UPLOAD_BYTES // 2)
    assert send_file(classroom.browser(), "/teacher/learners", (half, "x.csv")).status_code == 403
    answer = send_file(classroom.browser(), "/setup", (half, "x.csv"))
    assert answer.status_code == 409


@pytest.mark.parametrize("name", ["../../../etc/cron.d/x", "/etc/passwd", "..\\..\\x.csv", "🦊.csv"])
def test_a_files_name_is_never_a_path(classroom: Classroom, dana: Browser, name: str) -> None:
    before = sorted(path.name for path in classroom.home.rglob("*"))
    assert "Zarina" in send_file(dana, "/teacher/learners", (GOOD.encode(), name)).text
    assert sorted(path.name for path in classroom.home.rglob("*")) == before


def test_many_fields_and_files_are_refused(classroom: Classroom, dana: Browser) -> None:
    files = [(b"x", f"{n}.csv") for n in range(100)]
    assert send_file(dana, "/teacher/learners", *files).status_code == 413
    answer = dana.post("/teacher/cards", {f"learner{n}": "x" for n in range(500)})
    assert answer.status_code == 413


# The first start -------------------------------------------------------------


def test_the_first_start_takes_a_file_and_shows_its_names_before_saving(classroom: Classroom) -> None:
    new = classroom.browser()
    fields = {key: value for key, value in SETUP.items() if key != "learners"}
    answer = send_file(new, "/setup", (GOOD.encode(), "7a.csv"), **fields)
    assert answer.status_code == 200
    assert "Zarina, 7\nTimur, 7" in answer.text
    assert PIN not in answer.text
    assert classroom.value("SELECT count(*) FROM school_class") == 0
    answer = send_file(new, "/setup", (BAD.encode(), "7a.csv"), **fields)
    assert answer.status_code == 400
    assert "Row 3" in answer.text


def test_one_teacher_has_several_grades_in_one_room(classroom: Classroom) -> None:
    dana = classroom.browser()
    form = {**SETUP, "grade": ["2", "3", "4"], "learners": "2\nAigerim\n3\nBolat\nTimur, 4\nNobody"}
    assert dana.client.post("/setup", data=form).status_code == 303
    grades = {row["name"]: row["grade"] for row in classroom.rows("SELECT name, grade FROM learner")}
    assert grades == {"Aigerim": 2, "Bolat": 3, "Timur": 4, "Nobody": 3}
    assert classroom.value("SELECT grade FROM school_class") is None
    dana.post("/teacher/session", {"wish": "open"})
    page = classroom.browser().get(f"/class/{classroom.code()}").text
    assert page.index("Grade 2") < page.index("Aigerim") < page.index("Grade 3") < page.index("Bolat")


def test_five_grades_are_too_many_for_one_room(classroom: Classroom) -> None:
    form = {**SETUP, "grade": ["1", "2", "3", "4", "5"]}
    answer = classroom.browser().client.post("/setup", data=form, headers={"Accept-Language": "en"})
    assert answer.status_code == 400
    assert "at most 4 grades" in answer.text


# A learner -------------------------------------------------------------------


def test_the_teacher_mends_a_name_and_gives_more_time(classroom: Classroom, dana: Browser) -> None:
    learner = classroom.value("SELECT id FROM learner WHERE name = 'Aigerim'")
    form = {"name": "Aigerim S.", "grade": "7", "more_time": "50", "size": "150"}
    assert dana.post(f"/teacher/learners/{learner}", form).status_code == 303
    page = dana.get(f"/teacher/learners/{learner}").text
    assert 'value="Aigerim S."' in page
    assert '<option value="50" selected>' in page
    taken = dana.post(f"/teacher/learners/{learner}", {"name": "Bolat"})
    assert taken.status_code == 303
    assert "Bolat (2)" in names(classroom)


def test_the_teacher_ends_a_learners_log_in(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    learner = classroom.value("SELECT id FROM learner WHERE name = 'Aigerim'")
    assert aigerim.get("/ask").status_code == 200
    dana.post(f"/teacher/learners/{learner}", {"wish": "out"})
    assert aigerim.get("/ask").location == "/"


# Several classes -------------------------------------------------------------


def test_a_second_class_has_its_own_teacher_pin_and_learners(classroom: Classroom, dana: Browser) -> None:
    erlan = erlan_joins_the_box(classroom, dana)
    assert "Zarina" in erlan.get("/teacher/learners").text
    assert "Aigerim" not in erlan.get("/teacher/learners").text
    assert "Zarina" not in dana.get("/teacher/learners").text
    login = classroom.browser()
    assert "8B" in login.get("/teacher/login").text
    assert login.post("/teacher/login", {"pin": ERLANS_PIN}).status_code == 400, "which class?"
    seven = classroom.value("SELECT id FROM school_class WHERE name = '7A'")
    wrong = login.post("/teacher/login", {"pin": ERLANS_PIN, "school_class": seven})
    assert wrong.status_code == 403


def test_one_pin_of_two_teachers_opens_to_each_their_own_class(classroom: Classroom, dana: Browser) -> None:
    handed = classroom.browser()
    handed.client.set_cookie("sandyq_login", dana.client.get_cookie("sandyq_login").value)
    handed.post("/setup", {**ERLANS_CLASS, "pin": PIN, "pin_again": PIN})
    for name in ("7A", "8B"):
        own = classroom.browser()
        chosen = classroom.value(f"SELECT id FROM school_class WHERE name = '{name}'")
        own.post("/teacher/login", {"pin": PIN, "school_class": chosen})
        assert f"<h1>{name}" in own.get("/teacher").text


def test_only_a_teacher_adds_a_class(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    for browser in (classroom.browser(), aigerim):
        assert browser.post("/setup", ERLANS_CLASS).status_code == 409
    assert classroom.value("SELECT count(*) FROM school_class") == 1


def test_a_box_is_full_at_some_point(classroom: Classroom, dana: Browser) -> None:
    with connection(classroom.database) as db:
        for n in range(roster.MAX_CLASSES):
            db.execute(
                "INSERT INTO school_class (id, name, language, code, created_at) "
                "VALUES (?, ?, 'kk', ?, '2027')",
                [f"c{n}", f"C{n}", f"x{n}"],
            )
    answer = dana.post("/setup", ERLANS_CLASS)
    assert answer.status_code == 400
    assert "at most 12 classes" in answer.text
