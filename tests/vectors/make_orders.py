"""Make tests/vectors/orders.json; the same every time, for these signatures draw nothing by chance.

    python -m tests.vectors.make_orders > tests/vectors/orders.json

The keys are fixed and public. They must never be used for anything else.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from sync.budget import Limits
from sync.desk import SIGN_DESK, SIGN_ORDER, Bundle, Desk, Signed, sign
from sync.keys import SigningKey
from sync.policy import Policy, sign_policy

REGION_ID = bytes(range(16))
POLICY_SEED = bytes(range(32))
DESK_SEEDS = [bytes([at]) * 32 for at in (1, 2, 3)]
ISSUED = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)


def make() -> dict[str, object]:
    policy_key, keys = SigningKey.from_seed(POLICY_SEED), [SigningKey.from_seed(seed) for seed in DESK_SEEDS]

    def signed(body: bytes, purpose: bytes, *by: SigningKey) -> Signed:
        return Signed(body, tuple(sign(body, purpose, key) for key in by))

    desk = Desk(REGION_ID, 1, 2, 1, tuple(key.public for key in keys)).to_bytes()
    chain = (signed(desk, SIGN_DESK, keys[0], keys[1], policy_key),)
    limits = Limits(rate_kbit=20, day_up_bytes=300_000)
    full = Policy(REGION_ID, 2, ISSUED, limits=limits, retention_days=365, desk=1).to_bytes()
    stop = Policy(REGION_ID, 3, ISSUED, stop=True, desk=1).to_bytes()
    drill = Policy(REGION_ID, 4, ISSUED, is_drill=True, desk=1).to_bytes()
    return {
        "region_id": REGION_ID.hex(),
        "policy_seed": POLICY_SEED.hex(),
        "desk_seeds": [seed.hex() for seed in DESK_SEEDS],
        "order_of_policy_key": sign_policy(Policy(REGION_ID, 1, ISSUED, stop=True), policy_key).hex(),
        "desk_alone": Bundle(chain, None).to_bytes().hex(),
        "order_by_two": Bundle(chain, signed(full, SIGN_ORDER, keys[0], keys[2])).to_bytes().hex(),
        "stop_by_one": Bundle(chain, signed(stop, SIGN_ORDER, keys[1])).to_bytes().hex(),
        "drill_by_two": Bundle(chain, signed(drill, SIGN_ORDER, keys[1], keys[2])).to_bytes().hex(),
    }


if __name__ == "__main__":
    json.dump(make(), sys.stdout, indent=1)
    sys.stdout.write("\n")
