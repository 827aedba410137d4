"""Each bad envelope is refused for its own reason, and nothing of it is stored."""

from __future__ import annotations

import hashlib
import secrets
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest

from sync import cbor, envelope
from sync.anonymise import LeavingRow
from sync.batch import KINDS, MAX_EVENTS, Batch, pack_rows, unpack_rows
from sync.envelope import Recipient, open_envelope, seal, verify_sender
from sync.errors import (
    BatchFork,
    BatchMalformed,
    BatchOversized,
    EnvelopeAltered,
    EnvelopeMalformed,
    EnvelopeOversized,
    EnvelopeTruncated,
    ForgedSignature,
    RegionRefused,
    SyncError,
    UnknownColumn,
    UnknownSuite,
    UnknownVersion,
    WrongRecipient,
)
from sync.keys import OpeningKey, SigningKey
from sync.region_errors import UnknownBox
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

DEVICE = SigningKey.from_seed(bytes(32))
OTHER_DEVICE = SigningKey.from_seed(bytes(31) + b"\1")
OPENING = OpeningKey.from_seed(bytes(96))
OTHER_OPENING = OpeningKey.from_seed(bytes(95) + b"\1")
REGION_ID = bytes(16)
ROW = LeavingRow("question_asked", 0, date(2026, 9, 1), {"language": "kk", "characters": 5})
BATCH = Batch(DEVICE.kid, bytes(8), 1, bytes(32), 1, 1, 1, pack_rows([ROW]))


def sealed(batch: Batch = BATCH, device: SigningKey = DEVICE, public: bytes = OPENING.public) -> bytes:
    return seal(
        batch,
        device,
        Recipient(REGION_ID, public),
        blob_id=secrets.token_bytes(16),
        content_key=secrets.token_bytes(32),
    )


def read(blob: bytes) -> Batch:
    return verify_sender(open_envelope(blob, OPENING, REGION_ID), DEVICE.public)


def with_header(change: Callable[[list[object]], None], blob: bytes | None = None) -> bytes:
    magic, header, sections = cbor.array(cbor.read(blob or sealed()))
    fields = cbor.array(cbor.read(header))
    change(fields)
    return cbor.write([magic, cbor.write(fields), sections])


def test_honest_envelope_is_read() -> None:
    assert read(sealed()) == BATCH


def test_every_truncation_is_refused_as_truncated() -> None:
    blob = sealed()
    for length in [*range(64), *range(64, len(blob), 37), len(blob) - 1]:
        with pytest.raises(EnvelopeTruncated):
            read(blob[:length])


def test_every_flipped_bit_is_refused() -> None:
    blob = sealed()
    for at in [*range(120), *range(120, len(blob), 41)]:
        for bit in range(8):
            flipped = bytearray(blob)
            flipped[at] ^= 1 << bit
            with pytest.raises(SyncError):
                read(bytes(flipped))


def test_bit_flipped_in_either_sealed_part_is_an_alteration() -> None:
    for part in (0, 1):
        for at in (0, -1):
            magic, header, sections = cbor.array(cbor.read(sealed()))
            piece = bytearray(sections[0][part])
            piece[at] ^= 1
            sections[0][part] = bytes(piece)
            with pytest.raises(EnvelopeAltered):
                read(cbor.write([magic, header, sections]))


def test_wrong_recipient_is_named() -> None:
    with pytest.raises(WrongRecipient):
        read(sealed(public=OTHER_OPENING.public))
    with pytest.raises(WrongRecipient):
        open_envelope(sealed(), OPENING, b"another region!!")


def test_envelope_readdressed_by_its_reader_is_refused() -> None:
    """A region that opens an envelope cannot seal the same signed text to another region."""
    blob = sealed(public=OTHER_OPENING.public)
    opened = open_envelope(blob, OTHER_OPENING, REGION_ID)
    key, blob_id = bytes(32), opened.blob_id
    commit = hashlib.sha256(b"sb1-commit" + key).digest()
    header = cbor.write([1, 1, REGION_ID, blob_id, [["R", OPENING.kid, commit]]])
    cap = envelope._HPKE.encrypt(
        key, envelope.sealing_key(OPENING.public), info=envelope._wrap_info(header, OPENING.kid)
    )
    plain = envelope.pad(opened._body + opened._signature)
    section = envelope.ChaCha20Poly1305(key).encrypt(bytes(12), plain, header)
    with pytest.raises(ForgedSignature):
        read(cbor.write(["SB1", header, [[cap, section]]]))


