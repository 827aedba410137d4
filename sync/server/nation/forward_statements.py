"""The account of each day that a region signs for its nation: what came, and how much ever.

Called by `forward` inside its transactions; the table `forward_statement` is written here and, when a parcel
takes a statement along, there. Keeps out: the parcel, the way.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta

from sync.keys import SigningKey
from sync.parcel import Statement, digest_of, sign_statement
from sync.server.storage.store import Store

# A batch that a worker was storing at midnight has its row by then.
DAY_IS_OVER_AFTER = timedelta(minutes=10)


def say_finished_days(store: Store, region_id: bytes, device: SigningKey, now: datetime) -> None:
    """Sign a statement for every finished day since the last one; a quiet day is told as well."""
    said, began = store.db.rows(
        "SELECT coalesce((SELECT max(day) FROM forward_statement), ''),"
        " coalesce((SELECT min(received_day) FROM ledger), '')"
    )[0]
    if not (said or began):
        return
    day = date.fromisoformat(said) + timedelta(days=1) if said else date.fromisoformat(began)
    today = (now - DAY_IS_OVER_AFTER).astimezone(UTC).date()
    while day < today:
        account = account_of(store, region_id, day)
        store.db.execute(
            "INSERT INTO forward_statement (day, document, all_letters) VALUES (?, ?, ?)",
            [day.isoformat(), sign_statement(account, device), account.all_letters],
        )
        day += timedelta(days=1)


def account_of(store: Store, region_id: bytes, day: date) -> Statement:
    """Return what the ledger says of a day, and of all days up to its end."""
    told = day.isoformat()
    boxes, batches, events = store.db.rows(
        "SELECT count(DISTINCT box_id), count(*), coalesce(sum(hi - lo + 1), 0) FROM ledger"
        " WHERE received_day = ?",
        [told],
    )[0]
    all_batches, all_events, missing = store.db.rows(
        "SELECT coalesce(sum(batches), 0), coalesce(sum(events), 0), coalesce(sum(high - batches), 0) FROM"
        " (SELECT count(*) AS batches, sum(hi - lo + 1) AS events, max(seq) AS high FROM ledger"
        " WHERE received_day <= ? GROUP BY box_id, epoch) AS histories",
        [told],
    )[0]
    letters = [
        hashlib.sha256(letter).digest()
        for (letter,) in store.db.rows(
            "SELECT n.letter FROM ledger l JOIN nation_letter n ON n.box_id = l.box_id"
            " AND n.epoch = l.epoch AND n.seq = l.seq WHERE l.received_day = ?",
            [told],
        )
    ]
    before = store.db.row(
        "SELECT all_letters FROM forward_statement WHERE day < ? ORDER BY day DESC LIMIT 1", [told]
    )
    return Statement(
        region_id,
        day,
        *(int(boxes), int(batches), int(events), int(missing), len(letters)),
        digest=digest_of(letters),
        all_batches=int(all_batches),
        all_events=int(all_events),
        all_letters=(before[0] if before else 0) + len(letters),
    )
