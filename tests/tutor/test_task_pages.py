"""A lesson with tasks: attempts are checked by code, help comes by rungs, the answer does not."""

import json
import re
from datetime import timedelta

import pytest

from appliance.tutor import assistant, ladder
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

PENS = {"text": "A shop sells 6 pens a day. How many pens does it sell in 7 days?", "answers": "42"}


@pytest.fixture
def pens(classroom: Classroom, dana: Browser, monkeypatch: pytest.MonkeyPatch) -> str:
    """The task about pens, in a lesson where nobody need wait before the next guess."""
    monkeypatch.setattr(ladder, "THINK", timedelta(0))
    assert dana.post("/teacher/tasks", PENS).status_code == 303
    return str(classroom.value("SELECT id FROM task"))


def send(browser: Browser, task: str, step: str, **fields: str) -> str:
    page = browser.get(f"/tasks/{task}").text
    submission = re.search(r'name="submission" value="\w(\w+)"', page)
    number = submission[1] if submission else "0"
    answer = browser.post(f"/tasks/{task}/{step}", {"submission": step[0] + number, **fields})
    return answer.text if answer.status_code != 303 else ""


def test_a_right_answer_is_right_in_any_notation(classroom: Classroom, aigerim: Browser, pens: str) -> None:
    send(aigerim, pens, "attempt", answer="қырық екі")
    assert "Right: қырық екі" in aigerim.page(f"/tasks/{pens}")
    assert classroom.value("SELECT is_right FROM attempt") == 1
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'attempt_checked'") == 1


