"""The noise is exactly the discrete Laplace distribution, and OpenDP draws the same."""

from __future__ import annotations

import json
import math
import random
import secrets
from collections import Counter
from pathlib import Path

import pytest

from sync.nation import EPSILON, MOST_CELLS, SCALE
from sync.noise import discrete_laplace, is_exp_minus

DRAWS = 40_000
# A true sampler fails one run in a million; a wrong one fails each time.
SURE = 1e-6
OPENDP: dict[str, int] = json.loads((Path(__file__).parent / "opendp_laplace.json").read_text())["counts"]


def chance_of(value: int, scale: int) -> float:
    ratio = math.exp(-1 / scale)
    return (1 - ratio) / (1 + ratio) * ratio ** abs(value)


def draw(count: int, scale: int) -> Counter[int]:
    return Counter(discrete_laplace(scale, secrets.randbelow) for _ in range(count))


def tail(statistic: float, freedom: int) -> float:
    """How often chance alone gives a chi-square this large (Wilson and Hilferty's approximation)."""
    if statistic <= 0:
        return 1.0
    width = 2 / (9 * freedom)
    z = ((statistic / freedom) ** (1 / 3) - (1 - width)) / math.sqrt(width)
    return 0.5 * math.erfc(z / math.sqrt(2))


def distance_from_exact(drawn: Counter[int], scale: int) -> float:
    """Chi-square against the exact chances, with both tails in two bins of their own."""
    total, edge = drawn.total(), 5 * scale
    inner = sum(chance_of(value, scale) for value in range(-edge, edge + 1))
    bins = [(drawn[value], chance_of(value, scale)) for value in range(-edge, edge + 1)]
    bins += [(sum(n for v, n in drawn.items() if v > edge), (1 - inner) / 2)]
    bins += [(sum(n for v, n in drawn.items() if v < -edge), (1 - inner) / 2)]
    statistic = sum((seen - total * chance) ** 2 / (total * chance) for seen, chance in bins)
    return tail(statistic, len(bins) - 1)


@pytest.mark.parametrize("scale", [1, 2, SCALE])
def test_noise_has_exactly_its_distribution(scale: int) -> None:
    assert distance_from_exact(draw(DRAWS, scale), scale) > SURE


def test_a_sampler_that_is_a_little_wrong_is_noticed() -> None:
    """The check bites: a scale 10 % too small, and zero drawn twice as often as it should."""
    assert distance_from_exact(draw(DRAWS, SCALE - 1), SCALE) < SURE
    drawn = draw(DRAWS, SCALE)
    drawn[0] *= 2
    assert distance_from_exact(drawn, SCALE) < SURE


def test_opendp_draws_the_same() -> None:
    """Two-sample chi-square against draws of OpenDP's own discrete Laplace (tests/sync/opendp_laplace.py)."""
    theirs = Counter({int(value): count for value, count in OPENDP.items()})
    ours = draw(DRAWS, SCALE)
    assert distance_from_exact(theirs, SCALE) > SURE, "the frozen draws are what they say"
    edge = 5 * SCALE
    statistic = 0.0
    scale_up, scale_down = math.sqrt(theirs.total() / ours.total()), math.sqrt(ours.total() / theirs.total())
    bins = 0
    for value in range(-edge, edge + 1):
        mine, other = ours[value], theirs[value]
        if mine + other:
            bins += 1
            statistic += (scale_up * mine - scale_down * other) ** 2 / (mine + other)
    assert tail(statistic, bins - 1) > SURE


@pytest.mark.parametrize(("above", "under"), [(0, 1), (1, 10), (1, 2), (9, 10), (1, 1)])
def test_chance_of_exp_is_exact(above: int, under: int) -> None:
    hits = sum(is_exp_minus(above, under, secrets.randbelow) for _ in range(DRAWS))
    expected = math.exp(-above / under)
    sigma = math.sqrt(DRAWS * expected * (1 - expected)) or 0.5
    assert abs(hits - DRAWS * expected) < 5 * sigma


def test_scale_is_what_sensitivity_and_epsilon_demand() -> None:
    assert SCALE * EPSILON == MOST_CELLS


def test_the_same_chance_gives_the_same_noise() -> None:
    first, second = random.Random(1), random.Random(1)
    assert [discrete_laplace(10, first.randrange) for _ in range(50)] == [
        discrete_laplace(10, second.randrange) for _ in range(50)
    ]


def test_impossible_chances_are_refused() -> None:
    with pytest.raises(ValueError, match="scale"):
        discrete_laplace(0, secrets.randbelow)
    with pytest.raises(ValueError, match="fraction"):
        is_exp_minus(3, 2, secrets.randbelow)
