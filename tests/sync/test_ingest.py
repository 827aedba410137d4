"""Many envelopes, one commit: nothing is promised before it is stored, and nobody falls with a neighbour."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from sync.batch import NO_PREVIOUS, Batch, pack_rows
from sync.envelope import Recipient, seal
from sync.errors import BatchFork, EnvelopeMalformed, RegionBusy, SyncError, TooManyCodes
from sync.keys import SigningKey
from sync.receipt import verify_receipt
from sync.region_errors import DatabaseAway
from sync.server.arrivals import inbox, ingest
from sync.server.arrivals.inbox import Arrival, Kept, Stored
from sync.server.arrivals.ingest import Ingest
from sync.server.arrivals.metrics import RegionMetrics
from sync.server.storage.identity import Region, make_region
from sync.server.storage.store import Box, Store, open_store
from sync.settings import RegionSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box as SchoolBox
from tests.sync.postgres import Postgres
from tests.sync.test_two_databases import ROWS

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


class Place:
    """A region on one of the two databases, with schools that can seal."""

    def __init__(self, folder: Path, address: str) -> None:
        self.region: Region = make_region(RegionSettings(home=folder), "Түркістан", address)
        self.ingest = Ingest(self.region.keys, self.region.id, RegionMetrics())
        self.store = self.open()
        self.recipient = Recipient(self.region.id, self.region.keys.opening.public)

    def open(self) -> Store:
        return open_store(self.region.database)

    def school(self, number: int) -> School:
        device = SigningKey.from_seed(bytes([number]) * 32)
        label = f"B-{number:05}"
        self.store.add_box(label, device.kid, device.public, bytes(32), "0.1", NOW)
        box = self.store.find_box_by_label(label)
        if box is None:
            raise LookupError(label)
        return School(self, device, box)

    def take(self, box: Box, blob: bytes) -> Stored:
        """As a worker's thread does: on a connection of its own."""
        store = self.open()
        try:
            return self.ingest.take(store, box, blob, NOW)
        finally:
            store.close()

    def events_of(self) -> Counter[tuple[int, int]]:
        rows = self.store.db.rows("SELECT box_id, seq, count(*) FROM event GROUP BY 1, 2")
        return Counter({(box, seq): count for box, seq, count in rows})


class School:
    def __init__(self, place: Place, device: SigningKey, box: Box) -> None:
        self.place, self.device, self.box = place, device, box
        self._sealed: dict[int, bytes] = {}

    def seal(self, seq: int) -> bytes:
        """Sealed once: a retry repeats the bytes."""
        return self._sealed.setdefault(seq, self._seal(seq))

    @property
    def epoch(self) -> bytes:
        return self.device.public[:8]

    def _seal(self, seq: int) -> bytes:
        lo, previous = (
            1 + (seq - 1) * len(ROWS),
            NO_PREVIOUS if seq == 1 else b"the one before it, not kept here",
        )
        batch = Batch(
            *(self.device.kid, self.epoch, seq, previous, lo, lo + len(ROWS) - 1, 1, pack_rows(ROWS)),
        )
        return seal(
            batch, self.device, self.place.recipient, blob_id=bytes(16), content_key=bytes([seq]) * 32
        )

    def send(self, seq: int) -> Stored:
        return self.place.take(self.box, self.seal(seq))


@pytest.fixture
def place(tmp_path: Path, region_address: str) -> Iterator[Place]:
    made = Place(tmp_path, region_address)
    yield made
    made.store.close()


def at_once(*works: Callable[[], object]) -> list[object]:
    """Run all of it at the same moment; return what came out, faults as they were raised."""
    came: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(at: int) -> None:
        start.wait()
        try:
            came[at] = works[at]()
        except SyncError as fault:
            came[at] = fault

    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return came


def test_those_who_come_together_share_commits_and_each_gets_its_own_receipt(place: Place) -> None:
    schools = [place.school(number) for number in range(1, 17)]
    came = at_once(*(lambda school=school: school.send(1) for school in schools))
    public = place.region.keys.receipts.public
    for school, stored in zip(schools, came, strict=True):
        assert isinstance(stored, Stored)
        receipt = verify_receipt(stored.receipt, public)
        assert (receipt.box_kid, receipt.seq, receipt.events) == (school.device.kid, 1, len(ROWS))
    assert place.events_of() == Counter({(school.box.id, 1): len(ROWS) for school in schools})
    text = place.ingest.metrics.text(place.store.counted()).decode()
    commits = float(text.split("sandyq_region_group_batches_count ")[1].split()[0])
    assert commits < 16, "nobody ever shared a commit"


