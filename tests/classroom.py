"""A classroom for tests: the real pages, database and assistant, with browsers that people hold.

The cast never changes: Aigerim and Bolat learn in 7A, Dana teaches 7A; Erlan teaches elsewhere and
must see nothing.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlite_utils import Database
from werkzeug.test import TestResponse

from appliance import database
from appliance.app import create_app
from appliance.box.discovery import Presence
from appliance.engine_client import EngineClient
from appliance.lesson.live import LiveBoard
from appliance.lesson.replay import Replays
from appliance.permission.exam_guard import ExamGuard
from appliance.tutor.assistant import Assistant
from appliance.web.context import Services
from sync.database import open_database
from tests.fake_engine import FakeEngine

PIN = "271828"
# Far beyond what any step needs on a busy machine: only a real hang reaches it.
PATIENCE_SECONDS = 20.0


def wait_until(holds: Callable[[], Any], what: str = "it") -> Any:
    """Return the first true value of `holds`, looking often, or fail."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        value = holds()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")


@dataclass
class Browser:
    """One person's browser: keeps cookies, has an address, sends forms."""

    client: FlaskClient
    address: str
    language: str = "en"

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        return self.client.get(path, **self._with_headers(kwargs))

    def post(self, path: str, form: dict[str, str] | None = None, **kwargs: Any) -> TestResponse:
        return self.client.post(path, data=form or {}, **self._with_headers(kwargs))

    def ask(self, text: str, submission: str | None = None) -> TestResponse:
        if submission is None:
            page = self.get("/ask").text
            submission = re.search(r'name="submission" value="(\w+)"', page)[1]
        return self.post("/ask", {"question": text, "submission": submission})

    def page(self, path: str = "/ask") -> str:
        """Return the words of a page as a person reads them."""
        return unescape(re.sub(r"<[^>]+>", " ", self.get(path).text))

    def _with_headers(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        headers = {"Accept-Language": self.language, **kwargs.pop("headers", {})}
        kwargs.setdefault("buffered", True)
        return {"headers": headers, "environ_overrides": {"REMOTE_ADDR": self.address}, **kwargs}


@dataclass
class Classroom:
    home: Path
    engine: FakeEngine
    board: LiveBoard = field(default_factory=LiveBoard)
    engine_key: str = ""  # a fake engine is a stand-in until a test says that it is ours

    def __post_init__(self) -> None:
        self.database = self.home / "box.sqlite"
        database.prepare(self.database)
        self._addresses = iter(range(10, 250))
        self.start()

    def start(self) -> None:
        self.board = LiveBoard()
        client = EngineClient(self.engine.url, self.engine_key)
        self.guard = ExamGuard(self.home, client)
        self.assistant = Assistant(self.database, client, self.board, self.guard, in_flight=2)
        self.replays = Replays(client)
        services = Services(
            home=self.home,
            database=self.database,
            language="kk",
            assistant=self.assistant,
            board=self.board,
            guard=self.guard,
            presence=Presence("sandyq-1a2b", 8080, lambda: ["192.168.7.1"]),
            port=8080,
            replays=self.replays,
        )
        self.app = create_app(services)
        self.assistant.start()
        wait_until(lambda: self.assistant.state.phase != "loading" or self.engine.phase == "loading")

    def stop(self) -> None:
        self.assistant.close()
        self.replays.close()

    def restart(self) -> None:
        self.stop()
        self.start()

    def browser(self, language: str = "en") -> Browser:
        client = self.app.test_client()
        if language:
            client.set_cookie("sandyq_language", language)
        return Browser(client, f"192.168.7.{next(self._addresses)}", language)

    def dana_sets_up(self, language: str = "en") -> Browser:
        dana = self.browser(language)
        answer = dana.post("/setup", SETUP)
        assert answer.status_code == 303, answer.text
        return dana

    def joined(self, name: str, language: str = "en") -> Browser:
        learner = self.browser(language)
        code = self.code()
        page = learner.get(f"/class/{code}").text
        learner_id = re.search(rf'value="(\w+)">{name}<', page)[1]
        answer = learner.post(f"/class/{code}", {"learner": learner_id})
        assert answer.status_code == 303, answer.text
        assert learner.post("/welcome").status_code == 303
        return learner

    def code(self) -> str:
        return str(self.value("SELECT code FROM school_class ORDER BY rowid"))

    def rows(self, sql: str) -> list[dict[str, Any]]:
        db: Database = open_database(self.database)
        try:
            return list(db.query(sql))
        finally:
            db.close()

    def value(self, sql: str) -> Any:
        return next(iter(self.rows(sql)[0].values()))

    def all_answered(self) -> bool:
        return not self.value("SELECT count(*) FROM question WHERE state IN ('waiting', 'answering')")


SETUP = {
    "school_class": "7A",
    "grade": "7",
    "language": "kk",
    "learners": "Aigerim\nBolat\n\n",
    "pin": PIN,
    "pin_again": PIN,
}
