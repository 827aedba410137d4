"""A box without a clock battery: 1970, five years ahead, backwards; days are right or said to be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import boots, client, outbox
from sync.batch import unpack_rows
from sync.clock import BUILT, LONGEST_SILENCE, Boot, Moment, Quality, Reading, put_right, raised, true_time
from sync.event import Event
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

TODAY = datetime(2026, 12, 7, 6, 0, tzinfo=UTC)
EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Machine:
    """The clocks of one box, set by the test. True time passes with `wait`; the wall shows what it likes."""

    true: datetime = TODAY
    error: timedelta = timedelta(0)
    boot: str = "boot-1"
    started: datetime = TODAY - timedelta(minutes=5)

    def read(self) -> Reading:
        seconds = (self.true - self.started).total_seconds()
        return Reading(self.boot, seconds, self.wall)

    @property
    def wall(self) -> datetime:
        return self.true + self.error

    def wait(self, **duration: float) -> None:
        self.true += timedelta(**duration)

    def restart(self, wall: datetime) -> None:
        """Switched off and on; the clock begins where it likes."""
        self.boot += "+"
        self.started = self.true
        self.error = wall - self.true


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setattr("sync.boots.read", machine.read)
    yield machine


def ask(box: Box, machine: Machine) -> None:
    fields = {"question_id": "q", "learner_name": "Aigerim", "text": "?", "language": "kk", "characters": 3}
    for learner in range(12):  # enough that a day may be told
        box.record(Event("question_asked", machine.wall, "7A", f"learner-{learner}", fields))


def days_told(box: Box, region: RegionSimulator) -> list[date | None]:
    batches = [region.open(blob, box.device.public) for blob in region.received]
    return [row.day for batch in batches for row in unpack_rows(batch.payload)]


def run(box: Box, region: RegionSimulator, machine: Machine) -> None:
    region.time = machine.true
    box.sync()


@pytest.mark.parametrize(
    "wrong",
    [
        EPOCH_START,
        TODAY + timedelta(days=5 * 365),
        TODAY - timedelta(days=3),  # backwards, but believable
        TODAY + timedelta(days=40),
    ],
)
def test_days_of_a_wrong_clock_are_put_right_once_the_region_tells_the_time(
    box: Box, region: RegionSimulator, machine: Machine, wrong: datetime
) -> None:
    machine.restart(wrong)
    ask(box, machine)
    machine.wait(days=1)
    ask(box, machine)
    machine.wait(days=1)
    run(box, region, machine)
    assert days_told(box, region) == [TODAY.date()] * 12 + [TODAY.date() + timedelta(days=1)] * 12
    assert region.open(region.received[0], box.device.public).clock_quality == Quality.CONFIRMED


def test_day_of_an_older_start_that_nobody_can_know_stays_unknown(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    machine.restart(EPOCH_START)
    ask(box, machine)
    machine.restart(machine.true)
    machine.wait(days=1)
    run(box, region, machine)
    assert days_told(box, region) == [None] * 12
    assert region.count("question_asked") == 12


def test_clock_far_ahead_in_an_older_start_is_unknown_because_nothing_is_recorded_in_the_future(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    machine.restart(TODAY + timedelta(days=300))
    ask(box, machine)
    machine.restart(machine.true)
    machine.wait(days=1)
    run(box, region, machine)
    assert days_told(box, region) == [None] * 12


def test_clock_set_in_the_middle_of_a_start_does_not_confuse_what_came_before(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    machine.restart(EPOCH_START)
    ask(box, machine)
    machine.error = timedelta(0)  # a link appeared, the system set the clock
    machine.wait(days=1)
    ask(box, machine)
    machine.wait(days=1)
    run(box, region, machine)
    assert days_told(box, region) == [TODAY.date()] * 12 + [TODAY.date() + timedelta(days=1)] * 12


def test_order_of_events_is_the_order_of_recording_whatever_the_clock_says(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    for wall in (TODAY + timedelta(days=900), EPOCH_START, TODAY):
        machine.restart(wall)
        ask(box, machine)
    machine.wait(days=1)
    run(box, region, machine)
    opened = [region.open(blob, box.device.public) for blob in region.received]
    assert [(batch.lo, batch.hi) for batch in opened] == [(1, 36)]


def test_old_answer_replayed_raises_no_clock_and_lowers_none(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    run(box, region, machine)
    db = client.open_outbox(box.settings)
    old = region.tell(client.question(db, box.enrolment.region_id).to_bytes(), box.enrolment.token)
    machine.wait(days=10)
    run(box, region, machine)
    known = boots.now(db)

    class Replayed:
        def ask(self, _question: bytes) -> bytes:
            return old

        def send(self, _sealed: bytes, pause: object = None) -> bytes:
            raise NotImplementedError

        def fetch_keys(self) -> bytes:
            raise NotImplementedError

    client.ask(db, box.device, box.enrolment, Replayed())
    assert boots.now(db) == known
    assert boots.floor(db) == region.time
    db.close()


def test_stick_raises_the_floor_but_does_not_set_the_clock(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    machine.restart(EPOCH_START)
    db = client.open_outbox(box.settings)
    region.time = machine.true
    told = region.tell(client.question(db, box.enrolment.region_id).to_bytes(), box.enrolment.token)
    machine.wait(days=20)  # in a driver's pocket
    client.hear(db, box.device, box.enrolment, told)
    assert boots.floor(db) == region.time
    assert boots.now(db) == Moment(region.time, Quality.UNKNOWN)
    db.close()


def test_times_from_before_this_program_was_built_are_not_believed(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    region.time = datetime(2026, 9, 1, tzinfo=UTC)
    box.sync()
    db = client.open_outbox(box.settings)
    assert boots.floor(db) == BUILT
    assert boots.now(db).quality is Quality.UNCONFIRMED
    db.close()


def test_clock_before_any_region_spoke_is_believed_inside_reason_only() -> None:
    for wall, quality in (
        (BUILT + timedelta(days=1), Quality.UNCONFIRMED),
        (BUILT + LONGEST_SILENCE + timedelta(days=1), Quality.UNKNOWN),
        (EPOCH_START, Quality.UNKNOWN),
    ):
        assert true_time(Reading("b", 5.0, wall), Boot(BUILT)).quality is quality


@given(
    st.datetimes(min_value=EPOCH_START.replace(tzinfo=None), max_value=TODAY.replace(year=2090, tzinfo=None)),
    st.floats(0, 10**8),
    st.floats(0, 10**8),
)
def test_once_the_time_is_signed_the_wall_does_not_matter(
    wall: datetime, seconds: float, signed_seconds: float
) -> None:
    boot = Boot(BUILT, TODAY, signed_seconds)
    reading = Reading("b", seconds, wall.replace(tzinfo=UTC))
    moment = true_time(reading, boot)
    assert moment.quality is Quality.CONFIRMED
    assert moment.at is not None
    assert abs((moment.at - TODAY).total_seconds() - (seconds - signed_seconds)) < 1e-3
    assert put_right(reading.wall, reading, moment) == moment.at.date()


@given(st.lists(st.datetimes(timezones=st.just(UTC)), max_size=5))
def test_what_is_certain_never_goes_back(signed: list[datetime]) -> None:
    floor = BUILT
    for at in signed:
        before, floor = floor, raised(floor, at)
        assert floor >= before
        assert floor >= at


def test_waiting_rows_remember_no_more_of_the_clock_once_they_are_told(
    box: Box, region: RegionSimulator, machine: Machine
) -> None:
    ask(box, machine)
    machine.wait(days=1)
    run(box, region, machine)
    db = client.open_outbox(box.settings)
    assert db.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert outbox.status(db).receipted_events == 12
    db.close()
