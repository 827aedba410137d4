"""A question: saved once, answered once, whatever breaks in between."""

import json

from appliance.database import connection
from appliance.lesson import questions
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine


def test_a_learner_asks_and_reads_the_answer(classroom: Classroom, aigerim: Browser) -> None:
    assert aigerim.ask("What is a prime number?").status_code == 303
    wait_until(classroom.all_answered, "the answer")
    page = aigerim.page()
    assert "What is a prime number?" in page
    assert "Think of numbers with two divisors." in page
    assert "Written by AI (fake-model)" in page


def test_two_learners_are_answered_at_once(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, bolat: Browser
) -> None:
    engine.hold()
    aigerim.ask("One?")
    bolat.ask("Two?")
    wait_until(lambda: len(engine.requests) == 2, "both requests at the engine")
    engine.go_on()
    wait_until(classroom.all_answered)


def test_the_question_its_event_and_its_outbox_row_stand_together(
    classroom: Classroom, aigerim: Browser
) -> None:
    aigerim.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    kinds = [row["kind"] for row in classroom.rows("SELECT kind FROM event ORDER BY id")]
    assert kinds == ["session_opened", "box_health", "learner_joined", "question_asked", "answer_finished"]
    assert classroom.value("SELECT count(*) FROM outbox") == len(kinds)


def test_a_fact_that_cannot_be_queued_is_not_saved_either(classroom: Classroom, aigerim: Browser) -> None:
    with connection(classroom.database) as db:
        db.execute("CREATE TRIGGER broken BEFORE INSERT ON outbox BEGIN SELECT raise(ABORT, 'planted'); END")
    assert aigerim.ask("Lost?").status_code == 500
    assert classroom.value("SELECT count(*) FROM question") == 0
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'question_asked'") == 0


def test_the_same_form_sent_twice_is_one_question(classroom: Classroom, aigerim: Browser) -> None:
    for _ in range(3):
        assert aigerim.ask("Again?", submission="0011223344556677").status_code == 303
    assert classroom.value("SELECT count(*) FROM question") == 1
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'question_asked'") == 1


def test_the_model_hears_the_question_in_the_learners_language(
    classroom: Classroom, engine: FakeEngine, dana: Browser
) -> None:
    aigerim = classroom.joined("Aigerim", language="kk")
    aigerim.ask("Жай сан деген не?")
    wait_until(classroom.all_answered)
    system, question = engine.requests[0]["messages"]
    assert "Қазақ тілінде" in system["content"]
    assert question == {"role": "user", "content": "Жай сан деген не?"}


def test_the_engine_never_learns_a_name(classroom: Classroom, engine: FakeEngine, aigerim: Browser) -> None:
    aigerim.ask("Hello?")
    wait_until(classroom.all_answered)
    assert "Aigerim" not in json.dumps(engine.requests)
    assert "7A" not in json.dumps(engine.requests)


def test_an_engine_that_is_away_loses_no_question(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.phase = "loading"
    wait_until(lambda: classroom.assistant.state.phase == "loading")
    assert aigerim.ask("Early?").status_code == 303
    assert "still loading" in aigerim.page()
    engine.phase = "ok"
    wait_until(classroom.all_answered, "the answer after the model came up")


def test_an_answer_cut_off_in_the_middle_is_written_again(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.breaks = [2]
    aigerim.ask("Cut?")
    wait_until(classroom.all_answered)
    assert "Think of numbers with two divisors." in aigerim.page()


def test_a_question_that_breaks_every_answer_fails_with_a_reason(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.breaks = [2] * 10
    aigerim.ask("Poison?")
    wait_until(classroom.all_answered)
    assert len(engine.requests) == questions.MAX_ATTEMPTS
    assert "could not answer this question" in aigerim.page()
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'answer_finished'") == 1


def test_a_refused_question_fails_at_once_and_the_next_one_is_answered(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser
) -> None:
    engine.refuse_with = "prompt_too_long"
    aigerim.ask("Too long for this model?")
    wait_until(classroom.all_answered)
    assert len(engine.requests) == 1
    engine.refuse_with = None
    aigerim.ask("Shorter?")
    wait_until(classroom.all_answered)
    assert [row["state"] for row in classroom.rows("SELECT state FROM question ORDER BY asked_at")] == [
        "failed",
        "answered",
    ]


def test_a_killed_box_answers_what_was_asked_before(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, bolat: Browser
) -> None:
    engine.hold()
    aigerim.ask("Before the cut?")
    wait_until(lambda: classroom.value("SELECT state FROM question") == "answering")
    classroom.restart()
    engine.go_on()
    wait_until(classroom.all_answered)
    assert classroom.value("SELECT state FROM question") == "answered"
    assert classroom.value("SELECT attempts FROM question") == 1, "a cut is not the question's fault"


def test_closing_the_lesson_stops_answers_and_frees_the_engine(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    engine.hold()
    aigerim.ask("Stopped?")
    wait_until(lambda: engine.requests)
    dana.post("/teacher/session", {"wish": "close"})
    assert classroom.value("SELECT state FROM question") == "stopped"
    assert "The teacher ended the lesson" in aigerim.page()
    wait_until(lambda: engine.abandoned == 1, "the engine to be let go")
    engine.go_on()
    assert classroom.value("SELECT count(*) FROM event WHERE kind = 'answer_finished'") == 1


def test_nobody_asks_while_the_lesson_is_closed_and_the_text_stays(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    aigerim.get("/ask")
    dana.post("/teacher/session", {"wish": "close"})
    answer = aigerim.ask("Too late?", submission="ab")
    assert answer.status_code == 409
    assert "The lesson is not open" in answer.text
    assert "Too late?" in answer.text
    assert classroom.value("SELECT count(*) FROM question") == 0


def test_a_third_open_question_must_wait(classroom: Classroom, engine: FakeEngine, aigerim: Browser) -> None:
    engine.hold()
    aigerim.ask("One?")
    aigerim.ask("Two?")
    answer = aigerim.ask("Three?")
    assert answer.status_code == 429
    assert "Three?" in answer.text
    engine.go_on()
    wait_until(classroom.all_answered)
    assert aigerim.ask("Three?").status_code == 303


def test_a_second_question_waits_behind_a_neighbours_first(
    classroom: Classroom, engine: FakeEngine, aigerim: Browser, bolat: Browser
) -> None:
    engine.phase = "loading"
    wait_until(lambda: classroom.assistant.state.phase == "loading")
    for browser, text in ((aigerim, "Mine?"), (aigerim, "Mine too?"), (bolat, "His?")):
        browser.ask(text)
    with connection(classroom.database) as db:
        line = [questions.get(db, question_id).text for question_id in questions.waiting_ids(db)]
    assert line == ["Mine?", "His?", "Mine too?"]
