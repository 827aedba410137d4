"""Whose browser this is at the region, and the brake on guessing.

A log-in is a random token, given anew each time somebody proves who they are; only its hash is stored.
It ends when nobody used it for a while, and at the end of a long working day. Wrong tries are counted
for each account: those of a browser that this account used before apart from those of strangers, so
that a stranger cannot keep an operator out. The only writer of `operator_login` and `operator_try`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.keys import SecretKey
from sync.region_errors import TooManyLogins
from sync.server.storage.database import RegionDatabase

TOKEN_BYTES = 32
# A screen left alone over a cup of tea; a form half filled in survives it.
IDLE = timedelta(minutes=30)
# A working day with a margin: nobody is still logged in on the next morning.
ABSOLUTE = timedelta(hours=12)
# When it was last used is written this often: a page must not cost a write.
SEEN_EVERY = timedelta(minutes=1)
# A person mistypes three times, not five. Against a code of six digits that is 480 tries a day.
MAX_TRIES = 5
TRIES_WINDOW = timedelta(minutes=15)
_CSRF = b"sandyq/region/form/1"
_KNOWN = b"sandyq/region/known-browser/1"
_SUBJECT = b"sandyq/region/try/1"


@dataclass(frozen=True)
class Login:
    """A browser that proved whose it is."""

    operator_id: int
    begun_at: datetime
    seen_at: datetime

    def is_over(self, now: datetime) -> bool:
        return now - self.seen_at >= IDLE or now - self.begun_at >= ABSOLUTE


def begin(db: RegionDatabase, operator_id: int, now: datetime) -> str:
    """Return the token of a new log-in. A token is never taken over from before: nobody can plant one."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    with db.transaction():
        db.execute(
            "DELETE FROM operator_login WHERE begun_at <= ? OR seen_at <= ?",
            [(now - ABSOLUTE).isoformat(), (now - IDLE).isoformat()],
        )
        db.execute(
            "INSERT INTO operator_login (token_sha256, operator_id, begun_at, seen_at) VALUES (?, ?, ?, ?)",
            [_hash(token), operator_id, now.isoformat(), now.isoformat()],
        )
    return token


def find(db: RegionDatabase, token: str, now: datetime) -> Login | None:
    """Return the log-in of a token while it lasts, and note that it was used."""
    digest = _hash(token)
    row = db.row("SELECT operator_id, begun_at, seen_at FROM operator_login WHERE token_sha256 = ?", [digest])
    if row is None:
        return None
    login = Login(row[0], datetime.fromisoformat(row[1]), datetime.fromisoformat(row[2]))
    if login.is_over(now):
        return None
    if now - login.seen_at >= SEEN_EVERY:
        db.execute("UPDATE operator_login SET seen_at = ? WHERE token_sha256 = ?", [now.isoformat(), digest])
    return login


def end(db: RegionDatabase, token: str) -> None:
    db.execute("DELETE FROM operator_login WHERE token_sha256 = ?", [_hash(token)])


def end_all(db: RegionDatabase, operator_id: int) -> None:
    """A new password or second factor, or a disabled account: whoever is in is out."""
    db.execute("DELETE FROM operator_login WHERE operator_id = ?", [operator_id])


def form_token(token: str) -> str:
    """Return what every form of this log-in carries; another site cannot know it."""
    return _text(hmac.digest(token.encode(), _CSRF, "sha256"))


def is_form_token(token: str, sent: str) -> bool:
    return hmac.compare_digest(form_token(token).encode(), sent.encode())


# Guessing ------------------------------------------------------------------------------


def known_browser(key: SecretKey, name: str) -> str:
    """Return the mark of a browser this account logged in with; it opens nothing by itself."""
    nonce = secrets.token_urlsafe(9)
    return f"{nonce}.{_text(key.mac(_KNOWN, f'{nonce}.{name}'.encode()))}"


def subject(key: SecretKey, name: str, mark: str) -> bytes:
    """Return under what a try is counted: the account, and apart from it a browser it knows."""
    nonce, _, proof = mark.partition(".")
    is_known = hmac.compare_digest(
        _text(key.mac(_KNOWN, f"{nonce}.{name}".encode())).encode(), proof.encode()
    )
    return key.mac(_SUBJECT, f"{nonce if is_known else ''}.{name}".encode())


def take_try(db: RegionDatabase, who: bytes, now: datetime) -> None:
    """Count a try before it is judged: many at once get no more than one after another.

    Raises:
        TooManyLogins: the account, or this browser of it, must wait.
    """
    with db.transaction():
        db.execute("DELETE FROM operator_try WHERE tried_at <= ?", [(now - TRIES_WINDOW).isoformat()])
        rows = db.rows("SELECT tried_at FROM operator_try WHERE subject = ? ORDER BY tried_at", [who])
        if len(rows) < MAX_TRIES:
            db.execute(
                "INSERT INTO operator_try (subject, mark, tried_at) VALUES (?, ?, ?)",
                [who, secrets.token_bytes(8), now.isoformat()],
            )
            return
    wait = datetime.fromisoformat(rows[len(rows) - MAX_TRIES][0]) + TRIES_WINDOW - now
    raise TooManyLogins(wait_minutes=max(1, -(-int(wait.total_seconds()) // 60)))


def forget_tries(db: RegionDatabase, who: bytes) -> None:
    """The right person came in."""
    db.execute("DELETE FROM operator_try WHERE subject = ?", [who])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
