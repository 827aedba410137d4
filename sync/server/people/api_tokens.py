"""Tokens for programs that read the region's counts: they open what a viewer reads, and change nothing.

A token is made and revoked on the region's own machine; only its hash is kept. The only writer of the
table `api_token`. Keeps out: HTTP.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.keys import SecretKey
from sync.region_errors import ApiTokenExists, OperatorNameWrong, UnknownApiToken
from sync.server.people import audit
from sync.server.storage.database import RegionDatabase

PREFIX = "sandyq_ro_"  # whoever finds one in a file sees what it is; scanners for lost secrets as well
TOKEN_BYTES = 32
DEFAULT_DAYS = 365
LABEL = re.compile(r"[a-z][a-z0-9._-]{1,31}")


@dataclass(frozen=True)
class ApiToken:
    """One token as the list shows it."""

    label: str
    created_at: datetime
    expires_at: datetime
    is_revoked: bool


def add(
    db: RegionDatabase, key: SecretKey, label: str, now: datetime, days: int = DEFAULT_DAYS
) -> tuple[str, datetime]:
    """Return a new token, which is told this once, and its last moment."""
    if not LABEL.fullmatch(label):
        raise OperatorNameWrong
    token, expires_at = PREFIX + secrets.token_urlsafe(TOKEN_BYTES), now + timedelta(days=days)
    with db.transaction():
        if db.row("SELECT 1 FROM api_token WHERE label = ?", [label]) is not None:
            raise ApiTokenExists(label=label)
        db.execute(
            "INSERT INTO api_token (token_sha256, label, created_at, expires_at) VALUES (?, ?, ?, ?)",
            [_hash(token), label, now.isoformat(), expires_at.isoformat()],
        )
        audit.append(db, key, now, audit.CONSOLE, "token_added", label)
    return token, expires_at


def revoke(db: RegionDatabase, key: SecretKey, label: str, now: datetime) -> None:
    with db.transaction():
        if not db.execute(
            "UPDATE api_token SET revoked_at = ? WHERE label = ? AND revoked_at IS NULL",
            [now.isoformat(), label],
        ):
            raise UnknownApiToken(label=label)
        audit.append(db, key, now, audit.CONSOLE, "token_revoked", label)


def find(db: RegionDatabase, token: str, now: datetime) -> str | None:
    """Return the label of a token that holds."""
    if not token.startswith(PREFIX):
        return None
    row = db.row(
        "SELECT label FROM api_token WHERE token_sha256 = ? AND revoked_at IS NULL AND expires_at > ?",
        [_hash(token), now.isoformat()],
    )
    return row[0] if row else None


def all_of(db: RegionDatabase) -> list[ApiToken]:
    return [
        ApiToken(label, datetime.fromisoformat(created), datetime.fromisoformat(expires), revoked is not None)
        for label, created, expires, revoked in db.rows(
            "SELECT label, created_at, expires_at, revoked_at FROM api_token ORDER BY label"
        )
    ]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
