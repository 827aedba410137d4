"""The budget of the line: bytes, hours, rate, turns, waiting after failures, and what goes first."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import boots, client, line_book, link, outbox, schedule
from sync.budget import (
    BACKOFF_CAP_SECONDS,
    DEFAULT_LIMITS,
    OVERHEAD,
    Agenda,
    Limits,
    Line,
    Pacer,
    Priority,
    Usage,
    backoff_seconds,
    decide,
    is_due,
    is_within,
    last_slot,
    slot_seconds,
)
from sync.errors import BudgetSpent, RegionUnreachable
from sync.policy import Policy, sign_policy
from sync.transport import HttpTransport
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.line import cut_line

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)  # 23 o'clock in Kazakhstan


def test_every_piece_is_decided_by_what_passed_today_and_this_month() -> None:
    limits = replace(DEFAULT_LIMITS, day_up_bytes=1_000, month_up_bytes=5_000)
    fresh = Usage(TODAY)
    assert decide(Priority.EVENTS, limits, fresh, Line(), up=800).may
    spent = decide(Priority.EVENTS, limits, fresh, Line(), up=900)
    assert (spent.may, spent.reason) == (False, "day_spent"), "what the layers below add counts too"
    month = replace(fresh, month_up=4_900)
    assert decide(Priority.EVENTS, limits, month, Line(), up=200).reason == "month_spent"
    assert decide(Priority.EVENTS, limits, month.on(date(2026, 12, 1)), Line(), up=200).may


def test_order_passes_every_budget_and_nothing_passes_a_dead_line() -> None:
    empty = Limits(0, 0, 0, 0)
    assert decide(Priority.ORDER, empty, Usage(TODAY), Line(is_metered=True), up=500).may
    assert decide(Priority.ORDER, empty, Usage(TODAY), Line(is_up=False)).reason == "no_link"


def test_metered_line_is_left_alone_unless_somebody_allowed_it() -> None:
    for priority in (Priority.ALERT, Priority.EVENTS, Priority.IMAGE):
        assert (
            decide(priority, DEFAULT_LIMITS, Usage(TODAY), Line(is_metered=True, hour=23)).reason == "metered"
        )
    allowed = replace(DEFAULT_LIMITS, uses_metered=1)
    assert decide(Priority.EVENTS, allowed, Usage(TODAY), Line(is_metered=True)).may


def test_heavy_things_wait_for_their_hours_and_for_a_clock() -> None:
    for hour, may in ((19, False), (20, True), (23, True), (0, True), (5, True), (6, False), (12, False)):
        assert decide(Priority.CONTENT, DEFAULT_LIMITS, Usage(TODAY), Line(hour=hour)).may is may
        assert decide(Priority.EVENTS, DEFAULT_LIMITS, Usage(TODAY), Line(hour=hour)).may
    assert not is_within(DEFAULT_LIMITS, None)
    assert is_within(replace(DEFAULT_LIMITS, first_hour=7, last_hour=7), None)


def test_clock_that_goes_back_gives_no_budget_back() -> None:
    used = Usage(TODAY).plus(up=1_000)
    assert used.day_up == round(1_000 * OVERHEAD)
    assert used.on(TODAY - timedelta(days=3)) == used
    assert used.on(TODAY + timedelta(days=1)).month_up == used.month_up
    assert used.on(TODAY + timedelta(days=1)).day_up == 0


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**4), st.integers(0, 10**4))
def test_the_smaller_of_order_and_setting_counts(a: int, b: int, rate: int, other: int) -> None:
    both = replace(DEFAULT_LIMITS, day_up_bytes=a, rate_kbit=rate).tightened(
        day_up_bytes=b, month_up_bytes=0, rate_kbit=other, uses_metered=False
    )
    assert both.day_up_bytes == (min(a, b) if b else a)
    assert both.rate_kbit == (min(rate, other) if rate and other else rate or other)
    assert both.month_up_bytes == DEFAULT_LIMITS.month_up_bytes


@pytest.mark.parametrize("rate", [8, 20, 64, 1_000])
def test_rate_is_held_within_a_tenth_on_a_simulated_clock(rate: int) -> None:
    pacer, now, sent = Pacer(rate), 0.0, 0
    for size in [1_024] * 200 + [130, 16, 777] * 50:
        now += pacer.wait_seconds(size, now)
        sent += size
    assert sent * 8 / 1000 / now == pytest.approx(rate, rel=0.1)


def test_pause_of_the_line_is_not_made_up_for_by_a_burst() -> None:
    pacer = Pacer(20)
    pacer.wait_seconds(2_500, 0.0)  # a second's worth
    assert pacer.wait_seconds(2_500, 100.0) == 0.0
    assert pacer.wait_seconds(2_500, 100.0) == pytest.approx(1.0)


def test_rate_is_held_within_a_tenth_on_a_real_line(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.envelope.LEAST_PADDED_BYTES", 60_000)
    box.ask(times=3)
    box.cut()
    db = client.open_outbox(box.settings)
    batch = outbox.find_oldest_sealed(db)
    assert batch is not None
    with region.serve() as url, cut_line(url) as line:
        meter = schedule.LineMeter(db, TODAY, Pacer(256))
        started = time.monotonic()
        with HttpTransport(line.url, box.enrolment.token, meter) as wire:
            wire.send(batch.sealed)
        rate = line.up * 8 / 1000 / (time.monotonic() - started)
    db.close()
    # Slower may be the machine that is busy; faster would be our fault.
    print(f"{rate:.0f} of 256 kbit/s")
    assert rate < 256 * 1.1


def test_turns_of_seven_thousand_boxes_are_spread_over_the_night() -> None:
    kids = [secrets.token_bytes(8) for _ in range(7_000)]
    window = 10 * 3600
    minutes = Counter(slot_seconds(kid, window) // 60 for kid in kids)
    mean = len(kids) / (window / 60)
    assert max(minutes.values()) <= 3 * mean
    assert len(minutes) > 0.99 * window / 60
    assert all(slot_seconds(kid, window) == slot_seconds(kid, window) for kid in kids[:50])


@given(st.binary(min_size=8, max_size=8), st.integers(0, 23), st.integers(0, 23), st.integers(0, 10**6))
def test_turn_lies_in_the_hours_and_comes_once_a_day(kid: bytes, first: int, last: int, minutes: int) -> None:
    limits = replace(DEFAULT_LIMITS, first_hour=first, last_hour=last)
    now = NOW + timedelta(minutes=minutes)
    turn = last_slot(kid, limits, now)
    assert timedelta(0) <= now - turn < timedelta(days=1)
    local = (turn + timedelta(hours=5)).hour
    assert is_within(limits, local)
    assert is_due(kid, limits, now, None)
    assert is_due(kid, limits, now, turn - timedelta(seconds=1))
    assert not is_due(kid, limits, now, turn)
    assert is_due(kid, limits, turn + timedelta(days=1), turn)


def test_waiting_after_failures_is_by_chance_under_a_bound_that_doubles_to_six_hours() -> None:
    assert backoff_seconds(0, 0.9) == 0
    bounds = [backoff_seconds(failures, 1.0) for failures in range(1, 40)]
    assert bounds[:4] == [30, 60, 120, 240]
    assert bounds == sorted(bounds)
    assert bounds[-1] == BACKOFF_CAP_SECONDS
    assert backoff_seconds(5, 0.0) == 0


def test_urgent_work_goes_between_two_pieces_of_the_rest() -> None:
    done: list[str] = []
    agenda = Agenda()

    def content() -> None:
        for piece in range(3):
            agenda.give_way(Priority.CONTENT)
            done.append(f"content {piece}")
            if piece == 0:
                agenda.add(Priority.EVENTS, events)
                agenda.add(Priority.IMAGE, lambda: done.append("image"))
                agenda.add(Priority.ALERT, lambda: done.append("alert"))

    def events() -> None:
        agenda.add(Priority.ORDER, lambda: done.append("stop"))
        agenda.give_way(Priority.EVENTS)
        done.append("events")

    content()
    agenda.give_way(Priority.IMAGE)
    assert done == ["content 0", "alert", "stop", "events", "content 1", "content 2"]
    agenda.give_way(Priority(5) + 1)  # type: ignore[arg-type]
    assert done[-1] == "image"


# A run ---------------------------------------------------------------------------------------


def enrolled_at(box: Box, url: str) -> None:
    """The same enrolment at another address."""
    enrolment = replace(box.enrolment, region_url=url)
    client.save_enrolment(box.settings, enrolment)


def test_scheduled_run_goes_once_a_night_and_counts_what_passed(box: Box, region: RegionSimulator) -> None:
    box.ask(times=3)
    with region.serve() as url:
        enrolled_at(box, url)
        first = schedule.run(box.settings, is_scheduled=True)
        assert first.report is not None
        assert first.report.events == 3
        box.ask()
        assert schedule.run(box.settings, is_scheduled=True).skipped == "not_its_turn"
        by_hand = schedule.run(box.settings, is_scheduled=False)
        assert by_hand.report is not None
        assert by_hand.report.events == 1
    db = client.open_outbox(box.settings)
    used = line_book.usage(db, boots.now(db).at.date())  # type: ignore[union-attr]
    db.close()
    assert 3_000 < used.day_up < 8_000
    assert used.month_up == used.day_up
    assert 500 < used.day_down < 8_000


def test_failed_run_waits_before_the_next_but_a_person_does_not(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.schedule.backoff_seconds", lambda failures, _chance: failures * 1_000.0)
    box.ask()
    with region.serve() as url:
        pass
    enrolled_at(box, url)
    with pytest.raises(RegionUnreachable):
        schedule.run(box.settings, is_scheduled=True)
    assert schedule.run(box.settings, is_scheduled=True).skipped == "backing_off"
    with pytest.raises(RegionUnreachable):
        schedule.run(box.settings, is_scheduled=False)
    db = client.open_outbox(box.settings)
    assert line_book.state(db).failures == 2
    db.close()
    # The link goes and comes back: what failed before tells nothing of it.
    with monkeypatch.context() as away:
        away.setattr("sync.link.is_up", lambda _url: False)
        assert schedule.run(box.settings, is_scheduled=True).skipped == "no_link"
    with pytest.raises(RegionUnreachable):
        schedule.run(box.settings, is_scheduled=True)


def test_line_that_is_down_costs_not_a_byte(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.link.is_up", lambda _url: False)
    box.ask()
    with region.serve() as url, cut_line(url) as line:
        enrolled_at(box, line.url)
        line.mend()
        assert schedule.run(box.settings, is_scheduled=True).skipped == "no_link"
        assert (line.connections, line.up) == (0, 0)


def test_spent_budget_ends_the_run_with_everything_kept(box: Box, region: RegionSimulator) -> None:
    box.ask(times=3)
    tight = replace(box.settings, day_kilobytes=10)
    with region.serve() as url:
        enrolled_at(box, url)
        with pytest.raises(BudgetSpent, match="day_spent"):
            schedule.run(tight, is_scheduled=False)
        assert box.status().sealed_events + box.status().waiting_events == 3
        assert schedule.run(box.settings, is_scheduled=False).report is not None
    assert region.count("question_asked") == 3


def test_metered_line_carries_the_order_and_no_events(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.link.is_metered", lambda: True)
    box.ask(times=3)
    with region.serve() as url:
        enrolled_at(box, url)
        with pytest.raises(BudgetSpent, match="metered"):
            schedule.run(box.settings, is_scheduled=True)
        assert region.count("question_asked") == 0
        allowed = schedule.run(replace(box.settings, uses_metered=True), is_scheduled=True)
        assert allowed.report is not None
    assert region.count("question_asked") == 3


def test_order_sets_the_limits_until_a_signed_time_is_past_its_end(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    end = datetime(2026, 12, 31, tzinfo=UTC)
    tight = replace(DEFAULT_LIMITS, rate_kbit=20)
    order = Policy(region.region.id, 1, NOW, end, limits=tight)
    db = client.open_outbox(box.settings)
    schedule.policy.accept(
        db,
        sign_policy(order, region.region.keys.policy),
        box.enrolment.policy_public,
        box.enrolment.region_id,
    )
    assert schedule.limits_in_force(db, box.settings).rate_kbit == 20
    boots.raise_floor(db, end + timedelta(days=1))
    assert schedule.limits_in_force(db, box.settings).rate_kbit == 0
    db.close()


def test_kernel_is_asked_whether_there_is_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    four, six = tmp_path / "route", tmp_path / "ipv6_route"
    monkeypatch.setattr(link, "ROUTES", four)
    monkeypatch.setattr(link, "ROUTES_6", six)
    head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    local = "eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    way = "eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    zero = "0" * 32
    rejected = f"{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
    way_6 = f"{zero} 00 {zero} 00 {zero} 00000400 00000001 00000000 00000003     eth0\n"
    for first, second, is_up in (
        (head + local, rejected, False),
        (head + local + way, rejected, True),
        (head, rejected + way_6, True),
        (head, "", False),
    ):
        four.write_text(first)
        six.write_text(second)
        assert link.is_up("https://region.kz") is is_up
        assert link.is_up("http://127.0.0.1:8090")
        assert link.is_up("http://localhost")


@pytest.mark.parametrize(
    ("said", "is_metered"),
    [("u 1", True), ("u 3", True), ("u 2", False), ("u 4", False), ("u 0", False), ("", False)],
)
def test_network_manager_is_asked_whether_the_line_is_metered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, is_metered: bool
) -> None:
    busctl = tmp_path / "busctl"
    busctl.write_text(f"#!/bin/sh\necho '{said}'\n")
    busctl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert link.is_metered() is is_metered
