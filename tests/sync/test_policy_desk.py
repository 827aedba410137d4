"""The policy desk: written here, signed elsewhere, told step by step, halted by itself."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from sync import client, policy
from sync.errors import PolicyUnsigned
from sync.keys import SigningKey
from sync.region_errors import (
    DeskMissing,
    DeskThere,
    DraftOutdated,
    SignatureUnknown,
    SigningFileWrong,
    StopAlone,
)
from sync.server.desk import drafts, offers, order_words, rollout
from sync.server.desk.drafts import Draft
from sync.server.desk.rollout import Reason, Standing, judge
from sync.server.desk.signing_file import SigningFile, read_signing_file
from sync.server.people import audit
from sync.server.storage.store import Store, open_store
from sync.transport import ORDER_HEADER
from tests.region_simulator import RegionSimulator
from tests.sync.cast import NOON, Box
from tests.sync.runner import main, settings_for

HOLDERS = [SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2, 3)]
MALLORY = SigningKey.from_seed(bytes(32))


@dataclass
class Desk:
    """The desk of one region, and the three people with the keys."""

    region: RegionSimulator
    store: Store

    def set_up(self) -> None:
        draft = drafts.write_desk(
            self.store.db, self.region.region, [key.public for key in HOLDERS], "dana", self.region.time
        )
        self.sign(draft, *HOLDERS[:2])
        self.release(draft)

    def write(self, **changes: Any) -> Draft:
        limits = {name: changes.pop(name) for name in list(changes) if name == "rate_kbit"}
        is_drill = changes.pop("is_drill", False)
        return drafts.write_order(
            *(self.store.db, self.region.region, "dana", self.region.time),
            changes=changes,
            limits=limits,
            is_drill=is_drill,
        )

    def sign(self, draft: Draft, *keys: SigningKey) -> None:
        for key in keys:
            file = drafts.export(self.store.db, self.region.region, draft).signed_with(key)
            carried = read_signing_file(file.to_bytes())
            drafts.bring_back(self.store.db, self.region.region, carried, "dana", self.region.time)

    def release(self, draft: Draft, share: int = 100) -> None:
        drafts.release(self.store.db, self.region.region, draft, "dana", self.region.time, share)

    def give(self, share: int = 100, **changes: Any) -> Draft:
        draft = self.write(**changes)
        self.sign(draft, *HOLDERS[1:])
        self.release(draft, share)
        return draft


@pytest.fixture
def desk(either_region: RegionSimulator) -> Iterator[Desk]:
    store = open_store(either_region.region.database)
    yield Desk(either_region, store)
    store.close()


@pytest.fixture
def small(region: RegionSimulator) -> Iterator[Desk]:
    store = open_store(region.region.database)
    desk = Desk(region, store)
    desk.set_up()
    yield desk
    store.close()


def order_of(box: Box) -> tuple[int, bool]:
    db = client.open_outbox(box.settings)
    try:
        found = policy.current(db)
        return (found.version, found.stop) if found else (0, False)
    finally:
        db.close()


# From the desk to the box ---------------------------------------------------------------------------


def test_an_order_is_written_signed_by_two_and_followed(small: Desk, box: Box) -> None:
    draft = small.write(stop=True)
    with pytest.raises(PolicyUnsigned):
        small.release(draft)
    small.sign(draft, HOLDERS[0])
    assert drafts.progress(small.store.db, small.region.region, draft) == (1, 1)
    lift = small.write(stop=False, rate_kbit=30)
    small.sign(lift, HOLDERS[0])
    assert drafts.progress(small.store.db, small.region.region, lift) == (1, 2)
    with pytest.raises(PolicyUnsigned):
        small.release(lift)
    small.release(draft)
    box.ask()
    box.sync()
    assert order_of(box) == (1, True)
    with pytest.raises(DraftOutdated):
        small.release(draft)
    # It was signed before there was a stop; released now it would lift one that its signers never saw.
    with pytest.raises(DraftOutdated):
        small.release(drafts.get_draft(small.store.db, lift.id))
    small.give(stop=False)
    box.sync()
    assert order_of(box) == (3, False)


def test_one_key_is_enough_for_a_stop_alone_and_for_nothing_that_rides_with_it(small: Desk, box: Box) -> None:
    with pytest.raises(StopAlone):
        small.write(stop=True, rate_kbit=20)
    with pytest.raises(StopAlone):
        small.write(stop=True, retention_days=1)
    stop = small.write(stop=True)
    small.sign(stop, HOLDERS[2])
    small.release(stop)
    # While everything is stopped already, an order that says so once more is an ordinary one.
    other = small.write(retention_days=1)
    small.sign(other, HOLDERS[2])
    assert drafts.progress(small.store.db, small.region.region, other) == (1, 2)
    with pytest.raises(PolicyUnsigned):
        small.release(other)
    box.sync()
    assert order_of(box) == (1, True)


def test_the_server_alone_gives_no_order_any_more(small: Desk, box: Box) -> None:
    small.give(rate_kbit=20)
    box.sync()
    settings = settings_for(small.region.settings.home)
    refused = CliRunner().invoke(main, ["region", "policy", "publish", "--stop"], obj=settings)
    assert isinstance(refused.exception, DeskThere)
    # A thief of the whole server signs by himself and tells every box: none that knows the desk follows.
    keys = small.region.region.keys
    forged = policy.sign_policy(policy.Policy(small.region.region.id, 9, NOON, stop=True), keys.policy)
    small.store.db.execute("DELETE FROM desk")
    small.store.db.execute("DELETE FROM desk_order")
    small.store.add_policy(9, forged)
    box.ask()
    box.sync()
    assert order_of(box) == (1, False)


def test_a_box_of_an_older_version_gets_the_older_form_when_all_are_told(
    small: Desk, make_box: Callable[[str], Box], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_box("old")
    monkeypatch.setattr("tests.region_simulator.ORDER_HEADER", "Other")
    small.give(share=5, rate_kbit=10)
    old.sync()
    assert order_of(old) == (0, False)
    drafts.widen(small.store.db, small.region.region, 1, 100, "dana", small.region.time)
    old.sync()
    assert order_of(old) == (1, False)
    small.give(stop=True)
    old.sync()
    assert order_of(old) == (2, True)
    assert ORDER_HEADER


def test_a_box_that_says_it_has_the_order_is_not_told_again(small: Desk, box: Box) -> None:
    small.give(rate_kbit=20)
    box.sync()
    box.sync()
    row = small.store.db.row("SELECT offers, taken_at FROM box_order")
    assert row is not None
    assert row[0] == 1
    assert row[1] is not None
    verdict = offers.standing(small.store.db, offers.get_released(small.store.db, 1), small.region.time)
    assert (verdict.boxes, verdict.taken, verdict.refused) == (1, 1, 0)


def test_a_drill_changes_nothing_and_tells_how_fast_a_stop_would_be(small: Desk, box: Box) -> None:
    small.give(rate_kbit=20)
    box.sync()
    small.give(is_drill=True)
    small.region.wait(minutes=7)
    box.sync()
    small.region.wait(minutes=5)
    box.sync()
    db = client.open_outbox(box.settings)
    found = policy.current(db)
    db.close()
    assert found is not None
    assert (found.version, found.stop, found.is_drill, found.limits.rate_kbit) == (2, False, True, 20)
    drill = offers.get_released(small.store.db, 2)
    assert offers.seconds_to_take(small.store.db, drill) == [12 * 60]
    assert small.store.find_policy() is not None
    assert "within 12 minutes" in small.region.enter("operator").get("/desk?lang=en").text


def test_the_desk_travels_on_sticks_too(small: Desk, box: Box, tmp_path: Path) -> None:
    small.give(stop=True)
    runner, stick = CliRunner(), tmp_path / "stick"
    stick.mkdir()
    at_box, at_region = settings_for(box.settings.home), settings_for(small.region.settings.home)
    for where, words in (
        (at_box, ["sync", "export", str(stick)]),
        (at_region, ["region", "import", str(stick)]),
        (at_box, ["sync", "import", str(stick)]),
    ):
        done = runner.invoke(main, words, obj=where)
        assert done.exit_code == 0, (words, done.output, done.exception)
    assert order_of(box) == (1, True)


# Who can do what -------------------------------------------------------------------------------------


def test_files_of_strangers_and_signatures_that_do_not_count_are_refused(desk: Desk) -> None:
    db, region, now = desk.store.db, desk.region.region, desk.region.time
    with pytest.raises(DeskMissing):
        desk.write(stop=True)
    desk.set_up()
    draft = desk.write(rate_kbit=5)
    file = drafts.export(db, region, draft)
    with pytest.raises(SignatureUnknown):
        drafts.bring_back(db, region, file.signed_with(MALLORY), "dana", now)
    with pytest.raises(SignatureUnknown):
        drafts.bring_back(db, region, file.signed_with(region.keys.policy), "dana", now)
    other = policy.Policy(region.id, 1, NOON, desk=1, retention_days=1).to_bytes()
    foreign = SigningFile("order", "x", other, b"").signed_with(HOLDERS[0])
    with pytest.raises(SigningFileWrong):
        drafts.bring_back(db, region, foreign, "dana", now)
    # A signature for one draft, moved to another.
    moved = SigningFile("order", "x", draft.body, b"", foreign.signatures)
    with pytest.raises(SignatureUnknown):
        drafts.bring_back(db, region, moved, "dana", now)
    desk.sign(draft, HOLDERS[0])
    with pytest.raises(SignatureUnknown):
        desk.sign(draft, HOLDERS[0])
    assert drafts.progress(db, region, draft) == (1, 2)
    assert audit.verify_record(db, region.keys.desk).broken_at is None
    actions = [link.entry.action for link in audit.newest(db)]
    assert {"desk_released", "order_written", "order_signed"} <= set(actions)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{", b"\xff", b'{"form": 1}', json.dumps({"form": "x"}).encode(), bytes(20_000)]
)
def test_what_is_no_signing_file_is_refused(data: bytes) -> None:
    with pytest.raises(SigningFileWrong):
        read_signing_file(data)


def test_another_desk_needs_the_old_keys_and_boxes_follow_it(small: Desk, box: Box) -> None:
    small.give(rate_kbit=20)
    box.sync()
    fresh = [SigningKey.from_seed(bytes([n]) * 32) for n in (7, 8)]
    publics = [fresh[0].public, fresh[1].public, HOLDERS[2].public]
    draft = drafts.write_desk(small.store.db, small.region.region, publics, "dana", small.region.time)
    small.sign(draft, *fresh)
    assert drafts.progress(small.store.db, small.region.region, draft) == (0, 2)
    small.sign(draft, *HOLDERS[:2])
    assert drafts.progress(small.store.db, small.region.region, draft) == (2, 2)
    small.release(draft)
    order = small.write(rate_kbit=40)
    small.sign(order, *fresh)
    small.release(order)
    box.sync()
    assert order_of(box) == (2, False)


def test_the_commands_walk_from_keys_to_release_on_three_machines(
    region: RegionSimulator, tmp_path: Path
) -> None:
    runner, settings = CliRunner(), settings_for(region.settings.home)
    elsewhere = settings_for(tmp_path / "holder")

    def said(*words: object, where: Any = settings) -> dict[str, Any]:
        result = runner.invoke(main, ["region", *map(str, words), "--json"], obj=where)
        assert result.exit_code == 0, (words, result.output, result.exception)
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    keys = [tmp_path / f"key-{n}" for n in range(3)]
    publics = [said("desk", "make-key", path, where=elsewhere)["public"] for path in keys]
    again = runner.invoke(main, ["region", "desk", "make-key", str(keys[0])], obj=elsewhere)
    assert again.exit_code != 0
    asked = [word for public in publics for word in ("--key", public)]
    file = tmp_path / "stick.json"
    steps = (
        (["desk", "propose", *asked], keys[:2]),
        (["policy", "draft", "--rate-kbit", 20, "--retention-days", 100], keys[1:]),
    )
    for words, signers in steps:
        number = said(*words)["draft"]
        said("policy", "export", number, file)
        for path in signers:
            told = runner.invoke(
                main, ["region", "policy", "sign", str(file), "--key", str(path), "--yes"], obj=elsewhere
            )
            assert told.exit_code == 0, told.output
            seed = path.read_text().split()[-1]
            assert seed not in told.output + file.read_text()
        assert said("policy", "import", file)["signatures"] == 2
        said("policy", "release", number)
    assert "at most 20 kbit/s" in told.output
    assert "do not come back" in told.output
    said("policy", "widen", 1, "--share", 25)
    said("policy", "halt", 1)
    assert runner.invoke(main, ["region", "policy", "show"], obj=settings).exit_code == 0


def test_a_stolen_operator_account_stops_and_alters_nothing(small: Desk, box: Box) -> None:
    """Everything its pages can send, with the account's own form token, leaves the boxes as they are."""
    small.give(rate_kbit=20)
    box.sync()
    before = order_of(box)
    browser = small.region.enter("operator")
    token = form_token(browser)
    written = browser.post("/desk/new", data={"form_token": token, "answers": "stop"})
    assert written.status_code == 303
    path = written.location
    file = browser.post(f"{path}/file", data={"form_token": token})
    forged = read_signing_file(file.data).signed_with(MALLORY).to_bytes()
    for upload in (forged, b"{}", file.data):
        answer = browser.post(
            f"{path}/signatures",
            data={"form_token": token, "file": (io.BytesIO(upload), "x.json")},
            content_type="multipart/form-data",
        )
        assert answer.status_code == 400
    for rule in small.region.app.url_map.iter_rules():
        if rule.rule.startswith("/desk") and "POST" in (rule.methods or set()):
            target = re.sub(r"<[^>]+>", "1", rule.rule)
            browser.post(target, data={"form_token": token, "share": "100", "answers": "stop"})
    assert browser.post(f"{path}/release", data={"form_token": token}).status_code in (409, 303)
    box.ask()
    box.sync()
    assert order_of(box) == before


