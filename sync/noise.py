"""Exact noise for counts: the discrete Laplace distribution, without a floating-point number.

After Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential
Privacy" (2020), algorithms 1 and 2. Floating-point noise leaks what it should
hide (Mironov 2012); here every chance is a whole number drawn below another.
Pure: chance is passed in; the box passes `secrets.randbelow`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Below = Callable[[int], int]  # a whole number from 0 to one less than the argument, all equally likely


def discrete_laplace(scale: int, below: Below) -> int:
    """Return x with a chance proportional to exp(-|x| / scale)."""
    if scale < 1:
        raise ValueError("the scale is at least 1")
    while True:
        rest = below(scale)
        if not is_exp_minus(rest, scale, below):
            continue
        size = rest + scale * _run_of_ones(below)
        is_negative = below(2) == 1
        # Zero has one sign only; without this it would come twice as often as it should.
        if not (is_negative and size == 0):
            return -size if is_negative else size


def is_exp_minus(above: int, under: int, below: Below) -> bool:
    """Be true with the chance exp(-above/under), for a fraction between 0 and 1."""
    if not 0 <= above <= under:
        raise ValueError("the fraction lies between 0 and 1")
    turn = 1
    while below(under * turn) < above:
        turn += 1
    return turn % 2 == 1


def _run_of_ones(below: Below) -> int:
    """How often exp(-1) comes true in a row."""
    run = 0
    while is_exp_minus(1, 1, below):
        run += 1
    return run


def spread(scale: int) -> float:
    """Return the standard deviation of the noise on one number."""
    share = math.exp(-1 / scale)
    return math.sqrt(2 * share) / (1 - share)
