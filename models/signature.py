"""Signatures of catalogues: made by who keeps the key, checked for `verification` in a process of its own.

    python -m models.signature < key, signature and list, one after the other

Its exit code is the answer: 0 = signed by the holder of the key's other half.
"""

import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

# A key that signs catalogues must mean nothing else, whatever else it may be made to sign one day.
_PURPOSE = b"sandyq models catalogue 1\n"
_KEY_BYTES, _SIGNATURE_BYTES = 32, 64


def sign(index: bytes, private_key: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private_key).sign(_PURPOSE + index)


def public_half(private_key: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


def is_true(asked: bytes) -> bool:
    split = _KEY_BYTES + _SIGNATURE_BYTES
    public_key, signature, index = asked[:_KEY_BYTES], asked[_KEY_BYTES:split], asked[split:]
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _PURPOSE + index)
    except (InvalidSignature, ValueError):
        return False
    return True


if __name__ == "__main__":
    sys.exit(0 if is_true(sys.stdin.buffer.read()) else 1)