@pytest.mark.parametrize("roles", [["N"], ["N", "R"], ["R", "R"], ["R", "X"], ["R", "N", "N"], []])
def test_recipients_in_other_roles_are_refused(roles: list[str]) -> None:
    """A second section of an unknown role would be bytes that nobody can check."""
    magic, header, (section,) = cbor.read(sealed())  # type: ignore[misc]
    *rest, [[_, kid, commit]] = cbor.read(header)  # type: ignore[misc]
    listed = [
        [role, kid if at == 0 else bytes([at]) * 8, commit if at == 0 else bytes(32)]
        for at, role in enumerate(roles)
    ]
    blob = cbor.write([magic, cbor.write([*rest, listed]), [section] * len(roles)])
    with pytest.raises(EnvelopeMalformed):
        read(blob)


def test_signature_of_another_key_is_forged() -> None:
    with pytest.raises(ForgedSignature):
        read(sealed(device=OTHER_DEVICE))  # claims DEVICE's kid, signed by another
    with pytest.raises(ForgedSignature):
        read(sealed(replace(BATCH, box_kid=OTHER_DEVICE.kid), device=OTHER_DEVICE))


def test_unknown_version_and_suite_are_named() -> None:
    with pytest.raises(UnknownVersion):
        read(with_header(lambda fields: fields.__setitem__(0, 2)))
    with pytest.raises(UnknownSuite):
        read(with_header(lambda fields: fields.__setitem__(1, 0x20)))


def test_changed_header_is_an_alteration() -> None:
    with pytest.raises(EnvelopeAltered):
        read(with_header(lambda fields: fields.__setitem__(3, b"another blob id!")))


def test_content_key_that_does_not_match_its_commit_is_refused() -> None:
    def change(fields: list[object]) -> None:
        recipients = cbor.array(fields[4])
        recipients[0][2] = bytes(32)

    with pytest.raises(EnvelopeAltered):
        read(with_header(change))


def test_oversized_envelope_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(EnvelopeOversized):
        read(bytes(envelope.MAX_ENVELOPE_BYTES + 1))


@pytest.mark.parametrize(
    "blob",
    [
        b"hello",
        cbor.write(["SB2", b"", []]),
        cbor.write({"SB1": 1}),
        cbor.write(["SB1", b"\x80\x80", []]),
        cbor.write(["SB1", 5, []]),
        sealed() + b"\0",
        b"\xd9\xd9\xf7" + sealed(),
        b"\xc0\x60",
        b"\x9f\xff",
    ],
)
def test_what_is_no_envelope_is_malformed(blob: bytes) -> None:
    with pytest.raises((EnvelopeMalformed, UnknownVersion)):
        read(blob)


def test_other_padding_than_ours_is_refused() -> None:
    padded = envelope.pad(bytes(100))
    for bad in (padded + bytes(8), padded[:-1] + b"\1", padded[:200], bytes(256), b"", b"\0\0\0"):
        with pytest.raises(EnvelopeMalformed):
            envelope.unpad(bad)


# The batch inside


def packed(record: object) -> bytes:
    return zstd.compress(cbor.write(record))


def columns(**more: object) -> list[object]:
    return [1, 1, 20000, {"kind": [["question_asked"], [0]], "session": [0], "day": [0], **more}]


def second(**more: object) -> list[object]:
    """The same in version 2, where kind, session and day may be nothing."""
    return [2, *columns(**more)[1:]]


def test_version_two_may_say_nothing_of_kind_session_and_day() -> None:
    (row,) = unpack_rows(packed([2, 1, 0, {}]))
    assert row == LeavingRow(None, None, None, {})
    (monday,) = unpack_rows(packed([2, 1, 20003, {"day": [0], "span": [1]}]))
    assert monday.as_record() == {"week": "2024-10-07"}
    (first,) = unpack_rows(packed([2, 1, 19997, {"day": [0], "span": [2]}]))
    assert first.as_record() == {"month": "2024-10-01"}


def test_zip_bomb_is_refused_without_unpacking_it() -> None:
    bomb = zstd.compress(bytes(200_000_000))
    assert len(bomb) < 20_000
    with pytest.raises((BatchOversized, BatchMalformed)):
        unpack_rows(bomb)
    # The same with a window small enough to pass, so that only our limit stops it.
    small_window = {zstd.CompressionParameter.window_log: 17}
    with pytest.raises(BatchOversized):
        unpack_rows(zstd.compress(bytes(20_000_000), options=small_window))


def test_too_many_rows_are_refused() -> None:
    count = MAX_EVENTS + 1
    kinds = [["session_closed"], [0] * count]
    with pytest.raises(BatchOversized):
        unpack_rows(packed([1, count, 20000, {"kind": kinds, "session": [0] * count, "day": [0] * count}]))


def test_column_that_may_not_leave_is_refused() -> None:
    for column in ("learner_name", "text", "school_class", "iin", "model"):
        with pytest.raises(UnknownColumn):
            unpack_rows(packed(columns(**{column: [["Aigerim"], [0]]})))
    for record in (columns(span=[1]), second(kind=[["session_closed"], [None]], characters=[3])):
        with pytest.raises(UnknownColumn):  # version 1 knew days only; a row of no kind has no fields
            unpack_rows(packed(record))
    with pytest.raises(UnknownColumn):
        unpack_rows(packed(columns(grade=[7])))  # a question has no grade of its own


