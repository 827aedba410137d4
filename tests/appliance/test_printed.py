"""What is printed: QR cards that log a child in, and the sheet that saves a teacher who forgot the PIN."""

import re

import pytest

from tests.appliance.people_pages import erlan_joins_the_box, with_pictures
from tests.classroom import PIN, Browser, Classroom

NEW = {"pin": "161803", "pin_again": "161803"}


@pytest.fixture
def dana(classroom: Classroom) -> Browser:
    return with_pictures(classroom)


def ids(classroom: Classroom) -> dict[str, str]:
    return {row["name"]: row["id"] for row in classroom.rows("SELECT id, name FROM learner")}


def card_of(classroom: Classroom, dana: Browser, name: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Print one card and return the path in its QR code."""
    links: list[str] = []
    from appliance.web import people

    real = people.qr
    monkeypatch.setattr(people, "qr", lambda link: (links.append(link), real(link))[1])
    answer = dana.post("/teacher/cards", {"learner": ids(classroom)[name]})
    assert answer.status_code == 200
    assert name in answer.text
    assert links[0].startswith("http://192.168.7.1:8080/card/")
    return links[0].removeprefix("http://192.168.7.1:8080")


def test_a_card_logs_its_owner_in_with_one_tap(
    classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = card_of(classroom, dana, "Aigerim", monkeypatch)
    phone = classroom.browser()
    page = phone.get(path)
    assert "Hello, Aigerim!" in page.text
    assert phone.get("/ask").location == "/", "looking at a link logs nobody in"
    assert phone.post(path).location == "/ask"
    assert phone.get("/ask").location == "/welcome"
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'learner_joined'") == 1


def test_a_card_needs_no_pictures_and_does_not_care_about_wrong_ones(
    classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.appliance.people_pages import door_of, pick

    path = card_of(classroom, dana, "Aigerim", monkeypatch)
    door = door_of(classroom, "Aigerim")
    pick(classroom.browser(), door, sure="yes")
    for _ in range(6):
        pick(classroom.browser(), door, ("moon", "star", "tree"))
    assert classroom.browser().post(path).location == "/ask"


def test_a_new_card_and_a_lost_one_void_the_old(
    classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = card_of(classroom, dana, "Aigerim", monkeypatch)
    second = card_of(classroom, dana, "Aigerim", monkeypatch)
    assert classroom.browser().get(first).status_code == 404
    assert classroom.browser().post(first).status_code == 404
    assert classroom.browser().post(second).status_code == 303
    dana.post(f"/teacher/learners/{ids(classroom)['Aigerim']}", {"wish": "card"})
    answer = classroom.browser().post(second)
    assert answer.status_code == 404
    assert "not valid any more" in answer.text


def test_a_card_opens_nothing_while_the_lesson_is_closed(
    classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = card_of(classroom, dana, "Aigerim", monkeypatch)
    dana.post("/teacher/session", {"wish": "close"})
    assert classroom.browser().post(path).status_code == 409


def test_the_box_keeps_no_card_it_could_give_away(
    classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = card_of(classroom, dana, "Aigerim", monkeypatch).rsplit("/", 1)[1]
    assert len(token) >= 20
    raw = b"".join(path.read_bytes() for path in classroom.home.glob("box.sqlite*"))
    assert token.encode() not in raw


def test_all_cards_fit_on_one_page_of_the_right_learners(classroom: Classroom, dana: Browser) -> None:
    erlan = erlan_joins_the_box(classroom, dana)
    everybody = ids(classroom)
    answer = erlan.client.post(
        "/teacher/cards",
        data={"learner": list(everybody.values())},
        headers={"Accept-Language": "en"},
    )
    assert len(re.findall("<svg", answer.text)) == 2
    assert "Zarina" in answer.text
    assert "Aigerim" not in answer.text, "another class's learners cannot be printed"
    assert classroom.value("SELECT count(*) FROM card") == 2
    assert dana.post("/teacher/cards").location == "/teacher/cards", "nobody chosen: choose again"


# The recovery sheet ----------------------------------------------------------


def sheet(dana: Browser) -> str:
    page = dana.post("/teacher/recovery").text
    found = re.search(r'class="digits">(\d{4}) (\d{4}) (\d{4})<', page)
    assert found
    return "".join(found.groups())


def test_the_sheet_sets_a_new_pin_once_and_ends_every_log_in(classroom: Classroom, dana: Browser) -> None:
    code = sheet(dana)
    phone = classroom.browser()
    spaced = f"{code[:4]} {code[4:8]}-{code[8:]}"
    assert phone.post("/teacher/recover", {"code": spaced, **NEW}).location == "/teacher/recovery"
    assert phone.get("/teacher").status_code == 200
    assert dana.get("/teacher").status_code == 403, "whoever knew the old PIN is out"
    assert classroom.browser().post("/teacher/login", {"pin": PIN}).status_code == 403
    assert classroom.browser().post("/teacher/login", {"pin": NEW["pin"]}).status_code == 303
    again = classroom.browser().post("/teacher/recover", {"code": code, **NEW})
    assert again.status_code == 403, "a used sheet is paper"


def test_a_new_sheet_voids_the_old_one(classroom: Classroom, dana: Browser) -> None:
    old, new = sheet(dana), sheet(dana)
    assert classroom.browser().post("/teacher/recover", {"code": old, **NEW}).status_code == 403
    assert classroom.browser().post("/teacher/recover", {"code": new, **NEW}).status_code == 303


def test_guessing_the_sheet_is_braked(classroom: Classroom, dana: Browser) -> None:
    code = sheet(dana)
    stranger = classroom.browser()
    tries = [stranger.post("/teacher/recover", {"code": "0" * 12, **NEW}) for _ in range(6)]
    assert [answer.status_code for answer in tries] == [403] * 5 + [429]
    assert stranger.post("/teacher/recover", {"code": code, **NEW}).status_code == 429


@pytest.mark.parametrize("code", ["", "12", "٠" * 12, "x" * 100_000, "0" * 13])
def test_a_code_of_another_shape_is_simply_wrong(classroom: Classroom, dana: Browser, code: str) -> None:
    assert classroom.browser().post("/teacher/recover", {"code": code, **NEW}).status_code == 403


def test_a_weak_new_pin_uses_up_neither_the_sheet_nor_a_try(classroom: Classroom, dana: Browser) -> None:
    code = sheet(dana)
    phone = classroom.browser()
    assert phone.post("/teacher/recover", {"code": code, "pin": "1", "pin_again": "1"}).status_code == 400
    assert classroom.value("SELECT count(*) FROM failed_try") == 0
    assert phone.post("/teacher/recover", {"code": code, **NEW}).status_code == 303


def test_without_a_sheet_no_code_helps(classroom: Classroom, dana: Browser) -> None:
    assert classroom.browser().post("/teacher/recover", {"code": "0" * 12, **NEW}).status_code == 403


def test_the_sheet_is_kept_only_as_a_hash(classroom: Classroom, dana: Browser) -> None:
    code = sheet(dana)
    assert str(classroom.value("SELECT recovery_hash FROM teacher")).startswith("$argon2id$")
    raw = b"".join(path.read_bytes() for path in classroom.home.glob("box.sqlite*"))
    assert code.encode() not in raw
    assert code not in dana.get("/teacher/recovery").text, "shown once"


def test_a_sheet_opens_only_its_own_class(classroom: Classroom, dana: Browser) -> None:
    code = sheet(dana)
    erlan_joins_the_box(classroom, dana)
    other = classroom.value("SELECT id FROM school_class WHERE name = '8B'")
    answer = classroom.browser().post("/teacher/recover", {"code": code, "school_class": other, **NEW})
    assert answer.status_code == 403
