"""Record what happened, and queue what of it may leave, or do neither. The only writer of `event`."""

import json

from sqlite_utils import Database

from sync import outbox
from sync.event import Event


def record(db: Database, event: Event) -> None:
    """Save a fact and its outbox row inside the caller's transaction.

    The fact here is whole, with names and words: it stays on the box. The outbox takes only what
    the allow-list beside the event's kind lets through.

    Raises:
        RuntimeError: no transaction is open, so the two rows could part.
    """
    if not db.conn.in_transaction:
        raise RuntimeError("record() needs the caller's transaction: the fact and its outbox row go together")
    db.table("event").insert(
        {
            "kind": event.kind,
            "occurred_at": event.occurred_at.isoformat(),
            "session_id": event.session_id,
            "learner_id": event.learner_id,
            "fields": json.dumps(dict(event.fields), ensure_ascii=False),
        }
    )
    outbox.add(db, event)
