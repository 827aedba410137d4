"""The region's order: genuine, numbered, the highest ever seen, and never undone by an old stick."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from sync import client, policy
from sync.budget import DEFAULT_LIMITS, Limits
from sync.errors import PolicyForged, PolicyMalformed, PolicyOutdated, WrongRegion
from sync.keys import SigningKey
from sync.policy import Policy, sign_policy, verify_policy
from tests.region_simulator import RegionSimulator
from tests.sync.cast import NOON, Box
from tests.sync.runner import main, settings_for

KEY = SigningKey.from_seed(bytes(32))
REGION = bytes(range(16))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = client.open_outbox(client.SyncSettings(home=tmp_path / "home"))
    yield db
    db.close()


def order(version: int, *, stop: bool = False, limits: Limits = DEFAULT_LIMITS) -> bytes:
    return sign_policy(Policy(REGION, version, NOON, stop=stop, limits=limits), KEY)


def accept(db: Database, signed: bytes) -> Policy:
    return policy.accept(db, signed, KEY.public, REGION)


def test_box_without_an_order_follows_none(db: Database) -> None:
    assert policy.current(db) is None
    assert policy.find_document(db) is None


def test_stop_is_in_force_once_accepted_and_an_old_go_is_refused(db: Database) -> None:
    go = order(1)
    accept(db, go)
    accept(db, order(2, stop=True))
    with pytest.raises(PolicyOutdated, match="number 1"):
        accept(db, go)
    found = policy.current(db)
    assert found is not None
    assert (found.version, found.stop) == (2, True)
    accept(db, order(3))
    found = policy.current(db)
    assert found is not None
    assert not found.stop


def test_same_order_again_changes_nothing_and_other_words_under_its_number_are_refused(db: Database) -> None:
    accept(db, order(5, stop=True))
    accept(db, order(5, stop=True))
    with pytest.raises(PolicyOutdated):
        accept(db, order(5))
    found = policy.current(db)
    assert found is not None
    assert found.stop


def test_order_is_on_the_disk_before_it_is_returned(tmp_path: Path) -> None:
    settings = client.SyncSettings(home=tmp_path / "home")
    db = client.open_outbox(settings)
    accept(db, order(7, stop=True))
    other = client.open_outbox(settings)
    found = policy.current(other)
    assert found is not None
    assert found.version == 7
    other.close()
    db.close()


def test_only_the_policy_key_of_this_region_gives_orders(db: Database) -> None:
    genuine = Policy(REGION, 1, NOON)
    for forged in (
        sign_policy(genuine, SigningKey.from_seed(bytes([1]) * 32)),
        sign_policy(replace(genuine, region_id=bytes(16)), KEY),
    ):
        with pytest.raises(PolicyForged):
            accept(db, forged)
    assert policy.current(db) is None


def test_every_flipped_bit_and_every_cut_is_refused(db: Database) -> None:
    signed = order(1, stop=True)
    for at in range(len(signed)):
        for bit in range(8):
            with pytest.raises((PolicyForged, PolicyMalformed)):
                accept(db, signed[:at] + bytes([signed[at] ^ 1 << bit]) + signed[at + 1 :])
        with pytest.raises(PolicyMalformed):
            accept(db, signed[:at])
    with pytest.raises(PolicyMalformed):
        accept(db, bytes(1000))
    assert policy.current(db) is None


def test_order_of_the_new_region_replaces_that_of_the_old_and_until_then_the_old_holds(db: Database) -> None:
    accept(db, order(9, stop=True))
    found = policy.current(db)
    assert found is not None
    assert found.stop
    new_key, new_region = SigningKey.from_seed(bytes([7]) * 32), bytes(16)
    policy.accept(db, sign_policy(Policy(new_region, 1, NOON), new_key), new_key.public, new_region)
    found = policy.current(db)
    assert found is not None
    assert (found.region_id, found.stop) == (new_region, False)


def test_limits_end_only_when_a_signed_time_has_passed_and_a_stop_never_does() -> None:
    tight = Limits(day_up_bytes=1000)
    made = Policy(REGION, 1, NOON, NOON + timedelta(days=30), stop=True, limits=tight)
    assert made.limits_at(None) == tight
    assert made.limits_at(NOON + timedelta(days=30)) == tight
    assert made.limits_at(NOON + timedelta(days=31)) == DEFAULT_LIMITS
    assert made.stop


@given(
    st.integers(1, 2**40),
    st.booleans(),
    st.lists(st.integers(0, 23), min_size=2, max_size=2),
    st.integers(0, 2**50),
    st.none() | st.datetimes(min_value=NOON.replace(tzinfo=None)),
)
def test_order_reads_back_as_it_was_written(
    version: int, stop: bool, hours: list[int], size: int, expires: object
) -> None:
    end = expires.replace(microsecond=0, tzinfo=NOON.tzinfo) if expires else None  # type: ignore[attr-defined]
    limits = Limits(day_up_bytes=size, rate_kbit=version, first_hour=hours[0], last_hour=hours[1])
    made = Policy(REGION, version, NOON, end, stop, limits, 30, 60)
    assert verify_policy(sign_policy(made, KEY), KEY.public, REGION) == made


def test_enrolment_brings_a_policy_key_the_receipt_key_vouches_for(
    box: Box, region: RegionSimulator, make_box: Callable[[str], Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert box.enrolment.policy_public == region.region.keys.policy.public
    monkeypatch.setattr("sync.server.app.vouch_for_policy_key", lambda _keys, _id: bytes(64))
    with pytest.raises(WrongRegion):
        make_box("other")


def test_operator_publishes_and_what_is_not_named_stays(tmp_path: Path, region: RegionSimulator) -> None:
    runner, settings = CliRunner(), settings_for(region.settings.home)

    def said(*words: str) -> dict[str, object]:
        result = runner.invoke(main, ["region", "policy", *words, "--json"], obj=settings)
        assert result.exit_code == 0, result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    assert said("show") == {"version": 0, "stop": False}
    first = said("publish", "--rate-kbit", "20", "--hours", "22-5", "--day-kilobytes", "300")
    assert (
        first["limits"] | {"first_hour": 22, "last_hour": 5, "rate_kbit": 20, "day_up_bytes": 300_000}
        == (  # type: ignore[operator]
            first["limits"]
        )
    )
    second = said("publish", "--stop", "--valid-days", "30")
    assert (second["version"], second["stop"], second["limits"]) == (2, True, first["limits"])
    assert said("publish", "--go")["stop"] is False
    assert said("show")["version"] == 3
    wrong = runner.invoke(main, ["region", "policy", "publish", "--hours", "25-3"], obj=settings)
    assert wrong.exit_code == 2
    words = runner.invoke(main, ["region", "policy", "show"], obj=settings).output
    assert "Order 3" in words
