"""The file that goes to the key holders and back on a stick: words to sign, and signatures. Pure.

Whoever signs is shown what the words themselves say, never what a server wrote beside them: the file
holds only the signed form, and the order before it to compare with.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace

from sync.desk import SIGN_DESK, SIGN_ORDER, Signature, Signed, read_desk, sign
from sync.errors import PolicyMalformed
from sync.keys import SigningKey
from sync.policy import read_body
from sync.region_errors import SigningFileWrong

FORM = "sandyq signing file 1"
MAX_FILE_BYTES = 16 * 1024  # an honest one has two
ORDER, DESK = "order", "desk"
_PURPOSES = {ORDER: SIGN_ORDER, DESK: SIGN_DESK}


@dataclass(frozen=True)
class SigningFile:
    """Words on their way to the keys."""

    kind: str  # "order", "desk"
    region: str
    body: bytes
    before: bytes  # of the order in force; nothing before the first
    signatures: tuple[Signature, ...] = ()

    @property
    def purpose(self) -> bytes:
        return _PURPOSES[self.kind]

    def signed_with(self, key: SigningKey) -> SigningFile:
        """Return the file with one more signature; the same key again changes nothing."""
        others = tuple(each for each in self.signatures if each.kid != key.kid)
        return replace(self, signatures=(*others, sign(self.body, self.purpose, key)))

    def to_signed(self) -> Signed:
        return Signed(self.body, self.signatures)

    def to_bytes(self) -> bytes:
        record = {
            "form": FORM,
            "kind": self.kind,
            "region": self.region,
            "words": _text(self.body),
            "before": _text(self.before),
            "signatures": [
                {"key": each.kid.hex(), "signature": _text(each.signature)} for each in self.signatures
            ],
        }
        return json.dumps(record, ensure_ascii=False, indent=1).encode()


def read_signing_file(data: bytes) -> SigningFile:
    """Return the file if it has the right form; nothing in it is believed yet.

    Raises:
        SigningFileWrong: it has not.
    """
    if len(data) > MAX_FILE_BYTES:
        raise SigningFileWrong
    try:
        record = json.loads(data)
        kind, region = record["kind"], str(record["region"])
        if record["form"] != FORM or kind not in _PURPOSES:
            raise SigningFileWrong
        body, before = _octets(record["words"]), _octets(record["before"])
        (read_body if kind == ORDER else read_desk)(body)
        signatures = tuple(
            Signature(bytes.fromhex(each["key"]), _octets(each["signature"])) for each in record["signatures"]
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PolicyMalformed) as fault:
        raise SigningFileWrong from fault
    shown = "".join(letter for letter in region if letter.isprintable())[:100]
    return SigningFile(kind, shown, body, before, signatures)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as fault:
        raise SigningFileWrong from fault
