"""The record of what was done, as a chain: each entry holds the proof of the one before.

An entry that is changed, missing or moved breaks the proof of itself or of the next one. The proof
takes a key that is not in the database, so whoever can write there cannot mend the chain. Entries cut
off at the end leave a chain that holds: for that an auditor writes the newest head down. Pure.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sync import cbor
from sync.keys import SecretKey

VERSION = 1
NO_PREVIOUS = bytes(32)
_PURPOSE = b"sandyq/region/audit/1"
_PURPOSE_OF_CHECKPOINT = b"sandyq/region/audit-checkpoint/1"


@dataclass(frozen=True)
class Entry:
    """One thing that was done. Holds no secret: names of accounts, labels of boxes, numbers of orders."""

    number: int  # 1, 2, 3, ...
    at: datetime
    actor: str
    action: str
    target: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)

    def proof(self, previous: bytes, key: SecretKey) -> bytes:
        """Return what holds this entry to the one before."""
        fields = [self.number, self.at.isoformat(), self.actor, self.action, self.target, dict(self.details)]
        return key.mac(_PURPOSE, cbor.write([VERSION, *fields, previous]))


@dataclass(frozen=True)
class Linked:
    """An entry as it is stored."""

    entry: Entry
    proof: bytes


@dataclass(frozen=True)
class Verdict:
    """How far the chain holds."""

    count: int  # entries that hold
    head: bytes  # the proof of the last of them
    broken_at: int | None = None  # the number where it breaks


@dataclass(frozen=True)
class Checkpoint:
    """How far the chain was found to hold, and when all of it was last looked through."""

    count: int
    head: bytes
    looked_at: datetime

    def proof(self, key: SecretKey) -> bytes:
        """Return what nobody without the key can write down."""
        fields = [VERSION, self.count, self.head, self.looked_at.isoformat()]
        return key.mac(_PURPOSE_OF_CHECKPOINT, cbor.write(fields))


def verify(chain: Iterable[Linked], key: SecretKey, since: Checkpoint | None = None) -> Verdict:
    """Follow the chain from its beginning, or from where it was found to hold, to its end or to where it
    breaks."""
    count, head = (since.count, since.head) if since else (0, NO_PREVIOUS)
    for link in chain:
        expected = link.entry.proof(head, key)
        if link.entry.number != count + 1 or not hmac.compare_digest(link.proof, expected):
            return Verdict(count, head, broken_at=count + 1)
        count, head = count + 1, link.proof
    return Verdict(count, head)
