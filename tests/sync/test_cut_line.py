"""A line that is cut at any byte: the envelope goes on where it stopped and is stored once."""

from __future__ import annotations

import base64
import hashlib
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sync import cbor, client, outbox
from sync.errors import AnswerUnreadable, DiskFull, RegionUnreachable, TokenRefused
from sync.region_errors import UploadDamaged
from sync.server.arrivals.uploads import MAX_PIECE_BYTES, Uploads
from sync.transport import PIECE_BYTES, HttpTransport
from tests.region_simulator import RegionSimulator
from tests.sync.cast import NOON, Box
from tests.sync.line import CutLine, cut_line

# What a break may cost: the piece that was under way, with its headers, and asking where to go on.
MOST_REPEATED_BYTES = 32_000


@pytest.fixture
def line(region: RegionSimulator) -> Iterator[CutLine]:
    with region.serve() as url, cut_line(url) as line:
        yield line


def sealed_batch(box: Box) -> outbox.SealedBatch:
    db = client.open_outbox(box.settings)
    try:
        client.seal_waiting(db, box.device, box.enrolment)
        batch = outbox.find_oldest_sealed(db)
    finally:
        db.close()
    assert batch is not None
    return batch


def large(box: Box, monkeypatch: pytest.MonkeyPatch, size: int = 100_000) -> bytes:
    """Seal a batch as large as a hostile padding makes it: honest ones of this size need a school year."""
    monkeypatch.setattr("sync.envelope.LEAST_PADDED_BYTES", size)
    box.ask(times=20)
    return sealed_batch(box).sealed


def test_every_byte_of_a_small_envelope_may_be_the_last(
    box: Box, region: RegionSimulator, line: CutLine
) -> None:
    box.ask()
    sealed = sealed_batch(box).sealed
    wire = HttpTransport(line.url, box.enrolment.token)
    for at in range(request_bytes(line, box, sealed)):
        line.cut_after(up=at)
        with pytest.raises(RegionUnreachable):
            wire.send(sealed)
    assert region.report()["events"] == 0
    line.mend()
    reply = wire.send(sealed)
    assert region.count("question_asked") == 1
    for at in range(line.down):
        line.cut_after(down=at)
        with pytest.raises((RegionUnreachable, AnswerUnreadable)):
            wire.send(sealed)
    line.mend()
    again = wire.send(sealed)
    assert cbor.array(cbor.read(again))[3] == cbor.array(cbor.read(reply))[3]
    assert region.count("question_asked") == 1


def request_bytes(line: CutLine, box: Box, sealed: bytes) -> int:
    """Count the bytes of the request with a token of the same length that the region refuses."""
    line.mend()
    with pytest.raises(TokenRefused):
        HttpTransport(line.url, "B-00000" + box.enrolment.token[7:]).send(sealed)
    return line.up


