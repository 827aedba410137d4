"""A thousand tries by every door during an exam: not one word of an answer, and the record counts them.

The pages, the assistant and the engine's door are the real ones; only the model inside is a fake, so that
every token it ever chooses can be counted.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.database import connection, saving
from appliance.people import access, roster
from appliance.permission.exam_chain import verify_certificate
from models.closure import path_in, read_closure
from sync.keys import is_signed_by
from tests.appliance.test_exam import Machine, begin
from tests.appliance.test_exam import machine as machine
from tests.appliance.test_stops import NOW
from tests.classroom import Browser, Classroom, wait_until
from tests.models.box import HELLO, KEY, LONG, Box
from tests.models.fake_engine import FakeEngine

TRIES = 1000


@dataclass
class School:
    """7A with an exam before it, 8B beside it, and the engine's own door."""

    room: Classroom
    box: Box
    dana: Browser
    aigerim: Browser
    classes: dict[str, str]
    page_tries: int = 0

    def tokens(self) -> float:
        figures = self.box.http.request("GET", f"{self.box.url}/metrics").data.decode().splitlines()
        return next(
            float(it.split()[1]) for it in figures if it.startswith("sandyq_engine_answer_tokens_total ")
        )

    def log_in_again(self) -> None:
        """Another application object after a restart; the cookies are the same."""
        self.dana.client, self.aigerim.client = (
            self._with_cookie(browser) for browser in (self.dana, self.aigerim)
        )

    def _with_cookie(self, browser: Browser) -> Any:
        client = self.room.app.test_client()
        for name in ("sandyq_login", "sandyq_language"):
            cookie = browser.client.get_cookie(name)
            if cookie is not None:
                client.set_cookie(name, cookie.value)
        return client


class RealDoor:
    """What a Classroom asks of its engine."""

    phase = "ok"

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.fixture
def school(tmp_path: Path) -> Iterator[School]:
    box = Box(FakeEngine(step_seconds=0.002), waiting=16, closure=lambda: read_closure(tmp_path)).wait_ready()
    room = Classroom(tmp_path, RealDoor(box.url), engine_key=KEY)  # type: ignore[arg-type]
    dana = room.dana_sets_up()
    dana.post("/teacher/session", {"wish": "open"})
    with connection(room.database) as db, saving(db):
        other = roster.add_school_class(db, "8B", 8, "kk", now=NOW)
        access.add_teacher(db, other.id, access.hash_pin("314159"), now=NOW)
    classes = {row["name"]: row["id"] for row in room.rows("SELECT id, name FROM school_class")}
    yield School(room, box, dana, room.joined("Aigerim"), classes)
    room.stop()
    box.close()


def engine_bodies(school: School) -> Iterator[tuple[bool, dict[str, Any]]]:
    """With or without the key, and the body: everything a program on the box may think of."""
    own, message = school.classes["7A"], {"messages": HELLO}
    for has_key, stream, group in itertools.product(
        (True, False), (True, False), (None, "", own, "invented", own.upper(), f" {own}", "7A")
    ):
        yield has_key, message | {"stream": stream} | ({} if group is None else {"group": group})
    # Who has no key cannot say that it asks for the class that is open.
    yield False, message | {"group": school.classes["8B"]}
    yield True, message | {"group": own, "priority": "teacher", "lesson": "A lesson", "user": "x"}


def ask_engine(school: School, has_key: bool, body: dict[str, Any]) -> bytes:
    headers = {"Authorization": f"Bearer {KEY}"} if has_key else {"Accept": "*/*"}
    answer = school.box.http.request(
        "POST", f"{school.box.url}/v1/chat/completions", body=json.dumps(body).encode(), headers=headers
    )
    assert answer.status == 403, (has_key, body, answer.status)
    return bytes(answer.data)


def ask_page(school: School, form: dict[str, str], accept: str) -> bytes:
    school.page_tries += 1
    answer = school.aigerim.post("/ask", form, headers={"Accept": accept})
    assert answer.status_code == 409
    return answer.data


