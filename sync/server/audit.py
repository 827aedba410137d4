"""The record of who did what at the region: appended to, read, verified, and never changed.

The only writer of the table `audit`; the database itself refuses to change or delete a row. An entry is
appended inside the transaction of what it tells, so neither is there without the other. No secret may
be in one: names of accounts, labels of boxes and numbers of orders only. `audit_chain` has the proof.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from sync.keys import SecretKey
from sync.server.audit_chain import NO_PREVIOUS, Entry, Linked, Verdict, verify
from sync.server.database import RegionDatabase

PAGE_ENTRIES = 50
HEAD_DIGITS = 16  # 64 bits: nobody finds another record with these, and a person can copy them
MAX_NUMBER_DIGITS = 12
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


def chain(db: RegionDatabase) -> Iterator[Linked]:
    """Return every entry, the oldest first."""
    last = -(2**62)  # whoever can write could also have numbered one 0
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
    """Say how far the record holds."""
    return verify(chain(db), key)


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
