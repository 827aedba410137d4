"""Forged, truncated, replayed, re-signed, misaddressed, in a wrong epoch, too large: each by its own name.

Every envelope is sent with a good token to a real region, and the whole database is compared.
"""

from __future__ import annotations

import re
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sync.batch import Batch, pack_rows
from sync.envelope import MAX_ENVELOPE_BYTES, Recipient, seal
from sync.errors import WrongEpoch
from sync.keys import OpeningKey, SigningKey
from sync.server.arrivals import sticks
from sync.stick_folder import FOLDER
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.test_envelope_refusals import ROW

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

STRANGER = SigningKey.from_seed(bytes(31) + b"\7")
OTHER_REGION = OpeningKey.from_seed(bytes(95) + b"\7")
PIECE = {zstd.CompressionParameter.window_log: 17}  # small enough that only our limit stops it


@dataclass
class Scene:
    """Dana's box has sent its first batch; Erlan's is enrolled and has sent nothing."""

    dana: Box
    erlan: Box
    region: RegionSimulator
    sent: bytes
    batch: Batch

    def sealed(self, batch: Batch, device: SigningKey | None = None, to: Recipient | None = None) -> bytes:
        return seal(
            batch,
            device or self.dana.device,
            to or self.dana.enrolment.recipient,
            blob_id=secrets.token_bytes(16),
            content_key=secrets.token_bytes(32),
        )

    @property
    def next(self) -> Batch:
        """What Dana's box would honestly send next."""
        stored, at = self.batch, self.batch.hi + 1
        return replace(stored, seq=2, previous_sha256=bytes([1]) * 32, lo=at, hi=at, payload=pack_rows([ROW]))

    def dump(self) -> dict[str, list[tuple[object, ...]]]:
        """Return every row of every table of the region."""
        db = sqlite3.connect(self.region.region.database.removeprefix("sqlite:///"))
        try:
            names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: sorted(db.execute(f"SELECT * FROM {name}"), key=str) for name in names}
        finally:
            db.close()

    def refusal(self, blob: bytes, token: str) -> tuple[int, str]:
        answer = self.region.http.post(
            "/v1/batches", data=blob, headers={"Authorization": f"Bearer {token}", "Accept-Language": "kk"}
        )
        assert answer.mimetype == "application/problem+json"
        problem = answer.get_json()
        assert problem["status"] == answer.status_code
        # What happened and what to do, both in the reader's language.
        assert problem["detail"].startswith(problem["title"])
        assert len(problem["detail"]) > len(problem["title"]) + 20
        assert not re.search("[A-Za-z]{3}", problem["detail"])
        return answer.status_code, problem["code"]


@pytest.fixture
def scene(make_box: Callable[[str], Box], region: RegionSimulator) -> Scene:
    dana, erlan = make_box("dana"), make_box("erlan")
    dana.ask()
    dana.sync()
    sent = region.received[0]
    return Scene(dana, erlan, region, sent, region.open(sent, dana.device.public))


Made = Callable[[Scene], bytes]


def dana_sends(make: Made) -> Callable[[Scene], tuple[bytes, str]]:
    return lambda scene: (make(scene), scene.dana.enrolment.token)


def erlan_sends(make: Made) -> Callable[[Scene], tuple[bytes, str]]:
    return lambda scene: (make(scene), scene.erlan.enrolment.token)


def bomb(scene: Scene) -> bytes:
    return scene.sealed(replace(scene.next, payload=zstd.compress(bytes(20_000_000), options=PIECE)))


def copied_card(scene: Scene) -> bytes:
    """Erlan's machine runs a copy of Dana's card under keys of its own: the same history, signed by it."""
    return scene.sealed(replace(scene.batch, box_kid=scene.erlan.device.kid), scene.erlan.device)


