"""Why was this written, and "I disagree": from the learner to the teacher's word and back."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from appliance.database import connection, saving
from appliance.lesson import review
from tests.classroom import Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

REQUEST = {
    "messages": [{"role": "system", "content": "You are a tutor."}, {"role": "user", "content": "What?"}],
    "max_tokens": 480,
    "seed": 7,
    "user": "learner-1",
}


@pytest.fixture
def answered(classroom: Classroom, aigerim: Browser) -> str:
    """The id of an answered question of Aigerim's, with all that the tutor keeps of it."""
    aigerim.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    keep(classroom, request=json.dumps(REQUEST), prompt_version="ladder-1")
    return str(classroom.value("SELECT id FROM question"))


def keep(classroom: Classroom, **columns: str) -> None:
    with connection(classroom.database) as db, saving(db):
        for name, value in columns.items():
            db.execute(f"UPDATE question SET {name} = ?", [value])


def test_the_answer_has_its_why_and_names_what_made_it(
    classroom: Classroom, aigerim: Browser, answered: str
) -> None:
    keep(classroom, decisions=json.dumps([{"rule": "final_answer", "action": "replaced"}]))
    assert f'href="/why/{answered}"' in aigerim.get("/ask").text
    page = aigerim.page(f"/why/{answered}")
    for words in ("fake-model", "version ladder-1", "final_answer", "replaced", "No book and no page"):
        assert words in page


def test_only_the_teacher_sees_what_the_model_was_told(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str
) -> None:
    """The instructions may hold the key to a task."""
    assert "You are a tutor." in dana.page(f"/why/{answered}")
    assert "max_tokens" in dana.page(f"/why/{answered}")
    assert "You are a tutor." not in aigerim.page(f"/why/{answered}")
    assert "fa" * 32 in dana.page(f"/why/{answered}"), "the model's hash"


def test_nobody_else_reads_it(
    classroom: Classroom, dana: Browser, bolat: Browser, aigerim: Browser, answered: str
) -> None:
    assert bolat.get(f"/why/{answered}").status_code == 404
    assert bolat.post(f"/why/{answered}/contest", {"reason": "wrong"}).status_code == 404
    assert classroom.browser().get(f"/why/{answered}").status_code == 403
    for verb in ("replay", "decide"):
        assert aigerim.post(f"/why/{answered}/{verb}", {"decision": "upheld"}).status_code == 403
    assert aigerim.get("/teacher/contests").status_code == 403
    assert dana.get("/why/nothing").status_code == 404
    assert dana.post(f"/why/{answered}/contest", {"reason": "wrong"}).status_code == 404


def test_a_learner_disagrees_the_teacher_corrects_and_the_learner_reads_it(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str
) -> None:
    form = {"reason": "wrong", "words": "One is not prime."}
    assert aigerim.post(f"/why/{answered}/contest", form).status_code == 303
    assert "The teacher decides by" in aigerim.page(f"/why/{answered}")
    flag = dana.get("/teacher/class.json").json["flags"][0]
    assert (flag["kind"], flag["learner"], flag["reason"]) == ("contest", "Aigerim", "wrong")
    assert "One is not prime." in dana.page("/teacher/contests")
    decided = dana.post(f"/why/{answered}/decide", {"decision": "corrected", "words": "Right: two divisors."})
    assert decided.status_code == 303
    for page in (aigerim.page(), aigerim.page(f"/why/{answered}")):
        assert "The teacher corrected the answer." in page
        assert "Right: two divisors." in page
    assert not dana.get("/teacher/class.json").json["flags"]


def test_the_teacher_may_let_the_answer_stand_without_a_word(
    dana: Browser, aigerim: Browser, answered: str
) -> None:
    aigerim.post(f"/why/{answered}/contest", {"reason": "unclear"})
    dana.post(f"/why/{answered}/decide", {"decision": "upheld"})
    assert "the answer stands" in aigerim.page()


@pytest.mark.parametrize(
    ("form", "status", "says"),
    [
        ({}, 400, "Nothing was chosen."),
        ({"reason": "made up"}, 400, "Nothing was chosen."),
        ({"reason": "wrong", "words": "x" * 1001}, 400, "1001 characters"),
        ({"reason": "wrong", "words": "\x00"}, 400, "broken"),
    ],
)
def test_a_bad_form_is_told_kindly(
    classroom: Classroom, aigerim: Browser, answered: str, form: dict[str, str], status: int, says: str
) -> None:
    page = aigerim.post(f"/why/{answered}/contest", form)
    assert (page.status_code, says in page.text) == (status, True)
    assert not classroom.value("SELECT count(*) FROM contest")


def test_an_answer_is_contested_once_and_decided_once(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str
) -> None:
    aigerim.post(f"/why/{answered}/contest", {"reason": "wrong"})
    assert aigerim.post(f"/why/{answered}/contest", {"reason": "hurtful"}).status_code == 409
    assert dana.post(f"/why/{answered}/decide", {"decision": "corrected", "words": " "}).status_code == 400
    dana.post(f"/why/{answered}/decide", {"decision": "upheld"})
    again = dana.post(f"/why/{answered}/decide", {"decision": "corrected", "words": "No, wait."})
    assert again.status_code == 409
    assert classroom.value("SELECT decision FROM contest") == "upheld"


