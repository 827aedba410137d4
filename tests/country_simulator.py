"""A simulated country: many schools for a month, in minutes.

Real: every box's own database, its recording, waiting, making coarser, sealing, its timer's run
(`schedule.run`), budget and back-off, sticks; every region's inbox, ledger, receipts, outbox and daily
statements; the nation's inbox and sums. Some boxes speak real HTTP to their region, the rest call the same
functions the HTTP door calls (`inbox`, `answers`); a tally says how many.

Simulated: the clock (a month passes while the machine works; nobody waits), the lessons, whether a line or a
machine is on, and who carries a stick. Six shortcuts save time and change nothing: a box's empty database
is a copy of one that was migrated, with an epoch of its own; that it is migrated is not looked up again at
every start; it stays open from one run to the next; a signature that was verified is not verified again;
rows that wait on are not made coarser again before another one joins them; and a timer's tick that the pure
rule would turn away (`not_its_turn`, no link) is not played. Within a day boxes are played one after the
other.
"""

from __future__ import annotations

import random
import secrets
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from unittest import mock

from flask import Flask
from sqlite_utils import Database

from sync import client, nation, outbox, schedule, usb
from sync.budget import DEFAULT_LIMITS, KAZAKHSTAN, is_due, last_slot
from sync.clock import Reading
from sync.database import open_database, write_transaction
from sync.errors import RegionBusy, RegionUnreachable
from sync.event import KINDS, AllowedRow, Event
from sync.generalise import WaitingRow, generalise
from sync.keys import get_device_key, is_signed_by
from sync.nation import is_school_week
from sync.reply import read_question
from sync.server.app import create_app
from sync.server.arrivals import answers, inbox, sticks
from sync.server.enrolment import enrolments, registry
from sync.server.nation import forward, national, national_accounts
from sync.server.storage.identity import NATION, Region, get_region, make_region
from sync.server.storage.store import Place, Store, open_store
from sync.settings import RegionSettings, SyncSettings
from sync.transport import HttpTransport, Meter, Pause, Unmetered, go_on
from tests.region_simulator import serve

# systemd/sandyq-sync.timer: half an hour after the last run, and up to a quarter more by chance.
TICK_SECONDS, TICK_CHANCE_SECONDS = 1800.0, 900.0
FIRST_TICK_SECONDS = 300.0
OPENS, CLOSES = time(8, tzinfo=KAZAKHSTAN), time(15, tzinfo=KAZAKHSTAN)
OPENS_EARLIER_MINUTES = 60.0  # caretakers and teachers do not all come at the same minute
STICK_EVERY_DAYS = 7
FORWARDS_AT = time(22, tzinfo=UTC)  # three in the morning; the day before is over and stated
PLACES = (("rural", "small"), ("rural", "small"), ("rural", "large"), ("urban", "small"), ("urban", "large"))
PUPILS = {"small": (5, 14), "large": (15, 25)}

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)

Span = tuple[datetime, datetime]


class SimulatedClock:
    """The time for everybody in this process, set by the simulator."""

    def __init__(self, at: datetime) -> None:
        self.at = self._began = at
        self._boot = "first"

    def __call__(self) -> datetime:
        return self.at

    def switch_on(self, boot: str, at: datetime) -> None:
        """It is the turn of a machine that has been on since then."""
        self._boot, self._began = boot, at

    def read(self) -> Reading:
        return Reading(self._boot, (self.at - self._began).total_seconds(), self.at)


@dataclass(frozen=True)
class Plan:
    """What a country goes through."""

    regions: int
    boxes: int  # of each region
    first_day: date
    days: int
    lessons_a_week: int = 2
    http_every: int = 0  # every so many-th box speaks real HTTP; 0: none
    asleep_at_night: float = 0.3  # the share of boxes that a school switches off
    without_line: float = 0.05  # they send sticks
    bad_days: float = 0.1  # at so many of its knocks a box finds its line down, for hours
    regions_down: Span | None = None
    nation_down: Span | None = None
    seed: int = 1


