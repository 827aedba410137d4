"""Ask the model the very same thing again, and say honestly whether it says the same.

One replay at a time, with the lowest priority: a class that waits is never slower for a teacher's doubt.
Results live in memory only: the answer that counts is the one in the table.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from appliance.engine_client import EngineClient
from appliance.errors import ApplianceError, ReplaysFull

log = logging.getLogger(__name__)

# What a teacher looks at in one afternoon; older results are asked for again.
MOST_KEPT = 50
# More than these behind each other would still run when the next lesson begins.
MOST_WAITING = 3

RUNNING, DONE, FAILED, FORBIDDEN = "running", "done", "failed", "forbidden"


@dataclass(frozen=True)
class Replay:
    state: str = RUNNING
    text: str = ""
    model: str = ""
    model_sha256: str = ""


class Replays:
    """The replays of one box. Safe to use from several threads."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self._kept: OrderedDict[str, Replay] = OrderedDict()
        self._lock = threading.Lock()
        # Its thread begins with the first replay.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="replay")

    def find(self, question_id: str) -> Replay | None:
        with self._lock:
            return self._kept.get(question_id)

    def start(self, question_id: str, request: dict[str, Any], may_go_on: Callable[[], bool]) -> None:
        """Begin a replay; `may_go_on` is asked before it is sent and with every piece.

        Raises:
            ReplaysFull: others wait already.
        """
        with self._lock:
            running = [key for key, kept in self._kept.items() if kept.state == RUNNING]
            if question_id in running:
                return
            if len(running) >= MOST_WAITING:
                raise ReplaysFull
            self._keep(question_id, Replay())
        self._worker.submit(self._run, question_id, request, may_go_on)

    def forget(self, question_ids: list[str]) -> None:
        """A learner's words are deleted: these too."""
        with self._lock:
            for question_id in question_ids:
                self._kept.pop(question_id, None)

    def close(self) -> None:
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _run(self, question_id: str, request: dict[str, Any], may_go_on: Callable[[], bool]) -> None:
        state = self._client.state()
        made = Replay(FAILED, model=state.model, model_sha256=state.model_sha256)
        try:
            text = self._write(request, may_go_on)
            made = replace(made, state=FORBIDDEN if text is None else DONE, text=text or "")
        except ApplianceError as error:
            log.info("a replay failed: %s", error.key)
        except Exception:
            log.exception("a replay broke off")
        with self._lock:
            if question_id in self._kept:  # not forgotten meanwhile
                self._keep(question_id, made)

    def _write(self, request: dict[str, Any], may_go_on: Callable[[], bool]) -> str | None:
        """Return the text, or None when a stop or an exam forbids it."""
        if not may_go_on():
            return None
        text = ""
        for piece in self._client.replay(request):
            if not may_go_on():
                return None
            text += piece.text
        return text.strip()

    def _keep(self, question_id: str, replay: Replay) -> None:
        self._kept[question_id] = replay
        self._kept.move_to_end(question_id)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