def test_large_envelope_cut_at_random_bytes_repeats_little_and_arrives_once(
    box: Box, region: RegionSimulator, line: CutLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    sealed = large(box, monkeypatch)
    with HttpTransport(line.url, box.enrolment.token) as wire:
        for _ in range(3):
            cuts, sent = 0, 0
            while True:
                limit = chance.randrange(1, 60_000)
                if chance.random() < 0.3:
                    line.cut_after(down=chance.randrange(1, 1_000))
                else:
                    line.cut_after(up=limit)
                try:
                    wire.send(sealed)
                except RegionUnreachable:
                    cuts, sent = cuts + 1, sent + line.up
                    continue
                sent += line.up
                break
            assert sent <= len(sealed) + 2_000 + cuts * MOST_REPEATED_BYTES, cuts
    assert region.report()["events"] == 20


def test_cut_after_every_piece_still_brings_it_forward(
    box: Box, region: RegionSimulator, line: CutLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = large(box, monkeypatch)
    tries = 0
    while True:
        tries += 1
        line.cut_after(up=PIECE_BYTES + 1_500)
        try:
            HttpTransport(line.url, box.enrolment.token).send(sealed)
        except RegionUnreachable:
            continue
        break
    assert tries <= len(sealed) // PIECE_BYTES + 2
    assert region.report()["events"] == 20


def test_nothing_to_send_costs_one_request_and_less_than_a_kilobyte(box: Box, line: CutLine) -> None:
    db = client.open_outbox(box.settings)
    line.mend()
    with HttpTransport(line.url, box.enrolment.token) as wire:
        report = client.send_all(db, box.device, box.enrolment, wire)
    db.close()
    assert (report.batches, line.connections) == (0, 1)
    assert 0 < line.up + line.down <= 1_000


def test_batches_of_a_run_share_one_connection(
    box: Box, line: CutLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_EVENTS", 2)
    box.ask(times=10)
    db = client.open_outbox(box.settings)
    line.mend()
    with HttpTransport(line.url, box.enrolment.token) as wire:
        assert client.send_all(db, box.device, box.enrolment, wire).batches == 5
    db.close()
    assert line.connections == 1


def test_run_may_pause_between_pieces_and_goes_on_later(
    box: Box, line: CutLine, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = large(box, monkeypatch)
    pauses = 0

    class Enough(Exception):
        pass

    def pause() -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            raise Enough

    wire = HttpTransport(line.url, box.enrolment.token)
    with pytest.raises(Enough):
        wire.send(sealed, pause)
    line.mend()
    wire.send(sealed, pause)
    assert line.up <= len(sealed) - 2 * PIECE_BYTES + 3_000
    assert region.report()["events"] == 20


# The region's side -----------------------------------------------------------------------


def headers(box: Box, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {box.enrolment.token}"} | {
        name.replace("_", "-"): value for name, value in more.items()
    }


def begin(region: RegionSimulator, box: Box, sealed: bytes) -> str:
    digest = base64.b64encode(hashlib.sha256(sealed).digest()).decode()
    answer = region.http.post(
        "/v1/uploads",
        headers=headers(box, Upload_Length=str(len(sealed)), Repr_Digest=f"sha-256=:{digest}:"),
    )
    assert answer.status_code == 201
    return answer.headers["Location"]


def test_head_says_where_to_go_on_and_a_wrong_offset_is_corrected(box: Box, region: RegionSimulator) -> None:
    sealed = bytes(40_000)
    place = begin(region, box, sealed)
    piece = headers(box, Upload_Offset="0")
    assert region.http.patch(place, data=sealed[:16_000], headers=piece).headers["Upload-Offset"] == "16000"
    told = region.http.head(place, headers=headers(box))
    assert (told.status_code, told.headers["Upload-Offset"], told.headers["Upload-Length"]) == (
        204,
        "16000",
        "40000",
    )
    again = region.http.patch(place, data=sealed[:16_000], headers=piece)
    assert (again.status_code, again.headers["Upload-Offset"]) == (409, "16000")
    assert again.get_json()["code"] == "upload_offset_wrong"
    assert begin(region, box, sealed) == place  # begun again it is where it was


def test_pieces_out_of_form_are_refused(box: Box, region: RegionSimulator) -> None:
    sealed = bytes(40_000)
    place = begin(region, box, sealed)
    offset = headers(box, Upload_Offset="0")
    too_large = region.http.patch(place, data=bytes(MAX_PIECE_BYTES + 1), headers=offset)
    assert (too_large.status_code, too_large.get_json()["code"]) == (413, "envelope_oversized")
    assert region.http.patch(place, data=b"x", headers=headers(box)).status_code == 400
    for number in ("-1", "1e3", "9" * 12, "٣"):
        answer = region.http.patch(
            place, data=b"x", headers=headers(box) | {"Upload-Offset": number.encode().decode("latin-1")}
        )
        assert answer.status_code == 400, number
    assert region.http.patch("/v1/uploads/../x", data=b"x", headers=offset).status_code == 404
    assert region.http.patch("/v1/uploads/" + "0" * 64, data=b"x", headers=offset).status_code == 404
    assert region.http.head(place).status_code == 401
    huge = region.http.post(
        "/v1/uploads",
        headers=headers(box, Upload_Length="999999999", Repr_Digest=f"sha-256=:{'A' * 43}=:"),
    )
    assert huge.get_json()["code"] == "envelope_oversized"


def test_another_box_sees_nothing_of_an_upload(box: Box, region: RegionSimulator, make_box: object) -> None:
    place = begin(region, box, bytes(20_000))
    other = make_box("other")  # type: ignore[operator]
    assert region.http.head(place, headers=headers(other)).status_code == 404


def test_pieces_that_make_another_whole_are_thrown_away(box: Box, region: RegionSimulator) -> None:
    place = begin(region, box, bytes(16_001))
    for offset, piece in ((0, bytes(16_000)), (16_000, b"x")):
        answer = region.http.patch(place, data=piece, headers=headers(box, Upload_Offset=str(offset)))
    assert (answer.status_code, answer.get_json()["code"]) == (400, "upload_damaged")
    assert region.http.head(place, headers=headers(box)).status_code == 404


def test_refused_envelope_leaves_no_piece_behind(box: Box, region: RegionSimulator) -> None:
    place = begin(region, box, bytes(100))
    answer = region.http.patch(place, data=bytes(100), headers=headers(box, Upload_Offset="0"))
    assert answer.get_json()["code"] == "envelope_malformed"
    assert not list((region.settings.folder / "uploads").rglob("*.part"))


def test_unfinished_uploads_are_bounded_and_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(tmp_path)
    for number in range(10):
        uploads.begin("B-AAAAA", bytes([number]) * 32, 1_000, NOON)
    assert len(list(tmp_path.rglob("*.part"))) == 4
    monkeypatch.setattr("sync.server.arrivals.uploads.MAX_BYTES_IN_ALL", 5_000)
    uploads.begin("B-BBBBB", bytes(32), 1_000, NOON)
    with pytest.raises(Exception, match="too many unfinished"):
        uploads.begin("B-CCCCC", bytes(32), 1_000, NOON)
    for path in tmp_path.rglob("*.part"):
        os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    later = NOON + timedelta(days=15)
    uploads.begin("B-CCCCC", bytes(32), 1_000, later)
    assert len(list(tmp_path.rglob("*.part"))) == 1


def test_piece_is_on_the_disk_before_its_offset_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = Uploads(tmp_path)
    uploads.begin("B-AAAAA", bytes(32), 1_000, NOON)

    def fail(_descriptor: int) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("sync.server.arrivals.uploads.os.fsync", fail)
    with pytest.raises(DiskFull):
        uploads.append("B-AAAAA", bytes(32), 0, b"x" * 500)
    assert uploads.offset("B-AAAAA", bytes(32)) == (0, 1_000)
    monkeypatch.undo()
    assert uploads.append("B-AAAAA", bytes(32), 0, b"x" * 500).offset == 500
    with pytest.raises(UploadDamaged):
        uploads.append("B-AAAAA", bytes(32), 500, b"x" * 500)