@dataclass
class Tally:
    """What is compared at the end, and when boxes knocked."""

    boxes: int = 0
    boxes_on_http: int = 0
    boxes_with_sticks: int = 0
    recorded: int = 0
    confirmed: int = 0
    not_confirmed: int = 0
    sealed_sections: int = 0
    sealed_sum: int = 0  # of all numbers that boxes sealed for the nation, noise and all
    region_batches: int = 0
    region_events: int = 0  # by the ledger's numbers
    region_rows: int = 0
    region_letters: int = 0
    remarks: int = 0
    knocks: Counter[int] = field(default_factory=Counter)  # by minute since 1970: boxes that are on at night
    mornings: Counter[int] = field(default_factory=Counter)  # boxes that sleep when school is out
    turned_away: int = 0  # knocks at a region that was down

    def __add__(self, other: Tally) -> Tally:
        pairs = ((name, getattr(self, name), getattr(other, name)) for name in vars(self))
        return Tally(**{name: one + two for name, one, two in pairs})


@dataclass
class Box:
    """One box: its files, and what the simulator knows of its school."""

    settings: SyncSettings
    chance: random.Random
    kid: bytes
    token: str
    place: Place
    pupils: int
    is_on_at_night: bool
    has_line: bool
    speaks_http: bool
    phase: float  # seconds by which its timer's ticks lie behind others'
    recorded: int = 0
    stick: Path | None = None
    last_success: datetime | None = None  # as its own `line_state` has it
    down_until: datetime = LONG_AGO


