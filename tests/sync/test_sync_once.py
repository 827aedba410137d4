"""Whatever the line does, every event is counted once."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sync import cbor, client, outbox
from sync.errors import (
    BatchFork,
    DiskFull,
    ReceiptForAnotherBatch,
    ReceiptForged,
    RegionUnreachable,
    ReplyMalformed,
    TokenRefused,
)
from sync.keys import SigningKey
from sync.receipt import sign_receipt, verify_receipt
from sync.transport import Pause, go_on
from tests.region_simulator import Line, RegionSimulator
from tests.sync.cast import Box


def test_question_arrives_and_the_outbox_shrinks(box: Box, region: RegionSimulator) -> None:
    box.ask(times=3)
    report = box.sync()
    assert (report.batches, report.events) == (1, 3)
    assert region.count("question_asked") == 3
    status = box.status()
    assert (status.waiting_events, status.sealed_batches, status.receipted_events) == (0, 0, 3)
    assert status.last_receipt_at == region.time
    assert box.query("SELECT count(*) FROM outbox") == [(0,)]
    assert box.query("SELECT body, sealed, receipt IS NOT NULL FROM batch") == [(None, None, 1)]


def test_nothing_to_send_sends_nothing(box: Box, region: RegionSimulator) -> None:
    assert box.sync().batches == 0
    assert region.received == []


def test_lost_receipt_counts_the_question_once(box: Box, region: RegionSimulator) -> None:
    box.ask()
    region.lose_next_receipt()
    with pytest.raises(RegionUnreachable):
        box.sync()
    assert box.status().sealed_batches == 1
    box.ask()
    box.sync()
    assert region.count("question_asked") == 2
    first, again, second = region.received
    assert first == again != second


def test_lost_envelope_is_sent_again_byte_for_byte(box: Box, region: RegionSimulator) -> None:
    box.ask()
    region.lose_next_envelope()
    with pytest.raises(RegionUnreachable):
        box.sync()
    stored = box.query("SELECT sealed FROM batch")[0][0]
    box.sync()
    assert region.received == [stored]


def test_region_down_keeps_everything_and_says_what_next(box: Box, region: RegionSimulator) -> None:
    box.ask(times=5)
    region.go_down()
    for _ in range(3):
        with pytest.raises(RegionUnreachable, match="sends it when the link is back"):
            box.sync()
    assert box.status().waiting_events == 5
    region.come_back()
    box.sync()
    assert region.count("question_asked") == 5


def test_replayed_envelope_gets_the_same_receipt_and_counts_nothing(
    box: Box, region: RegionSimulator
) -> None:
    box.ask(times=2)
    box.sync()
    envelope = region.received[0]
    region.wait(days=30)
    first = region.carry(envelope, box.enrolment.token)
    box.ask()
    box.sync()
    assert region.carry(envelope, box.enrolment.token) == first
    assert region.count("question_asked") == 3


def test_long_month_travels_in_several_batches_in_order(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_EVENTS", 7)
    box.ask(times=16)
    assert box.sync().batches == 3
    opened = [region.open(blob, box.device.public) for blob in region.received]
    assert [(batch.seq, batch.lo, batch.hi) for batch in opened] == [(1, 1, 7), (2, 8, 14), (3, 15, 16)]
    digests = [hashlib.sha256(blob).digest() for blob in region.received]
    assert [batch.previous_sha256 for batch in opened] == [bytes(32), *digests[:2]]
    assert region.report()["boxes"][0]["remarks"] == []


def test_copied_card_is_noticed_and_nothing_is_overwritten(box: Box, region: RegionSimulator) -> None:
    box.ask(times=2)
    other = box.copy("copy")
    box.sync()
    other.ask(times=4)
    # Before it seals anything it asks where it stands, and learns that this history went on without it.
    other.sync()
    assert region.count("question_asked") == 2
    status = other.status()
    assert (status.sealed_events, status.set_aside_events) == (0, 6)
    # The other machine goes on under a history of its own; both ends have noticed.
    other.ask(times=3)
    other.sync()
    assert region.count("question_asked") == 5
    assert region.report()["boxes"][0]["remarks"] == ["epoch"]


def test_copy_that_seals_under_a_number_of_the_other_sets_aside_what_may_be_double(
    box: Box, region: RegionSimulator
) -> None:
    box.ask(times=2)
    other = box.copy("copy")
    for twin in (box, other):
        twin.ask(times=3)
        twin.cut()  # on a stick nobody asks the region first
    box.sync()
    with pytest.raises(BatchFork, match="a card was copied"):
        other.sync()
    assert region.report()["boxes"][0]["remarks"] == ["fork"]
    status = other.status()
    assert (status.sealed_events, status.waiting_events, status.set_aside_events) == (0, 0, 5)
    other.ask(times=4)
    other.sync()
    box.ask()
    box.sync()
    assert region.count("question_asked") == 5 + 4 + 1
    assert region.report()["boxes"][0]["remarks"] == ["epoch", "fork"]


def test_batch_that_comes_before_its_elder_is_kept_and_noted(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    envelopes = []
    monkeypatch.setattr(
        RegionSimulator, "deliver", lambda _self, sealed, _token: envelopes.append(sealed) or b""
    )
    for _ in range(3):
        box.ask()
        with pytest.raises(ReplyMalformed):
            box.sync()
        box.query("UPDATE batch SET receipt = x'00', sealed = NULL RETURNING 1")  # pretend, to cut the next
    monkeypatch.undo()
    receipts = [
        verify_receipt(region.carry(envelopes[at], box.enrolment.token), region.region.keys.receipts.public)
        for at in (0, 2)
    ]
    line = region.report()["boxes"][0]
    assert (line["missing_batches"], line["remarks"]) == (1, ["gap"])
    late = verify_receipt(region.carry(envelopes[1], box.enrolment.token), region.region.keys.receipts.public)
    assert [receipt.contiguous_high for receipt in (*receipts, late)] == [1, 1, 3]
    assert region.report()["boxes"][0]["missing_batches"] == 0
    assert region.count("question_asked") == 3


class Liar(Line):
    """A line whose answers are made up."""

    def __init__(self, region: RegionSimulator, token: str, answer: Callable[[bytes], bytes]) -> None:
        super().__init__(region, token)
        object.__setattr__(self, "answer", answer)

    def send(self, sealed: bytes, pause: Pause = go_on) -> bytes:
        answer: Callable[[bytes], bytes] = vars(self)["answer"]
        fields = cbor.array(cbor.read(super().send(sealed, pause)))
        fields[3] = [answer(receipt) for receipt in fields[3]]
        return cbor.write(fields)


def test_only_a_receipt_the_region_signed_lets_a_batch_go(box: Box, region: RegionSimulator) -> None:
    box.ask()
    public = region.region.keys.receipts.public

    def resigned(signed: bytes) -> bytes:
        return sign_receipt(verify_receipt(signed, public), SigningKey.from_seed(bytes(32)))

    def flipped(signed: bytes) -> bytes:
        return signed[:-1] + bytes([signed[-1] ^ 1])

    db = client.open_outbox(box.settings)
    for lie in (resigned, flipped):
        with pytest.raises(ReceiptForged):
            client.send_all(db, box.device, box.enrolment, Liar(region, box.enrolment.token, lie))
    db.close()
    assert box.status().sealed_events == 1


def test_receipt_of_another_batch_lets_nothing_go(box: Box, region: RegionSimulator) -> None:
    box.ask()
    box.sync()
    old = region.carry(region.received[0], box.enrolment.token)
    box.ask()
    db = client.open_outbox(box.settings)
    with pytest.raises(ReceiptForAnotherBatch):
        client.send_all(db, box.device, box.enrolment, Liar(region, box.enrolment.token, lambda _signed: old))
    db.close()
    assert box.status().sealed_events == 1


def test_unknown_token_is_refused_and_everything_kept(box: Box, region: RegionSimulator) -> None:
    box.ask()
    for token in ("", "B-00000.guess", box.enrolment.box_label + ".guess", "Bearer", "\u0436"):
        db = client.open_outbox(box.settings)
        with pytest.raises(TokenRefused):
            line = region.line(base64.b64encode(token.encode()).decode() if not token.isascii() else token)
            client.send_all(db, box.device, box.enrolment, line)
        db.close()
    assert box.status().waiting_events == 1
    assert region.report()["events"] == 0


def test_full_disk_is_named_and_loses_nothing(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.ask(times=50)
    real_open = client.open_database

    def open_on_full_disk(path: Path) -> object:
        db = real_open(path)
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    monkeypatch.setattr(client, "open_database", open_on_full_disk)
    with pytest.raises(DiskFull, match="Free some space"):
        for _ in range(200):
            box.ask(times=10)
    with pytest.raises(DiskFull):
        for _ in range(50):
            box.sync()
            box.ask(times=10)
    kept = box.status()
    monkeypatch.undo()
    box.sync()
    assert region.count("question_asked") == (
        kept.waiting_events + kept.sealed_events + kept.receipted_events
    )


def test_region_with_a_full_disk_promises_nothing(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sync.server.storage import sqlite_database

    real_open = sqlite_database.open_database

    def open_on_full_disk(path: Path) -> object:
        db = real_open(path)
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    monkeypatch.setattr(sqlite_database, "open_database", open_on_full_disk)
    box.ask(times=400)
    with pytest.raises(Exception, match="507"):
        box.sync()
    assert region.report()["events"] == 0
    monkeypatch.undo()
    box.sync()
    assert region.count("question_asked") == 400
