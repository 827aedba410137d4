"""The school's key to its backups: as a teacher copies it from paper, and as the age format wants it. Pure.

It is a number of 128 bits. On paper it stands as seven groups of four letters and digits, without those that
are mistaken for one another, and the last one and a half groups find a slip of the pen. The age identity is
made of it by a fixed rule, so whoever has the paper can open a backup with the ordinary `age` program.
"""

import hashlib

SEED_BYTES = 16
# Crockford's alphabet: no I, L, O, U. Read back, those mean 1, 1, 0 and (never written) V.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans({"I": "1", "L": "1", "O": "0", "U": "V"})
# Phones offer the Cyrillic letters that look the same.
_CYRILLIC = str.maketrans("АВСЕНКМОРТХУЗІ", "ABCEHKMOPTXY3I")
_SEED_LETTERS = 26  # 130 bits hold 128
_CHECK_LETTERS = 2  # one slip in a thousand passes, and then the backup does not open
GROUP = 4

_IDENTITY_PREFIX = "age-secret-key-"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def to_code(seed: bytes) -> str:
    """Return the key as it is printed: seven groups with spaces."""
    number = int.from_bytes(seed, "big") << 2
    letters = _encode(number, _SEED_LETTERS) + _check_of(seed)
    return " ".join(letters[at : at + GROUP] for at in range(0, len(letters), GROUP))


def from_code(text: str) -> bytes | None:
    """Return the key somebody typed from paper, None when there is a slip in it."""
    letters = "".join(text.upper().translate(_CYRILLIC).translate(_MISREAD).replace("-", " ").split())
    if len(letters) != _SEED_LETTERS + _CHECK_LETTERS or not set(letters) <= set(_LETTERS):
        return None
    number = 0
    for letter in letters[:_SEED_LETTERS]:
        number = number * 32 + _LETTERS.index(letter)
    if number & 0b11:
        return None
    seed = (number >> 2).to_bytes(SEED_BYTES, "big")
    return seed if letters[_SEED_LETTERS:] == _check_of(seed) else None


def name_of(seed: bytes) -> str:
    """Return the short mark by which people tell two keys apart; it says nothing about the key."""
    return _encode(
        int.from_bytes(hashlib.sha256(b"sandyq school key name" + seed).digest()[:3], "big") >> 4, 4
    )


def to_identity(seed: bytes) -> str:
    """Return the age identity (X25519, bech32) of the key."""
    secret = hashlib.sha256(b"sandyq school key 1" + seed).digest()
    return _bech32(_IDENTITY_PREFIX, secret).upper()


def _check_of(seed: bytes) -> str:
    digest = hashlib.sha256(b"sandyq school key check" + seed).digest()
    return _encode(int.from_bytes(digest[:2], "big") >> 6, _CHECK_LETTERS)


def _encode(number: int, length: int) -> str:
    return "".join(_LETTERS[number >> 5 * (length - 1 - at) & 31] for at in range(length))


def _bech32(prefix: str, content: bytes) -> str:
    """BIP 173, as age uses it: no limit of length."""
    bits = int.from_bytes(content, "big")
    count = -(-len(content) * 8 // 5)
    bits <<= count * 5 - len(content) * 8
    values = [bits >> 5 * (count - 1 - at) & 31 for at in range(count)]
    spread = [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]
    rest = _polymod([*spread, *values, *([0] * 6)]) ^ 1
    values += [rest >> 5 * (5 - at) & 31 for at in range(6)]
    return prefix + "1" + "".join(_BECH32[value] for value in values)


def _polymod(values: list[int]) -> int:
    rest = 1
    for value in values:
        top = rest >> 25
        rest = (rest & 0x1FFFFFF) << 5 ^ value
        for at, generator in enumerate(_GENERATOR):
            rest ^= generator if top >> at & 1 else 0
    return rest