REFUSALS: dict[str, tuple[int, str, Callable[[Scene], tuple[bytes, str]]]] = {
    "forged": (400, "envelope_forged", dana_sends(lambda s: s.sealed(s.next, STRANGER))),
    "forged, brought by another box": (
        400,
        "envelope_forged",
        erlan_sends(lambda s: s.sealed(s.next, STRANGER)),
    ),
    "truncated": (400, "envelope_truncated", dana_sends(lambda s: s.sealed(s.next)[:-1])),
    "replayed by another box": (403, "envelope_replayed", erlan_sends(lambda s: s.sent)),
    "caught on the way and sent by another box": (
        403,
        "envelope_replayed",
        erlan_sends(lambda s: s.sealed(s.next)),
    ),
    "re-signed": (403, "envelope_resigned", erlan_sends(lambda s: s.sealed(s.batch, s.erlan.device))),
    "another region's": (
        400,
        "envelope_wrong_recipient",
        dana_sends(
            lambda s: s.sealed(
                s.next, to=replace(s.dana.enrolment.recipient, sealing_public=OTHER_REGION.public)
            )
        ),
    ),
    "addressed to another region": (
        400,
        "envelope_wrong_recipient",
        dana_sends(lambda s: s.sealed(s.next, to=replace(s.dana.enrolment.recipient, region_id=bytes(16)))),
    ),
    "epoch that begins in the middle": (
        409,
        "batch_wrong_epoch",
        dana_sends(lambda s: s.sealed(replace(s.next, epoch=bytes(8), previous_sha256=bytes(32)))),
    ),
    "epoch whose first batch follows another": (
        409,
        "batch_wrong_epoch",
        dana_sends(lambda s: s.sealed(replace(s.next, epoch=bytes(8), seq=1, lo=1, hi=1))),
    ),
    "epoch whose first event has elders": (
        409,
        "batch_wrong_epoch",
        dana_sends(lambda s: s.sealed(replace(s.next, epoch=bytes(8), seq=1, previous_sha256=bytes(32)))),
    ),
    "more batches than events": (
        409,
        "batch_wrong_epoch",
        dana_sends(lambda s: s.sealed(replace(s.next, seq=s.next.lo + 1))),
    ),
    "epoch of another box": (409, "batch_wrong_epoch", erlan_sends(copied_card)),
    "oversized": (413, "envelope_oversized", dana_sends(lambda _: bytes(MAX_ENVELOPE_BYTES + 1))),
    "zip bomb": (413, "batch_oversized", dana_sends(bomb)),
}


def test_each_is_refused_for_its_own_reason_and_no_table_changes(scene: Scene) -> None:
    assert (
        scene.refusal(b"", scene.dana.enrolment.token)[0] == 400
    )  # whatever a worker notes at its first request
    for name, (status, key, make) in REFUSALS.items():
        scene.region.wait(minutes=1)  # or a changed time of contact would not show
        before = scene.dump()
        assert scene.refusal(*make(scene)) == (status, key), name
        after = scene.dump()
        alarms = [row for row in after.pop("remark") if row not in before["remark"]]
        before.pop("remark")
        # Of a copied card somebody must hear: an alarm, and nothing of the envelope.
        assert [row[3] for row in alarms] == (["foreign"] if name == "epoch of another box" else []), name
        assert after == before, name
    # All of them were made badly, not sent badly: the honest one passes.
    assert (
        scene.region.http.post(
            "/v1/batches",
            data=scene.sealed(scene.next),
            headers={"Authorization": f"Bearer {scene.dana.enrolment.token}"},
        ).status_code
        == 200
    )


def test_card_copied_and_enrolled_anew_counts_nothing_twice_and_is_not_blocked(
    make_box: Callable[[str], Box], region: RegionSimulator
) -> None:
    """Somebody copied the database and made new keys by hand: both ends notice at the first envelope."""
    original, copy = make_box("original"), make_box("copy")
    original.ask(times=3)
    shutil.copy(original.settings.database_path, copy.settings.database_path)
    original.sync()
    copy.ask(times=2)
    with pytest.raises(WrongEpoch):
        copy.sync()
    assert region.count("question_asked") == 3
    assert copy.status().set_aside_events == 5, "nobody knows which of them the original has sent"
    remarks = {line["label"]: line["remarks"] for line in region.report()["boxes"]}
    assert remarks[copy.enrolment.box_label] == ["foreign"]
    copy.ask(times=4)
    copy.sync()
    original.ask()
    original.sync()
    assert region.count("question_asked") == 8


def test_stick_of_a_copied_card_is_refused_by_name(scene: Scene, tmp_path: Path) -> None:
    """On a stick nobody's token stands beside an envelope; the epoch tells all the same."""
    (tmp_path / "stick" / FOLDER).mkdir(parents=True)
    for number, blob in enumerate((copied_card(scene), scene.sealed(scene.next, STRANGER), scene.sent)):
        (tmp_path / "stick" / FOLDER / f"{number:032x}.sb1").write_bytes(blob)
    with scene.region.store() as store:
        report = sticks.import_stick(store, scene.region.region, tmp_path / "stick", scene.region.time)
    assert report.refused == {"batch_wrong_epoch": 1, "envelope_forged": 1}
    assert (report.stored, report.known) == (0, 1)
