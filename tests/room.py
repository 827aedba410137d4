"""A real room: the web process on its port, a scripted engine beside it, and thirty people with HTTP clients.

`tests/classroom.py` calls the pages inside the test; here they run as on the box, with the real server,
its threads and streams. The engine is scripted, so that a lesson can be played to the word.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

import urllib3

from sync.database import open_database
from tests.classroom import SETUP, wait_until
from tests.fake_engine import FakeEngine

REPOSITORY = Path(__file__).parents[1]
LEARNERS = 30
NAMES = [f"Оқушы {number:02}" for number in range(1, LEARNERS + 1)]


@dataclass
class Person:
    """Somebody's browser, as far as HTTP goes."""

    url: str
    language: str = "en"
    cookies: dict[str, str] = field(default_factory=dict)
    http: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60, maxsize=4)
    )

    def get(self, path: str) -> urllib3.BaseHTTPResponse:
        return self._send("GET", path)

    def post(self, path: str, **fields: str) -> urllib3.BaseHTTPResponse:
        answer = self._send("POST", path, fields=fields, encode_multipart=False)
        assert answer.status == 303, (path, answer.status, answer.data.decode()[:2000])
        return answer

    def text(self, path: str) -> str:
        return self.get(path).data.decode()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path).data)

    def ask(self, text: str) -> None:
        submission = re.search(r'name="submission" value="(\w+)"', self.text("/ask"))[1]
        self.post("/ask", question=text, submission=submission)

    def follow(self, path: str, seen: Callable[[str, dict[str, Any]], None]) -> threading.Thread:
        """Read a stream in a thread of its own until it ends."""

        def read() -> None:
            answer = self._send("GET", path, preload_content=False)
            name = ""
            # A line at a time, as EventSource does.
            for line in _lines(answer):
                if line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    seen(name, json.loads(line[6:]))
            answer.close()

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        return thread

    def stream_path(self) -> str:
        return unescape(re.search(r'data-stream="([^"]+)"', self.text("/ask"))[1])

    def _send(self, method: str, path: str, **more: Any) -> urllib3.BaseHTTPResponse:
        cookies = {"sandyq_language": self.language, **self.cookies}
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
        answer = self.http.request(method, self.url + path, headers=headers, redirect=False, **more)
        for made in answer.headers.getlist("Set-Cookie"):
            name, _, value = made.split(";")[0].partition("=")
            self.cookies[name] = value
        return answer


class Room:
    """One box with a class of thirty."""

    def __init__(self, home: Path, engine: FakeEngine, sequences: int) -> None:
        self.home, self.engine, self.sequences = home, engine, sequences
        with socket.socket() as opened:
            opened.bind(("127.0.0.1", 0))
            self.port = opened.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDYQ_")}
        environment |= {
            "SANDYQ_HOME": str(self.home),
            "SANDYQ_WEB_HOST": "127.0.0.1",
            "SANDYQ_WEB_PORT": str(self.port),
            "SANDYQ_ENGINE_URL": self.engine.url,
            "SANDYQ_ENGINE_SEQUENCES": str(self.sequences),
        }
        with (self.home / "web.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "web", "serve"],
                env=environment,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._is_ready, "the web process")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def teacher(self, names: list[str] = NAMES, language: str = "en") -> Person:
        """Set the class up, open the lesson, and return the teacher."""
        dana = Person(self.url, language)
        dana.post("/setup", **{**SETUP, "learners": "\n".join(names)})
        dana.post("/teacher/session", wish="open")
        return dana

    def learner(self, name: str, language: str = "en") -> Person:
        person = Person(self.url, language)
        code = self.code()
        learner_id = re.search(rf'value="(\w+)">{name}<', person.text(f"/class/{code}"))[1]
        person.post(f"/class/{code}", learner=learner_id)
        person.post("/welcome")
        return person

    def code(self) -> str:
        return str(self.value("SELECT code FROM school_class"))

    def value(self, sql: str) -> Any:
        db = open_database(self.home / "box.sqlite")
        try:
            return db.execute(sql).fetchone()[0]
        finally:
            db.close()

    def _is_ready(self) -> bool:
        try:
            answer = urllib3.request("GET", f"{self.url}/health", timeout=2, retries=False)
        except urllib3.exceptions.HTTPError:
            return False
        return answer.status == 200 and answer.json()["engine"] == "ready"


@contextmanager
def open_room(home: Path, engine: FakeEngine, sequences: int = 12) -> Iterator[Room]:
    room = Room(home, engine, sequences)
    room.start()
    try:
        yield room
    finally:
        engine.go_on()
        room.stop()


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[str]:
    waiting = b""
    while part := answer.read1(65536):  # type: ignore[attr-defined]
        *lines, waiting = (waiting + part).split(b"\n")
        yield from (line.decode() for line in lines)
