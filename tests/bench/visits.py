"""What learners' devices do: open a page with an empty cache, ask and read the answer as it streams."""

import gzip
import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from tests.bench.figures import Answer, page_resources
from tests.bench.processes import BenchFailed

# A class on a slow board waits long; a hang must still end.
REQUEST_TIMEOUT_SECONDS = 300.0

MAX_REDIRECTS = 5

ANSWER_TOKENS = 48

LESSON = (
    "You help pupils of class 7A. Today's lesson: fractions. A fraction says how many equal parts of a "
    "whole are meant: in 3/4 the whole is cut into four parts and three are taken. "
    "Answer in short and plain sentences."
)

# One for each learner, all different: the same question eight times would measure a cache.
QUESTIONS = (
    "What is a fraction?",
    "Why is one half more than one third?",
    "How do I add 1/4 and 1/2?",
    "What does the number under the line mean?",
    "Is 4/4 the same as one whole?",
    "How can I draw three quarters?",
    "Where do we use fractions at home?",
    "What is the half of one half?",
)


@dataclass(frozen=True)
class ColdVisit:
    """What one cold visit cost on the wire."""

    requests: int
    bytes: int
    largest: str


def fetch_cold(page_url: str) -> ColdVisit:
    """Open a page as a browser does that has never been here: the page, then all that it names."""
    url, body, costs = _open(page_url)
    for resource in page_resources(body.decode(), url):
        costs.append((_get(resource)[3], resource))
    largest = max(costs)
    return ColdVisit(len(costs), sum(size for size, _ in costs), urlsplit(largest[1]).path)


def _open(url: str) -> tuple[str, bytes, list[tuple[int, str]]]:
    """Follow redirects to the page; each of them costs a learner a request."""
    costs = []
    for _ in range(MAX_REDIRECTS):
        status, location, body, size = _get(url)
        costs.append((size, url))
        if location is None:
            break
        url = urljoin(url, location)
    if status != http.HTTPStatus.OK:
        raise BenchFailed(f"{url} answered {status}")
    return url, body, costs


def _get(url: str) -> tuple[int, str | None, bytes, int]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        path = parts.path or "/"
        headers = {"Accept-Encoding": "gzip", "Accept-Language": "kk", "Accept": "text/html,*/*"}
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        # Header lines as they travel: name, colon, blank, value, end of line.
        head = sum(len(name) + len(value) + 4 for name, value in response.getheaders())
        size = head + len(body)
        if response.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return response.status, response.getheader("Location"), body, size
    finally:
        connection.close()


def has_page(port: int) -> bool | None:
    """True when the first page is there; None while nothing answers."""
    try:
        _open(f"http://127.0.0.1:{port}/")
    except OSError:
        return None
    return True


def is_engine_ready(port: int) -> bool | None:
    """True when the model is loaded; None while it loads."""
    try:
        status = _get(f"http://127.0.0.1:{port}/health")[0]
    except OSError:
        return None
    return True if status == http.HTTPStatus.OK else None


def ask(port: int, model: str, question: str, asked_at: float) -> Answer:
    """Read one streamed answer; times count from `asked_at`, a reading of `time.monotonic`."""
    request = {
        "model": model,
        "messages": [{"role": "system", "content": LESSON}, {"role": "user", "content": question}],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        connection.request(
            "POST", "/v1/chat/completions", json.dumps(request), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise BenchFailed(f"the engine answered {response.status}: {response.read(500)!r}")
        return _read_answer(response, asked_at)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise BenchFailed(f"the engine broke off: {error!r}") from error
    finally:
        connection.close()


def _read_answer(response: http.client.HTTPResponse, asked_at: float) -> Answer:
    first = tokens = None
    for line in response:
        if not line.startswith(b"data: "):
            continue  # blank lines, and comments while a learner waits
        text = line.removeprefix(b"data: ").strip()
        if text == b"[DONE]":
            break
        chunk = json.loads(text)
        if first is None and any(
            choice.get("delta", {}).get("content") for choice in chunk.get("choices", ())
        ):
            first = time.monotonic() - asked_at
        if chunk.get("usage"):
            tokens = chunk["usage"]["completion_tokens"]
    if first is None or not tokens:
        raise BenchFailed("the engine ended an answer without a token or without counting them")
    return Answer(first, time.monotonic() - asked_at, tokens)


def ask_at_once(port: int, model: str, learners: int) -> Sequence[Answer]:
    """Let the learners ask in the same moment and read all answers to their end."""
    answers: list[Answer] = []
    failures: list[BenchFailed] = []
    start = threading.Barrier(learners + 1)
    asked_at = 0.0

    def learner(question: str) -> None:
        start.wait()
        try:
            answers.append(ask(port, model, question, asked_at))
        except BenchFailed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=learner, args=(q,)) for q in QUESTIONS[:learners]]
    for thread in threads:
        thread.start()
    asked_at = time.monotonic()
    start.wait()
    for thread in threads:
        thread.join()
    if failures:
        raise BenchFailed(f"{len(failures)} of {learners} learners got no answer: {failures[0]}")
    return answers
