"""Server-sent events: an answer as it is written, the class as it works.

Each new connection first gets the whole state and then the changes, so a phone that lost the Wi-Fi
for a minute needs nothing special: its browser connects again and the page is right.
"""

import json
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from flask import Response, stream_with_context
from sqlite_utils import Database

from appliance.database import connection
from appliance.errors import TooManyStreams
from appliance.lesson import questions
from appliance.lesson.live import LiveBoard

# Each stream holds one of the server's threads (serve.HTTP_THREADS): a class of thirty, the teacher, and
# two more; the rest of the threads stay free for pages, whatever is opened in how many tabs.
MAX_STREAMS = 33
_NEVER = object()
_places = threading.BoundedSemaphore(MAX_STREAMS)
# A comment this often keeps the line open and finds a browser that is gone.
HEARTBEAT_SECONDS = 10.0
# The browser's pause before it connects again.
RETRY_MILLISECONDS = 2000
# Words come many times a second; so often are they sent, and a phone's eye sees no difference.
WORDS_SECONDS = 0.2
# The class view is drawn at most this often, however much happens in between.
CLASS_SECONDS = 1.0
# Gauges and waits move by themselves; the class view looks at least this often.
CLASS_REFRESH_SECONDS = 5.0

# A part of a page: what it shows, as values that can be compared, and how that is drawn.
Part = tuple[object, Callable[[], str]]
Parts = dict[str, Part]


def event_stream(parts: Iterator[str]) -> Response:
    """Return the answer that sends these parts as they come.

    Raises:
        TooManyStreams: every place is taken; the page asks again by itself.
    """
    if not _places.acquire(blocking=False):
        raise TooManyStreams
    response = Response(stream_with_context(parts), mimetype="text/event-stream")
    # Not in the generator: one that never began would never give its place back.
    response.call_on_close(_places.release)
    response.headers["X-Accel-Buffering"] = "no"  # a proxy in front must not collect the words
    return response


def follow_questions(
    board: LiveBoard,
    database: Path,
    learner_id: str,
    render: Callable[[questions.Question], str],
    known_open: Collection[str] = (),
) -> Iterator[str]:
    """Yield the events of one learner's open questions until all are finished.

    `known_open` are those that the page still shows as open: an answer that ended while the phone had
    no Wi-Fi is told when it comes back.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    # A connection for each look and none between: thirty that are held would keep thirty page caches.
    with connection(database) as db:
        newest = questions.of_learner(db, learner_id, newest=10)
    followed = [question for question in newest if question.is_open or question.id in known_open]
    shown: dict[str, tuple[int, tuple[int, int]]] = {question.id: (-1, (-1, 0)) for question in followed}
    while shown and not board.closed:
        seen = board.version
        for question_id in list(shown):
            progress = board.progress(question_id)
            if progress.finished:
                with connection(database) as db:
                    question = questions.get(db, question_id)
                if not question.is_open:
                    yield _event("finished", question=question_id, html=render(question))
                    del shown[question_id]
                continue
            length, place = shown[question_id]
            now = (progress.place, progress.seconds)
            if place != now:
                yield _event("place", question=question_id, place=progress.place, seconds=progress.seconds)
            if length != len(progress.text):
                # A shorter text means that the answer began again: send it whole.
                start = length if 0 <= length < len(progress.text) else 0
                yield _event("text", question=question_id, start=start, text=progress.text[start:])
            shown[question_id] = (len(progress.text), now)
        if not shown:
            break
        if board.wait(seen, HEARTBEAT_SECONDS) == seen:
            yield ": still here\n\n"
        board.pause(WORDS_SECONDS)
    if not shown:
        yield _event("done")


def follow_class(board: LiveBoard, database: Path, look: Callable[[Database], Parts]) -> Iterator[str]:
    """Yield the parts of a class view, each whenever it looks different."""
    with connection(database) as db:
        yield from _follow_class(board, lambda: look(db))


def _follow_class(board: LiveBoard, look: Callable[[], Parts]) -> Iterator[str]:
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    shown: dict[str, object] = {}
    while not board.closed:
        seen = board.class_version
        changed = {name: part for name, part in look().items() if shown.get(name, _NEVER) != part[0]}
        for name, (facts, draw) in changed.items():
            yield _event("part", part=name, html=draw())
            shown[name] = facts
        if not changed:
            yield ": still here\n\n"
        # First the pause: what comes after a quiet time is shown at once, and a crowd waits its second.
        board.pause(CLASS_SECONDS)
        board.wait_for_class(seen, CLASS_REFRESH_SECONDS - CLASS_SECONDS)


def _event(name: str, **fields: object) -> str:
    return f"event: {name}\ndata: {json.dumps(fields, ensure_ascii=False)}\n\n"
