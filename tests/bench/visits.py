"""What learners' devices do with pages: open one with an empty cache, or with a full one."""

import gzip
import http.client
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from tests.bench.figures import page_resources
from tests.bench.processes import BenchFailed

# A class on a slow board waits long; a hang must still end.
REQUEST_TIMEOUT_SECONDS = 300.0

MAX_REDIRECTS = 5
# What a browser may keep for so long it does not ask for again in the next lesson.
SCHOOL_DAY_SECONDS = 8 * 3600


@dataclass(frozen=True)
class ColdVisit:
    """What one cold visit cost on the wire."""

    requests: int
    bytes: int
    largest: str


@dataclass(frozen=True)
class Got:
    """One answer as it travelled."""

    status: int
    headers: dict[str, str]
    body: bytes
    size: int


def fetch_cold(page_url: str) -> ColdVisit:
    """Open a page as a browser does that has never been here: the page, then all that it names."""
    url, page, costs = _open(page_url)
    for resource in page_resources(page.body.decode(), url):
        costs.append((_get(resource).size, resource))
    return _visit(costs)


def fetch_warm(page_url: str) -> tuple[ColdVisit, ColdVisit]:
    """Open a page again: within the time that its files may be kept, then with each of them asked after.

    A browser that may keep a file does not ask; one that asks sends the mark that came with it.
    """
    url, page, _ = _open(page_url)
    files = {resource: _get(resource) for resource in page_resources(page.body.decode(), url)}
    _, _, costs = _open(page_url)
    again = [(_get(resource, _mark_of(got)).size, resource) for resource, got in files.items()]
    kept = [one for one, got in zip(again, files.values(), strict=True) if not _may_be_kept(got)]
    return _visit(costs + kept), _visit(costs + again)


def fetch_size(url: str) -> int:
    """Return what one file costs on the wire."""
    got = _get(url)
    if got.status != http.HTTPStatus.OK:
        raise BenchFailed(f"{url} answered {got.status}")
    return got.size


def _visit(costs: list[tuple[int, str]]) -> ColdVisit:
    largest = max(costs)
    return ColdVisit(len(costs), sum(size for size, _ in costs), urlsplit(largest[1]).path)


def _may_be_kept(got: Got) -> bool:
    control = got.headers.get("cache-control", "")
    found = re.search(r"max-age=(\d+)", control)
    return found is not None and int(found[1]) >= SCHOOL_DAY_SECONDS and "no-store" not in control


def _mark_of(got: Got) -> dict[str, str]:
    mark = got.headers.get("etag")
    return {"If-None-Match": mark} if mark else {}


def _open(url: str) -> tuple[str, Got, list[tuple[int, str]]]:
    """Follow redirects to the page; each of them costs a learner a request."""
    costs = []
    for _ in range(MAX_REDIRECTS):
        got = _get(url)
        costs.append((got.size, url))
        location = got.headers.get("location")
        if location is None:
            break
        url = urljoin(url, location)
    if got.status != http.HTTPStatus.OK:
        raise BenchFailed(f"{url} answered {got.status}")
    return url, got, costs


def _get(url: str, more: Mapping[str, str] | None = None) -> Got:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        path = parts.path or "/"
        headers = {
            "Accept-Encoding": "gzip",
            "Accept-Language": "kk",
            "Accept": "text/html,*/*",
            **(more or {}),
        }
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers=headers)
        response = connection.getresponse()
        body = response.read()
        # Header lines as they travel: name, colon, blank, value, end of line.
        head = sum(len(name) + len(value) + 4 for name, value in response.getheaders())
        size = head + len(body)
        if response.getheader("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return Got(response.status, {n.lower(): v for n, v in response.getheaders()}, body, size)
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
        status = _get(f"http://127.0.0.1:{port}/health").status
    except OSError:
        return None
    return True if status == http.HTTPStatus.OK else None


def fetch_text(port: int, path: str) -> str:
    return _get(f"http://127.0.0.1:{port}{path}").body.decode()