def form_token(browser: FlaskClient) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', browser.get("/account").text)
    assert found
    return found[1]


def test_the_pages_preview_carry_and_release_in_three_languages(small: Desk, box: Box) -> None:
    browser, auditor = small.region.enter("operator"), small.region.enter("auditor")
    token = form_token(browser)
    path = browser.post("/desk/new", data={"form_token": token, "answers": "stop"}).location
    for language, words in (
        ("kk", "Барлық мектепте жауаптар тоқтайды"),
        ("ru", "Во всех школах ответы прекращаются"),
        ("en", "All answers stop in every school"),
    ):
        for reader in (browser, auditor):
            assert words in reader.get(f"{path}?lang={language}").text
    assert "<button>" not in auditor.get(f"{path}?lang=en").text
    file = browser.post(f"{path}/file", data={"form_token": token})
    assert "attachment" in file.headers["Content-Disposition"]
    signed = read_signing_file(file.data).signed_with(HOLDERS[1]).to_bytes()
    form = {"form_token": token, "file": (io.BytesIO(signed), "x.json")}
    browser.post(f"{path}/signatures", data=form, content_type="multipart/form-data")
    assert browser.post(f"{path}/release", data={"form_token": token}).status_code == 303
    box.sync()
    assert order_of(box) == (1, True)
    assert "All answers are stopped" in auditor.get("/desk?lang=en").text
    for bad in ({"rate_kbit": "-1"}, {"first_hour": "24"}, {"retention_days": "0"}, {"valid_days": "x"}):
        assert browser.post("/desk/new", data={"form_token": token} | bad).status_code == 400