class Country:
    """The nation, made once for all processes that play regions under it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self.settings = RegionSettings(home=folder / "nation")
        self.nation = make_region(self.settings, "Қазақстан", "", NATION)

    def totals(self) -> dict[str, Any]:
        """Open what waits and return what the nation knows."""
        with closing(open_store(self.nation.database)) as store:
            national.count_waiting(store, self.nation.keys)
            accounts = national_accounts.accounts(store)
            stated = [account.newest for account in accounts]
            return {
                "events": sum(one.all_events for one in stated if one),
                "batches": sum(one.all_batches for one in stated if one),
                "letters": sum(account.letters.get(national.COUNTED, 0) for account in accounts),
                "states": Counter(account.state for account in accounts),
                "remarks": sorted({remark for account in accounts for remark in account.remarks}),
                "sum": sum(told.total for told in national_accounts.sums(store).values()),
            }


class Databases:
    """The boxes' databases: each opened once, by whoever asks first, and closed at the end.

    Opening, reading the schema and folding the log back into the file took a third of a box's run; that a box
    which was switched off finds everything again is what other tests play (`tests/sync/test_power_cuts`).
    """

    def __init__(self) -> None:
        self._open: dict[Path, Database] = {}
        self._stack = ExitStack()

    def open(self, path: Path) -> Database:
        if path not in self._open:
            found = open_database(path)
            self._stack.callback(found.close)
            self._stack.enter_context(mock.patch.object(found, "close"))  # undone before it is closed
            self._open[path] = found
        return self._open[path]

    def close(self) -> None:
        self._open.clear()
        self._stack.close()


class RegionPart:
    """One region with its boxes; day by day it lives through the plan."""

    def __init__(self, country: Country, number: int, address: str = "") -> None:
        self.plan, self.number = country.plan, number
        self.folder = country.folder / f"region-{number}"
        self.clock = SimulatedClock(datetime.combine(self.plan.first_day, time(1), UTC))
        self.chance = random.Random(f"{self.plan.seed}/{number}")
        self.tally = Tally(boxes=self.plan.boxes)
        self.nation = country.nation
        settings = RegionSettings(home=self.folder)
        made = make_region(settings, f"Өңір {number}", address)
        with self._enrolling(self.nation) as code:
            forward.join(made, "http://nation.example", code(Place(made.name)))
        self.region = get_region(settings)
        self.app = create_app(self.region, clock=self.clock)
        self.databases = Databases()
        self._turn = b""  # whose turn it is
        self._coarse: dict[bytes, tuple[list[WaitingRow], tuple[AllowedRow, ...]]] = {}
        self.boxes = self._make_boxes()

    @contextmanager
    def _enrolling(self, region: Region) -> Iterator[Callable[[Place], str]]:
        """Enrolment goes through the real WSGI application; gives codes of a real sheet."""
        app = create_app(region, clock=self.clock)
        with (
            closing(open_store(region.database)) as store,
            mock.patch.object(client, "HttpTransport", lambda _url: _Enrolling(app)),
        ):
            yield lambda place: str(
                enrolments.make_sheet(store, region.keys, [place], self.clock.at).codes[0].code
            )

    def _make_boxes(self) -> list[Box]:
        template = self.folder / "template"
        client.open_outbox(SyncSettings(home=template)).close()
        with self._enrolling(self.region) as code:
            return [self._make_box(at, template / "box.sqlite", code) for at in range(self.plan.boxes)]

    def _make_box(self, number: int, template: Path, code: Callable[[Place], str]) -> Box:
        settings = SyncSettings(home=self.folder / "boxes" / str(number))
        settings.home.mkdir(parents=True, mode=0o700)
        shutil.copy(template, settings.database_path)
        with closing(sqlite3.connect(settings.database_path)) as fresh, fresh:
            fresh.execute(
                "UPDATE sync_state SET epoch = ?, seed = ?", [secrets.token_bytes(8), secrets.token_bytes(32)]
            )
        stratum, size = self.chance.choice(PLACES)
        place = Place(f"Мектеп {self.number}/{number}", stratum, size)
        enrolment = client.enrol(settings, "http://region.example", code(place))
        speaks_http = bool(self.plan.http_every) and number % self.plan.http_every == 0
        has_line = self.chance.random() >= self.plan.without_line or speaks_http
        self.tally.boxes_on_http += speaks_http
        self.tally.boxes_with_sticks += not has_line
        return Box(
            settings,
            random.Random(f"{self.plan.seed}/{self.number}/{number}"),
            get_device_key(settings.home).kid,
            enrolment.token,
            place,
            self.chance.randint(*PUPILS[size]),
            self.chance.random() >= self.plan.asleep_at_night,
            has_line,
            speaks_http,
            self.chance.uniform(0, TICK_SECONDS + TICK_CHANCE_SECONDS / 2),
        )

    # The month

    def play(self) -> Tally:
        with (
            closing(self.databases),
            serve(self.app) as url,
            closing(open_store(self.region.database)) as store,
            mock.patch("sync.client.open_database", self.databases.open),
            mock.patch("sync.client.migrate", lambda *_: None),
            mock.patch("sync.boots.read", self.clock.read),
            mock.patch("sync.link.is_up", lambda _url: True),
            mock.patch("sync.link.is_metered", lambda: False),
            mock.patch("sync.nation.write_section", self._counting),
            mock.patch("sync.outbox.generalise", self._coarser),
            mock.patch("sync.keys.is_signed_by", _is_signed_by),
            mock.patch("sync.reply.is_signed_by", _is_signed_by),
        ):
            for at in range(self.plan.days):
                self._day(store, url, self.plan.first_day + timedelta(days=at))
            self._last_days(store, url)
            self._compare(store)
        return self.tally

    def _day(self, store: Store, url: str, day: date, *, is_last: bool = False) -> None:
        for box in self.boxes:
            with self._as(box, store, url):
                if not is_last:
                    self._lessons(box, day)
                if box.has_line:
                    self._knock_when_due(box, day, is_last=is_last)
                elif day.toordinal() % STICK_EVERY_DAYS == box.kid[0] % STICK_EVERY_DAYS or is_last:
                    self._carry_stick(box, store, day)
        self._forward(day)

    def _last_days(self, store: Store, url: str) -> None:
        """A week later what waited for its week may leave; then a day for the last statement."""
        last = self.plan.first_day + timedelta(days=self.plan.days + 8)
        for at in range(4):  # a stick goes twice: there with envelopes, back with receipts
            self._day(store, url, last + timedelta(days=at), is_last=True)

    @contextmanager
    def _as(self, box: Box, store: Store, url: str) -> Iterator[None]:
        """What runs inside runs on this box: its clock, its line."""
        self._turn = box.kid

        def line(_url: str, token: str, meter: Meter) -> Any:
            minute = int(self.clock.at.timestamp()) // 60
            (self.tally.knocks if box.is_on_at_night else self.tally.mornings)[minute] += 1
            if _is_in(self.clock.at, self.plan.regions_down):
                self.tally.turned_away += 1
                return Line(None, self.region, token, meter, self.clock)
            if box.speaks_http:
                return HttpTransport(url, token, meter)
            return Line(store, self.region, token, meter, self.clock)

        with mock.patch("sync.schedule.HttpTransport", line):
            yield

    def _coarser(self, waiting: list[WaitingRow]) -> tuple[AllowedRow, ...]:
        """The box's own rule; asked once for the same rows."""
        before, known = self._coarse.get(self._turn, ([], ()))
        if before != waiting:
            known = generalise(waiting)
            self._coarse[self._turn] = waiting, known
        return known

    def _counting(self, section: nation.NationSection) -> bytes:
        self.tally.sealed_sections += 1
        self.tally.sealed_sum += sum(sum(week.counts) for week in section.weeks)
        return _write_section(section)

    def _lessons(self, box: Box, day: date) -> None:
        monday = day - timedelta(days=day.weekday())
        if day.weekday() > 4 or not is_school_week(monday):
            return
        if box.chance.random() >= self.plan.lessons_a_week / 5:
            return
        self.clock.at = datetime.combine(day, time(4 + box.chance.randrange(4), 10), UTC)
        self.clock.switch_on(f"{day}", self._opens(box, day))
        events = list(lesson(box, self.clock.at))
        with closing(client.open_outbox(box.settings)) as db, write_transaction(db):
            for event in events:
                outbox.add(db, event)
        box.recorded += len(events)

    def _opens(self, box: Box, day: date) -> datetime:
        opens = datetime.combine(day, OPENS).astimezone(UTC)
        return opens - timedelta(minutes=OPENS_EARLIER_MINUTES * box.kid[1] / 255)

    def _knock_when_due(self, box: Box, day: date, *, is_last: bool) -> None:
        """Play the ticks of a day on which the rule lets the box knock."""
        for tick in self._ticks(box, day):
            if tick < box.down_until and not is_last:
                continue
            if not is_last and box.chance.random() < self.plan.bad_days:
                # Lines come back at any moment, not all together.
                box.down_until = tick + timedelta(hours=box.chance.uniform(1, 36))
                continue
            self.clock.at = tick
            with suppress(RegionUnreachable, RegionBusy):  # the next tick is the retry
                if schedule.run(box.settings, is_scheduled=True).report is not None:
                    box.last_success = tick

    def _ticks(self, box: Box, day: date) -> Iterator[datetime]:
        """The moments of a day at which the timer runs and the box is due."""
        if box.is_on_at_night:
            begins, ends = datetime.combine(day, time(0), UTC), datetime.combine(day, time(23, 59), UTC)
            self.clock.switch_on("always", datetime.combine(self.plan.first_day, time(0), UTC))
        elif day.weekday() < 5:
            begins, ends = self._opens(box, day), datetime.combine(day, CLOSES).astimezone(UTC)
            self.clock.switch_on(f"{day}", begins)
            begins += timedelta(seconds=FIRST_TICK_SECONDS)
        else:
            return
        tick = begins + timedelta(seconds=box.phase if box.is_on_at_night else box.chance.uniform(0, 900))
        while tick < ends:
            if not is_due(box.kid, DEFAULT_LIMITS, tick, box.last_success):
                # Ticks before its turn would be turned away; the first one behind it is played.
                turn = last_slot(box.kid, DEFAULT_LIMITS, tick) + timedelta(days=1)
                tick = max(tick, turn) + timedelta(seconds=box.chance.uniform(0, TICK_SECONDS))
                continue
            yield tick
            tick += timedelta(seconds=TICK_SECONDS + box.chance.uniform(0, TICK_CHANCE_SECONDS))

    def _carry_stick(self, box: Box, store: Store, day: date) -> None:
        """The same stick goes to the region and comes back a week later."""
        self.clock.at = datetime.combine(day, time(9), UTC)
        self.clock.switch_on(f"{day}", self._opens(box, day))
        if box.stick is None:
            box.stick = self.folder / "sticks" / box.settings.home.name
            box.stick.mkdir(parents=True)
        usb.visit(box.settings, box.stick)
        sticks.import_stick(store, self.region, box.stick, self.clock.at + timedelta(hours=5))

    def _forward(self, day: date) -> None:
        self.clock.at = datetime.combine(day, FORWARDS_AT)
        token = client.get_enrolment(forward.settings_of(self.region)).token
        is_down = _is_in(self.clock.at, self.plan.nation_down)
        with (
            closing(open_store(self.nation.database)) as above,
            closing(open_store(self.region.database)) as own,
            suppress(RegionUnreachable, RegionBusy),
        ):
            line = Line(None if is_down else above, self.nation, token, Unmetered(), self.clock)
            forward.run(own, self.region, line, self.clock.at)

    # The end

    def _compare(self, store: Store) -> None:
        for box in self.boxes:
            with closing(client.open_outbox(box.settings)) as db:
                status = outbox.status(db)
            self.tally.recorded += box.recorded
            self.tally.confirmed += status.receipted_events
            self.tally.not_confirmed += status.waiting_events + status.sealed_events + status.set_aside_events
        batches, events = store.db.rows("SELECT count(*), coalesce(sum(hi - lo + 1), 0) FROM ledger")[0]
        self.tally.region_batches, self.tally.region_events = int(batches), int(events)
        self.tally.region_rows = int(store.db.rows("SELECT count(*) FROM event")[0][0])
        self.tally.region_letters = int(store.db.rows("SELECT count(*) FROM nation_letter")[0][0])
        self.tally.remarks = int(store.db.rows("SELECT count(*) FROM remark")[0][0])


