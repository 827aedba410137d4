"""A numbered group of rows, packed as columns.

A batch keeps its number and bytes for ever: a retry repeats it exactly, so the
region can tell a retry from new work. The decoder trusts nothing: it limits
what a small file may unpack to, and refuses columns and words that no box may
send. docs/envelope.md describes the bytes. Pure.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import compress

from sync import cbor
from sync.anonymise import LeavingRow
from sync.errors import BatchMalformed, BatchOversized, UnknownColumn, WrongEpoch
from sync.event import KINDS, HexPrefix, Log2, OneOf, Rule, Span, Stays, Step, Whole
from sync.generalise import week_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# Two thousand rows are about four kilobytes sealed: two seconds at 20 kbit/s, and cutting them
# holds the write lock for less than two tenths of a second.
MAX_EVENTS = 2_000
# Two thousand rows of ten columns at nine bytes a value would be 180 kB; more is a bomb.
MAX_UNPACKED_BYTES = 256 * 1024
# A batch body is its payload and about a hundred bytes of numbers.
MAX_BODY_BYTES = MAX_UNPACKED_BYTES + 1024
COMPRESSION_LEVEL = 19  # batches are small and cut twice a day; the link is what is scarce
MAX_WINDOW_LOG = 18  # a frame may not ask for more memory than the limit above

FIRST_DAY = date(1970, 1, 1)
LAST_DAY = date(2199, 12, 31)

KID_BYTES = 8
EPOCH_BYTES = 8
SHA256_BYTES = 32
NO_PREVIOUS = bytes(SHA256_BYTES)

CLOCK_UNKNOWN, CLOCK_UNCONFIRMED, CLOCK_CONFIRMED = range(3)
# Version 1 had a kind, a session and a day in every row; boxes that made it are still read.
OLD_ROWS_VERSION, ROWS_VERSION = 1, 2


@dataclass(frozen=True)
class Batch:
    """What a box signs: where the rows stand in its history, and the rows, packed."""

    box_kid: bytes
    epoch: bytes  # drawn with the box's database
    seq: int  # 1, 2, 3, ... inside the epoch
    previous_sha256: bytes  # of the sealed batch before; zeros before the first
    lo: int  # number of the first event, counted inside the epoch
    hi: int
    clock_quality: int
    payload: bytes
    # For the nation, sealed beside the rows in a section of its own; the region cannot read it.
    nation: bytes = b""

    @property
    def events(self) -> int:
        return self.hi - self.lo + 1

    def to_bytes(self) -> bytes:
        """Return the one form of this batch."""
        return cbor.write(
            [
                self.box_kid,
                self.epoch,
                self.seq,
                self.previous_sha256,
                self.lo,
                self.hi,
                self.events,
                self.clock_quality,
                self.payload,
            ]
        )


def read_batch(body: bytes) -> Batch:
    """Return the batch a box signed; its rows are still packed."""
    try:
        fields = cbor.array(cbor.read(body), 9)
        batch = Batch(
            cbor.octets(fields[0], KID_BYTES),
            cbor.octets(fields[1], EPOCH_BYTES),
            cbor.whole(fields[2], 1),
            cbor.octets(fields[3], SHA256_BYTES),
            cbor.whole(fields[4], 1),
            cbor.whole(fields[5], fields[4]),
            cbor.whole(fields[7], CLOCK_UNKNOWN, CLOCK_CONFIRMED),
            cbor.octets(fields[8]),
        )
        cbor.whole(fields[6], batch.events, batch.events)
    except (cbor.NotOurCbor, TypeError) as fault:
        raise BatchMalformed from fault
    if batch.events > MAX_EVENTS:
        raise BatchOversized
    _verify_beginning(batch)
    return batch


def _verify_beginning(batch: Batch) -> None:
    """An epoch begins with batch 1, event 1 and nothing before it; every batch holds an event."""
    begins = batch.seq == 1
    has_nothing_before = batch.previous_sha256 == NO_PREVIOUS
    if begins != has_nothing_before or (begins and batch.lo != 1) or batch.lo < batch.seq:
        raise WrongEpoch


# Rows and columns -----------------------------------------------------------------


def _leaving_rules() -> dict[str, Rule]:
    """Return every field that may leave, with its rule; a field has one meaning in all kinds."""
    rules: dict[str, Rule] = {}
    for kind in KINDS.values():
        for name, rule in kind.fields.items():
            if isinstance(rule, Stays):
                continue
            if rules.setdefault(name, rule) != rule:
                raise ValueError(f"{name} leaves in two ways")
    return rules


RULES = _leaving_rules()
ALWAYS = ("kind", "session", "day")  # in version 1
COLUMNS = (*ALWAYS, "span", *sorted(RULES))


def pack_rows(rows: Sequence[LeavingRow]) -> bytes:
    """Return the rows as compressed columns. Columns without a value are left out."""
    first = min((row.day for row in rows if row.day), default=FIRST_DAY)
    columns: dict[str, list[object]] = {
        "kind": _words([row.kind for row in rows]),
        "session": [row.session for row in rows],
        "day": [(row.day - first).days if row.day else None for row in rows],
        "span": [int(row.span) or None for row in rows],
    }
    told = {
        "kind": any(row.kind for row in rows),
        "session": any(row.session is not None for row in rows),
        "day": any(row.day for row in rows),
        "span": any(row.span for row in rows),
    }
    for name, rule in RULES.items():
        values = [row.fields.get(name) for row in rows]
        told[name] = any(value is not None for value in values)
        columns[name] = _words(values) if isinstance(rule, OneOf | HexPrefix) else list(values)
    kept = {name: column for name, column in columns.items() if told[name]}
    record = [ROWS_VERSION, len(rows), (first - FIRST_DAY).days, kept]
    return zstd.compress(cbor.write(record), level=COMPRESSION_LEVEL)


@dataclass(frozen=True)
class Columns:
    """The rows of a batch as they travel, column by column; every value has passed the rules."""

    count: int
    kinds: Sequence[str | None]
    sessions: Sequence[int | None]
    days: Sequence[date | None]
    spans: Sequence[Span]
    fields: Mapping[str, Sequence[str | int | None]]  # only columns that came

    def rows(self) -> tuple[LeavingRow, ...]:
        names = tuple(self.fields)
        told = zip(*self.fields.values(), strict=True) if names else [()] * self.count
        return tuple(
            LeavingRow(
                kind,
                session,
                day,
                {name: value for name, value in zip(names, values, strict=True) if value is not None},
                span,
            )
            for kind, session, day, span, values in zip(
                self.kinds, self.sessions, self.days, self.spans, told, strict=True
            )
        )


def columns_of(rows: Sequence[LeavingRow]) -> Columns:
    """Return rows as columns; they are believed as they are."""
    return Columns(
        len(rows),
        [row.kind for row in rows],
        [row.session for row in rows],
        [row.day for row in rows],
        [row.span for row in rows],
        {name: [row.fields.get(name) for row in rows] for name in RULES},
    )


def unpack_rows(payload: bytes) -> tuple[LeavingRow, ...]:
    """Return the rows, or refuse the whole payload."""
    return unpack_columns(payload).rows()


def unpack_columns(payload: bytes) -> Columns:
    """Return the rows as columns, or refuse the whole payload. A region reads thousands of rows
    a second: what can be asked of the few different values is not asked of every row."""
    try:
        record = cbor.array(cbor.read(_decompress(payload)), 4)
        version = cbor.whole(record[0], OLD_ROWS_VERSION, ROWS_VERSION)
        if cbor.whole(record[1], 1) > MAX_EVENTS:
            raise BatchOversized
        if not isinstance(record[3], dict):
            raise BatchMalformed
        if version == OLD_ROWS_VERSION:
            _verify_old(record[3], record[1])
        return _columns_from(record[1], cbor.whole(record[2]), record[3])
    except (cbor.NotOurCbor, OverflowError) as fault:
        raise BatchMalformed from fault


def _verify_old(columns: Mapping[object, object], count: int) -> None:
    """In version 1 every row has kind, session and day."""
    if "span" in columns:
        raise UnknownColumn
    places = cbor.array(columns.get("kind"), 2)[1]
    for column in (places, columns.get("session"), columns.get("day")):
        for value in cbor.array(column, count):
            cbor.whole(value)


def _columns_from(count: int, first: int, columns: Mapping[object, object]) -> Columns:
    if set(columns) - set(COLUMNS):
        raise UnknownColumn
    nothing: list[object] = [None] * count
    kinds = _read_words(columns.get("kind", [[], nothing]), count, OneOf(tuple(KINDS), Step.COUNT_ONLY))
    sessions = _read_numbers(columns.get("session", nothing), count, 0, count - 1)
    last = (LAST_DAY - FIRST_DAY).days - first
    days = _read_numbers(columns.get("day", nothing), count, 0, last)
    spans = _read_numbers(columns.get("span", nothing), count, int(Span.WEEK), int(Span.MONTH))
    fields = {name: _read_column(columns[name], count, RULES[name]) for name in RULES if name in columns}
    for name, column in fields.items():
        _verify_kinds_may_tell(name, kinds, column)
    dates = {day: None if day is None else FIRST_DAY + timedelta(days=first + day) for day in set(days)}
    begun = {(span, day): _span(span, dates[day]) for span, day in set(zip(spans, days, strict=True))}
    return Columns(
        count,
        kinds,
        sessions,
        [dates[day] for day in days],
        [begun[pair] for pair in zip(spans, days, strict=True)],
        fields,
    )


def _verify_kinds_may_tell(
    name: str, kinds: Sequence[str | None], column: Sequence[str | int | None]
) -> None:
    """A known column is refused where it comes with a kind that does not have it."""
    for kind in set(compress(kinds, (value is not None for value in column))):
        if kind is None or name not in KINDS[kind].fields:
            raise UnknownColumn


def _span(number: int | None, day: date | None) -> Span:
    """A week begins on its Monday, a month on its first; another day would carry a message."""
    span = Span(number or 0)
    begins = {Span.DAY: day, Span.WEEK: day and week_of(day), Span.MONTH: day and day.replace(day=1)}
    if begins[span] != day or (day is None and number is not None):
        raise BatchMalformed
    return span


def _words(values: Sequence[str | int | None]) -> list[object]:
    """Return a column of words as its dictionary and a number (or nothing) for each row."""
    dictionary = sorted({value for value in values if isinstance(value, str)})
    place = {word: number for number, word in enumerate(dictionary)}
    return [dictionary, [place[value] if isinstance(value, str) else None for value in values]]


def _read_words(column: object, count: int, rule: OneOf | HexPrefix) -> list[str | None]:
    dictionary, numbers = cbor.array(column, 2)
    words = [_allowed_word(word, rule) for word in cbor.array(dictionary)]
    if words != sorted(set(words)):
        raise BatchMalformed
    places = _read_numbers(cbor.array(numbers), count, 0, len(words) - 1)
    return [None if place is None else words[place] for place in places]


def _allowed_word(word: object, rule: OneOf | HexPrefix) -> str:
    if not isinstance(word, str):
        raise BatchMalformed
    match rule:
        case OneOf(words=words):
            allowed = word in words
        case HexPrefix(digits=digits):
            allowed = len(word) == digits and set(word) <= set("0123456789abcdef")
    if not allowed:
        raise BatchMalformed
    return word


def _read_column(column: object, count: int, rule: Rule) -> Sequence[str | int | None]:
    match rule:
        case OneOf() | HexPrefix():
            return _read_words(column, count, rule)
        case Whole(lowest=lowest, highest=highest):
            return _read_numbers(column, count, lowest, highest)
        case Log2(highest=highest):
            return _read_numbers(column, count, 0, highest)
        case Stays():
            raise UnknownColumn


def _read_numbers(column: object, count: int, lowest: int, highest: int) -> list[int | None]:
    numbers = cbor.array(column, count)
    # The type first: to a set, true is one and 2.0 is two.
    if not set(map(type, numbers)) <= _NUMBER_TYPES:
        raise BatchMalformed
    for number in set(numbers):
        if number is not None:
            cbor.whole(number, lowest, highest)
    return numbers


_NUMBER_TYPES = {int, type(None)}


def _decompress(payload: bytes) -> bytes:
    """Unpack one whole frame, stopping at the limit however much the frame promises."""
    unpacker = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})
    try:
        data = unpacker.decompress(payload, max_length=MAX_UNPACKED_BYTES + 1)
    except zstd.ZstdError as fault:
        raise BatchMalformed from fault
    if len(data) > MAX_UNPACKED_BYTES:
        raise BatchOversized
    if not unpacker.eof or unpacker.unused_data:
        raise BatchMalformed
    return data
