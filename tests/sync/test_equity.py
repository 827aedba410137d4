"""A planted bias is found, its absence is not taken for one, and schools are what is counted."""

from __future__ import annotations

import random

import pytest

from sync.event import log2_bucket
from sync.server.insight.equity import (
    AXES,
    MEASURES,
    VECTORS,
    Share,
    Told,
    difference,
    effective_part,
    effective_rows,
    panels,
    place_of,
    rounded_down,
    wilson,
)


def region(
    chance: random.Random, shares: dict[tuple[str, str], float], schools: int = 40, rows: int = 300
) -> list[Told]:
    """A month of tries; each school has a level of its own, beside what is planted for its cell."""
    told = []
    for (stratum, language), share in shares.items():
        counts = []
        for _ in range(schools):
            own = min(0.98, max(0.02, share + chance.gauss(0, 0.08)))
            counts.append((sum(chance.random() < own for _ in range(rows)), rows))
        right = sum(first for first, _ in counts)
        cell = (stratum, "small", language, "tries")
        told += [
            Told(*cell, "right", right),
            Told(*cell, "wrong", schools * rows - right),
            Told(*cell, effective_part(MEASURES["success"]), rounded_down(effective_rows(counts))),
        ]
    return told


def certain(told: list[Told]) -> set[tuple[str, str]]:
    return {(panel.measure.name, panel.axis) for panel in panels(told) if panel.certain}


def test_a_planted_bias_is_found_where_it_was_planted() -> None:
    planted = {("rural", "kk"): 0.55, ("rural", "ru"): 0.65, ("urban", "kk"): 0.55, ("urban", "ru"): 0.65}
    assert certain(region(random.Random(1), planted)) == {("success", "language")}


def test_without_a_bias_a_false_alarm_is_rare() -> None:
    equal = {("rural", "kk"): 0.6, ("rural", "ru"): 0.6, ("urban", "kk"): 0.6, ("urban", "ru"): 0.6}
    chance = random.Random(2)
    alarms = sum(bool(certain(region(chance, equal, schools=12, rows=60))) for _ in range(100))
    assert alarms <= 3


def test_counting_rows_instead_of_schools_would_cry_wolf() -> None:
    """The same months without the design effect: the attack on our own figure must hit."""
    equal = {("rural", "kk"): 0.6, ("urban", "kk"): 0.6}
    chance, alarms = random.Random(3), 0
    for _ in range(60):
        told = [one for one in region(chance, equal, schools=8) if not one.part.startswith("~")]
        naive = [
            Told(one.stratum, one.size_class, one.language, one.vector, "~success", 2400)
            for one in told
            if one.part == "right"
        ]
        alarms += bool(certain([*told, *naive]))
    assert alarms > 10


def test_effective_rows_lie_between_the_schools_and_the_rows() -> None:
    assert effective_rows([(50, 100)] * 10) == 1000  # all schools alike
    assert effective_rows([(0, 100), (100, 100)] * 5) == pytest.approx(9)  # each school says one thing
    assert effective_rows([(100, 100)] * 10) == 10  # nothing shows how far they are apart
    assert effective_rows([(5, 10)]) == 1


def test_wilson_is_the_published_interval() -> None:
    """Newcombe 1998, method 3: 15 of 148."""
    low, high = wilson(15 / 148, 148, 1.96)
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert wilson(0, 10, 1.96)[0] == 0
    assert wilson(1, 10, 1.96)[1] == pytest.approx(1)


def test_a_range_holds_the_truth_as_often_as_it_says() -> None:
    chance, held = random.Random(4), 0
    for _ in range(400):
        counts = []
        for _ in range(20):
            own = min(0.95, max(0.05, chance.gauss(0.3, 0.1)))
            counts.append((sum(chance.random() < own for _ in range(50)), 50))
        share = Share(sum(first for first, _ in counts), 1000, effective_rows(counts))
        low, high = share.between()
        held += low <= 0.3 <= high
    assert 360 <= held <= 398  # nominally 380, and a t of 19 schools is a little wider


def test_a_certain_but_tiny_difference_is_not_reported() -> None:
    one, other = ("kk", Share(510_000, 1_000_000, 1e6)), ("ru", Share(500_000, 1_000_000, 1e6))
    found = difference(one, other)
    assert found.low > 0
    assert not found.is_certain


def test_every_panel_says_what_it_cannot_tell() -> None:
    for measure in MEASURES.values():
        assert len(measure.cannot) > 60
        assert set(measure.counted + measure.of) <= set(VECTORS[measure.vector].parts)
        assert set(measure.axes) <= set(AXES)


def test_every_row_has_one_place() -> None:
    assert place_of("answer_finished", "answered", None, log2_bucket(8_000, 22)) == ("answers", "s8")
    assert place_of("answer_finished", "answered", None, log2_bucket(30_000, 22)) == ("answers", "s33")
    assert place_of("answer_finished", "answered", None, log2_bucket(40_000, 22)) == ("answers", "long")
    assert place_of("answer_finished", "answered", None, None) == ("answers", "untimed")
    assert place_of("answer_finished", "stopped", None, 3) == ("answers", "failed")
    assert place_of("answer_finished", None, None, 3) == ("answers", "s8")
    assert place_of("attempt_checked", None, None, None) is None
    assert place_of("hand_back", None, None, None) == ("questions", "handed")
    assert place_of("stop_set", None, None, None) is None
    assert place_of(None, None, None, None) is None


def test_no_measure_and_no_axis_is_about_a_teacher_or_a_school() -> None:
    words = [*AXES, *MEASURES, *VECTORS, *(part for one in VECTORS.values() for part in one.parts)]
    for unwanted in ("teacher", "school", "box", "label", "learner"):
        assert not [word for word in words if unwanted in word]
    assert set(AXES) == {"language", "stratum", "size_class"}