def test_a_contest_that_nobody_answers_becomes_overdue(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str
) -> None:
    aigerim.post(f"/why/{answered}/contest", {"reason": "wrong"})
    assert "overdue" not in dana.page("/teacher")
    with connection(classroom.database) as db, saving(db):
        week_ago = (datetime.now(UTC) - timedelta(days=7)).isoformat()
        db.execute("UPDATE contest SET at = ?", [week_ago])
    assert "overdue" in dana.page("/teacher")
    assert dana.get("/teacher/class.json").json["flags"][0]["is_overdue"]
    assert "No decision yet; it was due on" in aigerim.page()


def test_a_contest_leaves_no_event_and_no_outbox_row(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str
) -> None:
    before = classroom.value("SELECT count(*) FROM event"), classroom.value("SELECT count(*) FROM outbox")
    aigerim.post(f"/why/{answered}/contest", {"reason": "wrong", "words": "Secret words."})
    dana.post(f"/why/{answered}/decide", {"decision": "upheld"})
    assert before == (
        classroom.value("SELECT count(*) FROM event"),
        classroom.value("SELECT count(*) FROM outbox"),
    )


def replayed(dana: Browser, question_id: str) -> str:
    assert dana.post(f"/why/{question_id}/replay").status_code == 303
    wait_until(lambda: "is writing it again" not in dana.page(f"/why/{question_id}"), "the replay")
    return dana.page(f"/why/{question_id}")


def test_a_replay_sends_the_kept_request_and_says_that_it_is_the_same(
    engine: FakeEngine, dana: Browser, answered: str
) -> None:
    assert "Word for word the same." in replayed(dana, answered)
    assert engine.requests[-1] == REQUEST


def test_a_replay_says_honestly_that_it_is_not_the_same(
    engine: FakeEngine, dana: Browser, answered: str
) -> None:
    engine.words = ["Something ", "else."]
    page = replayed(dana, answered)
    assert "Not the same." in page
    assert "The same model with the same request wrote other words" in page
    assert "Something else." in page


def test_a_replay_changes_nothing_that_is_kept(
    classroom: Classroom, engine: FakeEngine, dana: Browser, answered: str
) -> None:
    rows = classroom.rows("SELECT * FROM question"), classroom.rows("SELECT * FROM event")
    engine.words = ["Other."]
    replayed(dana, answered)
    assert rows == (classroom.rows("SELECT * FROM question"), classroom.rows("SELECT * FROM event"))


def test_a_stop_forbids_and_ends_a_replay(
    classroom: Classroom, engine: FakeEngine, dana: Browser, answered: str
) -> None:
    engine.hold()
    dana.post(f"/why/{answered}/replay")
    dana.post("/teacher/stop", {"level": "school_class", "wish": "stop"})
    wait_until(lambda: "was not asked to the end" in dana.page(f"/why/{answered}"), "its end")
    sent = len(engine.requests)
    assert "paused" in dana.post(f"/why/{answered}/replay").text
    assert len(engine.requests) == sent
    engine.go_on()


def test_an_answer_without_a_request_cannot_be_replayed(
    classroom: Classroom, dana: Browser, answered: str
) -> None:
    with connection(classroom.database) as db, saving(db):
        db.execute("UPDATE question SET request = NULL")
    assert dana.post(f"/why/{answered}/replay").status_code == 409


def test_every_reason_has_its_words(aigerim: Browser, answered: str) -> None:
    page = aigerim.get(f"/why/{answered}").text
    shown = re.findall(r'id="reason-(\w+)"[^>]*>([^<]+)</label>', page)
    assert [name for name, _ in shown] == list(review.REASONS)
    assert len({words for _, words in shown}) == len(review.REASONS)


def test_the_page_of_an_ai_text_is_marked_for_people_and_programs(aigerim: Browser, answered: str) -> None:
    page = aigerim.get(f"/why/{answered}")
    assert page.headers["X-AI-Generated"] == "partly"
    assert 'data-generator="ai"' in page.text
    assert "trainedAlgorithmicMedia" in page.text
    assert "AI: the language model fake-model" in page.text


@pytest.mark.parametrize("reason", ["hurtful", ""])
def test_words_of_pain_in_a_disagreement_call_the_teacher_at_once(
    classroom: Classroom, dana: Browser, aigerim: Browser, answered: str, reason: str
) -> None:
    form = {"reason": reason, "words": "менің өлгім келеді"}
    for _ in range(2):  # a second tap changes nothing
        assert aigerim.post(f"/why/{answered}/contest", form).headers["Location"].endswith("/ask")
    flags = dana.get("/teacher/class.json").json["flags"]
    assert flags[0]["kind"] == "hand_back"
    assert flags[0]["reason"] == "distress"
    assert classroom.value("SELECT count(*) FROM question WHERE text = 'менің өлгім келеді'") == 1
    assert classroom.value("SELECT count(*) FROM contest") == bool(reason)
