"""One run over the wire, inside the budget: what the timer starts, and what a person starts at once.

The timer's run looks first whether there is a link, whether the box's turn has come and whether it has
waited long enough after a failure; a person's run does not wait. Both count what passes and hold the
rate. Keeps out: how envelopes are made and sent.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlite_utils import Database

from sync import boots, client, line_book, link, outbox, policy
from sync.budget import (
    DEFAULT_LIMITS,
    KAZAKHSTAN,
    Agenda,
    Limits,
    Line,
    Pacer,
    Priority,
    backoff_seconds,
    decide,
    is_due,
)
from sync.client import Enrolment, RunReport
from sync.clock import Quality
from sync.errors import BudgetSpent, RegionBusy, RegionUnreachable, SyncError
from sync.keys import SigningKey, get_device_key
from sync.settings import SyncSettings
from sync.transport import PIECE_BYTES, HttpTransport

# A long upload must not keep a stop waiting: the region is asked again between two pieces.
ASK_AGAIN_SECONDS = 600.0
# Counts are saved after so much: a power cut forgets no more than this of what passed.
SAVE_EVERY_BYTES = 64 * 1024

_chance = secrets.SystemRandom()


@dataclass(frozen=True)
class Outcome:
    """What a run brought, or why it did not begin."""

    report: RunReport | None
    skipped: str = ""


@dataclass
class LineMeter:
    """Counts what passes and waits as the rate demands."""

    db: Database
    today: date
    pacer: Pacer
    seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    up: int = field(default=0, init=False)
    down: int = field(default=0, init=False)

    def sending(self, size: int) -> None:
        wait = self.pacer.wait_seconds(size, self.seconds())
        if wait > 0:
            self.sleep(wait)
        self.up += size
        if self.up + self.down >= SAVE_EVERY_BYTES:
            self.save()

    def received(self, size: int) -> None:
        self.down += size

    def save(self) -> None:
        if self.up or self.down:
            line_book.note_passed(self.db, self.today, up=self.up, down=self.down)
            self.up = self.down = 0


def run(settings: SyncSettings, *, is_scheduled: bool, is_early: bool = False) -> Outcome:
    """Send what may leave. A scheduled run may find that it is not the time."""
    enrolment, device = client.get_enrolment(settings), get_device_key(settings.home)
    db = client.open_outbox(settings)
    try:
        limits = limits_in_force(db, settings)
        reason = _why_not_now(db, limits, device.kid, enrolment.region_url) if is_scheduled else ""
        if reason:
            return Outcome(None, reason)
        return Outcome(_run(db, device, enrolment, limits, is_scheduled=is_scheduled, is_early=is_early))
    finally:
        db.close()


def limits_in_force(db: Database, settings: SyncSettings) -> Limits:
    """Return the order's limits, or the ordinary ones, tightened by this box's own settings."""
    order = policy.current(db)
    ordered = order.limits_at(boots.floor(db)) if order else DEFAULT_LIMITS
    return ordered.tightened(
        day_up_bytes=settings.day_kilobytes * 1000,
        month_up_bytes=settings.month_kilobytes * 1000,
        rate_kbit=settings.rate_kbit,
        uses_metered=settings.uses_metered,
    )


def _why_not_now(db: Database, limits: Limits, box_kid: bytes, region_url: str) -> str:
    if not link.is_up(region_url):
        line_book.note_down(db)
        return "no_link"
    line_book.note_up(db)
    tries = line_book.state(db)
    if tries.must_wait(boots.read()):
        return "backing_off"
    moment = boots.now(db)
    # Sealed batches whose line broke go on at once; a box without a clock cannot know its turn.
    is_under_way = outbox.find_oldest_sealed(db) is not None
    knows = moment.quality is not Quality.UNKNOWN and moment.at is not None
    if not is_under_way and knows and not is_due(box_kid, limits, _at(moment.at), tries.last_success):
        return "not_its_turn"
    return ""


def _run(
    db: Database,
    device: SigningKey,
    enrolment: Enrolment,
    limits: Limits,
    *,
    is_scheduled: bool,
    is_early: bool,
) -> RunReport:
    moment = boots.now(db)
    now = _at(moment.at)
    hour = now.astimezone(KAZAKHSTAN).hour if moment.quality is not Quality.UNKNOWN else None
    line = Line(is_metered=is_scheduled and link.is_metered(), hour=hour)
    meter = LineMeter(db, now.date(), Pacer(limits.rate_kbit))
    agenda, asked_at = Agenda(), time.monotonic()
    with HttpTransport(enrolment.region_url, enrolment.token, meter) as wire:

        def pause() -> None:
            nonlocal asked_at
            if time.monotonic() - asked_at >= ASK_AGAIN_SECONDS:
                agenda.add(Priority.ORDER, lambda: client.ask(db, device, enrolment, wire))
                asked_at = time.monotonic()
            agenda.give_way(Priority.EVENTS)
            meter.save()
            used = line_book.usage(db, meter.today)
            decision = decide(Priority.EVENTS, limits, used, line, up=PIECE_BYTES)
            if not decision.may:
                raise BudgetSpent(reason=decision.reason)

        try:
            report = client.send_all(db, device, enrolment, wire, pause, is_early=is_early)
        except SyncError as error:
            _note_end(db, meter, error)
            raise
    _note_end(db, meter, None)
    return report


def _note_end(db: Database, meter: LineMeter, error: SyncError | None) -> None:
    meter.save()
    if isinstance(error, RegionUnreachable | RegionBusy):
        failures = line_book.state(db).failures + 1
        line_book.note_failure(db, boots.read(), backoff_seconds(failures, _chance.random()))
    elif error is None or isinstance(error, BudgetSpent):
        line_book.note_success(db, _at(boots.now(db).at))


def _at(moment: datetime | None) -> datetime:
    if moment is None:
        raise ValueError("a box always knows a time that is surely past")
    return moment
