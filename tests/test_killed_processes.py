"""kill -9 of any process, at any moment of the walk: nothing acknowledged is lost, nothing counted twice."""

import itertools
import random
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import urllib3

from tests.processes import SANDYQ, RealBox, real_box

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

QUESTIONS_EACH = 2  # at least; as long as somebody is killed they go on asking
LEARNERS = ("Aigerim", "Bolat")
PATIENCE_SECONDS = 240.0


def send(
    http: urllib3.PoolManager, method: str, url: str, form: dict[str, str] | None, cookie: str
) -> urllib3.BaseHTTPResponse:
    headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
    return http.request(method, url, body=urlencode(form or {}), headers=headers, redirect=False)


class StubbornLearner(threading.Thread):
    """Asks with a real HTTP client and sends the same form again until the box acknowledges it."""

    def __init__(self, box: RealBox, code: str, name: str) -> None:
        super().__init__(name=name)
        self.box, self.code = box, code
        self.acknowledged: list[str] = []
        self.has_enough = threading.Event()
        self.http = urllib3.PoolManager(retries=False, timeout=15)
        self.cookie = ""

    def run(self) -> None:
        page = self._until_answered("GET", f"/class/{self.code}").data.decode()
        learner = re.search(rf'value="(\w+)">{self.name}<', page)[1]
        answer = self._until_answered("POST", f"/class/{self.code}", {"learner": learner})
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        self._until_answered("POST", "/welcome", {})
        for number in itertools.count():
            if number >= QUESTIONS_EACH and self.has_enough.is_set():
                return
            submission = f"{self.name}{number}"
            form = {"question": f"What is {number}?", "submission": submission}
            while self._until_answered("POST", "/ask", form).status != 303:
                time.sleep(0.2)  # 429: two questions are open already
            self.acknowledged.append(submission)

    def _until_answered(
        self, method: str, path: str, form: dict[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        while True:
            try:
                return send(self.http, method, self.box.url("web") + path, form, self.cookie)
            except urllib3.exceptions.HTTPError:
                time.sleep(0.05)


@pytest.fixture
def code(box: RealBox) -> str:
    """Dana sets 7A up and opens the lesson."""
    http = urllib3.PoolManager(retries=False)
    form = {
        "school_class": "7A",
        "language": "en",
        "learners": "\n".join(LEARNERS),
        "pin": "271828",
        "pin_again": "271828",
    }

    def post(path: str, fields: dict[str, str], cookie: str = "") -> urllib3.BaseHTTPResponse:
        return send(http, "POST", box.url("web") + path, fields, cookie)

    cookie = post("/setup", form).headers["Set-Cookie"].split(";")[0]
    assert post("/teacher/session", {"wish": "open"}, cookie).status == 303
    return str(box.value("SELECT code FROM school_class"))


@pytest.fixture
def box(tmp_path: Path, real_model_home: Path) -> Iterator[RealBox]:
    with real_box(tmp_path, real_model_home) as running:
        running.enrol()
        running.start("web", "engine")
        running.wait_ready("web", "engine")
        yield running


@pytest.mark.parametrize("seed", [1, 2])
def test_every_acknowledged_question_is_answered_and_counted_once(box: RealBox, code: str, seed: int) -> None:
    chance = random.Random(seed)
    learners = [StubbornLearner(box, code, name) for name in LEARNERS]
    for learner in learners:
        learner.start()
    victims = ["web", "engine", "region", "sync"] * 2
    chance.shuffle(victims)
    for victim in victims:
        time.sleep(chance.uniform(0.2, 1.2))
        if victim == "sync":
            _kill_a_sync_run(box, chance.uniform(0.05, 1.0))
        else:
            box.kill(victim)
            box.start(victim)
    for learner in learners:
        learner.has_enough.set()
    for learner in learners:
        learner.join(PATIENCE_SECONDS)
        assert not learner.is_alive(), box.log("web") + box.log("engine")

    deadline = time.monotonic() + PATIENCE_SECONDS
    while box.value("SELECT count(*) FROM question WHERE state IN ('waiting', 'answering')"):
        assert time.monotonic() < deadline, box.log("web") + box.log("engine")
        time.sleep(0.2)
    box.wait_ready("region")
    box.json("sync", "run", "--early")

    saved = sorted(row["submission"] for row in box.rows("SELECT submission FROM question"))
    assert saved == sorted(submission for learner in learners for submission in learner.acknowledged)
    assert {row["state"] for row in box.rows("SELECT DISTINCT state FROM question")} == {"answered"}
    asked = len(saved)
    for kind in ("question_asked", "answer_finished"):
        assert box.value(f"SELECT count(*) FROM event WHERE kind = '{kind}'") == asked
    counted = box.json("region", "report")
    assert counted["events"] == box.value("SELECT count(*) FROM event")
    assert box.json("sync", "status")["waiting_events"] == 0


def _kill_a_sync_run(box: RealBox, after_seconds: float) -> None:
    run = subprocess.Popen(
        [*SANDYQ, "sync", "run", "--early"],
        env=box.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after_seconds)
    run.kill()
    run.wait()
