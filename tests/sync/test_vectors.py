"""Our reader and a reader written from the page agree on every vector."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from sync.batch import MAX_EVENTS, MAX_UNPACKED_BYTES, unpack_rows
from sync.enrolment_code import make_code, read_code
from sync.envelope import (
    MAX_ENVELOPE_BYTES,
    open_envelope,
    open_nation_letter,
    pad,
    padded_length,
    unpad,
    verify_sender,
)
from sync.errors import WrongRecipient
from sync.event import KINDS, Stays
from sync.keys import OpeningKey, SigningKey, region_fingerprint
from sync.nation import MAX_SECTION_BYTES, MOST_COUNT, SCALE, read_section
from sync.receipt import sign_receipt, verify_receipt
from tests.sync import second_reader

ROOT = Path(__file__).parents[2]
# What boxes sent before there were lanes, and what they send now.
VECTORS: dict[str, Any] = json.loads((ROOT / "tests/vectors/sb1.json").read_text())
LANES: dict[str, Any] = json.loads((ROOT / "tests/vectors/sb1_lanes.json").read_text())
ENVELOPES = [*VECTORS["envelopes"], *LANES["envelopes"]]


def octets(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


def test_keys_of_the_vectors_are_what_the_page_says() -> None:
    assert SigningKey.from_seed(octets("device_seed")).public == octets("device_public")
    assert OpeningKey.from_seed(octets("opening_seed")).public == octets("opening_public")


@pytest.mark.parametrize("vector", ENVELOPES)
def test_product_opens_the_vector(vector: dict[str, Any]) -> None:
    opening = OpeningKey.from_seed(octets("opening_seed"))
    opened = open_envelope(bytes.fromhex(vector["envelope"]), opening, octets("region_id"))
    batch = verify_sender(opened, octets("device_public"))
    assert batch.to_bytes().hex() == vector["body"]
    assert [row.as_record() for row in unpack_rows(batch.payload)] == vector["rows"]


@pytest.mark.parametrize("vector", ENVELOPES)
def test_second_reader_opens_the_vector(vector: dict[str, Any]) -> None:
    envelope = bytes.fromhex(vector["envelope"])
    letter = second_reader.open_envelope(envelope, octets("opening_seed"), octets("device_public"))
    assert letter.body_bytes.hex() == vector["body"]
    assert letter.rows == vector["rows"]
    assert letter.body[6] == len(vector["rows"])
    assert hashlib.sha256(envelope).hexdigest() == vector["sha256"]


@pytest.mark.parametrize("vector", ENVELOPES)
def test_both_readers_read_the_receipt(vector: dict[str, Any]) -> None:
    signed = bytes.fromhex(vector["receipt"])
    fields = second_reader.read_receipt(signed, octets("receipt_public"))
    receipt = verify_receipt(signed, octets("receipt_public"))
    assert fields[2] == receipt.sha256 == bytes.fromhex(vector["sha256"])
    assert fields[8] == int(receipt.server_time.timestamp())
    # Ed25519 is deterministic: the same promise has the same bytes.
    assert sign_receipt(receipt, SigningKey.from_seed(octets("receipt_seed"))) == signed


@pytest.mark.parametrize("vectors", [VECTORS, LANES])
def test_batches_of_the_vectors_are_chained(vectors: dict[str, Any]) -> None:
    envelopes = [bytes.fromhex(vector["envelope"]) for vector in vectors["envelopes"]]
    for before, after in itertools.pairwise(envelopes):
        letter = second_reader.open_envelope(after, octets("opening_seed"), octets("device_public"))
        assert letter.body[3] == hashlib.sha256(before).digest()


def test_both_readers_open_the_nations_section_and_the_region_cannot() -> None:
    nation = OpeningKey.from_seed(bytes.fromhex(LANES["nation_seed"]))
    region = OpeningKey.from_seed(octets("opening_seed"))
    told = 0
    for vector in ENVELOPES:
        envelope = bytes.fromhex(vector["envelope"])
        letter = open_envelope(envelope, region, octets("region_id")).nation
        second = second_reader.open_envelope(envelope, octets("opening_seed"), octets("device_public"))
        assert (letter.to_bytes() if letter else None) == second.nation_letter
        if letter is None:
            assert not vector.get("nation")
            continue
        told += 1
        assert read_section(open_nation_letter(letter.to_bytes(), nation)).as_record() == vector["nation"]
        assert second_reader.open_nation_letter(letter.to_bytes(), nation_seed()) == vector["nation"]
        with pytest.raises(WrongRecipient):
            open_nation_letter(letter.to_bytes(), region)
        with pytest.raises(WrongRecipient):
            open_envelope(envelope, nation, octets("region_id"))
    assert told == 2


def nation_seed() -> bytes:
    return bytes.fromhex(LANES["nation_seed"])


def test_padding_is_what_the_page_says() -> None:
    for size, length in VECTORS["padded_length"].items():
        assert padded_length(int(size)) == second_reader.padded_length(int(size)) == length
    assert pad(b"sandyq").hex() == VECTORS["padded"]["padded"]
    plain = bytes(range(100))
    assert unpad(pad(plain)) == plain


def test_code_carries_the_mark_of_the_region() -> None:
    vector = VECTORS["enrolment_code"]
    fingerprint = region_fingerprint(octets("opening_public"), octets("receipt_public"))
    code = make_code(bytes.fromhex(vector["secret"]), fingerprint)
    assert str(code) == vector["code"]
    typed = vector["code"].lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert read_code(typed) == code


def test_page_names_every_column_and_limit() -> None:
    page = (ROOT / "docs/envelope.md").read_text()
    for kind in KINDS.values():
        for name, rule in kind.fields.items():
            assert isinstance(rule, Stays) or f"| `{name}` |" in page
    for limit in (MAX_EVENTS, MAX_UNPACKED_BYTES, MAX_ENVELOPE_BYTES, MAX_SECTION_BYTES, MOST_COUNT):
        assert f"{limit:,}" in page
    assert f"noise of scale {SCALE}" in page