_write_section = nation.write_section
# The same words under the same signature are verified once: a box reads its enrolment anew for each run.
_is_signed_by = lru_cache(maxsize=4096)(is_signed_by)


def _is_in(at: datetime, span: Span | None) -> bool:
    return span is not None and span[0] <= at < span[1]


@dataclass
class Line:
    """The functions behind the HTTP door, without a socket; without a store the other end is down."""

    store: Store | None
    region: Region
    token: str
    meter: Meter
    clock: Callable[[], datetime]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_fault: object) -> None:
        pass

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        pause()
        self.meter.sending(len(sealed))
        store, now = self._up(), self.clock()
        sender = registry.get_box_by_token(store, self.token)
        if self.region.is_nation:
            stored = national.receive(store, self.region.keys, self.region.id, sender, sealed, now)
            national.count_waiting(store, self.region.keys)
        else:
            stored = inbox.receive(store, self.region.keys, self.region.id, sender, sealed, now)
        reply = answers.answer_receipts(store, self.region, sender, stored.epoch, [stored.receipt], now)
        self.meter.received(len(reply))
        return reply

    def ask(self, question: bytes) -> bytes:
        self.meter.sending(len(question))
        store = self._up()
        sender = registry.get_box_by_token(store, self.token)
        reply = answers.answer_question(store, self.region, sender, read_question(question), self.clock())
        self.meter.received(len(reply))
        return reply

    def fetch_keys(self) -> bytes:
        return self._up().find_key_list() or b""

    def _up(self) -> Store:
        if self.store is None:
            raise RegionUnreachable
        return self.store


