"""Reading a batch by columns takes and refuses exactly what reading it value by value does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync import cbor
from sync.anonymise import LeavingRow
from sync.batch import (
    COLUMNS,
    FIRST_DAY,
    LAST_DAY,
    ROWS_VERSION,
    RULES,
    columns_of,
    unpack_columns,
    unpack_rows,
    zstd,
)
from sync.errors import RefusedEnvelope
from sync.event import KINDS, HexPrefix, Log2, OneOf, Span, Step, Whole
from sync.generalise import week_of


class Refused(Exception):
    """The plain reader's one answer to whatever is wrong."""


def plainly(count: int, first: int, columns: Mapping[str, Any]) -> tuple[LeavingRow, ...]:
    """Read row after row, value after value, as docs/envelope.md says it."""
    if set(columns) - set(COLUMNS):
        raise Refused
    told = {name: decoded(name, column, count) for name, column in columns.items()}
    rows = []
    for at in range(count):
        value = {name: column[at] for name, column in told.items()}
        day, span = value.get("day"), value.get("span")
        date = None if day is None else FIRST_DAY + timedelta(days=first + number(day, 0, last_day(first)))
        begins = {1: date and week_of(date), 2: date and date.replace(day=1)}.get(span or 0, date)
        if begins != date or (date is None and span is not None):
            raise Refused
        fields = {name: value[name] for name in RULES if value.get(name) is not None}
        kind = value.get("kind")
        if fields and (kind is None or not set(fields) <= set(KINDS[kind].fields)):
            raise Refused
        rows.append(LeavingRow(kind, value.get("session"), date, fields, Span(span or 0)))
    return tuple(rows)


def last_day(first: int) -> int:
    return (LAST_DAY - FIRST_DAY).days - first


def decoded(name: str, column: Any, count: int) -> list[Any]:
    limits = {"session": (0, count - 1), "day": (0, 10**6), "span": (1, 2)}
    rule = OneOf(tuple(KINDS), Step.COUNT_ONLY) if name == "kind" else RULES.get(name)
    if name in limits:
        return [None if one is None else number(one, *limits[name]) for one in sized(column, count)]
    match rule:
        case Whole(lowest=lowest, highest=highest):
            return [None if one is None else number(one, lowest, highest) for one in sized(column, count)]
        case Log2(highest=highest):
            return [None if one is None else number(one, 0, highest) for one in sized(column, count)]
    words, places = sized(column, 2)
    for word in sized(words):
        is_allowed = isinstance(word, str) and (
            word in rule.words
            if isinstance(rule, OneOf)
            else isinstance(rule, HexPrefix)
            and len(word) == rule.digits
            and set(word) <= set("0123456789abcdef")
        )
        if not is_allowed:
            raise Refused
    if words != sorted(set(words)):
        raise Refused
    return [None if one is None else words[number(one, 0, len(words) - 1)] for one in sized(places, count)]


def sized(value: Any, count: int | None = None) -> list[Any]:
    if type(value) is not list or (count is not None and len(value) != count):
        raise Refused
    return value


def number(value: Any, lowest: int, highest: int) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        raise Refused
    return value


NUMBERS = st.none() | st.integers(0, 3) | st.sampled_from([True, False, -1, 17, 23, 2**40, "kk", [0]])
WORDS = st.lists(
    st.sampled_from(["kk", "ru", "answered", "right", "question_asked", "hand_back", "ab12cd34", "zz"]),
    max_size=3,
)
ROWS = 4


def a_column(name: str) -> st.SearchStrategy[Any]:
    """Mostly what is allowed, now and then what is not."""
    numbers = st.lists(NUMBERS, min_size=ROWS, max_size=ROWS) | st.lists(
        st.none() | st.integers(0, 2), max_size=5
    )
    good = st.lists(st.none() | st.integers(0, 1), min_size=ROWS, max_size=ROWS)
    if name == "kind":
        return st.tuples(st.just(["answer_finished", "question_asked"]), good).map(list) | st.tuples(
            WORDS, numbers
        ).map(list)
    if name in RULES and isinstance(RULES[name], OneOf | HexPrefix):
        return st.tuples(WORDS.map(lambda words: sorted(set(words))), good).map(list) | numbers
    return good | numbers


RECORDS = st.fixed_dictionaries({}, optional={name: a_column(name) for name in (*COLUMNS, "learner")})


@settings(max_examples=400, deadline=None)
@given(columns=RECORDS, first=st.sampled_from([0, 4, 20_697, 84_003, 90_000]))
def test_columns_take_and_refuse_what_a_plain_reader_does(columns: dict[str, Any], first: int) -> None:
    payload = zstd.compress(cbor.write([ROWS_VERSION, ROWS, first, columns]))
    try:
        expected: tuple[LeavingRow, ...] | None = plainly(ROWS, first, columns)
    except (Refused, OverflowError):
        expected = None
    if expected is None:
        with pytest.raises(RefusedEnvelope):
            unpack_rows(payload)
    else:
        read = unpack_columns(payload)
        assert read.rows() == expected
        assert columns_of(expected).rows() == expected