# Step by step ----------------------------------------------------------------------------------------


@given(st.binary(min_size=8, max_size=8), st.integers(1, 2**40))
def test_a_larger_share_holds_all_of_a_smaller_one(kid: bytes, version: int) -> None:
    reached = [rollout.is_among(kid, version, share) for share in (5, 25, 100)]
    assert reached == sorted(reached)
    assert reached[-1]


def test_shares_are_what_they_say_and_other_boxes_come_first_each_time() -> None:
    kids = [n.to_bytes(8, "big") for n in range(4000)]
    first = {kid for kid in kids if rollout.is_among(kid, 1, 5)}
    second = {kid for kid in kids if rollout.is_among(kid, 2, 5)}
    assert 140 < len(first) < 260
    assert len(first & second) < 30


def standing(*, taken: bool = False, offers_made: int = 1, silent_hours: int = 1) -> Standing:
    now = NOON + timedelta(days=3)
    return Standing(taken, offers_made, NOON, now - timedelta(hours=silent_hours))


def test_refusals_and_silence_halt_and_a_bad_line_or_a_holiday_does_not() -> None:
    now = NOON + timedelta(days=3)
    good = [standing(taken=True)] * 95
    assert judge(good, NOON, now).reason is None
    assert judge([*good, *[standing(offers_made=2)] * 9], NOON, now).reason is None
    assert judge([*good, *[standing(offers_made=3)] * 2], NOON, now).reason is None
    assert judge([*good, *[standing(offers_made=3)] * 5], NOON, now).reason is Reason.REFUSED
    quiet = [standing(taken=True, silent_hours=60)] * 30
    assert judge([*good, *quiet], NOON, now).reason is Reason.SILENT
    # The others are just as silent: it is a holiday, or a line that is down for everybody.
    others = [Standing(False, 0, None, now - timedelta(hours=60))] * 40
    assert judge([*good, *quiet, *others], NOON, now).reason is None
    assert judge([], NOON, now).reason is None


