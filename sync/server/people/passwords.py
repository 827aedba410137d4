"""Passwords of the region's people: which may be chosen, and how they are kept.

The only module here that knows argon2. Keeps out: whose they are, tables.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from sync.region_errors import (
    LoginsBusy,
    PasswordsDiffer,
    PasswordTooLong,
    PasswordTooPlain,
    PasswordTooShort,
)

# With five tries a quarter of an hour guessing is hopeless; the length is for the day the table is stolen.
LEAST_CHARACTERS = 12
LEAST_DIFFERENT_CHARACTERS = 5
MOST_CHARACTERS = 128  # argon2 should not be fed a book
# As on the box: OWASP's 19 MiB with two passes, about 60 ms.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Boxes are answered by the same few threads: those who guess may keep two of them busy, not all.
MAX_HASHES_AT_ONCE = 2
HASH_WAIT_SECONDS = 2.0
_hashing = threading.BoundedSemaphore(MAX_HASHES_AT_ONCE)
# Compared with when there is no such account, so that an answer's time tells nothing.
_NOBODY = _hasher.hash(secrets.token_urlsafe(16))


def verify_new(name: str, password: str, again: str) -> None:
    """Raise unless this password may become the account's."""
    if len(password) < LEAST_CHARACTERS:
        raise PasswordTooShort(least=LEAST_CHARACTERS)
    if len(password) > MOST_CHARACTERS:
        raise PasswordTooLong(limit=MOST_CHARACTERS)
    if len(set(password)) < LEAST_DIFFERENT_CHARACTERS or name in password.casefold():
        raise PasswordTooPlain
    if not secrets.compare_digest(password.encode(), again.encode()):
        raise PasswordsDiffer


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _hashing.acquire(timeout=HASH_WAIT_SECONDS):
        raise LoginsBusy
    try:
        yield
    finally:
        _hashing.release()


def hashed(password: str) -> str:
    with _one_of_few():
        return _hasher.hash(password)


def is_password(stored: str | None, typed: str) -> bool:
    if len(typed) > MOST_CHARACTERS:
        typed = ""
    with _one_of_few():
        try:
            return _hasher.verify(stored or _NOBODY, typed) and stored is not None
        except VerificationError:
            return False