def test_five_attempts_climb_the_ladder_and_only_then_comes_the_solution(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    for rung, guess in enumerate(["13", "40", "41", "43"], 1):
        send(aigerim, pens, "attempt", answer=guess)
        page = aigerim.page(f"/tasks/{pens}")
        assert f"{rung} of 5" in page
        assert "42" not in page.replace("1.42", "")
    assert "Answer: 42" not in aigerim.page(f"/tasks/{pens}")
    send(aigerim, pens, "attempt", answer="44")
    assert "Answer: 42" in aigerim.page(f"/tasks/{pens}")
    assert engine.requests == []


def test_hints_need_no_engine(classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str) -> None:
    engine.phase = "down"
    wait_until(lambda: classroom.assistant.state.phase == "down")
    send(aigerim, pens, "attempt", answer="13")
    assert "Look at your step “13”" in aigerim.page(f"/tasks/{pens}")
    assert "X-AI-Generated" not in aigerim.get(f"/tasks/{pens}").headers


def test_a_question_about_a_task_is_answered_by_the_box_when_the_engine_is_away(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "AWAY_SECONDS", 0.0)
    engine.phase = "down"
    wait_until(lambda: classroom.assistant.state.phase == "down")
    send(aigerim, pens, "attempt", answer="13")
    send(aigerim, pens, "ask", question="What now?")
    wait_until(classroom.all_answered)
    row = classroom.rows("SELECT answer, model, decisions, request FROM question")[0]
    assert "Look at your step" in row["answer"]
    assert (row["model"], row["request"]) == ("", None)
    assert {"rule": "engine_away", "action": "authored_hint"} in json.loads(row["decisions"])
    assert "written by people" in aigerim.page(f"/tasks/{pens}")


def test_an_obliging_model_does_not_give_it_away(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    engine.words = ["Sure! ", "So ", "the ", "answer ", "is ", "4", "2", " pens."]
    send(aigerim, pens, "attempt", answer="13")
    send(aigerim, pens, "ask", question="How do I go on from my step?")
    wait_until(classroom.all_answered)
    row = classroom.rows("SELECT * FROM question")[0]
    assert row["answer"].startswith("Look at your step “13”")
    assert (row["rung"], row["model"], row["mode"]) == (1, "", "open")
    assert {"rule": "no_choice", "action": "authored_hint"} in json.loads(row["decisions"])
    assert "42" not in json.dumps(engine.requests[0]["messages"])


def test_a_model_chooses_among_hints_of_people_and_is_asked_once_on_a_rung(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    engine.words = ['{"move"', ': "b"}']
    send(aigerim, pens, "attempt", answer="13")
    for question in ("How do I go on from my step?", "Why is my step wrong?"):
        send(aigerim, pens, "ask", question=question)
        wait_until(classroom.all_answered)
    first, second = classroom.rows("SELECT * FROM question ORDER BY asked_at")
    assert "what is it a number of?" in first["answer"]
    assert (first["model"], first["prompt_version"]) == ("fake-model", "choice-1")
    assert {"rule": "move_b", "action": "rung_1"} in json.loads(first["decisions"])
    assert "About how big should the result be?" in second["answer"]
    assert (second["model"], second["request"]) == ("", None)
    kept = json.loads(first["request"])
    assert engine.requests == [kept]
    assert kept["response_format"]["json_schema"]["schema"]["properties"]["move"]["enum"] == list("abcd")
    assert aigerim.get(f"/tasks/{pens}").headers["X-AI-Generated"] == "partly"
    page = aigerim.page(f"/tasks/{pens}")
    assert "AI (fake-model) chose this hint. People wrote it." in page
    assert "chose this hint" in aigerim.page(f"/why/{first['id']}")


def test_the_meaning_of_a_word_is_explained_without_the_task(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    engine.words = ["Every ", "single ", "day, ", "so 42 ", "pens."]
    send(aigerim, pens, "ask", question="What does “a day” mean?")
    wait_until(classroom.all_answered)
    answer = classroom.value("SELECT answer FROM question")
    assert "42" not in answer
    assert "pens" not in json.dumps(engine.requests[0]["messages"])


def test_the_key_is_free_once_it_was_found(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    engine.words = ["Yes, ", "42 ", "is ", "right."]
    send(aigerim, pens, "attempt", answer="42")
    send(aigerim, pens, "ask", question="Why is it 42?")
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT answer FROM question") == "Yes, 42 is right."


def test_a_guess_in_the_chat_is_sent_to_the_answer_field_and_not_to_the_model(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    send(aigerim, pens, "ask", question="Is it 41, 42 or 43?")
    wait_until(classroom.all_answered)
    assert engine.requests == []
    assert "Send it in the answer field" in classroom.value("SELECT answer FROM question")


def test_the_task_pasted_into_a_free_question_meets_the_same_gate(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, pens: str
) -> None:
    engine.words = ["It ", "is ", "forty-two", "."]
    aigerim.ask(PENS["text"])
    wait_until(classroom.all_answered)
    assert "forty" not in classroom.value("SELECT answer FROM question")


def test_of_two_choices_no_model_is_asked(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    dana.post("/teacher/tasks", {"text": "A spider is an insect.", "answers": "True\n* False"})
    task = str(classroom.value("SELECT id FROM task"))
    send(aigerim, task, "ask", question="Is it true?")
    wait_until(classroom.all_answered)
    assert engine.requests == []


def test_the_third_refused_hint_calls_the_teacher(classroom: Classroom, aigerim: Browser, pens: str) -> None:
    for guess in ("13", "40", "41"):
        send(aigerim, pens, "attempt", answer=guess)
        aigerim.post(f"/tasks/{pens}/no-help", {"submission": f"h{guess}"})
    assert classroom.value("SELECT reason FROM hand_back") == "third_hint"
    assert "Your teacher is coming to you." in aigerim.page(f"/tasks/{pens}")
    assert "Your teacher is coming" in send(aigerim, pens, "attempt", answer="42")
    assert classroom.value("SELECT count(*) FROM attempt WHERE text = '42'") == 0


def test_the_same_attempt_sent_twice_is_one(classroom: Classroom, aigerim: Browser, pens: str) -> None:
    for _ in range(3):
        aigerim.post(f"/tasks/{pens}/attempt", {"submission": "a1", "answer": "13"})
    assert classroom.value("SELECT count(*) FROM attempt") == 1


def test_a_gift_text_is_imported_whole_or_not_at_all(classroom: Classroom, dana: Browser) -> None:
    good = "::A:: Two and two? {=4}\n\nCapital? {=Astana =Астана}"
    page = dana.post("/teacher/tasks/import", {"gift": good + "\n\nEssay {}"})
    assert page.status_code == 400
    assert "Line 5 of the GIFT text cannot be used" in page.text
    assert "Two and two?" in page.text
    assert classroom.value("SELECT count(*) FROM task") == 0
    assert dana.post("/teacher/tasks/import", {"gift": good}).status_code == 303
    assert classroom.value("SELECT count(*) FROM task") == 2


def test_a_hint_that_tells_the_answer_is_not_saved(classroom: Classroom, dana: Browser) -> None:
    page = dana.post("/teacher/tasks", {**PENS, "nudge": "Think of forty-two pens."})
    assert "a hint tells the answer" in page.text
    assert classroom.value("SELECT count(*) FROM task") == 0


def test_a_retired_task_is_gone_from_the_list_and_its_attempts_stay(
    classroom: Classroom, dana: Browser, aigerim: Browser, pens: str
) -> None:
    send(aigerim, pens, "attempt", answer="13")
    dana.post(f"/teacher/tasks/{pens}/retire")
    assert "6 pens" not in aigerim.page("/tasks")
    assert classroom.value("SELECT count(*) FROM attempt") == 1


def test_a_learner_and_a_stranger_reach_no_teachers_task_page(
    classroom: Classroom, aigerim: Browser, pens: str
) -> None:
    for browser in (aigerim, classroom.browser()):
        assert browser.get("/teacher/tasks").status_code == 403
        assert browser.post("/teacher/tasks", PENS).status_code == 403
        assert browser.post("/teacher/tasks/import", {"gift": "A {=b}"}).status_code == 403
        assert browser.post(f"/teacher/tasks/{pens}/retire").status_code == 403
    assert classroom.browser().get(f"/tasks/{pens}").status_code == 303


def test_a_task_of_another_class_is_unknown(classroom: Classroom, aigerim: Browser, pens: str) -> None:
    assert aigerim.get("/tasks/0123456789abcdef").status_code == 404


def test_nobody_tries_while_the_lesson_is_closed(
    classroom: Classroom, dana: Browser, aigerim: Browser, pens: str
) -> None:
    dana.post("/teacher/session", {"wish": "close"})
    assert aigerim.post(f"/tasks/{pens}/attempt", {"submission": "a1", "answer": "42"}).status_code == 409
    assert classroom.value("SELECT count(*) FROM attempt") == 0
