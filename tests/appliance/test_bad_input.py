"""Whatever arrives, the reader is told what to do next in their language, and nothing is lost."""

import logging
from collections.abc import Callable

import pytest

from appliance import languages
from appliance.errors import BrokenText, DatabaseBusy, DiskFull, QuestionTooLong, UnknownClassCode
from tests.classroom import Browser, Classroom, wait_until

SIZE = 100_000


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_an_unknown_class_code_is_said_in_the_readers_language(
    classroom: Classroom, dana: Browser, language: str
) -> None:
    answer = classroom.browser(language).post("/", {"code": "000 000"})
    assert answer.status_code == 404
    assert languages.render(language, UnknownClassCode.message, {}) in answer.text
    assert f'<html lang="{language}"' in answer.text


def test_guessing_class_codes_is_braked(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser()
    statuses = [stranger.post("/", {"code": f"{n:06d}"}).status_code for n in range(22)]
    assert statuses[:20] == [404] * 20
    assert statuses[20:] == [429, 429]


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_a_question_of_100_kb_names_the_limit_and_keeps_the_text(
    classroom: Classroom, dana: Browser, language: str
) -> None:
    aigerim = classroom.joined("Aigerim", language)
    answer = aigerim.ask("x" * SIZE)
    assert answer.status_code == 400
    params: dict[str, object] = {"length": SIZE, "limit": 2000}
    assert languages.render(language, QuestionTooLong.message, params) in answer.text
    assert "x" * SIZE in answer.text
    assert classroom.value("SELECT count(*) FROM question") == 0


def test_a_body_past_every_limit_is_refused_kindly(aigerim: Browser) -> None:
    answer = aigerim.post("/ask", {"question": "x" * 1_000_000, "submission": "a"})
    assert answer.status_code == 413
    assert "more than the box accepts" in answer.text


def test_broken_utf8_is_said_and_not_saved(classroom: Classroom, aigerim: Browser) -> None:
    answer = aigerim.client.post(
        "/ask", data=b"question=%FF%FE%D0&submission=a", content_type="application/x-www-form-urlencoded"
    )
    assert answer.status_code == 400
    assert BrokenText.message in answer.text
    assert classroom.value("SELECT count(*) FROM question") == 0


@pytest.mark.parametrize(
    "path", ["/class/%FF%FE", "/%D0", "/nowhere", "/class/999999", "/static/../box.sqlite"]
)
def test_a_broken_address_is_a_page_not_a_fault(classroom: Classroom, dana: Browser, path: str) -> None:
    answer = classroom.browser().get(path)
    assert answer.status_code in (400, 404)
    assert "<h1>" in answer.text


def test_text_that_looks_like_a_script_is_only_text(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    aigerim.ask("<script>alert(1)</script>")
    wait_until(classroom.all_answered)
    for page in (aigerim.get("/ask").text, dana.get("/teacher").text):
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_a_full_disk_keeps_the_text_and_says_so(
    classroom: Classroom, dana: Browser, language: str, fill_disk: Callable[[], None]
) -> None:
    aigerim = classroom.joined("Aigerim", language)
    aigerim.get("/ask")
    before = classroom.value("SELECT count(*) FROM question")
    fill_disk()
    answer = aigerim.ask("No room? " + "қ" * 1900, submission="full")
    assert answer.status_code == 507
    assert languages.render(language, DiskFull.message, {}) in answer.text
    assert "No room?" in answer.text
    assert classroom.value("SELECT count(*) FROM question") == before


def test_a_busy_database_asks_for_patience(
    classroom: Classroom, aigerim: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.database import connection

    aigerim.get("/ask")
    monkeypatch.setattr("sync.database.BUSY_TIMEOUT_SECONDS", 0.1)
    with connection(classroom.database) as other:
        other.execute("BEGIN IMMEDIATE")
        answer = aigerim.ask("Patience?", submission="busy")
        other.execute("ROLLBACK")
    assert answer.status_code == 503
    assert DatabaseBusy.message in answer.text
    assert "Patience?" in answer.text
    assert aigerim.ask("Patience?", submission="busy").status_code == 303


def test_programs_get_a_problem_document(classroom: Classroom, dana: Browser) -> None:
    answer = classroom.browser("ru").get("/teacher", headers={"Accept": "application/json"})
    assert answer.content_type == "application/problem+json"
    assert answer.json["status"] == 403
    assert answer.json["code"] == "not_allowed"
    assert answer.json["title"] == languages.render("ru", "This page is for the teacher.", {})


def test_no_words_of_a_learner_reach_the_log(
    classroom: Classroom, aigerim: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    aigerim.ask("a very private question")
    wait_until(classroom.all_answered)
    aigerim.ask("x" * SIZE)
    assert "private" not in caplog.text
    assert "Aigerim" not in caplog.text
