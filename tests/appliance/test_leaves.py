"""Parents read what leaves, without a log-in, and the page says what the envelope holds."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.web.leaves import VALUES, words_that_leave
from sync import client, outbox
from sync.database import open_database, write_transaction
from sync.event import KINDS, Event
from sync.keys import OpeningKey, ensure_device_key, vouch_for_nation_key
from sync.settings import SyncSettings
from tests.classroom import Classroom
from tests.region_simulator import RegionSimulator

NATION = OpeningKey.from_seed(bytes(range(96)))
TWO_WEEKS_AGO = datetime.now(UTC) - timedelta(days=14)


def record(classroom: Classroom, learners: int, at: datetime = TWO_WEEKS_AGO) -> None:
    """A lesson of another day, with names and words that must not show."""
    db = open_database(classroom.database)
    with write_transaction(db):
        for number in range(learners):
            told = {"language": "kk", "learner_name": f"Canary {number}", "text": "Canary", "characters": 20}
            fields = dict.fromkeys(KINDS["question_asked"].fields) | told
            outbox.add(db, Event("question_asked", at, "lesson", f"learner {number}", fields))
    db.close()


def seal(classroom: Classroom, tmp_path: Path) -> None:
    """Enrol with a region that is then out of reach, so that the batch stays sealed."""
    region = RegionSimulator(tmp_path / "region")
    settings = SyncSettings(home=classroom.home)
    with region.serve() as url:
        client.enrol(settings, url, region.code())
    path = classroom.home / "enrolment.json"
    proof = vouch_for_nation_key(region.region.keys, region.region.id, NATION.public)
    keys = {"nation_key": NATION.public, "nation_proof": proof}
    told = {name: base64.b64encode(value).decode() for name, value in keys.items()}
    path.write_text(json.dumps(json.loads(path.read_text()) | told))
    db = open_database(classroom.database)
    client.cut_next(db, ensure_device_key(classroom.home), client.get_enrolment(settings))
    db.close()


def test_a_stranger_reads_the_next_envelope_in_three_languages(classroom: Classroom) -> None:
    classroom.dana_sets_up()
    record(classroom, 12)
    for language, words in {
        "kk": "Сұрақ",
        "ru": "Для региона",
        "en": "A question was asked",
    }.items():
        page = classroom.browser(language).page("/leaves")
        assert words in page, language
        assert "16-31" in page, "a size class as the sizes it stands for"
        assert "Canary" not in page
        assert "learner 1" not in page
    english = classroom.browser("en").page("/leaves")
    assert re.search(r"\b12\b\s+A question was asked", english)
    assert "does not belong to a region yet" in english


def test_few_learners_wait_and_only_their_number_is_told(classroom: Classroom) -> None:
    classroom.dana_sets_up()
    yesterday = datetime.now(UTC) - timedelta(days=1)
    record(classroom, 3, yesterday)
    page = classroom.browser("en").page("/leaves")
    assert "Too few learners look alike" in page
    assert (yesterday.date() + timedelta(days=7)).strftime("%d.%m.%Y") in page
    assert yesterday.date().strftime("%d.%m.%Y") not in page
    assert "16-31" not in page


def test_what_happens_today_cannot_be_watched(classroom: Classroom) -> None:
    classroom.dana_sets_up()
    record(classroom, 15, datetime.now(UTC))
    page = classroom.browser("en").page("/leaves")
    assert "Nothing of a finished day waits" in page
    assert classroom.browser().get("/leaves.json").json["envelope"] is None


def test_sealed_the_page_shows_the_very_bytes(classroom: Classroom, tmp_path: Path) -> None:
    classroom.dana_sets_up()
    record(classroom, 25)
    seal(classroom, tmp_path)
    stranger = classroom.browser("en")
    told = stranger.get("/leaves.json").json
    blob = stranger.get("/leaves/envelope.sb1").data
    stored = classroom.rows("SELECT sealed, body FROM batch")[0]
    assert blob == stored["sealed"]
    assert told["sealed_sha256"] == hashlib.sha256(blob).hexdigest()
    assert bytes.fromhex(told["clear_bytes"]) == stored["body"]
    assert sum(row["kind"] == "question_asked" for row in told["envelope"]["rows"]) == 25
    page = stranger.page("/leaves")
    assert told["sealed_sha256"] in page
    assert "It is sealed and goes with the next link" in page
    weeks = len(told["nation_weeks"])  # none in the holidays
    assert f"epsilon {weeks / 2} of at most 17.0, in {weeks} weeks" in page
    assert ("weekly numbers with chance added" in page) == bool(weeks)


def test_before_the_sealing_there_is_no_envelope_to_take(classroom: Classroom) -> None:
    classroom.dana_sets_up()
    assert classroom.browser().get("/leaves/envelope.sb1").status_code == 404


def test_the_teacher_finds_the_page_and_its_code_leads_there(classroom: Classroom) -> None:
    dana = classroom.dana_sets_up()
    assert 'href="/leaves"' in dana.get("/teacher").text
    assert "http://192.168.7.1:8080/leaves" in dana.get("/leaves").text


def test_every_word_that_may_leave_is_said(classroom: Classroom) -> None:
    assert words_that_leave() <= set(VALUES)


@pytest.mark.parametrize("path", ["/leaves", "/leaves.json"])
def test_looking_changes_nothing(classroom: Classroom, path: str) -> None:
    classroom.dana_sets_up()
    record(classroom, 12)
    before = classroom.rows("SELECT seed, next_seq FROM sync_state")
    first, second = (classroom.browser("en").get(path).data for _ in range(2))
    assert first == second
    assert classroom.rows("SELECT seed, next_seq FROM sync_state") == before
    assert classroom.value("SELECT count(*) FROM privacy_spend") == 0


def test_a_look_is_worked_out_once_until_something_changes(
    classroom: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    classroom.dana_sets_up()
    record(classroom, 12)
    looks: list[bytes] = []
    real = outbox.disclose_next
    monkeypatch.setattr(outbox, "disclose_next", lambda db, kid: looks.append(kid) or real(db, kid))
    stranger = classroom.browser("en")
    for _ in range(5):
        assert re.search(r"\b12\b\s+A question was asked", stranger.page("/leaves"))
    assert len(looks) == 1
    record(classroom, 13)
    assert re.search(r"\b25\b\s+A question was asked", stranger.page("/leaves"))
    db = open_database(classroom.database)
    with write_transaction(db):
        outbox.forget_learner(db, "learner 0")
    db.close()
    assert re.search(r"\b23\b\s+A question was asked", stranger.page("/leaves"))
    assert len(looks) == 3
