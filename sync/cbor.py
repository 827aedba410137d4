"""One exact form of CBOR: what is not written exactly so is not read.

Two programs that read the same bytes must never see two meanings, so only the
deterministic form (RFC 8949, section 4.2) of plain numbers, bytes, texts,
arrays, maps, true, false and null is taken. Tags are refused before their
decoders run. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

import cbor2

# Our deepest record has five levels; more is an attack on the stack.
MAX_DEPTH = 8

_LAST_SECOND = 253_402_300_799  # the last of the year 9999: what a date can hold

# Every tag cbor2 has a decoder for; the others reach `tag_hook`.
_DECODED_TAGS = (
    *range(6),
    *(25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799),
)


class NotOurCbor(ValueError):
    """The bytes are not one record in the exact form."""


class CutShort(NotOurCbor):
    """The bytes end before the record does."""


def write(record: object) -> bytes:
    """Return the one form of a record."""
    return cbor2.dumps(record, canonical=True)


def read(data: bytes) -> object:
    """Return the record, or raise when the bytes are not its one form."""
    try:
        record = cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=dict.fromkeys(_DECODED_TAGS, _refuse_tag),
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeEOF as fault:
        raise CutShort("the bytes end early") from fault
    except (cbor2.CBORDecodeError, ValueError, RecursionError) as fault:
        raise NotOurCbor("not CBOR in our form") from fault
    if write(record) != data:
        raise NotOurCbor("not the deterministic form")
    return record


# The fields of a record, checked one by one ------------------------------------


def whole(value: object, lowest: int = 0, highest: int = 2**63 - 1) -> int:
    """Return the number if it lies in the range. The default is what SQLite can hold."""
    if type(value) is not int or not lowest <= value <= highest:
        raise NotOurCbor("a number is missing or out of range")
    return value


def moment(value: object) -> datetime:
    """Return the moment that so many seconds since 1970 are, as far as a date can tell it."""
    return datetime.fromtimestamp(whole(value, 0, _LAST_SECOND), UTC)


def octets(value: object, length: int | None = None) -> bytes:
    """Return the bytes if they have the length."""
    if type(value) is not bytes or (length is not None and len(value) != length):
        raise NotOurCbor("bytes are missing or of the wrong length")
    return value


def array(value: object, length: int | None = None) -> list[Any]:
    """Return the array if it has the length."""
    if type(value) is not list or (length is not None and len(value) != length):
        raise NotOurCbor("an array is missing or of the wrong length")
    return value


def _refuse_tag(_value: object, _immutable: bool = False) -> NoReturn:
    raise NotOurCbor("a tag")
