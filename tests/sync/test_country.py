"""A small country for two weeks: thirty real boxes, one region, the nation; the clock is simulated."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sync.budget import DEFAULT_LIMITS, last_slot
from sync.keys import key_id
from tests.country_simulator import Country, Plan, RegionPart, night_minutes, peak_over_mean

MONDAY = date(2027, 3, 1)


@pytest.mark.slow
def test_boxes_region_and_nation_count_the_same_through_holidays_outages_and_sticks(tmp_path: Path) -> None:
    """Every sixth box speaks real HTTP, the rest call the functions behind that door."""
    plan = Plan(
        regions=1,
        boxes=30,
        first_day=date(2027, 3, 15),  # the second week is the spring holiday
        days=14,
        http_every=6,
        without_line=0.2,
        # The region is down for the first hours of one night, the nation for a week.
        regions_down=(datetime(2027, 3, 17, 15, tzinfo=UTC), datetime(2027, 3, 17, 19, tzinfo=UTC)),
        nation_down=(datetime(2027, 3, 18, tzinfo=UTC), datetime(2027, 3, 25, tzinfo=UTC)),
        seed=7,
    )
    country = Country(tmp_path, plan)
    tally = RegionPart(country, 0).play()
    assert tally.boxes_on_http == 5
    assert tally.boxes_with_sticks > 0
    assert tally.turned_away > 0, "nobody knocked while the region was down: nothing was tested"
    assert tally.recorded > 500
    assert (tally.confirmed, tally.not_confirmed) == (tally.recorded, 0)
    assert (tally.region_events, tally.region_rows) == (tally.recorded, tally.recorded)
    nation = country.totals()
    assert (nation["events"], nation["batches"]) == (tally.recorded, tally.region_batches)
    assert nation["letters"] == tally.region_letters == tally.sealed_sections > 0
    assert nation["sum"] == tally.sealed_sum, "every number that a box sealed, noise and all"
    assert nation["states"] == {"equal": 1}
    assert nation["remarks"] == []


def test_seven_thousand_boxes_do_not_knock_at_once_at_eight_in_the_evening() -> None:
    """Each has its own minute of the night, by its key; the fullest five hold less than twice the mean."""
    evening = datetime(2027, 3, 2, 3, tzinfo=UTC)
    slots = Counter(
        int(last_slot(key_id(number.to_bytes(4, "big")), DEFAULT_LIMITS, evening).timestamp()) // 60
        for number in range(7000)
    )
    assert sum(slots.values()) == 7000
    assert set(slots) <= set(night_minutes(MONDAY))
    assert peak_over_mean(slots, [MONDAY], 5) < 2


def test_the_measure_of_a_storm_sees_one() -> None:
    minutes = night_minutes(MONDAY)
    even = Counter(dict.fromkeys(minutes, 2))
    assert peak_over_mean(even, [MONDAY], 5) == 1
    storm = even + Counter({minutes[0]: 1000})
    assert peak_over_mean(storm, [MONDAY], 5) > 30
    assert len(minutes) == 600
    assert minutes[0] * 60 == datetime(2027, 3, 1, 15, tzinfo=UTC).timestamp(), "20:00 in Kazakhstan"
    assert peak_over_mean(Counter(), [MONDAY, MONDAY + timedelta(days=1)], 5) == 0
