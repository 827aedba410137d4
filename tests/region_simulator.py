"""A region for tests: our real server code, in this process, with a line that can be cut.

Only the line and the clock are replaced. Each fault is a method. With `serve`
the same application also answers real HTTP on loopback.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cheroot import wsgi
from flask import request
from flask.testing import FlaskClient

from sync import cbor
from sync.batch import Batch
from sync.client import get_enrolment
from sync.envelope import open_envelope, recipients, verify_sender
from sync.errors import RegionUnreachable
from sync.server.app import create_app
from sync.server.enrolment import registry
from sync.server.insight import pages
from sync.server.nation import forward
from sync.server.nation.forward import ForwardReport
from sync.server.people import logins, operators
from sync.server.people.roles import Role
from sync.server.people.web_access import LOGIN_COOKIE
from sync.server.storage.identity import REGION, Region, get_region, make_region
from sync.server.storage.store import Store, open_store
from sync.settings import RegionSettings
from sync.transport import ORDER_HEADER, ORDER_OF_DESK, REPLY_TYPE, Pause, _accepted, _Answer, go_on


class RegionSimulator:
    """The region at the other end of the line."""

    def __init__(self, home: Path, address: str = "", *, role: str = REGION, name: str = "Түркістан") -> None:
        self.settings = RegionSettings(home=home)
        self.region: Region = make_region(self.settings, name, address, role)
        self.time = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
        self.headers: list[dict[str, str]] = []  # of every request, as they came
        self._start()
        self.received: list[bytes] = []
        self._is_down = False
        self._lost_receipts = 0
        self._lost_envelopes = 0

    def _start(self) -> None:
        self.app = create_app(self.region, clock=lambda: self.time)
        self.app.before_request(lambda: self.headers.append(dict(request.headers)))
        self.http: FlaskClient = self.app.test_client()

    # Faults

    def go_down(self) -> None:
        self._is_down = True

    def come_back(self) -> None:
        self._is_down = False

    def lose_next_receipt(self, times: int = 1) -> None:
        """The batch arrives and is stored; its receipt does not come back."""
        self._lost_receipts += times

    def lose_next_envelope(self) -> None:
        """The line breaks before the batch arrives."""
        self._lost_envelopes += 1

    def wait(self, **duration: float) -> None:
        self.time += timedelta(**duration)

    # The operator

    def code(self) -> str:
        store = open_store(self.region.database)
        try:
            return str(registry.issue_code(store, self.region.keys, self.time)[0])
        finally:
            store.close()

    def report(self) -> dict[str, Any]:
        store = open_store(self.region.database)
        try:
            return pages.report(self.region, store)
        finally:
            store.close()

    def count(self, kind: str) -> int:
        counted: int = self.report()["by_kind"].get(kind, 0)
        return counted

    def open(self, blob: bytes, device_public: bytes) -> Batch:
        key = self.region.keys.find_opening(recipients(blob))
        return verify_sender(open_envelope(blob, key, self.region.id), device_public)

    @contextmanager
    def store(self) -> Iterator[Store]:
        opened = open_store(self.region.database)
        try:
            yield opened
        finally:
            opened.close()

    # One level up

    def join(self, nation: RegionSimulator, code: str = "") -> None:
        """Enrol with a nation; boxes that enrol from now on seal their counts to its key."""
        with nation.serve() as url:
            forward.join(self.region, url, code or nation.code())
        self.region = get_region(self.settings)
        self._start()

    def forward(self, nation: RegionSimulator) -> ForwardReport:
        """Send what waits for the nation."""
        token = get_enrolment(forward.settings_of(self.region)).token
        with self.store() as store:
            return forward.run(store, self.region, nation.line(token), self.time)

    def enter(self, role: str = "viewer", name: str = "") -> FlaskClient:
        """Return a browser in which somebody with this role is logged in; passwords have their own tests."""
        name = name or f"the-{role}"
        browser = self.app.test_client()
        store = open_store(self.region.database)
        try:
            if operators.find_by_name(store.db, name) is None:
                key = self.region.keys.desk
                operators.add(store.db, key, name, Role(role), self.time, needs_second_factor=False)
            token = logins.begin(store.db, operators.get_by_name(store.db, name).id, self.time)
        finally:
            store.close()
        browser.set_cookie(LOGIN_COOKIE, token)
        return browser

    # The line

    def line(self, token: str) -> Line:
        return Line(self, token)

    def carry(self, sealed: bytes, token: str) -> bytes:
        """Deliver an envelope; return the receipt alone."""
        receipts: list[bytes] = cbor.array(cbor.array(cbor.read(self.deliver(sealed, token)), 5)[3])
        return receipts[0]

    def deliver(self, sealed: bytes, token: str) -> bytes:
        """Deliver an envelope; return the whole reply."""
        if self._is_down:
            raise RegionUnreachable
        if self._lost_envelopes:
            self._lost_envelopes -= 1
            raise RegionUnreachable
        self.received.append(sealed)
        reply = self._post("/v1/batches", sealed, token)
        if self._lost_receipts:
            self._lost_receipts -= 1
            raise RegionUnreachable
        return reply

    def tell(self, question: bytes, token: str) -> bytes:
        """Answer what is new."""
        if self._is_down:
            raise RegionUnreachable
        return self._post("/v1/news", question, token)

    def _post(self, path: str, body: bytes, token: str) -> bytes:
        response = self.http.post(
            path, data=body, headers={"Authorization": f"Bearer {token}", ORDER_HEADER: ORDER_OF_DESK}
        )
        answer = _accepted(_Answer(response.status_code, response.mimetype, "", "", response.data))
        if answer.content_type != REPLY_TYPE:
            raise ValueError("not a reply")
        return answer.body

    def serve(self) -> AbstractContextManager[str]:
        """Answer real HTTP on a free port; gives the address."""
        return serve(self.app)


@contextmanager
def serve(app: object) -> Iterator[str]:
    """Serve any WSGI application on loopback; gives its address."""
    server = wsgi.Server(("127.0.0.1", 0), app, numthreads=2, timeout=5)
    server.expiration_interval = 0.05  # a test must not wait for the idle loop to notice the stop
    server.prepare()
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.bind_addr[1]}"
    finally:
        server.stop()
        thread.join()


@dataclass(frozen=True)
class Line:
    """A transport that ends at the simulator."""

    region: RegionSimulator
    token: str

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        pause()
        return self.region.deliver(sealed, self.token)

    def ask(self, question: bytes) -> bytes:
        return self.region.tell(question, self.token)

    def fetch_keys(self) -> bytes:
        response = self.region.http.get("/v1/keys", headers={"Authorization": f"Bearer {self.token}"})
        return response.data
