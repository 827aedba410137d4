"""Make opendp_laplace.json: 200,000 draws of OpenDP's discrete Laplace, counted by value.

pip install opendp==0.16.0    # 265 MB, so not among the tests' own libraries
python tests/sync/opendp_laplace.py > tests/sync/opendp_laplace.json
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from importlib.metadata import version

import opendp.prelude as dp

DRAWS, SCALE = 200_000, 10.0


def main() -> None:
    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=int)), dp.l1_distance(T=int)
    measure = dp.m.make_laplace(*space, scale=SCALE)
    drawn = Counter(value for _ in range(DRAWS // 1000) for value in measure([0] * 1000))
    counts = {str(value): drawn[value] for value in sorted(drawn)}
    json.dump({"opendp": version("opendp"), "scale": SCALE, "draws": DRAWS, "counts": counts}, sys.stdout)
    sys.stdout.write("\n")


main()
