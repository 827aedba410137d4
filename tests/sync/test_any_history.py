"""Whatever happens to box, line, sticks, clock and disk, in any order: every event is counted once.

Hypothesis drives the real box and the real region. Each event carries, inside the box only, a name of
its own; which names are in which sealed batch is read off the box's database, and which batches are at
the region off its ledger. So the oracle does not rest on counts alone.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlite_utils import Database

from sync import client, outbox, policy, usb
from sync.batch import unpack_rows
from sync.clock import Reading
from sync.database import open_database, write_transaction
from sync.errors import RegionUnreachable, SyncError
from sync.event import Event
from sync.keys import ensure_device_key
from sync.server.arrivals import sticks
from sync.server.desk import orders
from sync.server.storage import sqlite_database
from sync.server.storage.store import open_store
from sync.settings import SyncSettings
from sync.transport import Pause, go_on
from tests.region_simulator import Line, RegionSimulator
from tests.sync.cast import Box

START = datetime(2026, 12, 7, 6, 0, tzinfo=UTC)
WALLS = [START.replace(year=1970), START + timedelta(days=5 * 365), START - timedelta(days=20), START]
STICKS = 3


class Killed(BaseException):
    """kill -9: nothing after this line runs."""


@dataclass(frozen=True)
class FaultyLine(Line):
    """A line with one fault, in one of its next messages."""

    look: Callable[[], None] = go_on  # before an envelope leaves: which events are in it?
    fault: str = ""
    at: int = 0
    told: list[int] = field(default_factory=lambda: [0])

    def _pass(self, message: bytes, deliver: object) -> bytes:
        self.told[0] += 1
        is_now = self.fault and self.told[0] == 1 + self.at % 3
        if is_now and self.fault == "lost":
            raise RegionUnreachable
        if is_now and self.fault == "flipped":
            message = flipped(message, self.at)
        if is_now and self.fault == "truncated":
            message = message[: self.at % max(1, len(message))]
        if is_now and self.fault == "twice":
            deliver(message)  # type: ignore[operator]
        answer: bytes = deliver(message)  # type: ignore[operator]
        if is_now and self.fault == "answer lost":
            raise RegionUnreachable
        if is_now and self.fault == "answer flipped":
            return flipped(answer, self.at)
        if is_now and self.fault == "answer truncated":
            return answer[: self.at % max(1, len(answer))]
        return answer

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        pause()
        self.look()
        return self._pass(sealed, lambda message: self.region.deliver(message, self.token))

    def ask(self, question: bytes) -> bytes:
        return self._pass(question, lambda message: self.region.tell(message, self.token))


def flipped(message: bytes, at: int) -> bytes:
    place = at % max(1, len(message))
    return message[:place] + bytes([message[place] ^ 1 << at % 8]) + message[place + 1 :] if message else b"x"


FAULTS = st.sampled_from(
    ["", "", "lost", "answer lost", "flipped", "truncated", "twice", "answer flipped", "answer truncated"]
)


class AnyHistory(RuleBasedStateMachine):
    """Box, region, sticks and what the test knows of them."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandyq-history-"))
        self.true, self.error, self.boot, self.started = START, timedelta(0), "boot-1", START
        self.patches = contextlib.ExitStack()
        self.patches.enter_context(mock.patch("sync.boots.read", self.read_clock))
        # Small batches that need not wait for a week: many envelopes, many moments to go wrong in.
        self.patches.enter_context(mock.patch("sync.outbox.MAX_EVENTS", 7))
        self.patches.enter_context(mock.patch("sync.outbox.LONGEST_WAIT", timedelta(days=1)))
        self.region = RegionSimulator(self.folder / "region")
        self.region.time = self.true
        self.settings = SyncSettings(home=self.folder / "box")
        # Enrolled without a socket: the door itself is tested elsewhere.
        with self.region.serve() as url:
            enrolment = client.enrol(self.settings, url, self.region.code())
        device = ensure_device_key(self.settings.home)
        self.box = Box(self.settings, self.region, enrolment, device)
        client.open_outbox(self.settings).close()
        self.sticks = [self.folder / f"stick-{number}" for number in range(STICKS)]
        for stick in self.sticks:
            stick.mkdir()
        self.committed: set[str] = set()
        self.sealed: dict[bytes, frozenset[str]] = {}  # by the SHA-256 of the envelope
        self.given_up: set[str] = set()  # gone with a database that was overwritten
        self.images: list[tuple[Path, set[str]]] = []
        self.was_restored = False
        self.stops: dict[int, bool] = {}
        self.order_seen = 0  # the last thing made: all is there

    def teardown(self) -> None:
        if not hasattr(self, "order_seen"):
            return
        try:
            self.come_to_rest()
        finally:
            self.patches.close()
            shutil.rmtree(self.folder)

    # The world

    def read_clock(self) -> Reading:
        return Reading(self.boot, (self.true - self.started).total_seconds(), self.true + self.error)

    @contextlib.contextmanager
    def open_box(self, *, kill_after: int | None = None, is_full: bool = False) -> Iterator[Database]:
        """Open the box's database; it may die at its n-th statement, or find its disk full."""
        db = client.open_outbox(self.settings)
        try:
            if is_full:
                pages = db.execute("PRAGMA page_count").fetchone()[0]
                db.execute(f"PRAGMA max_page_count = {pages}")
            if kill_after is not None:
                kill(db, kill_after)
            with contextlib.suppress(Killed):
                yield db
        finally:
            db.close()
            self.look()

    def look(self) -> None:
        """Learn which events are in which envelope; an envelope never changes."""
        db = open_database(self.settings.database_path)
        try:
            for batch in outbox.sealed_batches(db):
                names = {
                    name
                    for (name,) in db.execute("SELECT session_id FROM outbox WHERE batch_id = ?", [batch.id])
                }
                assert len(names) == batch.events
                assert self.sealed.setdefault(batch.sha256, frozenset(names)) == names
        finally:
            db.close()

    @rule(times=st.integers(1, 9), is_full=st.booleans(), kill_after=st.none() | st.integers(1, 20))
    def ask(self, times: int, is_full: bool, kill_after: int | None) -> None:
        names = [f"event-{len(self.committed)}-{at}-{self.true.timestamp()}" for at in range(times)]
        fields = {"question_id": "q", "learner_name": "Bolat", "text": "?", "language": "kk", "characters": 9}
        is_kept = False
        with self.open_box(kill_after=kill_after, is_full=is_full) as db, contextlib.suppress(SyncError):
            with write_transaction(db):
                for at, name in enumerate(names):
                    when = self.true + self.error
                    outbox.add(db, Event("question_asked", when, name, f"learner-{at}", fields))
            is_kept = True
        if is_kept:
            self.committed |= set(names)
        self.true += timedelta(days=1)
        self.region.time = self.true

    @rule(days=st.integers(1, 8))
    def time_passes(self, days: int) -> None:
        self.true += timedelta(days=days)
        self.region.time = self.true

    @rule(wall=st.sampled_from(WALLS))
    def power_off_and_on(self, wall: datetime) -> None:
        self.boot += "+"
        self.started, self.error = self.true, wall - self.true

    # The line

    @rule(fault=FAULTS, at=st.integers(0, 5000), kill_after=st.none() | st.integers(1, 90))
    def run_over_the_wire(self, fault: str, at: int, kill_after: int | None) -> None:
        self.run(self.line(fault, at), kill_after)

    def line(self, fault: str = "", at: int = 0) -> FaultyLine:
        return FaultyLine(self.region, self.box.enrolment.token, self.look, fault, at)

    def run(self, line: Line, kill_after: int | None = None, *, is_full: bool = False) -> None:
        with (
            self.open_box(kill_after=kill_after, is_full=is_full) as db,
            contextlib.suppress(SyncError),
        ):
            client.send_all(db, self.box.device, self.box.enrolment, line)

    @rule(where=st.sampled_from(["box", "region"]))
    def run_on_a_full_disk(self, where: str) -> None:
        line = self.line()
        if where == "box":
            self.run(line, is_full=True)
            return
        real = sqlite_database.open_database

        def full(path: Path) -> Database:
            db = real(path)
            db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
            return db

        with mock.patch.object(sqlite_database, "open_database", full):
            self.run(line)

    # Sticks

    @rule(number=st.integers(0, STICKS - 1), kill_after=st.none() | st.integers(1, 90))
    def visit_the_box(self, number: int, kill_after: int | None) -> None:
        with self.open_box(kill_after=kill_after) as db, contextlib.suppress(SyncError):
            usb.import_stick(db, self.box.device, self.box.enrolment, self.sticks[number])
            usb.export_stick(db, self.box.device, self.box.enrolment, self.sticks[number])

    @rule(number=st.integers(0, STICKS - 1), kill_after=st.none() | st.integers(1, 60))
    def visit_the_region(self, number: int, kill_after: int | None) -> None:
        store = open_store(self.region.region.database)
        try:
            if kill_after is not None:
                kill(store.db.sqlite, kill_after)
            with contextlib.suppress(SyncError, Killed):
                sticks.import_stick(store, self.region.region, self.sticks[number], self.region.time)
        finally:
            store.close()

    @rule(first=st.integers(0, STICKS - 1), second=st.integers(0, STICKS - 1))
    def copy_a_stick(self, first: int, second: int) -> None:
        if first != second:
            shutil.copytree(self.sticks[first], self.sticks[second], dirs_exist_ok=True)

    @rule(
        number=st.integers(0, STICKS - 1),
        at=st.integers(0, 5000),
        how=st.sampled_from(["tear", "flip", "lose"]),
    )
    def spoil_a_file(self, number: int, at: int, how: str) -> None:
        found = sorted((self.sticks[number] / "SANDYQ").glob("*.sb*"))
        if not found:
            return
        path = found[at % len(found)]
        content = path.read_bytes()
        if how == "lose":
            path.unlink()
        elif how == "tear":
            path.write_bytes(content[: at % max(1, len(content))])
        else:
            path.write_bytes(flipped(content, at))

    # Orders

    @rule(stop=st.booleans())
    def give_an_order(self, stop: bool) -> None:
        store = open_store(self.region.region.database)
        try:
            order = orders.publish(self.region.region, store, self.true, changes={"stop": stop}, limits={})
        finally:
            store.close()
        self.stops[order.version] = stop

    # Copies of the card

    @rule()
    def make_an_image(self) -> None:
        path = self.folder / f"image-{len(self.images)}"
        shutil.copy(self.settings.database_path, path)
        self.images.append((path, self.names_in(path)))

    @precondition(lambda self: self.images)
    @rule(which=st.integers(0, 10))
    def restore_an_image(self, which: int) -> None:
        path, names = self.images[which % len(self.images)]
        self.given_up |= self.names_in(self.settings.database_path) - names
        for side in ("-wal", "-shm"):
            self.settings.database_path.with_name("box.sqlite" + side).unlink(missing_ok=True)
        shutil.copy(path, self.settings.database_path)
        self.was_restored = True
        self.order_seen = 0

    @rule()
    def put_back_what_was_before_the_last_run(self) -> None:
        """The likeliest way to count twice: what waits in the image has been sent since."""
        self.make_an_image()
        self.run(self.line())
        self.restore_an_image(len(self.images) - 1)

    def names_in(self, path: Path) -> set[str]:
        db = open_database(path)
        try:
            return {name for (name,) in db.execute("SELECT session_id FROM outbox")}
        finally:
            db.close()

    # What must hold at every moment

    def arrived(self) -> dict[bytes, frozenset[str]]:
        """Return the batches at the region with the events in them; each row as it was sealed."""
        db = open_database(Path(self.region.region.database.removeprefix("sqlite:///")))
        try:
            ledger = db.execute("SELECT sha256, epoch, seq, hi - lo + 1 FROM ledger").fetchall()
            for sha256, epoch, seq, count in ledger:
                events = db.execute(
                    "SELECT count(*) FROM event WHERE epoch = ? AND seq = ?", [epoch, seq]
                ).fetchone()[0]
                assert events == count == len(self.sealed[sha256])
            return {sha256: self.sealed[sha256] for sha256, *_ in ledger}
        finally:
            db.close()

    @invariant()
    def the_books_agree(self) -> None:
        """Nothing is counted twice, no receipt is without its row, no event is nowhere, no stop is undone."""
        if not hasattr(self, "order_seen"):
            return
        arrived = self.arrived()
        names = [name for batch in arrived.values() for name in batch]
        assert len(names) == len(set(names)), "counted twice"
        assert set(names) <= self.committed
        db = open_database(self.settings.database_path)
        try:
            receipted = {row[0] for row in db.execute("SELECT sha256 FROM batch WHERE receipt IS NOT NULL")}
            order = policy.current(db)
            here = {name for (name,) in db.execute("SELECT session_id FROM outbox")}
        finally:
            db.close()
        assert self.committed - self.given_up <= set(names) | here, "gone"
        assert receipted <= set(arrived)
        version = order.version if order else 0
        assert version >= self.order_seen
        assert order is None or order.stop == self.stops[version]
        self.order_seen = version

    def come_to_rest(self) -> None:
        """The line heals; after that everything is where it belongs."""
        self.true += timedelta(days=30)
        self.region.time = self.true
        line = self.line()
        for _ in range(12):
            self.run(line)
        self.the_books_agree()
        status = self.box.status()
        assert (status.waiting_events, status.sealed_batches) == (0, 0)
        if not self.was_restored:
            assert status.set_aside_events == 0
            assert {name for batch in self.arrived().values() for name in batch} == self.committed
            assert status.receipted_events == len(self.committed)


def kill(db: Database, statements: int) -> None:
    """Let the process die at its n-th statement."""
    real, count = db.execute, 0

    def execute(sql: str, parameters: object = None) -> object:
        nonlocal count
        count += 1
        if count > statements:
            raise Killed
        return real(sql, parameters)  # type: ignore[arg-type]

    db.execute = execute  # type: ignore[method-assign, assignment]


TestAnyHistory = pytest.mark.slow(AnyHistory.TestCase)
TestAnyHistory.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


def test_rows_at_the_region_are_the_rows_that_were_sealed(box: Box, region: RegionSimulator) -> None:
    """The oracle above compares counts in each batch; this compares what is in one, value by value."""
    box.ask(times=40)
    box.sync()
    told = [
        row for blob in region.received for row in unpack_rows(region.open(blob, box.device.public).payload)
    ]
    db = open_database(Path(region.region.database.removeprefix("sqlite:///")))
    stored = db.execute("SELECT kind, session, day, characters, language FROM event").fetchall()
    db.close()
    assert sorted(map(str, stored)) == sorted(
        str(
            (
                row.kind,
                row.session,
                row.day.isoformat() if row.day else None,
                *map(row.fields.get, ("characters", "language")),
            )
        )
        for row in told
    )
