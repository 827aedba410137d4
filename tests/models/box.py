"""One engine process's insides behind a real socket, with the fake engine in it, and how tests read it."""

import json
import socket
import threading
import time
from typing import Any

import urllib3

from models.closure import Closure
from models.listener import Listener
from models.metrics import EngineMetrics
from models.server import Door, Served
from models.worker import Worker
from tests.models.fake_engine import FakeEngine

KEY = "5e" * 32
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
HELLO = [{"role": "user", "content": "Сәлем"}]
LONG = [{"role": "user", "content": "a long story"}]


class Box:
    """One engine process's insides, listening on a free port."""

    def __init__(
        self,
        engine: FakeEngine,
        waiting: int = 4,
        load: Any = None,
        grace_seconds: float = 0.3,
        closure: Any = Closure,
    ) -> None:
        self.engine = engine
        metrics = EngineMetrics()
        self.worker = Worker(load or (lambda: engine), metrics, waiting)
        self.door = Door(self.worker, Served("fake", "ab" * 32, 1), metrics, KEY, grace_seconds, closure)
        application = self.door.application()
        self.listener = Listener("127.0.0.1", 0, application, engine.sequences + waiting)
        self.listener.expiration_interval = 0.05  # stop quickly; a test has no time to idle
        self.url = self.listener.listen()
        self._thread = threading.Thread(target=self.listener.serve)
        self._thread.start()
        self.worker.start()
        self.http = urllib3.PoolManager(retries=False, timeout=20, maxsize=20, headers=WITH_KEY)

    def wait_ready(self) -> "Box":
        self.wait_for(lambda: self.health()["status"] != "loading")
        return self

    def health(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.request("GET", f"{self.url}/health").json()
        return answer

    def ask(self, messages: Any = HELLO, **fields: Any) -> urllib3.BaseHTTPResponse:
        body = {"messages": messages, "temperature": 0, **fields}
        return self.http.request(
            "POST", f"{self.url}/v1/chat/completions", json=body, preload_content=not fields.get("stream")
        )

    def post(self, body: bytes, **headers: str) -> urllib3.BaseHTTPResponse:
        return self.http.request("POST", f"{self.url}/v1/chat/completions", body=body, headers=headers)

    def hang(self, messages: Any = LONG, **fields: Any) -> socket.socket:
        """Ask on a bare socket, so that the test can hang up as a phone does."""
        body = json.dumps({"messages": messages, "max_tokens": 900, **fields}).encode()
        line = socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])))
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        return line

    def wait_for(self, condition: Any, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError
            time.sleep(0.01)

    def is_idle(self) -> bool:
        """Nobody is served, and no cell is held but for what is kept on purpose."""
        health = self.health()
        figures = self.http.request("GET", f"{self.url}/metrics").data.decode().splitlines()
        kept = next(float(it.split()[1]) for it in figures if it.startswith("sandyq_engine_cells_kept "))
        return (health["active"], health["waiting"], self.engine.cells_used) == (0, 0, kept)

    def close(self) -> None:
        self.http.clear()
        self.worker.stop()
        self.listener.stop()
        self._thread.join()
        self.worker.close()


def lines(response: urllib3.BaseHTTPResponse) -> list[str]:
    return [line for line in response.read().decode().split("\n") if line]


def events(response: urllib3.BaseHTTPResponse) -> list[Any]:
    data = [line.removeprefix("data: ") for line in lines(response) if line.startswith("data: ")]
    return [json.loads(text) for text in data if text != "[DONE]"]
