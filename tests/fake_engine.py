"""A stand-in for the engine process: the same HTTP, answers from a script, faults on demand.

The pages' tests need an engine that breaks at a chosen word; the real one cannot be asked to.
`tests/appliance/test_engine_client.py` runs the same promises against this and the real engine.
"""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FakeEngine:
    """Listens on a loopback port of its own. `words` is the answer to everything."""

    def __init__(self) -> None:
        self.words = ["Think ", "of ", "numbers ", "with ", "two ", "divisors."]
        self.pace_seconds = 0.001  # between two words of an answer
        self.phase = "ok"
        self.is_stand_in = False  # answers as Ollama does: no /health, but a list of models
        self.is_silent = False  # hangs: while held, not even a sign of life
        self.breaks: list[int] = []  # for each coming request, words until the line breaks
        self.refuse_with: str | None = None  # error code of a 400
        self.requests: list[dict[str, Any]] = []
        self.abandoned = 0  # streams whose client went away
        self.ended: list[str] = []  # answers that were said good-bye to
        self.keys: list[str | None] = []
        self._free_words = 0  # of each answer, written even while held
        self._may_write = threading.Event()
        self._may_write.set()
        fake = self

        class Handler(_Handler):
            engine = fake

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self) -> None:
        """Write nothing more until `go_on`."""
        self._may_write.clear()

    def hold_after(self, words: int) -> None:
        """Let each answer begin with so many words, then write nothing more until `go_on`."""
        self._free_words = words
        self._may_write.clear()

    def go_on(self) -> None:
        self._free_words = 0
        self._may_write.set()

    def close(self) -> None:
        self._may_write.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def lines(self) -> Iterator[str]:
        """Yield the lines of one streamed answer."""
        breaks_at = self.breaks.pop(0) if self.breaks else None
        for number, word in enumerate(self.words):
            while number >= self._free_words and not self._may_write.wait(0.05):
                if not self.is_silent:
                    yield ": waiting 1 7"
            if number == breaks_at:
                return
            yield "data: " + json.dumps({"id": "answer-1", "choices": [{"delta": {"content": word}}]})
        usage = {"completion_tokens": len(self.words)}
        yield "data: " + json.dumps({"choices": [], "usage": usage})
        yield "data: [DONE]"


class _Handler(BaseHTTPRequestHandler):
    engine: FakeEngine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.engine.is_stand_in:
            found = self.path == "/v1/models"
            self._answer(200 if found else 404, {"data": [{"id": "gemma3:1b"}]} if found else {})
        elif self.engine.phase == "ok":
            self._answer(200, {"status": "ok", "model": "fake-model", "sha256": "fa" * 32})
        else:
            self._answer(503, {"status": self.engine.phase})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.engine.requests.append(body)
        self.engine.keys.append(self.headers.get("Authorization"))
        if self.engine.refuse_with:
            self._answer(400, {"error": {"message": "no", "code": self.engine.refuse_with}})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for line in self.engine.lines():
                self.wfile.write(line.encode() + b"\n\n")
                self.wfile.flush()
                time.sleep(self.engine.pace_seconds)
        except OSError:
            self.engine.abandoned += 1
        self.close_connection = True

    def do_DELETE(self) -> None:
        self.engine.ended.append(self.path.rpartition("/")[2])
        self._answer(200, {"deleted": True})

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass
