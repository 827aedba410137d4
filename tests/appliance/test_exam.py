"""An exam: no answer for the class by any door, through restarts and set clocks, and a record to prove it."""

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.database import connection, saving
from appliance.errors import DiskFull
from appliance.people import access, roster
from appliance.permission import exam_guard
from appliance.permission.exam_chain import verify_certificate
from appliance.permission.exam_time import Moment
from models.closure import path_in, read_closure
from sync.keys import is_signed_by
from tests.appliance.test_stops import NOW, THIRTY, learner_id
from tests.classroom import PIN, Browser, Classroom, wait_until
from tests.fake_engine import FakeEngine

REPOSITORY = Path(__file__).parents[2]


class Machine:
    """The ticking and the clock of the box, which a test turns as it likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.moment = Moment("first boot", 1000.0, NOW)
        monkeypatch.setattr(exam_guard, "read_moment", lambda: self.moment)
        monkeypatch.setattr("appliance.web.exam.read_moment", lambda: self.moment)

    def passes(self, minutes: float) -> None:
        moment = self.moment
        wall = moment.wall + timedelta(minutes=minutes)
        self.moment = replace(moment, ticks=moment.ticks + minutes * 60, wall=wall)

    def set_clock(self, hours: float) -> None:
        self.moment = replace(self.moment, wall=self.moment.wall + timedelta(hours=hours))

    def reboot(self) -> None:
        self.moment = Moment(self.moment.boot + ", again", 5.0, NOW.replace(year=1970))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def look(classroom: Classroom):
    def look() -> None:
        with connection(classroom.database) as db:
            classroom.guard.look(db, classroom.assistant.state)

    return look


@pytest.fixture
def erlan(classroom: Classroom, dana: Browser) -> Browser:
    with connection(classroom.database) as db, saving(db):
        other = roster.add_school_class(db, "8B", 8, "kk", now=NOW)
        access.add_teacher(db, other.id, access.hash_pin("314159"), now=NOW)
    browser = classroom.browser()
    assert browser.post("/teacher/login", {"pin": "314159", "school_class": other.id}).status_code == 303
    return browser


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch):
    """No step of an exam can be written down any more, as at the end of a card."""

    @contextmanager
    def saving(db: object) -> Iterator[None]:
        raise DiskFull
        yield

    return lambda: monkeypatch.setattr(exam_guard, "saving", saving)


def begin(dana: Browser, minutes: int = 45) -> None:
    answer = dana.post("/teacher/exam", {"minutes": str(minutes)})
    assert answer.status_code == 303, answer.text


def is_running(classroom: Classroom) -> bool:
    return classroom.value("SELECT count(*) FROM exam WHERE ended_at IS NULL") == 1


def certificate(classroom: Classroom, dana: Browser) -> bytes:
    exam_id = classroom.value("SELECT id FROM exam ORDER BY rowid DESC LIMIT 1")
    answer = dana.get(f"/teacher/exam/{exam_id}.jsonl")
    assert answer.status_code == 200
    return answer.data


def facts(content: bytes) -> list[dict]:
    judged = verify_certificate(content, is_signed_by)
    assert judged.is_whole, judged
    return list(judged.facts)


def test_an_exam_refuses_hides_and_ends_with_a_whole_certificate(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser
) -> None:
    aigerim.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    begin(dana)
    page = aigerim.page()
    assert "Your class is writing an exam" in page
    assert "two divisors" not in page, "an earlier answer is help, too"
    answer = aigerim.ask("And 91?", submission="ab")
    assert answer.status_code == 409
    assert "And 91?" in answer.text
    dana.post("/teacher/exam/end")
    assert "two divisors" in aigerim.page()
    told = facts(certificate(classroom, dana))
    assert [fact["kind"] for fact in told] == ["started", "refused", "ended"]
    assert (told[-1]["refused"], told[-1]["answers"], told[-1]["by"]) == (1, 0, "teacher")
    assert len(engine.requests) == 1
    assert aigerim.ask("And 91?", submission="cd").status_code == 303


def test_answers_that_are_being_written_end_when_the_exam_begins(
    classroom: Classroom, engine: FakeEngine, dana: Browser
) -> None:
    dana.post("/teacher/learners", {"learners": "\n".join(THIRTY)})
    class_of_thirty = [classroom.joined(name) for name in THIRTY]
    engine.hold()
    for learner in class_of_thirty:
        learner.ask("Quickly, before it begins?")
    wait_until(lambda: len(engine.requests) == 2)
    began = time.monotonic()
    begin(dana)
    assert time.monotonic() - began < 2
    wait_until(lambda: engine.abandoned == 2)
    engine.go_on()
    assert classroom.value("SELECT count(*) FROM question WHERE state = 'stopped'") == 30
    dana.post("/teacher/exam/end")
    told = facts(certificate(classroom, dana))
    assert told[1]["kind"] == "answers_ended"
    assert told[1]["count"] == 30
    assert told[-1]["answers"] == 0


def test_time_ends_an_exam_only_when_it_has_surely_passed(
    classroom: Classroom, machine: Machine, look, dana: Browser, aigerim: Browser
) -> None:
    begin(dana, 45)
    for hours in (5, -400_000, 700_000):
        machine.set_clock(hours)
        look()
        assert is_running(classroom)
        assert aigerim.ask("Is it over?", submission=f"a{abs(hours)}").status_code == 409
    machine.passes(44)
    look()
    assert is_running(classroom)
    machine.passes(1.01)
    look()
    assert not is_running(classroom)
    told = facts(certificate(classroom, dana))
    assert [fact["by_seconds"] for fact in told if fact["kind"] == "clock_set"] == [
        hours * 3600 for hours in (5, -400_000, 700_000)
    ]
    assert told[-1]["by"] == "time"
    assert aigerim.ask("Is it over?", submission="end").status_code == 303


def test_a_restart_of_the_machine_makes_an_exam_longer_never_shorter(
    classroom: Classroom, machine: Machine, look, dana: Browser, aigerim: Browser
) -> None:
    begin(dana, 45)
    machine.passes(30)
    look()
    machine.passes(0.2)  # not written down yet when the power goes
    classroom.stop()
    machine.reboot()
    classroom.start()
    assert is_running(classroom)
    assert read_closure(classroom.home).closed, "closed before the first page"
    machine.passes(14.9)
    look()
    assert is_running(classroom)
    machine.passes(0.2)
    look()
    assert not is_running(classroom)
    dana = classroom.browser()
    dana.post("/teacher/login", {"pin": PIN})
    told = facts(certificate(classroom, dana))
    assert [fact["kind"] for fact in told] == ["started", "restarted", "ended"]
    assert told[-1]["restarts"] == 1


def test_a_restart_of_the_pages_alone_costs_no_time(
    classroom: Classroom, machine: Machine, look, dana: Browser
) -> None:
    begin(dana, 45)
    classroom.stop()
    machine.passes(46)
    classroom.start()
    assert not is_running(classroom), "the machine ticked on and saw the time pass"


def test_the_note_is_written_anew_when_somebody_opens_or_breaks_it(
    classroom: Classroom, look, dana: Browser
) -> None:
    begin(dana)
    closed = read_closure(classroom.home)
    for damage in (b"", b"{}", b'{"format":"sandyq-closure-1","closed":[],"open":[]}'):
        path_in(classroom.home).write_bytes(damage)
        look()
        assert read_closure(classroom.home) == closed
    path_in(classroom.home).unlink()
    look()
    assert read_closure(classroom.home) == closed
    dana.post("/teacher/exam/end")
    assert read_closure(classroom.home).is_empty


def test_an_exam_that_cannot_close_the_engine_does_not_begin(classroom: Classroom, dana: Browser) -> None:
    path_in(classroom.home).mkdir(parents=True)  # as a full disk would: the note cannot be replaced
    answer = dana.post("/teacher/exam", {"minutes": "45"})
    assert answer.status_code == 507
    assert "The exam did not start" in answer.text
    assert classroom.value("SELECT count(*) FROM exam") == 0


def test_an_exam_that_cannot_be_saved_leaves_the_class_open(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    with connection(classroom.database) as db:
        db.execute("CREATE TRIGGER broken BEFORE INSERT ON exam BEGIN SELECT raise(ABORT, 'planted'); END")
    assert dana.post("/teacher/exam", {"minutes": "45"}).status_code == 500
    assert read_closure(classroom.home).is_empty
    assert aigerim.ask("Open?").status_code == 303


@pytest.mark.parametrize("minutes", ["0", "-5", "361", "", "x", "٤٥", "9" * 400])
def test_a_length_that_is_none_is_refused(classroom: Classroom, dana: Browser, minutes: str) -> None:
    assert dana.post("/teacher/exam", {"minutes": minutes}).status_code == 400
    assert classroom.value("SELECT count(*) FROM exam") == 0


def test_two_taps_begin_one_exam(classroom: Classroom, dana: Browser) -> None:
    begin(dana)
    assert dana.post("/teacher/exam", {"minutes": "45"}).status_code == 409
    assert classroom.value("SELECT count(*) FROM exam") == 1


def test_nobody_else_begins_ends_or_reads_an_exam(
    classroom: Classroom, dana: Browser, erlan: Browser, aigerim: Browser
) -> None:
    begin(dana)
    exam_id = classroom.value("SELECT id FROM exam")
    for stranger in (aigerim, classroom.browser()):
        assert stranger.get("/teacher/exam").status_code == 403
        assert stranger.post("/teacher/exam", {"minutes": "1"}).status_code == 403
        assert stranger.post("/teacher/exam/end").status_code == 403
        assert stranger.get(f"/teacher/exam/{exam_id}.jsonl").status_code == 403
    assert erlan.post("/teacher/exam/end").status_code == 303  # of his own class: there is none
    assert erlan.get(f"/teacher/exam/{exam_id}.jsonl").status_code == 404
    foreign = dana.post("/teacher/exam/end", headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert is_running(classroom)
    dana.post("/teacher/exam/end")
    assert erlan.get(f"/teacher/exam/{exam_id}.jsonl").status_code == 404


def test_a_stop_that_is_lifted_opens_no_exam(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    begin(dana)
    for level in ("school_class", "school"):
        dana.post("/teacher/stop", {"level": level})
        dana.post("/teacher/stop", {"level": level, "wish": "lift"})
    dana.post("/teacher/session", {"wish": "close"})
    dana.post("/teacher/session", {"wish": "open"})
    assert aigerim.ask("Now?", submission="ab").status_code == 409


def test_the_other_class_goes_on(classroom: Classroom, dana: Browser, erlan: Browser) -> None:
    erlan.post("/teacher/learners", {"learners": "Timur"})
    erlan.post("/teacher/session", {"wish": "open"})
    begin(dana)
    note = read_closure(classroom.home)
    classes = {row["name"]: row["id"] for row in classroom.rows("SELECT id, name FROM school_class")}
    assert note.refuses(classes["7A"])
    assert not note.refuses(classes["8B"])


def test_the_certificate_names_nobody(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    begin(dana)
    aigerim.ask("Aigerim asks about Bolat", submission="ab")
    dana.post("/teacher/exam/end")
    content = certificate(classroom, dana).decode()
    for word in ("Aigerim", "Bolat", "7A", "Dana"):
        assert word not in content
    told = classroom.rows("SELECT fields FROM event WHERE kind = 'exam_ended'")
    assert json.loads(told[0]["fields"])["refused"] == 1


def test_the_command_checks_a_certificate_offline(
    classroom: Classroom, dana: Browser, tmp_path: Path
) -> None:
    begin(dana)
    dana.post("/teacher/exam/end")
    file = tmp_path / "exam.jsonl"
    file.write_bytes(certificate(classroom, dana))

    def verify(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "appliance.cli", "exam", "verify", str(file), *options]
        environment = {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "SANDYQ_HOME": str(tmp_path / "elsewhere")}
        return subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )

    whole = verify("--json")
    assert whole.returncode == 0, whole.stderr
    told = json.loads(whole.stdout)
    assert (told["whole"], told["answers"], told["ended_by"]) == (True, 0, "teacher")
    assert verify("--device", told["device"]).returncode == 0
    assert verify("--device", "00" * 16).returncode == 1
    file.write_bytes(file.read_bytes().replace(b'"answers":0', b'"answers":1'))
    broken = verify("--json")
    assert broken.returncode == 1
    assert json.loads(broken.stdout) == {"whole": False, "flaw": "changed", "line": 2}
    assert "not whole" in broken.stderr


def test_no_page_of_the_box_shows_a_learner_an_earlier_answer(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    """Every page there is, also those that come after this test was written."""
    aigerim.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    known = {
        "question_id": classroom.value("SELECT id FROM question"),
        "learner_id": learner_id(classroom, "Aigerim"),
        "session_id": classroom.value("SELECT id FROM session"),
        "code": classroom.code(),
    }
    shown_before, tried = set(), 0
    pages = [rule for rule in classroom.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    with classroom.app.test_request_context():
        urls = {
            rule.endpoint: rule.build({name: known.get(name, "x") for name in rule.arguments})
            for rule in pages
        }

    def has_answer(url: str) -> bool:
        answer = aigerim.get(url, buffered=False)
        # A stream that stays open would be read for ever; its beginning shows what it will show.
        heard = b"".join(itertools.islice(answer.response, 3))
        answer.close()
        return b"two divisors" in heard

    for endpoint, built in urls.items():
        if built is not None and has_answer(built[1]):
            shown_before.add(endpoint)
    assert {"learner.ask_form", "stored.my_export"} <= shown_before, "this test can fail"
    begin(dana)
    for endpoint, built in urls.items():
        if built is not None:
            tried += 1
            assert not has_answer(built[1]), endpoint
    assert tried > 30
    dana.post("/teacher/exam/end")
    assert has_answer("/ask")


def test_the_way_to_a_person_is_open_during_an_exam(
    classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    begin(dana)
    assert aigerim.post("/person").status_code == 303
    bolat.ask("I want to die", submission="ab")
    assert classroom.value("SELECT count(*) FROM hand_back WHERE released_at IS NULL") == 2


def test_many_taps_at_once_begin_one_exam(classroom: Classroom, dana: Browser) -> None:
    answers: list[int] = []
    cookie = dana.client.get_cookie("sandyq_login")
    assert cookie is not None

    def tap() -> None:
        other = classroom.browser()
        other.client.set_cookie("sandyq_login", cookie.value)
        answers.append(other.post("/teacher/exam", {"minutes": "45"}).status_code)

    taps = [threading.Thread(target=tap) for _ in range(8)]
    for thread in taps:
        thread.start()
    for thread in taps:
        thread.join()
    assert sorted(answers) == [303] + [409] * 7
    assert classroom.value("SELECT count(*) FROM exam") == 1
    assert not read_closure(classroom.home).is_empty


def test_a_full_disk_begins_no_exam_and_leaves_the_class_open(
    classroom: Classroom, no_room, dana: Browser, aigerim: Browser
) -> None:
    no_room()
    assert dana.post("/teacher/exam", {"minutes": "45"}).status_code == 507
    assert classroom.value("SELECT count(*) FROM exam") == 0
    assert read_closure(classroom.home).is_empty


def test_a_disk_that_fills_up_during_an_exam_opens_nothing(
    classroom: Classroom, machine: Machine, look, no_room, dana: Browser, aigerim: Browser
) -> None:
    begin(dana, 45)
    no_room()
    machine.passes(46)
    with pytest.raises(DiskFull):
        look()
    assert is_running(classroom), "what cannot be written down has not ended"
    assert not read_closure(classroom.home).is_empty
    assert aigerim.ask("Now?", submission="ab").status_code == 409


def test_a_box_with_a_full_disk_comes_up_in_the_middle_of_an_exam(
    classroom: Classroom, machine: Machine, no_room, dana: Browser
) -> None:
    begin(dana)
    machine.passes(1)
    no_room()
    classroom.restart()
    assert is_running(classroom)
    assert classroom.browser().get("/").status_code == 200


def test_who_asks_in_the_very_moment_an_exam_begins_is_not_answered_after_it(
    classroom: Classroom, engine: FakeEngine, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    """Asking and claiming run against the beginning, again and again, as they may fall."""
    go_on = threading.Event()
    go_on.set()

    def keep_asking(browser: Browser, name: str) -> None:
        for number in itertools.count():
            if not go_on.is_set():
                return
            browser.ask("And now?", submission=f"{name}{number}")

    askers = [
        threading.Thread(target=keep_asking, args=(browser, name), daemon=True)
        for browser, name in ((aigerim, "a"), (bolat, "b"))
    ]
    for asker in askers:
        asker.start()
    answered = "SELECT count(*) FROM event WHERE kind = 'answer_finished' AND fields LIKE '%\"answered\"%'"
    for _ in range(8):
        before = classroom.value(answered)
        wait_until(lambda before=before: classroom.value(answered) > before, "answers between two exams")
        begin(dana)
        given, sent = classroom.value(answered), len(engine.requests)
        time.sleep(0.15)
        assert classroom.value(answered) == given
        assert len(engine.requests) <= sent + 2, "no more than were on their way"
        dana.post("/teacher/exam/end")
    go_on.clear()
    for asker in askers:
        asker.join()
    told = classroom.rows('SELECT line FROM exam_record WHERE line LIKE \'%"kind":"ended"%\'')
    assert [json.loads(row["line"])["facts"]["answers"] for row in told] == [0] * 8
