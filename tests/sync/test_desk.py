"""The desk: what a box believes with three, two, one and no keys of it, and what a thief of some can do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from sync import client, desk, policy
from sync.budget import Limits
from sync.desk import SIGN_DESK, SIGN_ORDER, Bundle, Desk, Signed
from sync.errors import (
    DeskForged,
    PolicyForged,
    PolicyMalformed,
    PolicyOutdated,
    PolicySuperseded,
    PolicyUnsigned,
)
from sync.keys import SigningKey
from sync.policy import Policy, sign_policy
from tests.sync.cast import NOON
from tests.vectors import make_orders

REGION = bytes(range(16))
POLICY = SigningKey.from_seed(bytes(32))
AIGERIM, BOLAT, DANA, ERLAN, MALLORY = (SigningKey.from_seed(bytes([n]) * 32) for n in range(1, 6))
KEYS = (AIGERIM, BOLAT, DANA)


def desk_of(number: int = 1, keys: Sequence[SigningKey] = KEYS, needed: int = 2) -> Desk:
    return Desk(REGION, number, needed, 1, tuple(key.public for key in keys))


def signed(body: bytes, purpose: bytes, *keys: SigningKey) -> Signed:
    return Signed(body, tuple(desk.sign(body, purpose, key) for key in keys))


FIRST = signed(desk_of().to_bytes(), SIGN_DESK, AIGERIM, BOLAT, POLICY)


def bundle(order: Policy, *keys: SigningKey, desks: tuple[Signed, ...] = (FIRST,)) -> bytes:
    return Bundle(desks, signed(order.to_bytes(), SIGN_ORDER, *keys)).to_bytes()


def order(version: int, *, stop: bool = False, desk_number: int = 1, kbit: int = 0) -> Policy:
    limits = Limits(rate_kbit=kbit) if kbit else Limits()
    return Policy(REGION, version, NOON, stop=stop, limits=limits, desk=desk_number)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = client.open_outbox(client.SyncSettings(home=tmp_path / "home"))
    yield db
    db.close()


def accept(db: Database, data: bytes) -> Policy | None:
    return policy.accept(db, data, POLICY.public, REGION)


def in_force(db: Database) -> tuple[int, bool, int]:
    found = policy.current(db)
    return (found.version, found.stop, found.limits.rate_kbit) if found else (0, False, 0)


def test_orders_of_the_policy_key_hold_until_there_is_a_desk_and_not_after(db: Database) -> None:
    accept(db, sign_policy(Policy(REGION, 1, NOON, stop=True), POLICY))
    assert in_force(db)[:2] == (1, True)
    accept(db, bundle(order(2), AIGERIM, DANA))
    assert in_force(db)[:2] == (2, False)
    with pytest.raises(PolicySuperseded):
        accept(db, sign_policy(Policy(REGION, 3, NOON, stop=True), POLICY))
    with pytest.raises(PolicyMalformed):
        accept(db, sign_policy(order(3, stop=True), POLICY))
    assert in_force(db)[:2] == (2, False)


def test_the_desk_is_remembered_before_its_first_order(db: Database) -> None:
    assert accept(db, Bundle((FIRST,), None).to_bytes()) is None
    with pytest.raises(PolicySuperseded):
        accept(db, sign_policy(Policy(REGION, 1, NOON), POLICY))


@pytest.mark.parametrize(
    "keys", [(), (AIGERIM,), (AIGERIM, AIGERIM), (AIGERIM, MALLORY), (AIGERIM, POLICY), (MALLORY, ERLAN)]
)
def test_fewer_than_two_of_the_three_change_nothing(db: Database, keys: Sequence[SigningKey]) -> None:
    accept(db, bundle(order(1), AIGERIM, BOLAT))
    with pytest.raises(PolicyUnsigned):
        accept(db, bundle(order(2, kbit=5), *keys))
    assert in_force(db) == (1, False, Limits().rate_kbit)


def test_one_key_stops_and_does_nothing_else_and_two_lift_it(db: Database) -> None:
    accept(db, bundle(order(1, kbit=20), AIGERIM, BOLAT))
    accept(db, bundle(order(2, stop=True, kbit=1), DANA))
    assert in_force(db) == (2, True, 20)
    with pytest.raises(PolicyUnsigned):
        accept(db, bundle(order(3), DANA))
    with pytest.raises(PolicyOutdated):
        accept(db, bundle(order(1, kbit=30), AIGERIM, BOLAT))
    assert in_force(db) == (2, True, 20)
    accept(db, bundle(order(3, kbit=30), AIGERIM, BOLAT))
    assert in_force(db) == (3, False, 30)
    accept(db, bundle(order(2, stop=True, kbit=1), DANA))
    assert in_force(db) == (3, False, 30)


def test_a_stop_by_one_key_reaches_a_box_that_never_had_an_order(db: Database) -> None:
    accept(db, bundle(order(1, stop=True), DANA))
    assert in_force(db)[:2] == (1, True)
    assert policy.find_document(db) is None
    accept(db, bundle(order(1, stop=True, kbit=7), DANA, AIGERIM))
    assert in_force(db) == (1, True, 7)


def test_a_stolen_key_cannot_stop_for_ever(db: Database) -> None:
    accept(db, bundle(order(1), AIGERIM, BOLAT))
    with pytest.raises(PolicyForged):
        accept(db, bundle(order(2**62, stop=True), DANA))
    accept(db, bundle(order(1 + policy.MOST_AHEAD, stop=True), DANA))
    accept(db, bundle(order(2 + policy.MOST_AHEAD), AIGERIM, BOLAT))
    assert in_force(db)[:2] == (2 + policy.MOST_AHEAD, False)


def test_the_desk_may_say_again_what_the_policy_key_alone_had_said(db: Database) -> None:
    accept(db, sign_policy(Policy(REGION, 4, NOON), POLICY))
    accept(db, bundle(order(4, kbit=9), AIGERIM, BOLAT))
    assert in_force(db) == (4, False, 9)
    with pytest.raises(PolicyOutdated):
        accept(db, bundle(order(4, kbit=10), AIGERIM, BOLAT))


def test_a_new_desk_needs_the_old_one_and_then_the_old_keys_are_worth_nothing(db: Database) -> None:
    accept(db, bundle(order(1), AIGERIM, BOLAT))
    second = desk_of(2, (DANA, ERLAN, BOLAT))
    body = second.to_bytes()
    for keys in ((DANA, ERLAN), (DANA, ERLAN, POLICY), (AIGERIM, BOLAT), (AIGERIM, ERLAN)):
        chain = (FIRST, signed(body, SIGN_DESK, *keys))
        with pytest.raises(DeskForged):
            accept(db, bundle(order(2, desk_number=2), DANA, ERLAN, desks=chain))
    chain = (FIRST, signed(body, SIGN_DESK, AIGERIM, DANA, ERLAN))
    accept(db, bundle(order(2, desk_number=2), DANA, ERLAN, desks=chain))
    assert in_force(db)[0] == 2
    for number in (1, 2):
        with pytest.raises((PolicyForged, PolicyUnsigned)):
            accept(db, bundle(order(3, desk_number=number), AIGERIM, MALLORY, desks=chain))
    with pytest.raises(PolicyForged):
        accept(db, bundle(order(3), AIGERIM, BOLAT))


def test_a_box_that_was_away_follows_the_whole_chain_and_skips_nothing(db: Database) -> None:
    second = signed(desk_of(2, (DANA, ERLAN, BOLAT)).to_bytes(), SIGN_DESK, AIGERIM, DANA, ERLAN, BOLAT)
    third = signed(desk_of(3, (ERLAN, MALLORY)).to_bytes(), SIGN_DESK, DANA, ERLAN, MALLORY)
    with pytest.raises(DeskForged):
        accept(db, bundle(order(1, desk_number=3), ERLAN, MALLORY, desks=(FIRST, third)))
    accept(db, bundle(order(1, desk_number=3), ERLAN, MALLORY, desks=(FIRST, second, third)))
    assert in_force(db)[0] == 1


def test_a_desk_nobody_vouches_for_or_without_living_keys_is_refused(db: Database) -> None:
    body = desk_of().to_bytes()
    for keys in ((AIGERIM, BOLAT), (AIGERIM, POLICY), (POLICY,), (AIGERIM, BOLAT, MALLORY)):
        with pytest.raises(DeskForged):
            accept(db, Bundle((signed(body, SIGN_DESK, *keys),), None).to_bytes())
    foreign = replace(desk_of(), region_id=bytes(16)).to_bytes()
    with pytest.raises(DeskForged):
        accept(db, Bundle((signed(foreign, SIGN_DESK, *KEYS, POLICY),), None).to_bytes())
    accept(db, sign_policy(Policy(REGION, 1, NOON), POLICY))


def test_a_signature_for_one_thing_is_none_for_another(db: Database) -> None:
    accept(db, Bundle((FIRST,), None).to_bytes())
    body = order(1).to_bytes()
    for purpose in (SIGN_DESK, b"sandyq/sb1/policy", b""):
        crossed = Bundle((FIRST,), signed(body, purpose, *KEYS)).to_bytes()
        with pytest.raises(PolicyUnsigned):
            accept(db, crossed)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_flipped_bit_and_every_cut_is_refused(data: st.DataObject) -> None:
    whole = bundle(order(2, stop=True), AIGERIM, BOLAT)
    at = data.draw(st.integers(0, len(whole) - 1))
    bad = data.draw(
        st.sampled_from([whole[:at], whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]])
    )
    if desk.is_bundle(bad):
        try:
            read = desk.read_bundle(bad)
            trusted = desk.verify_desk(read.desks[0], None, POLICY.public, REGION)
            assert read.order is not None
            policy.verify_order(read.order, trusted, REGION)
            # One of two signatures of a stop was hit: the other one is still enough to stop, and for no more.
            assert trusted.count(SIGN_ORDER, read.order) == 1
        except (PolicyMalformed, PolicyForged, DeskForged, PolicyUnsigned):
            pass


@pytest.mark.parametrize(
    "bad",
    [
        replace(desk_of(), needed=4),
        replace(desk_of(), needed=0),
        replace(desk_of(), needed_to_stop=3),
        replace(desk_of(), keys=()),
        replace(desk_of(), keys=(AIGERIM.public, AIGERIM.public)),
        replace(desk_of(), keys=(b"short",)),
    ],
)
def test_a_desk_that_makes_no_sense_is_none(bad: Desk) -> None:
    with pytest.raises(PolicyMalformed):
        desk.read_desk(bad.to_bytes())


def test_a_bundle_is_small_enough_for_every_answer() -> None:
    chain = tuple(signed(desk_of(n).to_bytes(), SIGN_DESK, *KEYS, POLICY) for n in range(1, 7))
    assert len(bundle(order(9), *KEYS, desks=chain)) < desk.MAX_BUNDLE_BYTES
    assert len(bundle(order(9), AIGERIM, BOLAT)) < 800


# The written form --------------------------------------------------------------------------------

VECTORS = json.loads((Path(__file__).parents[1] / "vectors/orders.json").read_text())


def test_the_program_writes_the_vectors_and_reads_them_as_the_page_says(db: Database) -> None:
    assert make_orders.make() == VECTORS
    key, region_id = SigningKey.from_seed(bytes.fromhex(VECTORS["policy_seed"])), bytes(range(16))
    seen = []
    for name in ("order_of_policy_key", "desk_alone", "order_by_two", "stop_by_one", "drill_by_two"):
        policy.accept(db, bytes.fromhex(VECTORS[name]), key.public, region_id)
        found = policy.current(db)
        assert found is not None
        seen.append((found.version, found.stop, found.limits.rate_kbit, found.is_drill))
    usual = Limits().rate_kbit
    assert seen == [
        (1, True, usual, False),
        (1, True, usual, False),
        (2, False, 20, False),
        (3, True, 20, False),
        (4, False, usual, True),
    ]


def test_a_reader_made_from_the_page_alone_agrees() -> None:
    magic, desks, (words, signatures) = cbor2.loads(bytes.fromhex(VECTORS["order_by_two"]))
    assert magic == "SD1"
    version, region_id, number, needed, needed_to_stop, keys = cbor2.loads(desks[0][0])
    assert (version, region_id.hex(), number) == (1, VECTORS["region_id"], 1)
    assert (needed, needed_to_stop, len(keys)) == (2, 1, 3)
    known = {hashlib.sha256(public).digest()[:8]: public for public in keys}
    for kid, signature in signatures:
        Ed25519PublicKey.from_public_bytes(known[kid]).verify(signature, b"sandyq/sb1/order" + words)
    fields = cbor2.loads(words)
    assert (fields[0], fields[2], fields[5], fields[7], fields[9:]) == (2, 2, False, 365, [False, 1])