def test_the_same_envelope_at_the_same_moment_counts_once(place: Place) -> None:
    school = place.school(1)
    blob = school.seal(1)
    came = at_once(*[lambda: place.take(school.box, blob)] * 8)
    assert len({stored.receipt for stored in came if isinstance(stored, Stored)}) == 1
    assert place.events_of() == Counter({(school.box.id, 1): len(ROWS)})


def test_a_history_of_one_box_inside_one_group_is_read_in_its_order(place: Place) -> None:
    """What comes first in a group is a neighbour of what comes after it."""
    school = place.school(1)
    arrivals = [arrived(school, seq) for seq in (2, 1, 4)]
    with place.store.transaction():
        kept = inbox.keep_all(place.store, arrivals, NOW)
    assert [one.row.contiguous_high for one in kept if one.row] == [0, 2, 2]
    with place.store.transaction():
        late = inbox.keep_all(place.store, [arrived(school, 3)], NOW)[0]
    assert late.row is not None
    assert late.row.contiguous_high == 4


def arrived(school: School, seq: int) -> Arrival:
    region = school.place.region
    return inbox.read_arrival(
        region.keys, region.id, school.box, school.seal(seq), school.place.store.find_box_by_kid
    )


def test_two_contents_under_one_number_in_one_group_are_a_fork(place: Place) -> None:
    school = place.school(1)
    first, second = (
        school.seal(1),
        seal(
            Batch(school.device.kid, school.epoch, 1, NO_PREVIOUS, 1, 1, 1, pack_rows(ROWS[:1])),
            *(school.device, place.recipient),
            blob_id=bytes(16),
            content_key=bytes(32),
        ),
    )
    came = at_once(lambda: place.take(school.box, first), lambda: place.take(school.box, second))
    assert sorted(type(one).__name__ for one in came) == ["BatchFork", "Stored"]
    assert place.store.count_batches() == 1
    assert place.store.box_lines()[0].remarks[-1:] == ("fork",)
    with pytest.raises(BatchFork):
        place.take(school.box, second if isinstance(came[0], Stored) else first)


def test_two_boxes_in_one_epoch_and_one_group_are_a_copied_card(place: Place) -> None:
    """Whoever is first in the line owns the epoch; the other is told, and stores nothing."""
    genuine, copy = place.school(1), place.school(2)
    blobs = {
        school: seal(
            Batch(school.device.kid, b"an epoch", 1, NO_PREVIOUS, 1, len(ROWS), 1, pack_rows(ROWS)),
            *(school.device, place.recipient),
            blob_id=bytes(16),
            content_key=bytes(32),
        )
        for school in (genuine, copy)
    }
    came = at_once(*(lambda one=one: place.take(one.box, blobs[one]) for one in (genuine, copy)))
    assert sorted(type(one).__name__ for one in came) == ["Stored", "WrongEpoch"]
    owner, other = (genuine, copy) if isinstance(came[0], Stored) else (copy, genuine)
    assert place.events_of() == Counter({(owner.box.id, 1): len(ROWS)})
    # The owner goes on, and gets its old receipt again; the other may begin an epoch of its own.
    assert place.take(owner.box, blobs[owner]).sender == owner.box
    assert isinstance(other.send(1), Stored)
    remarks = {line.label: line.remarks for line in place.store.box_lines()}
    assert "foreign" in remarks[other.box.label]
    assert remarks[owner.box.label] == ()


def test_one_poisoned_envelope_falls_alone(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    schools = [place.school(number) for number in range(1, 9)]
    real = inbox.keep_all

    def choke(store: Store, arrivals: list[Arrival], now: datetime) -> list[Kept]:
        kept = real(store, arrivals, now)
        if any(one.sender.id == schools[3].box.id for one in arrivals):
            raise EnvelopeMalformed  # whatever nobody thought of
        return kept

    monkeypatch.setattr(inbox, "keep_all", choke)
    came = at_once(*(lambda school=school: school.send(1) for school in schools))
    assert [isinstance(one, Stored) for one in came] == [number != 3 for number in range(8)]
    assert isinstance(came[3], EnvelopeMalformed)
    assert set(place.events_of()) == {(school.box.id, 1) for school in schools if school is not schools[3]}


def test_a_full_line_refuses_and_the_same_bytes_come_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "MAX_WAITING", 3)
    schools = [place.school(number) for number in range(1, 13)]
    real, gate, busy = inbox.keep_all, threading.Event(), threading.Event()

    def slow(store: Store, arrivals: list[Arrival], now: datetime) -> list[Kept]:
        busy.set()
        gate.wait(20)
        return real(store, arrivals, now)

    monkeypatch.setattr(inbox, "keep_all", slow)
    leader = threading.Thread(target=schools[0].send, args=(1,))
    leader.start()
    busy.wait(20)

    def hurry() -> list[object]:
        return at_once(*(lambda school=school: school.send(1) for school in schools[1:]))

    came: list[object] = []
    others = threading.Thread(target=lambda: came.extend(hurry()))
    others.start()
    others.join(0.5)
    gate.set()
    others.join()
    leader.join()
    refused = sum(isinstance(one, RegionBusy) for one in came)
    assert refused >= len(schools) - 1 - 3
    assert place.store.count_batches() == len(schools) - refused
    for school in schools:
        school.send(1)
    assert place.events_of() == Counter({(school.box.id, 1): len(ROWS) for school in schools})


