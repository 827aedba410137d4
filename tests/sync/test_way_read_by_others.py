"""What lies beside the envelopes, read with docs/envelope.md in hand and without our own readers."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from sync import client, stick_book, usb
from sync.server.arrivals import sticks
from sync.server.desk import orders
from sync.server.storage.store import open_store
from sync.server.upkeep import key_life
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def framed(padded: bytes) -> bytes:
    """Section 2: length in four bytes, content, zeros."""
    length = int.from_bytes(padded[:4], "big")
    assert set(padded[4 + length :]) <= {0}
    return padded[4 : 4 + length]


@pytest.fixture
def stick(box: Box, region: RegionSimulator, tmp_path: Path) -> Path:
    """A stick that was at the school and at the region, which has given an order and a list of keys."""
    folder = tmp_path / "stick"
    folder.mkdir()
    box.ask(times=3)
    usb.visit(box.settings, folder)
    store = open_store(region.region.database)
    orders.publish(region.region, store, region.time, changes={"stop": True}, limits={"rate_kbit": 20})
    key_life.publish(region.region, store, datetime(2026, 12, 1, tzinfo=UTC))
    sticks.import_stick(store, region.region, folder, region.time)
    store.close()
    return folder / "SANDYQ"


def only(stick: Path, ending: str) -> bytes:
    (path,) = stick.glob(f"*.{ending}")
    return path.read_bytes()


def test_order_is_what_section_8_says(box: Box, region: RegionSimulator, stick: Path) -> None:
    signed, signature = cbor2.loads(only(stick, "sbp"))
    verify(box.enrolment.policy_public, signature, b"sandyq/sb1/policy" + signed)
    version, region_id, number, issued, expires, stop, numbers, retention, receipts = cbor2.loads(signed)
    assert (version, region_id, number, stop, expires) == (1, region.region.id, 1, True, None)
    assert issued == int(region.time.timestamp())
    assert (len(numbers), numbers[4], retention, receipts) == (8, 20, 400, 400)
    verify(
        box.enrolment.receipt_public,
        box.enrolment.policy_proof,
        b"sandyq/region/policy-key/1" + region_id + box.enrolment.policy_public,
    )


def test_list_of_keys_is_what_section_8_says(box: Box, region: RegionSimulator, stick: Path) -> None:
    signed, signature = cbor2.loads(only(stick, "sbk"))
    verify(box.enrolment.policy_public, signature, b"sandyq/sb1/keys" + signed)
    version, region_id, number, listed = cbor2.loads(signed)
    assert (version, region_id, number) == (1, region.region.id, 1)
    own = [entry for entry in listed if entry[0] == "R"]
    assert len(own) == 6
    assert [len(public) for _, _, public in listed] == [1216] * len(listed)


def test_call_and_reply_are_what_sections_9_and_10_say(
    box: Box, region: RegionSimulator, stick: Path
) -> None:
    magic, header, sealed = cbor2.loads(only(stick, "sbq"))
    version, suite, region_id, kid = cbor2.loads(header)
    opening = region.region.keys.opening
    assert (magic, version, suite, region_id, kid) == ("SQ1", 1, 1, region.region.id, opening.kid)
    hpke = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    digest = hashlib.sha256(header).digest()
    plain = framed(hpke.decrypt(sealed, opening.private, info=b"sandyq/sb1/call" + digest))
    body, signature = plain[:-64], plain[-64:]
    verify(
        box.device.public,
        signature,
        b"sandyq/sb1/call-sig" + digest + hashlib.sha256(body).digest(),
    )
    box_kid, reply_key, question = cbor2.loads(body)
    assert box_kid == hashlib.sha256(box.device.public).digest()[:8]
    _, epoch, next_seq, oldest_seq, order, keys, nonce = cbor2.loads(question)
    assert (next_seq, oldest_seq, order, keys, len(nonce)) == (2, 1, 0, 0, 8)

    blob = only(stick, "sbr")
    told = framed(ChaCha20Poly1305(reply_key).decrypt(blob[:12], blob[12:], b"sandyq/sb1/stick-reply"))
    magic, notice, signature, receipts, policy = cbor2.loads(told)
    verify(box.enrolment.receipt_public, signature, b"sandyq/sb1/notice" + notice)
    assert magic == "SR1"
    assert policy == only(stick, "sbp")
    assert len(receipts) == 1
    version, kid, _server_time, asked, high, listed, _nonce = cbor2.loads(notice)
    assert (version, kid, asked, high, listed) == (1, box_kid, epoch, 1, 1)
    signed, signature = cbor2.loads(receipts[0])
    verify(box.enrolment.receipt_public, signature, b"sandyq/sb1/receipt" + signed)
    db = client.open_outbox(box.settings)
    assert reply_key in [call.reply_key for call in stick_book.waiting_calls(db)]
    db.close()
