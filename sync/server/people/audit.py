"""The record of who did what at the region: appended to, read, verified, and never changed.

The only writer of the tables `audit` and `audit_checkpoint`; the database itself refuses to change or delete
a row of the first. An entry is appended inside the transaction of what it tells, so neither is there without
the other. No secret may be in one: names of accounts, labels of boxes and numbers of orders only.
`audit_chain` has the proof.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from sync.keys import SecretKey
from sync.server.people.audit_chain import NO_PREVIOUS, Checkpoint, Entry, Linked, Verdict, verify
from sync.server.storage.database import RegionDatabase

PAGE_ENTRIES = 50
HEAD_DIGITS = 16  # 64 bits: nobody finds another record with these, and a person can copy them
MAX_NUMBER_DIGITS = 12
# An entry changed long ago is found by the page a day later at most; by the command at once.
LOOKS_AGAIN_AFTER = timedelta(days=1)
_READ_AT_ONCE = 1000  # of a record of years; never the whole in memory
_COLUMNS = "number, at, actor, action, target, details, proof"

# Who acts when nobody is logged in.
CONSOLE = "console"
SYSTEM = "system"


def append(
    db: RegionDatabase,
    key: SecretKey,
    now: datetime,
    actor: str,
    action: str,
    target: str = "",
    **details: str | int,
) -> Entry:
    """Add an entry behind the last one."""
    with db.transaction():
        last = db.row("SELECT number, proof FROM audit ORDER BY number DESC LIMIT 1")
        number, previous = last or (0, NO_PREVIOUS)
        entry = Entry(number + 1, now, actor, action, target, details)
        db.execute(
            f"INSERT INTO audit ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own words
            [
                *(entry.number, entry.at.isoformat(), entry.actor, entry.action, entry.target),
                json.dumps(details, ensure_ascii=False, sort_keys=True),
                entry.proof(previous, key),
            ],
        )
    return entry


def head(db: RegionDatabase) -> str:
    """Return what an auditor writes down: the newest number and the beginning of its proof."""
    last = db.row("SELECT number, proof FROM audit ORDER BY number DESC LIMIT 1")
    return mark(last[0], last[1]) if last else ""


def mark(number: int, proof: bytes) -> str:
    return f"{number}:{proof.hex()[:HEAD_DIGITS]}"


def newest(db: RegionDatabase, before: int | None = None) -> list[Linked]:
    """Return a page of entries, the newest first."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?",  # noqa: S608 - our own words
        [before if before is not None else 2**62, PAGE_ENTRIES],
    )
    return [_linked(row) for row in rows]


_BEFORE_ALL = -(2**62)  # whoever can write could also have numbered one 0


def chain(db: RegionDatabase, behind: int = _BEFORE_ALL) -> Iterator[Linked]:
    """Return every entry behind a number, the oldest first."""
    last = behind
    while True:
        rows = db.rows(
            f"SELECT {_COLUMNS} FROM audit WHERE number > ? ORDER BY number LIMIT ?",  # noqa: S608 - our own words
            [last, _READ_AT_ONCE],
        )
        yield from map(_linked, rows)
        if len(rows) < _READ_AT_ONCE:
            return
        last = rows[-1][0]


def verify_record(db: RegionDatabase, key: SecretKey) -> Verdict:
    """Say how far the record holds, all of it."""
    return verify(chain(db), key)


def verify_newest(db: RegionDatabase, key: SecretKey, now: datetime) -> tuple[Verdict, Checkpoint | None]:
    """Say how far the record holds, from where it was found to hold today; each day anew, all of it.

    A page may be opened as often as somebody likes, and the record grows for years.
    """
    since = _find_checkpoint(db, key, now)
    verdict = verify(chain(db, since.count if since else _BEFORE_ALL), key, since)
    if verdict.broken_at is None and verdict.count:
        _keep(db, key, Checkpoint(verdict.count, verdict.head, since.looked_at if since else now))
    return verdict, since


def _find_checkpoint(db: RegionDatabase, key: SecretKey, now: datetime) -> Checkpoint | None:
    """Return where to go on, if we wrote it today and the entry there is still the one it was."""
    row = db.row(
        "SELECT c.count, c.head, c.looked_at, c.proof FROM audit_checkpoint c JOIN audit a"
        " ON a.number = c.count AND a.proof = c.head WHERE c.id = 1"
    )
    if row is None:
        return None
    count, head, looked_at, proof = row
    try:
        found = Checkpoint(count, head, datetime.fromisoformat(looked_at))
    except ValueError:
        return None
    is_ours = hmac.compare_digest(proof, found.proof(key))
    return found if is_ours and timedelta() <= now - found.looked_at < LOOKS_AGAIN_AFTER else None


def _keep(db: RegionDatabase, key: SecretKey, found: Checkpoint) -> None:
    db.execute(
        "INSERT INTO audit_checkpoint (id, count, head, looked_at, proof) VALUES (1, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET count = excluded.count, head = excluded.head,"
        " looked_at = excluded.looked_at, proof = excluded.proof",
        [found.count, found.head, found.looked_at.isoformat(), found.proof(key)],
    )


def still_holds(db: RegionDatabase, marked: str) -> bool:
    """Say whether an entry that was written down by its mark is still the one it was."""
    number = marked.partition(":")[0]
    if not number.isdecimal() or len(number) > MAX_NUMBER_DIGITS:
        return False
    row = db.row("SELECT proof FROM audit WHERE number = ?", [int(number)])
    return row is not None and mark(int(number), row[0]) == marked.strip().lower()


def _linked(row: tuple[int, str, str, str, str, str, bytes]) -> Linked:
    number, at, actor, action, target, details, proof = row
    try:
        entry = Entry(number, datetime.fromisoformat(at), actor, action, target, json.loads(details))
    except ValueError:
        # Somebody wrote into it; what cannot be read breaks the chain like any other change.
        entry = Entry(number, datetime.min, actor, "?")  # noqa: DTZ901 - no time at all
    return Linked(entry, proof)