def test_who_waits_too_long_is_told_so_and_is_not_forgotten(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "WAIT_SECONDS", 0.1)
    first, second = place.school(1), place.school(2)
    real, gate, busy = inbox.keep_all, threading.Event(), threading.Event()

    def hang(store: Store, arrivals: list[Arrival], now: datetime) -> list[Kept]:
        busy.set()
        gate.wait(20)
        return real(store, arrivals, now)

    monkeypatch.setattr(inbox, "keep_all", hang)
    leader = threading.Thread(target=first.send, args=(1,))
    leader.start()
    busy.wait(20)
    with pytest.raises(RegionBusy):
        second.send(1)
    gate.set()
    leader.join()
    second.send(1)
    assert len(place.events_of()) == 2


def test_a_quota_is_asked_before_an_envelope_is_opened(place: Place) -> None:
    school = place.school(1)
    asked: list[str] = []

    def none_left(_store: Store, box: Box, _now: datetime) -> None:
        asked.append(box.label)
        raise TooManyCodes(wait_seconds=60)

    place.ingest.quota = none_left
    with pytest.raises(TooManyCodes):
        place.take(school.box, b"not even an envelope")
    assert asked == [school.box.label]


# PostgreSQL goes away


@pytest.fixture
def town(tmp_path: Path, postgres: Postgres) -> Iterator[RegionSimulator]:
    simulator = RegionSimulator(tmp_path / "region-home", postgres.new_database())
    yield simulator
    simulator.app.extensions["stores"].close()


def test_a_restart_of_postgresql_in_the_middle_is_told_plainly_and_loses_nothing(
    tmp_path: Path, town: RegionSimulator, postgres: Postgres
) -> None:
    from tests.sync.conftest import enrolled_box

    box: SchoolBox = enrolled_box(tmp_path, town, "box")
    box.ask(times=30)
    box.cut()
    sealed = bytes(box.query("SELECT sealed FROM batch ORDER BY seq LIMIT 1")[0][0])  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {box.enrolment.token}"}
    postgres.stop()
    try:
        for path, words in (("/v1/batches", headers), ("/health", {})):
            answer = town.http.open(path, method="POST" if words else "GET", data=sealed, headers=words)
            problem = answer.get_json()
            assert (answer.status_code, problem["code"]) == (503, "database_away")
            assert int(answer.headers["Retry-After"]) > 0
            assert problem["hint"].startswith("The box keeps everything")
        page = town.http.get("/", headers={"Accept": "text/html", "Accept-Language": "ru"})
        assert page.status_code == 503
        assert "База данных региона не отвечает." in page.text
    finally:
        postgres.start()
    # The connections that were kept are dead; nobody is sent away for that.
    assert town.http.get("/health").status_code == 200
    box.sync()
    assert town.report()["events"] == 30


def test_a_connection_that_dies_inside_a_commit_promises_nothing(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(tmp_path, postgres.new_database())
    school = place.school(1)
    real = inbox.keep_all

    def cut(store: Store, arrivals: list[Arrival], now: datetime) -> list[Kept]:
        kept = real(store, arrivals, now)
        backend = store.db.row("SELECT pg_backend_pid()")
        with psycopg.connect(postgres.address("postgres"), autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", backend)
        return kept

    monkeypatch.setattr(inbox, "keep_all", cut)
    with pytest.raises(DatabaseAway):
        school.send(1)
    monkeypatch.undo()
    assert place.store.count_batches() == 0
    assert isinstance(school.send(1), Stored)
    assert place.events_of() == Counter({(school.box.id, 1): len(ROWS)})
    place.store.close()
