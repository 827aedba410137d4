"""The code an operator reads out: a secret that opens the door once, and the region's mark.

The first half is sent and spent; the second half never travels: with it the box
checks that the keys it was given belong to the region that issued the code, so
whoever sits on the way cannot put his own in their place. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from sync.errors import CodeMisspelt

# No I, L, O or U: the first three are misread, the last makes words.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
HALF_LETTERS = 10  # 50 bits: not to be guessed at ten tries a minute, nor met by making keys
GROUP_LETTERS = 5

_MISREAD = str.maketrans("ILO", "110")


@dataclass(frozen=True)
class EnrolmentCode:
    """Both halves, in letters."""

    secret: str
    mark: str

    def __str__(self) -> str:
        letters = self.secret + self.mark
        return "-".join(letters[at : at + GROUP_LETTERS] for at in range(0, len(letters), GROUP_LETTERS))

    def __repr__(self) -> str:
        return "EnrolmentCode(...)"


def make_code(secret: bytes, fingerprint: bytes) -> EnrolmentCode:
    """Return the code of fresh random bytes for the region with this fingerprint."""
    return EnrolmentCode(_letters(secret), mark_of(fingerprint))


def mark_of(fingerprint: bytes) -> str:
    """Return the second half of every code of a region."""
    return _letters(fingerprint)


def read_code(typed: str) -> EnrolmentCode:
    """Return the code a person typed: small letters, spaces and misread letters are forgiven."""
    letters = "".join(typed.upper().split()).replace("-", "").translate(_MISREAD)
    if len(letters) != 2 * HALF_LETTERS or not set(letters) <= set(ALPHABET):
        raise CodeMisspelt
    return EnrolmentCode(letters[:HALF_LETTERS], letters[HALF_LETTERS:])


def _letters(data: bytes) -> str:
    number = int.from_bytes(data, "big") >> (8 * len(data) - 5 * HALF_LETTERS)
    return "".join(ALPHABET[number >> (5 * at) & 31] for at in reversed(range(HALF_LETTERS)))