def test_a_roll_out_that_boxes_refuse_halts_by_itself_and_tells_nobody_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.set_up()
    db, now = desk.store.db, desk.region.time
    for n in range(40):
        desk.store.add_box(f"B-{n}", bytes([n]) * 8, bytes(32), bytes(32), "0.1.0", now)
    boxes = [desk.store.find_box_by_label(f"B-{n}") for n in range(40)]
    desk.give(share=25, rate_kbit=20)
    for hour in range(4):
        at = now + timedelta(hours=hour)
        for box in boxes:
            assert box is not None
            desk.store.touch_box(box, at)
            offer = offers.find_offer(db, desk.region.region.keys.desk, box, at, reads_desk=True, reported=0)
            assert offer is not None
    order = offers.get_released(db, 1)
    assert order.halted == Reason.REFUSED.value
    assert audit.newest(db)[0].entry.actor == audit.SYSTEM
    assert drafts.in_force(db, desk.region.region).version == 0
    drafts.widen(db, desk.region.region, 1, 25, "dana", now)
    assert offers.get_released(db, 1).halted is None


def test_an_order_in_words_says_each_thing_that_changes_and_nothing_else() -> None:
    before = policy.Policy(bytes(16), 1, NOON)
    assert [each.text for each in order_words.changes(before, before)] == [order_words.NOTHING]
    after = policy.Policy(bytes(16), 2, NOON, stop=True, retention_days=10)
    said = order_words.changes(before, after)
    assert [each.text for each in said] == [order_words.STOP, order_words.RETENTION, order_words.SHORTER]
    assert all(str(each) for each in said)