@dataclass
class _Enrolling:
    """Enrolment through the real WSGI application."""

    app: Flask

    def enrol(self, request: dict[str, str]) -> dict[str, Any]:
        answer = self.app.test_client().post("/v1/enrolments", json=request)
        found: dict[str, Any] = answer.get_json()
        return found


def lesson(box: Box, at: datetime) -> Iterator[Event]:
    """A lesson of one class: everybody joins, most ask, some try a task."""
    session, chance = f"{at}", box.chance

    def event(kind: str, learner: str | None = None, **told: str | int) -> Event:
        return Event(kind, at, session, learner, dict.fromkeys(KINDS[kind].fields) | told)

    yield event("session_opened", grade=7, language="kk")
    for number in range(box.pupils):
        pupil, language = f"p{number}", "kk" if number % 5 else "ru"
        yield event("learner_joined", pupil, language=language)
        if chance.random() < 0.7:
            yield event("question_asked", pupil, language=language, characters=chance.randrange(10, 90))
            yield event(
                "answer_finished",
                pupil,
                language=language,
                outcome="answered" if chance.random() < 0.95 else "failed",
                model_sha256="0123abcd" * 8,
                duration_ms=chance.randrange(2000, 60000),
                answer_tokens=chance.randrange(20, 200),
            )
        if chance.random() < 0.3:
            result = "right" if chance.random() < 0.6 else "wrong"
            yield event("attempt_checked", pupil, language=language, rung=0, result=result)
    yield event("session_closed")


# The storm -----------------------------------------------------------------------------------


def night_minutes(day: date) -> range:
    """The minutes (since 1970) of the night that begins on a day, when boxes may send what is heavy."""
    begins = datetime.combine(day, time(DEFAULT_LIMITS.first_hour), KAZAKHSTAN)
    hours = (DEFAULT_LIMITS.last_hour - DEFAULT_LIMITS.first_hour) % 24
    first = int(begins.timestamp()) // 60
    return range(first, first + hours * 60)


def peak_over_mean(knocks: Counter[int], nights: Sequence[date], minutes: int) -> float:
    """Return how much more knocks the fullest so many minutes of these nights had than the middle of them."""
    bins = [
        sum(knocks[minute] for minute in night[at : at + minutes])
        for night in map(night_minutes, nights)
        for at in range(0, len(night), minutes)
    ]
    return max(bins) * len(bins) / sum(bins) if any(bins) else 0.0
