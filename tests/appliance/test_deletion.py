"""A learner is deleted, and neither a table, nor the file, nor its log remembers them."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.database import connection, saving
from appliance.lesson import deletion, hand_back, sessions, stored
from appliance.people import accommodations, cards, pictures, roster
from appliance.people.accommodations import Accommodation
from sync.event import KINDS
from tests.classroom import Browser, Classroom, wait_until

# Words that are nobody else's: found anywhere, they are hers.
NAME = "Сауле Канарейкина"
QUESTION = "КАНАРЕЙКА-СҰРАҚ: жеті бөлшек неше?"
WORDS = "КАНАРЕЙКА-КЕЛІСПЕЙМІН"
CANARIES = (NAME, "КАНАРЕЙКА")


@pytest.fixture
def saule(classroom: Classroom, dana: Browser) -> str:
    """A learner with a row in every table that can have one; returns her id. The lesson is closed after."""
    dana.post("/teacher/learners", {"learners": NAME})
    browser = classroom.joined(NAME)
    browser.ask(QUESTION)
    wait_until(classroom.all_answered)
    question_id = str(classroom.value("SELECT id FROM question"))
    browser.post(f"/why/{question_id}/contest", {"reason": "other", "words": WORDS})
    with connection(classroom.database) as db, saving(db):
        school_class = roster.find_first_class(db)
        learner = next(one for one in roster.learners(db, school_class.id) if one.name == NAME)
        session = sessions.find_open_session(db, school_class.id)
        hand_back.hand_back(db, learner, session, question_id, "third_hint", datetime.now(UTC))
        fill_the_rest(db, learner.id, school_class.id, session.id)
    dana.post("/teacher/stop", {"level": "learner", "learner": learner.id, "wish": "stop"})
    dana.post("/teacher/session", {"wish": "close"})
    return learner.id


def fill_the_rest(db, learner_id: str, school_class_id: str, session_id: str) -> None:  # type: ignore[no-untyped-def]
    """Rows whose own pages are tested elsewhere, with the canary wherever text fits."""
    cards.issue(db, learner_id, now=datetime.now(UTC))
    pictures.choose(db, learner_id, tuple(pictures.PICTURES)[:3], now=datetime.now(UTC))
    accommodations.save(db, learner_id, Accommodation(size=150))
    at = datetime.now(UTC).isoformat()
    db.table("task").insert(
        {"id": "task-1", "school_class_id": school_class_id, "kind": "number", "text": "2 + 2?",
         "answers": '[{"text": "4", "tolerance": "0"}]', "position": 1, "created_at": at}
    )  # fmt: skip
    db.table("attempt").insert(
        {"id": "attempt-1", "submission": "s-1", "task_id": "task-1", "learner_id": learner_id,
         "session_id": session_id, "kind": "answer", "text": "КАНАРЕЙКА-ТАЛПЫНЫС", "rung": 0, "at": at}
    )  # fmt: skip


def tables_with(classroom: Classroom, needle: str) -> list[str]:
    """Return every table and column of the database that holds a text, however deep inside."""
    found = []
    for row in classroom.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
        for number, values in enumerate(classroom.rows(f'SELECT * FROM "{row["name"]}"')):
            for column, value in values.items():
                text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
                if needle in text or json.dumps(needle)[1:-1] in text:
                    found.append(f"{row['name']}.{column} ({number})")
    return found


def bytes_of(classroom: Classroom) -> bytes:
    """Return the raw file, its log and whatever lies beside it, free pages included."""
    # The write-ahead log and the index of it are separate files.
    files = sorted(Path(classroom.database).parent.glob("box.sqlite*"))
    return b"".join(path.read_bytes() for path in files)


def test_nothing_of_a_deleted_learner_is_left(classroom: Classroom, dana: Browser, saule: str) -> None:
    # The test would prove nothing of a table that holds nothing of hers.
    with connection(classroom.database) as db:
        assert set(deletion._find_rows(db, saule)) == set(stored.TABLES)
    assert tables_with(classroom, saule)
    assert any(NAME.encode() in part for part in [bytes_of(classroom)])
    page = dana.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"})
    assert (page.status_code, "No row about this learner is left" in page.text) == (200, True)
    for canary in (saule, *CANARIES):
        assert tables_with(classroom, canary) == []
    classroom.stop()
    raw = bytes_of(classroom)
    for canary in (saule, *CANARIES):
        assert canary.encode() not in raw, canary
        assert json.dumps(canary)[1:-1].encode() not in raw, canary
    classroom.start()


def test_the_file_forgets_also_without_making_it_anew(
    classroom: Classroom, dana: Browser, saule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The box was busy or lost power: secure_delete alone must have overwritten the pages."""
    monkeypatch.setattr(deletion, "clean", lambda *_args, **_kwargs: False)
    page = dana.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"})
    assert "tidies its file at the next start" in page.text
    with connection(classroom.database) as db:
        assert deletion.needs_cleaning(db)
    monkeypatch.undo()
    classroom.stop()
    with connection(classroom.database) as db:
        assert deletion.clean(db, now=datetime.now(UTC))
        assert not deletion.needs_cleaning(db)
    for canary in (saule, *CANARIES):
        assert canary.encode() not in bytes_of(classroom)
    classroom.start()


