"""What learners' devices do with pages: open one with an empty cache (answers are in learners.py)."""

import gzip
import http.client
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from tests.bench.figures import page_resources
from tests.bench.processes import BenchFailed

# A class on a slow board waits long; a hang must still end.
REQUEST_TIMEOUT_SECONDS = 300.0

MAX_REDIRECTS = 5


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


def fetch_text(port: int, path: str) -> str:
    return _get(f"http://127.0.0.1:{port}{path}")[2].decode()