def tries(school: School, old_stream: str) -> Iterator[Callable[[], bytes]]:
    numbers = itertools.count()
    while True:
        for has_key, body in engine_bodies(school):
            yield lambda has_key=has_key, body=body: ask_engine(school, has_key, body)
        for accept in ("text/html", "application/json", "text/event-stream"):
            form = {"question": "And 91?", "submission": f"try{next(numbers)}"}
            yield lambda form=form, accept=accept: ask_page(school, form, accept)
        yield lambda: school.aigerim.get("/ask").data
        yield lambda: school.aigerim.get("/stream").data
        for after in ({}, {"Last-Event-ID": f"{old_stream}-1"}):
            url = f"{school.box.url}/v1/chat/completions/{old_stream}/events"
            yield lambda url=url, after=after: bytes(
                school.box.http.request("GET", url, headers={"Authorization": f"Bearer {KEY}", **after}).data
            )


def test_a_thousand_tries_by_every_door_bring_no_word(school: School, machine: Machine) -> None:
    aigerim, box = school.aigerim, school.box
    aigerim.ask("Before the exam?")
    wait_until(school.room.all_answered)
    said = school.room.value("SELECT answer FROM question")
    assert said, "the doors are open, and the count below can fail"
    old = box.ask(LONG, stream=True, max_tokens=900, group=school.classes["7A"])
    old_stream = old.headers["Sandyq-Request-Id"]
    heard = old.stream(64)
    next(heard)

    begin(school.dana)
    assert b"group_closed" in b"".join(heard), "a stream that was open is cut"
    box.wait_for(lambda: box.health()["active"] == 0)
    tokens = school.tokens()
    dangers: dict[int, Callable[[], None]] = {
        200: lambda: machine.set_clock(10),
        400: lambda: reboot(school, machine),
        600: lambda: machine.set_clock(-200_000),
        800: lambda: path_in(school.room.home).write_bytes(b"damaged"),
        900: lambda: school.dana.post("/teacher/session", {"wish": "close"}),
        901: lambda: school.dana.post("/teacher/session", {"wish": "open"}),
    }
    for number, attempt in enumerate(itertools.islice(tries(school, old_stream), TRIES)):
        dangers.get(number, lambda: None)()
        answer = attempt()
        assert b'"content":"' not in answer.replace(b'"content":""', b"")
        assert said.encode() not in answer
    assert school.tokens() == tokens, "the model chose no token at all"
    assert school.room.value("SELECT count(*) FROM question WHERE state = 'answered'") == 1
    assert school.room.value("SELECT count(*) FROM event WHERE kind = 'question_asked'") == 1

    wait_until(lambda: noted(school, "engine") >= 700, "the engine's refusals in the record")
    school.dana.post("/teacher/exam/end")
    exam_id = school.room.value("SELECT id FROM exam")
    judged = verify_certificate(school.dana.get(f"/teacher/exam/{exam_id}.jsonl").data, is_signed_by)
    assert judged.is_whole
    first, last = judged.facts[0], judged.facts[-1]
    assert first["engine"] == "closed"
    assert (last["answers"], last["by"], last["restarts"]) == (0, "teacher", 1)
    pages = sum(int(fact["count"]) for fact in judged.facts if fact.get("door") == "page")
    assert pages == school.page_tries, "each try on a page, also those just before the restart"
    assert int(last["refused"]) == pages + noted(school, "engine")
    assert sum(fact["kind"] == "clock_set" for fact in judged.facts) == 2
    assert aigerim.ask("After the exam?", submission="after").status_code == 303
    wait_until(school.room.all_answered)
    assert school.tokens() > tokens


def test_the_class_beside_it_is_answered_all_the_time(school: School) -> None:
    begin(school.dana)
    own, other = school.classes["7A"], school.classes["8B"]
    assert school.box.ask(HELLO, group=own).status == 403
    assert school.box.ask(HELLO, group=other).status == 200
    school.dana.post("/teacher/exam/end")
    assert school.box.ask(HELLO, group=own).status == 200


def test_whatever_the_pages_send_says_for_which_class_it_is(school: School) -> None:
    """A request without its class would be refused during another class's exam."""
    with connection(school.room.database) as db:
        school.room.guard.start(db, school.classes["8B"], 45)
    assert read_closure(school.room.home).closed == {school.classes["8B"]}
    school.aigerim.ask("While 8B writes?")
    wait_until(school.room.all_answered)
    assert school.room.value("SELECT state FROM question") == "answered"


def reboot(school: School, machine: Machine) -> None:
    school.room.stop()
    machine.reboot()
    school.room.start()
    school.log_in_again()


def noted(school: School, door: str) -> int:
    lines = [json.loads(row["line"])["facts"] for row in school.room.rows("SELECT line FROM exam_record")]
    return sum(fact["count"] for fact in lines if fact.get("door") == door)