@pytest.mark.parametrize(
    "record",
    [
        columns(language=[["Aigerim"], [0]]),
        columns(language=[["ru", "kk"], [0]]),
        columns(language=[["kk"], [1]]),
        columns(language=[["kk"], [True]]),
        columns(characters=[18]),
        columns(characters=[-1]),
        columns(characters=[1.5]),
        columns(characters=[1, 2]),
        columns(session=[1]),
        columns(day=[10_000_000]),
        columns(kind=[["learner_sneezed"], [0]]),
        columns(kind=[[], [None]]),
        [3, *columns()[1:]],
        second(session=[1]),
        second(span=[1]),  # 2024-10-04 is no Monday
        second(span=[2]),  # and no first of a month
        second(span=[3]),
        second(day=[None], span=[1]),
        [1, 0, 20000, {}],
        [1, 1, 2**62, columns()[3]],
        [1, 1, 20000, []],
        [],
        "rows",
    ],
)
def test_rows_in_another_form_are_refused(record: object) -> None:
    with pytest.raises(BatchMalformed):
        unpack_rows(packed(record))


def test_payload_that_is_no_single_frame_is_refused() -> None:
    whole = pack_rows([ROW])
    for bad in (b"", b"zstd", whole[:-1], whole + whole, whole + b"\0"):
        with pytest.raises(BatchMalformed):
            unpack_rows(bad)


# At the region's door


def with_last_byte_flipped(sealed: bytes) -> bytes:
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


def test_region_stores_nothing_of_what_it_refuses(box: Box, region: RegionSimulator) -> None:
    """One honest batch, sealed badly in many ways and sent with a good token."""
    target = box.enrolment.recipient
    honest = Batch(box.device.kid, bytes(8), 1, bytes(32), 1, 1, 1, pack_rows([ROW]))

    def made(batch: Batch = honest, device: SigningKey = box.device, to: Recipient = target) -> bytes:
        return seal(batch, device, to, blob_id=bytes(16), content_key=secrets.token_bytes(32))

    bomb = zstd.compress(bytes(20_000_000), options={zstd.CompressionParameter.window_log: 17})
    bad = {
        "envelope_truncated": made()[:-1],
        "envelope_malformed": b"\xff" + made(),
        "envelope_wrong_recipient": made(to=Recipient(target.region_id, OTHER_OPENING.public)),
        "envelope_forged": made(device=OTHER_DEVICE),
        "envelope_unknown_box": made(replace(honest, box_kid=OTHER_DEVICE.kid), OTHER_DEVICE),
        "envelope_altered": with_last_byte_flipped(made()),
        "envelope_unknown_suite": with_header(lambda fields: fields.__setitem__(1, 9), made()),
        "envelope_oversized": bytes(envelope.MAX_ENVELOPE_BYTES + 1),
        "batch_oversized": made(replace(honest, payload=bomb)),
        "batch_malformed": made(replace(honest, hi=2)),
        "batch_unknown_column": made(replace(honest, payload=packed(columns(text=[["secret"], [0]])))),
    }
    for key, blob in bad.items():
        answer = region.http.post(
            "/v1/batches", data=blob, headers={"Authorization": f"Bearer {box.enrolment.token}"}
        )
        assert answer.get_json()["code"] == key
        assert answer.mimetype == "application/problem+json"
    assert region.report()["events"] == 0
    assert region.report()["batches"] == 0


def test_envelope_of_one_box_does_not_pass_with_the_token_of_another(
    make_box: Callable[[str], Box], region: RegionSimulator
) -> None:
    dana, erlan = make_box("dana"), make_box("erlan")
    dana.ask()
    dana.sync()
    with pytest.raises((RegionRefused, UnknownBox)):
        region.carry(region.received[0], erlan.enrolment.token)
    assert region.count("question_asked") == 1


def test_same_number_with_other_bytes_is_a_fork(box: Box, region: RegionSimulator) -> None:
    box.ask()
    box.sync()
    stored = region.open(region.received[0], box.device.public)
    again = seal(
        stored,
        box.device,
        box.enrolment.recipient,
        blob_id=bytes(16),
        content_key=secrets.token_bytes(32),
    )
    with pytest.raises(BatchFork):
        region.carry(again, box.enrolment.token)
    assert region.count("question_asked") == 1


def test_every_kind_survives_packing() -> None:
    rows = tuple(LeavingRow(kind, at, date(2026, 9, 1 + at), {}) for at, kind in enumerate(sorted(KINDS)))
    assert unpack_rows(pack_rows(rows)) == rows
