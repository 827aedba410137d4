"""Make tests/vectors/sb1_lanes.json: run once; sealing is random, so a new run gives other bytes.

    python tests/vectors/make_vectors.py > tests/vectors/sb1_lanes.json

`sb1.json` is what the first version of this program made, with rows of version 1 and one section; it is
never made again, so that what old boxes sent stays readable.

The keys are fixed and public. They must never be used for anything else.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, date, datetime

from sync.anonymise import anonymise
from sync.batch import Batch, pack_rows
from sync.envelope import Recipient, seal
from sync.event import AllowedRow, Span
from sync.keys import OpeningKey, SigningKey
from sync.nation import GRADES, NationSection, Week, write_section
from sync.receipt import Receipt, sign_receipt

DEVICE_SEED = bytes(range(32))
OPENING_SEED = bytes(range(100, 196))
NATION_SEED = bytes(range(150, 246))
RECEIPT_SEED = bytes(range(32, 64))
REGION_ID = bytes(range(16))
EPOCH = bytes(range(8))
DAY = date(2026, 9, 1)

COARSE = [
    AllowedRow("question_asked", DAY, "s1", {"language": "kk"}),
    AllowedRow("question_asked", date(2026, 8, 31), None, {"language": "kk"}, Span.WEEK),
    AllowedRow("answer_finished", date(2026, 9, 1), None, {"outcome": "answered"}, Span.MONTH),
    AllowedRow("answer_finished", None, None, {}),
    AllowedRow(None, None, None, {}),
]
BARE = [AllowedRow(None, None, None, {}), AllowedRow(None, None, None, {})]
NOISY = NationSection(
    ("answer_finished:answered", "learner_joined"),
    tuple(
        Week(monday, tuple(at * 7 % 61 - 25 + week for at in range(2 * GRADES)))
        for week, monday in enumerate((date(2026, 8, 31), date(2026, 9, 7)))
    ),
)
ROWS = [
    AllowedRow("session_opened", DAY, "s1", {"grade": 7, "language": "kk"}),
    AllowedRow("learner_joined", DAY, "s1", {"language": "kk"}),
    AllowedRow("question_asked", DAY, "s1", {"language": "kk", "characters": 5}),
    AllowedRow(
        "answer_finished",
        DAY,
        "s1",
        {
            "language": "kk",
            "outcome": "answered",
            "model_sha256": "0123abcd",
            "duration_ms": 13,
            "answer_tokens": 6,
        },
    ),
    AllowedRow("question_asked", date(2026, 9, 2), "s2", {"language": "ru", "characters": 0}),
    AllowedRow("answer_finished", date(2026, 9, 2), "s2", {"language": "ru", "outcome": "stopped"}),
    AllowedRow("session_closed", date(2026, 9, 2), "s1", {}),
]
MANY = [
    AllowedRow("question_asked", date(2026, 9, 1 + at % 5), f"s{at % 7}", {"characters": at % 18})
    for at in range(120)
]


def main() -> None:
    device, opening = SigningKey.from_seed(DEVICE_SEED), OpeningKey.from_seed(OPENING_SEED)
    receipts = SigningKey.from_seed(RECEIPT_SEED)
    envelopes, previous, next_number = [], bytes(32), 1
    nation = OpeningKey.from_seed(NATION_SEED)
    letters = ((ROWS, b""), (COARSE, write_section(NOISY)), (MANY, b""), (BARE, write_section(NOISY)))
    for seq, (allowed, section) in enumerate(letters, start=1):
        rows = anonymise(allowed, bytes(32))
        last = next_number + len(rows) - 1
        batch = Batch(device.kid, EPOCH, seq, previous, next_number, last, 1, pack_rows(rows), section)
        blob_id = bytes([seq]) * 16
        blob = seal(
            batch,
            device,
            Recipient(REGION_ID, opening.public, nation.public),
            blob_id=blob_id,
            content_key=bytes([seq]) * 32,
            nation_key=bytes([seq + 100]) * 32,
        )
        previous, next_number = hashlib.sha256(blob).digest(), last + 1
        receipt = Receipt(
            *(blob_id, previous, device.kid, EPOCH, seq, len(rows), seq),
            *(datetime(2026, 9, 3, tzinfo=UTC), receipts.kid),
        )
        envelopes.append(
            {
                "envelope": blob.hex(),
                "sha256": previous.hex(),
                "body": batch.to_bytes().hex(),
                "nation": NOISY.as_record() if section else None,
                "rows": [row.as_record() for row in rows],
                "receipt": sign_receipt(receipt, receipts).hex(),
            }
        )
    vectors = {
        "device_seed": DEVICE_SEED.hex(),
        "device_public": device.public.hex(),
        "opening_seed": OPENING_SEED.hex(),
        "opening_public": opening.public.hex(),
        "nation_seed": NATION_SEED.hex(),
        "nation_public": nation.public.hex(),
        "receipt_seed": RECEIPT_SEED.hex(),
        "receipt_public": receipts.public.hex(),
        "region_id": REGION_ID.hex(),
        "envelopes": envelopes,
    }
    json.dump(vectors, sys.stdout, indent=1)
    sys.stdout.write("\n")


main()
