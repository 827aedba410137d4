"""What a region sends its nation: the boxes' letters as they came, and a signed account of each day.

A parcel is the payload of an ordinary batch, so the way up is the way of every box: the same envelope,
numbers, receipts and retries, one level higher. The region cannot read a letter and does not name its box:
a keyed digest stands for it, so that the nation counts a box's week once and learns no school. A statement
says for one finished day what the region received; the nation compares. docs/envelope.md describes the
bytes. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sync import cbor
from sync.batch import FIRST_DAY, LAST_DAY, SHA256_BYTES
from sync.envelope import MAX_LETTER_BYTES, REGION_ID_BYTES
from sync.errors import ParcelMalformed, StatementForged
from sync.keys import SIGNATURE_BYTES, SigningKey, is_signed_by

VERSION = 1
ALIAS_BYTES = 16
# A hundred letters of an ordinary week are about 250 kB: a minute and a half on the region's line at worst.
MAX_PARCEL_BYTES = 240 * 1024
MAX_ITEMS = 200
MAX_STATEMENT_BYTES = 512  # about 250 today

_ALIAS = b"sandyq/nation/box/1"
_SIGN = b"sandyq/nation/statement/1"

# Where a box stands, in the nation's few words; empty: nobody said.
STRATA = ("", "rural", "urban")
SIZES = ("", "small", "large")


def alias_of(alias_key: bytes, box_label: str) -> bytes:
    """Return what the nation knows a box by: always the same, also when the box gets new keys, and
    nothing to anybody without the region's key."""
    return hmac.digest(alias_key, _ALIAS + box_label.encode(), "sha256")[:ALIAS_BYTES]


@dataclass(frozen=True)
class ForwardedLetter:
    """One box's letter to the nation, unopened, and what the region may say of it."""

    alias: bytes
    stratum: str
    size_class: str
    day: date  # on which the region received it
    letter: bytes

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.letter).digest()


@dataclass(frozen=True)
class Statement:
    """What a region received on one day, and ever since it began."""

    region_id: bytes
    day: date
    boxes: int  # that sent something on this day
    batches: int
    events: int
    missing: int  # batches whose numbers say they exist and that had not come by the end of this day
    letters: int
    digest: bytes  # over this day's letters
    all_batches: int
    all_events: int
    all_letters: int

    def to_bytes(self) -> bytes:
        numbers = [self.boxes, self.batches, self.events, self.missing, self.letters]
        totals = [self.all_batches, self.all_events, self.all_letters]
        day = (self.day - FIRST_DAY).days
        return cbor.write([VERSION, self.region_id, day, numbers, self.digest, totals])


def digest_of(letters: Iterable[bytes]) -> bytes:
    """Return one number for a day's letters, from their hashes in any order."""
    return hashlib.sha256(b"".join(sorted(letters))).digest()


def sign_statement(statement: Statement, key: SigningKey) -> bytes:
    """Return the statement as it travels and is kept."""
    body = statement.to_bytes()
    return cbor.write([body, key.sign(_SIGN + body)])


def verify_statement(signed: bytes, region_public: bytes, region_id: bytes) -> Statement:
    """Return the statement if this region signed it."""
    statement, body, signature = _parts(signed)
    if statement.region_id != region_id or not is_signed_by(region_public, signature, _SIGN + body):
        raise StatementForged
    return statement


def read_statement(signed: bytes) -> Statement:
    """Return what a kept statement says; its signature was verified before it was kept."""
    return _parts(signed)[0]


def _parts(signed: bytes) -> tuple[Statement, bytes, bytes]:
    try:
        body, signature = cbor.array(cbor.read(signed), 2)
        cbor.octets(signature, SIGNATURE_BYTES)
        return _read_statement(cbor.octets(body)), body, signature
    except (cbor.NotOurCbor, OverflowError) as fault:
        raise ParcelMalformed from fault


def _read_statement(body: bytes) -> Statement:
    version, region_id, day, numbers, digest, totals = cbor.array(cbor.read(body), 6)
    cbor.whole(version, VERSION, VERSION)
    boxes, batches, events, missing, letters = (cbor.whole(number) for number in cbor.array(numbers, 5))
    all_batches, all_events, all_letters = (cbor.whole(number) for number in cbor.array(totals, 3))
    return Statement(
        cbor.octets(region_id, REGION_ID_BYTES),
        _day(day),
        *(boxes, batches, events, missing, letters),
        digest=cbor.octets(digest, SHA256_BYTES),
        all_batches=all_batches,
        all_events=all_events,
        all_letters=all_letters,
    )


# The parcel ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Parcel:
    """Letters and statements that travel together."""

    region_id: bytes
    letters: tuple[ForwardedLetter, ...]
    statements: tuple[bytes, ...]  # as they were signed

    @property
    def items(self) -> int:
        return len(self.letters) + len(self.statements)


def fill_parcel(
    region_id: bytes, letters: Iterable[ForwardedLetter], statements: Sequence[bytes]
) -> Parcel | None:
    """Return what fits into one parcel, statements last: they speak of letters that went before them.

    Statements wait while letters are left over; None when nothing waits.
    """
    chosen: list[ForwardedLetter] = []
    size = 0
    is_all = True
    for letter in letters:
        size += len(letter.letter) + 2 * ALIAS_BYTES
        # A letter that is too large for a parcel travels alone: refusing it would block the rest.
        if chosen and (size > MAX_PARCEL_BYTES or len(chosen) == MAX_ITEMS):
            is_all = False
            break
        chosen.append(letter)
    said = tuple(statements[: MAX_ITEMS - len(chosen)]) if is_all else ()
    return Parcel(region_id, tuple(chosen), said) if chosen or said else None


def write_parcel(parcel: Parcel) -> bytes:
    """Return the one form of a parcel."""
    letters = [
        [
            letter.alias,
            STRATA.index(letter.stratum),
            SIZES.index(letter.size_class),
            (letter.day - FIRST_DAY).days,
            letter.letter,
        ]
        for letter in parcel.letters
    ]
    return cbor.write([VERSION, parcel.region_id, letters, list(parcel.statements)])


def read_parcel(payload: bytes) -> Parcel:
    """Return the parcel, or refuse it whole. Letters stay closed, statements unproven."""
    try:
        version, region_id, letters, statements = cbor.array(cbor.read(payload), 4)
        cbor.whole(version, VERSION, VERSION)
        read = Parcel(
            cbor.octets(region_id, REGION_ID_BYTES),
            tuple(_read_letter(letter) for letter in cbor.array(letters)),
            tuple(cbor.octets(signed) for signed in cbor.array(statements)),
        )
    except (cbor.NotOurCbor, OverflowError) as fault:
        raise ParcelMalformed from fault
    is_too_much = not 0 < read.items <= MAX_ITEMS or max(map(len, read.statements), default=0) > (
        MAX_STATEMENT_BYTES
    )
    if is_too_much:
        raise ParcelMalformed
    return read


def _read_letter(record: object) -> ForwardedLetter:
    alias, stratum, size, day, letter = cbor.array(record, 5)
    sealed = cbor.octets(letter)
    if not 0 < len(sealed) <= MAX_LETTER_BYTES:
        raise ParcelMalformed
    return ForwardedLetter(
        cbor.octets(alias, ALIAS_BYTES),
        STRATA[cbor.whole(stratum, 0, len(STRATA) - 1)],
        SIZES[cbor.whole(size, 0, len(SIZES) - 1)],
        _day(day),
        sealed,
    )


def _day(value: object) -> date:
    return FIRST_DAY + timedelta(days=cbor.whole(value, 0, (LAST_DAY - FIRST_DAY).days))
