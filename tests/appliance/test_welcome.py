"""The rules are read before the first question, once, in the reader's language."""

import pytest

from appliance import languages
from appliance.people import conduct
from tests.appliance.people_pages import door_of, pick, with_pictures
from tests.classroom import Browser, Classroom

RULES = {"school_class": "7A", "grade": "7", "language": "kk", "uses_pictures": "yes"}


@pytest.fixture
def dana(classroom: Classroom) -> Browser:
    return with_pictures(classroom)


@pytest.fixture
def newcomer(classroom: Classroom, dana: Browser) -> Browser:
    phone = classroom.browser()
    pick(phone, door_of(classroom, "Aigerim"), sure="yes")
    return phone


def test_nothing_is_asked_before_the_rules_were_read(classroom: Classroom, newcomer: Browser) -> None:
    assert newcomer.get("/ask").location == "/welcome"
    assert newcomer.post("/ask", {"question": "Early?", "submission": "s"}).location == "/welcome"
    assert classroom.value("SELECT count(*) FROM question") == 0
    assert newcomer.post("/welcome").location == "/ask"
    assert newcomer.get("/ask").status_code == 200


def test_they_are_shown_once_for_a_person_and_can_be_read_again(
    classroom: Classroom, newcomer: Browser
) -> None:
    newcomer.post("/welcome")
    tablet = classroom.browser()
    pick(tablet, door_of(classroom, "Aigerim"))
    assert tablet.get("/ask").status_code == 200
    assert "Back to my questions" in tablet.get("/welcome").text
    before = classroom.value("SELECT rules_read_at FROM learner WHERE name = 'Aigerim'")
    tablet.post("/welcome")
    assert classroom.value("SELECT rules_read_at FROM learner WHERE name = 'Aigerim'") == before


@pytest.mark.parametrize("language", list(languages.languages()))
def test_every_rule_stands_there_in_the_readers_language(newcomer: Browser, language: str) -> None:
    page = newcomer.page(f"/welcome?lang={language}")
    for rule in conduct.RULES:
        for sentence in rule:
            assert languages.render(language, sentence, {}) in page


def test_the_teachers_own_lines_stand_below_as_text(
    classroom: Classroom, dana: Browser, newcomer: Browser
) -> None:
    dana.post("/teacher/class", {**RULES, "own_rules": "Speak softly.\n<b>Always</b>"})
    page = newcomer.get("/welcome").text
    assert "Speak softly.\n&lt;b&gt;Always&lt;/b&gt;" in page
    too_long = dana.post("/teacher/class", {**RULES, "own_rules": "x" * 601})
    assert too_long.status_code == 400
    assert "longer than a child will read" in too_long.text
    assert "Speak softly" in newcomer.get("/welcome").text


def test_a_stranger_has_no_rules_to_read(classroom: Classroom, dana: Browser) -> None:
    assert classroom.browser().get("/welcome").location == "/"
    assert classroom.browser().post("/welcome").location == "/"