def test_the_others_keep_everything(
    classroom: Classroom, dana: Browser, aigerim: Browser, saule: str
) -> None:
    dana.post("/teacher/session", {"wish": "open"})
    aigerim.ask("Mine stays?")
    wait_until(classroom.all_answered)
    dana.post("/teacher/session", {"wish": "close"})
    dana.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"})
    assert classroom.rows("SELECT text, answer FROM question") == [
        {"text": "Mine stays?", "answer": "Think of numbers with two divisors."}
    ]
    names = {row["name"] for row in classroom.rows("SELECT name FROM learner")}
    assert names == {"Aigerim", "Bolat"}
    assert not classroom.rows("PRAGMA foreign_key_check")
    assert classroom.value("PRAGMA integrity_check") == "ok"
    assert classroom.value("SELECT count(*) FROM task") == 1, "a task is the class's, not hers"


def test_the_record_of_a_deletion_names_nobody(classroom: Classroom, dana: Browser, saule: str) -> None:
    dana.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"})
    record = classroom.rows("SELECT * FROM deletion")[0]
    counts = json.loads(record["row_counts"])
    assert counts["learner"] == 1
    assert counts["question"] == 1
    assert counts["contest"] == counts["hand_back"] == counts["attempt"] == counts["stop"] == 1
    assert record["cleaned_at"]


def test_a_lesson_must_be_closed_and_the_box_ticked(classroom: Classroom, dana: Browser, saule: str) -> None:
    assert dana.post(f"/teacher/learners/{saule}/delete").status_code == 400
    dana.post("/teacher/session", {"wish": "open"})
    assert dana.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"}).status_code == 409
    assert classroom.value(f"SELECT count(*) FROM learner WHERE id = '{saule}'") == 1


def test_only_the_teacher_of_the_class_deletes(
    classroom: Classroom, dana: Browser, aigerim: Browser, saule: str
) -> None:
    for browser, status in ((aigerim, 403), (classroom.browser(), 403)):
        for path in ("stored", "export.json", "export.html"):
            assert browser.get(f"/teacher/learners/{saule}/{path}").status_code == status
        assert browser.post(f"/teacher/learners/{saule}/delete", {"sure": "yes"}).status_code == status
    assert dana.get("/teacher/learners/nobody/stored").status_code == 404
    assert dana.post("/teacher/learners/nobody/delete", {"sure": "yes"}).status_code == 404


def test_a_copy_holds_every_row_and_no_key(classroom: Classroom, dana: Browser, saule: str) -> None:
    answer = dana.get(f"/teacher/learners/{saule}/export.json")
    assert answer.headers["X-AI-Generated"] == "partly"
    rows = answer.json["rows"]
    assert {"attempt", "contest", "event", "hand_back", "learner", "login", "question", "stop"} <= set(rows)
    assert rows["question"][0]["text"] == QUESTION
    assert rows["question"][0]["answer_generator"] == "ai"
    assert rows["learner"][0]["name"] == NAME
    for table, found in rows.items():
        if table not in ("learner", "login"):
            assert len(found) == classroom.value(f"SELECT count(*) FROM {table} WHERE learner_id = '{saule}'")
    assert "token_hash" not in answer.text


def test_the_readable_copy_marks_what_ai_wrote(dana: Browser, saule: str) -> None:
    page = dana.get(f"/teacher/learners/{saule}/export.html").text
    assert QUESTION in page
    assert re.search(r'<dd data-generator="ai"[^>]*><p><em>Written by AI', page)
    assert "<script" not in page


def test_a_learner_reads_only_their_own_page(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    aigerim.ask("Only mine?")
    wait_until(classroom.all_answered)
    assert "Only mine?" in aigerim.page("/me")
    assert aigerim.get("/me/export.json").json["rows"]["question"][0]["text"] == "Only mine?"
    assert "Delete for ever" not in aigerim.page("/me")
    stranger = classroom.browser()
    assert stranger.get("/me").status_code == 303
    assert stranger.get("/me/export.json").status_code == 403


def test_everybody_reads_what_leaves_without_an_account(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser()
    page = stranger.page("/stored")
    assert "No name and no text ever leaves" in page
    assert "A question was asked" in page
    assert "length of the question: only roughly, as a size class" in page
    assert 'href="/stored"' in stranger.get("/").text, "from every page"
    assert "<svg" in stranger.get("/stored").text


def test_the_page_has_words_for_every_kind_field_and_table(
    classroom: Classroom, dana: Browser, saule: str
) -> None:
    assert set(KINDS) <= set(stored.EVENTS), (
        "a new kind of event needs its words in appliance/lesson/stored.py"
    )
    for kind, declared in KINDS.items():
        for name, rule in declared.fields.items():
            if stored.form_of(rule) != "stays on the box":
                assert name in stored.FIELDS, f"{kind}.{name} needs its words in appliance/lesson/stored.py"
    with connection(classroom.database) as db:
        tables = {
            row["name"]
            for row in db.query("SELECT name FROM sqlite_master WHERE type = 'table'")
            if any(parent == "learner" for _, parent, _ in deletion._references(db, row["name"]))
        }
    assert tables <= set(stored.TABLES), (
        "a new table with a learner needs its words in appliance/lesson/stored.py"
    )
