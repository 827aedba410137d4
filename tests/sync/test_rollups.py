"""The ledger is counted once, and told only in blocks of ten learners and five schools."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sync.server.insight import rollups, telling
from sync.server.insight.box_flags import FLAGS, is_raised
from sync.server.insight.equity import Told, panels
from sync.server.storage.store import Store, open_store
from tests.sync.schools import Deed, Schools, tries

MONDAY = date(2026, 9, 7)
LATER = datetime(2026, 12, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(region_address: str) -> Iterator[Store]:
    if region_address.startswith("sqlite:///"):
        Path(region_address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    opened = open_store(region_address)
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def schools(store: Store) -> Schools:
    made = Schools(store)
    for number in range(6):
        made.add(f"school {number}", "rural" if number % 2 else "urban", "small")
    return made


def teach(
    schools: Schools, day: date = MONDAY, *, right: int = 30, wrong: int = 20, arrives: int = 1
) -> None:
    for name in schools.boxes:
        schools.send(name, day, day + timedelta(days=arrives), tries(12, right, wrong))


def told(store: Store) -> dict[tuple[str, str], int]:
    rows = store.db.rows("SELECT period, part, sum(amount) FROM told GROUP BY period, part ORDER BY 1, 2")
    return {(period, part): amount for period, part, amount in rows}


def test_a_day_is_told_two_weeks_later_and_once(store: Store, schools: Schools) -> None:
    for number in range(6, 10):
        schools.add(f"school {number}", "rural" if number % 2 else "urban", "small")
    teach(schools)
    day = datetime.combine(MONDAY, datetime.min.time(), UTC)
    telling.update(store.db, day + timedelta(days=13))
    assert told(store) == {}
    telling.update(store.db, day + timedelta(days=14))
    once = {(MONDAY.isoformat(), "right"): 300, (MONDAY.isoformat(), "wrong"): 200}
    assert told(store) == once
    for days in (14, 15, 40, 80):
        telling.update(store.db, day + timedelta(days=days))
    assert told(store) == once


def test_batches_are_counted_once_however_often_somebody_counts(store: Store, schools: Schools) -> None:
    teach(schools)
    assert rollups.take(store.db, 4) == 4
    assert rollups.take(store.db, 4) == 2
    assert rollups.take(store.db) == 0
    total = store.db.row("SELECT sum(amount) FROM rollup_waiting")
    assert total is not None
    assert total[0] == 6 * 50
    assert rollups.counted_to(store.db) == 6


def test_a_recount_finds_the_same(store: Store, schools: Schools) -> None:
    teach(schools)
    teach(schools, MONDAY + timedelta(days=30), right=24, wrong=16)
    telling.update(store.db, LATER)
    before = store.db.rows("SELECT * FROM rollup_box ORDER BY 1, 2, 3, 4, 5")
    rollups.recount(store.db)
    assert store.db.rows("SELECT * FROM rollup_box ORDER BY 1, 2, 3, 4, 5") == before
    assert len(before) == 6 * 2 * 2


def test_what_a_day_cannot_tell_is_told_with_its_month(store: Store, schools: Schools) -> None:
    """On one day a kind of school has three schools, over the month six."""
    for number in range(6, 12):
        schools.add(f"school {number}", "rural" if number % 2 else "urban", "small")
    names = list(schools.boxes)
    for at, name in enumerate(names):
        day = MONDAY + timedelta(days=at // 6)
        schools.send(name, day, day, tries(12, 30, 20))
    telling.update(store.db, LATER)
    assert told(store) == {("2026-09", "right"): 360, ("2026-09", "wrong"): 240}
    assert telling.settled_months(store.db) == ["2026-09"]


def test_what_comes_late_is_told_only_when_it_is_enough_itself(store: Store, schools: Schools) -> None:
    for number in range(6, 10):
        schools.add(f"school {number}", "rural" if number % 2 else "urban", "small")
    teach(schools)
    telling.update(store.db, LATER)
    before = told(store)
    schools.send("school 1", MONDAY, LATER.date(), tries(12, 3, 17))
    telling.update(store.db, LATER + timedelta(days=1))
    assert told(store) == before
    teach(schools, arrives=100)
    telling.update(store.db, LATER + timedelta(days=40))
    after = told(store)
    assert sum(after.values()) == 2 * sum(before.values())  # the twenty wait for their month
    assert all(after[key] - before.get(key, 0) >= 10 for key in after)


def test_kinds_of_schools_too_few_to_tell_are_told_together(store: Store) -> None:
    """Four rural and small, four rural and large: together they are eight rural ones. Three urban ones go
    on with nobody and wait."""
    schools = Schools(store)
    for number in range(8):
        schools.add(f"rural {number}", "rural", "small" if number % 2 else "large")
    for number in range(3):
        schools.add(f"urban {number}", "urban", "large")
    teach(schools)
    telling.update(store.db, LATER)
    cells = store.db.rows("SELECT stratum, size_class, part, amount, period FROM told ORDER BY part")
    assert cells == [("rural", "", "right", 240, "2026-09"), ("rural", "", "wrong", 160, "2026-09")]
    waiting = store.db.row("SELECT sum(amount), max(stratum), max(size_class) FROM rollup_waiting")
    assert waiting == (150, "", "")


def test_four_schools_are_never_told(store: Store) -> None:
    schools = Schools(store)
    for number in range(4):
        schools.add(f"school {number}", "rural", "small")
    for week in range(8):
        teach(schools, MONDAY + timedelta(weeks=week))
    telling.update(store.db, LATER + timedelta(days=90))
    assert told(store) == {}


def test_rows_go_to_the_day_week_or_month_they_tell() -> None:
    received = date(2026, 10, 2)
    period = rollups.period_of
    assert period("2026-09-30", rollups.Span.DAY, received) == "2026-09-30"
    assert period("2026-09-28", rollups.Span.WEEK, received) == "2026-09"
    assert period("2026-09-01", rollups.Span.MONTH, received) == "2026-09"
    assert period(None, rollups.Span.DAY, received) == "2026-10"
    # A clock that ran wrong.
    assert period("1970-01-01", rollups.Span.DAY, received) == "2026-10"
    assert period("2031-01-01", rollups.Span.DAY, received) == "2026-10"


def test_a_planted_bias_reaches_the_page(store: Store) -> None:
    """Learners of Russian are refused nothing and wait longer: found by language, nowhere else."""
    schools = Schools(store)
    for number in range(24):
        schools.add(
            f"school {number}", "rural" if number % 2 else "urban", "small" if number % 4 < 2 else "large"
        )
    for number, name in enumerate(schools.boxes):
        deeds = []
        for language, long in (("kk", 3), ("ru", 9)):
            waits = [60_000] * (20 + 10 * long + number % 3) + [10_000] * (120 - 10 * long)
            deeds += [
                Deed(f"{language} {at % 14}", "answer_finished", language, "answered", duration_ms=wait)
                for at, wait in enumerate(waits)
            ]
        schools.send(name, MONDAY, MONDAY, deeds)
    telling.update(store.db, LATER)
    month = telling.told_in(store.db, "2026-09")
    found = {(one.measure.name, one.axis): one.certain for one in panels(month) if one.certain}
    assert set(found) == {("waiting", "language")}
    (difference,) = found["waiting", "language"]
    assert (difference.first, difference.second) == ("kk", "ru")
    assert difference.high < 0
    assert all(isinstance(one, Told) for one in month)


def test_a_flag_needs_enough_rows_and_ten_on_either_side() -> None:
    stuck = next(flag for flag in FLAGS if flag.name == "stuck")
    assert is_raised(stuck, {"tries": {"right": 20, "wrong": 60}})
    assert not is_raised(stuck, {"tries": {"right": 40, "wrong": 60}})
    assert not is_raised(stuck, {"tries": {"right": 9, "wrong": 60}})
    assert not is_raised(stuck, {"tries": {"right": 10, "wrong": 29}})
    assert not is_raised(stuck, {})


def test_a_school_where_many_are_stuck_is_flagged_and_no_figure_is_kept(
    store: Store, schools: Schools
) -> None:
    schools.send("school 3", MONDAY, MONDAY, tries(14, 20, 80))
    telling.update(store.db, datetime(2026, 9, 10, tzinfo=UTC))
    flags = dict(store.db.rows("SELECT label, flags FROM box JOIN rollup_state ON box_id = id"))
    assert flags.pop("school 3") == "stuck"
    assert set(flags.values()) == {""}
