"""Make tests/vectors/sb1.json: run once; sealing is random, so a new run gives other bytes.

    python tests/vectors/make_vectors.py > tests/vectors/sb1.json

The keys are fixed and public. They must never be used for anything else.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, date, datetime

from sync.anonymise import anonymise
from sync.batch import Batch, pack_rows
from sync.enrolment_code import make_code
from sync.envelope import Recipient, pad, padded_length, seal
from sync.event import AllowedRow
from sync.keys import OpeningKey, SigningKey, region_fingerprint
from sync.receipt import Receipt, sign_receipt

DEVICE_SEED = bytes(range(32))
OPENING_SEED = bytes(range(100, 196))
RECEIPT_SEED = bytes(range(32, 64))
REGION_ID = bytes(range(16))
EPOCH = bytes(range(8))
CODE_SECRET = bytes(range(7))
SIZES = (1, 256, 257, 1000, 9999, 70000, 262144)
DAY = date(2026, 9, 1)

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
    for seq, allowed in enumerate((ROWS, MANY), start=1):
        rows = anonymise(allowed, bytes(32))
        last = next_number + len(rows) - 1
        batch = Batch(device.kid, EPOCH, seq, previous, next_number, last, 1, pack_rows(rows))
        blob_id = bytes([seq]) * 16
        blob = seal(
            batch,
            device,
            Recipient(REGION_ID, opening.public),
            blob_id=blob_id,
            content_key=bytes([seq]) * 32,
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
                "rows": [row.as_record() for row in rows],
                "receipt": sign_receipt(receipt, receipts).hex(),
            }
        )
    fingerprint = region_fingerprint(opening.public, receipts.public)
    vectors = {
        "device_seed": DEVICE_SEED.hex(),
        "device_public": device.public.hex(),
        "opening_seed": OPENING_SEED.hex(),
        "opening_public": opening.public.hex(),
        "receipt_seed": RECEIPT_SEED.hex(),
        "receipt_public": receipts.public.hex(),
        "region_id": REGION_ID.hex(),
        "enrolment_code": {
            "secret": bytes(range(7)).hex(),
            "code": str(make_code(bytes(range(7)), fingerprint)),
        },
        "padded_length": {
            str(size): padded_length(size) for size in (1, 256, 257, 1000, 9999, 70000, 262144)
        },
        "padded": {"plain": b"sandyq".hex(), "padded": pad(b"sandyq").hex()},
        "envelopes": envelopes,
    }
    json.dump(vectors, sys.stdout, indent=1)
    sys.stdout.write("\n")


main()
