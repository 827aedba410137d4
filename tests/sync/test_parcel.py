"""What a region sends on: a form that takes nothing else, and a signed account of each day."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync import cbor
from sync.errors import ParcelMalformed, StatementForged
from sync.keys import SigningKey
from sync.parcel import (
    ALIAS_BYTES,
    MAX_ITEMS,
    MAX_PARCEL_BYTES,
    SIZES,
    STRATA,
    ForwardedLetter,
    Parcel,
    Statement,
    alias_of,
    digest_of,
    fill_parcel,
    read_parcel,
    sign_statement,
    verify_statement,
    write_parcel,
)

REGION = bytes(range(16))
KEY = SigningKey.from_seed(bytes(range(32)))
DAY = date(2027, 3, 1)
STATEMENT = Statement(REGION, DAY, 3, 4, 500, 1, 2, digest_of([b"a" * 32]), 40, 5000, 20)

letters = st.builds(
    ForwardedLetter,
    st.binary(min_size=ALIAS_BYTES, max_size=ALIAS_BYTES),
    st.sampled_from(STRATA),
    st.sampled_from(SIZES),
    st.dates(date(1970, 1, 1), date(2199, 12, 31)),
    st.binary(min_size=1, max_size=50),
)


def letter_of(size: int, number: int = 0) -> ForwardedLetter:
    return ForwardedLetter(bytes(ALIAS_BYTES), "rural", "small", DAY, number.to_bytes(4, "big") * (size // 4))


@given(st.lists(letters, min_size=1, max_size=5))
def test_parcel_comes_back_as_it_was(chosen: list[ForwardedLetter]) -> None:
    parcel = Parcel(REGION, tuple(chosen), (sign_statement(STATEMENT, KEY),))
    assert read_parcel(write_parcel(parcel)) == parcel


@given(st.binary(max_size=60))
def test_bytes_that_are_no_parcel_are_refused(data: bytes) -> None:
    with pytest.raises(ParcelMalformed):
        read_parcel(data)


@pytest.mark.parametrize(
    "wrong",
    [
        [2, REGION, [], [b"x"]],
        [1, REGION, [], []],
        [1, REGION[:-1], [], [b"x"]],
        [1, REGION, [[bytes(16), 3, 0, 0, b"x"]], []],
        [1, REGION, [[bytes(16), 0, 3, 0, b"x"]], []],
        [1, REGION, [[bytes(15), 0, 0, 0, b"x"]], []],
        [1, REGION, [[bytes(16), 0, 0, 10**9, b"x"]], []],
        [1, REGION, [[bytes(16), 0, 0, 0, b""]], []],
        [1, REGION, [[bytes(16), 0, 0, 0, bytes(81 * 1024)]], []],
        [1, REGION, [], [bytes(513)]],
        [1, REGION, [], [b"x"] * (MAX_ITEMS + 1)],
    ],
)
def test_parcel_in_another_form_is_refused(wrong: object) -> None:
    with pytest.raises(ParcelMalformed):
        read_parcel(cbor.write(wrong))


def test_parcels_take_what_fits_and_statements_go_after_the_last_letter() -> None:
    waiting = [letter_of(2400, number) for number in range(150)]
    said = [sign_statement(STATEMENT, KEY)]
    first = fill_parcel(REGION, waiting, said)
    assert first is not None
    assert first.statements == ()
    assert len(write_parcel(first)) < MAX_PARCEL_BYTES + 8192
    second = fill_parcel(REGION, waiting[len(first.letters) :], said)
    assert second is not None
    assert first.letters + second.letters == tuple(waiting)
    assert second.statements == tuple(said)
    assert fill_parcel(REGION, [], []) is None
    alone = fill_parcel(REGION, [], said)
    assert alone is not None
    assert alone.items == 1


def test_statement_is_believed_from_its_region_alone() -> None:
    signed = sign_statement(STATEMENT, KEY)
    assert verify_statement(signed, KEY.public, REGION) == STATEMENT
    other = SigningKey.from_seed(bytes(32))
    with pytest.raises(StatementForged):
        verify_statement(sign_statement(STATEMENT, other), KEY.public, REGION)
    with pytest.raises(StatementForged):
        verify_statement(signed, KEY.public, bytes(16))
    body, signature = cbor.read(signed)  # type: ignore[misc]
    with pytest.raises(StatementForged):
        more = replace(STATEMENT, all_events=5001).to_bytes()
        verify_statement(cbor.write([more, signature]), KEY.public, REGION)
    with pytest.raises(ParcelMalformed):
        verify_statement(cbor.write([body[:-1], signature]), KEY.public, REGION)


def test_the_digest_of_a_day_knows_no_order() -> None:
    hashes = [hashlib.sha256(bytes([at])).digest() for at in range(5)]
    assert digest_of(hashes) == digest_of(reversed(hashes))
    assert digest_of(hashes) != digest_of(hashes[:-1])


def test_nobody_but_the_region_can_tell_which_box_an_alias_is() -> None:
    assert alias_of(bytes(32), "B-ABCDE") == alias_of(bytes(32), "B-ABCDE")
    assert alias_of(bytes(32), "B-ABCDE") != alias_of(b"x" * 32, "B-ABCDE")
    assert b"ABCDE" not in alias_of(bytes(32), "B-ABCDE")
