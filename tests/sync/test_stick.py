"""Batches in a pocket: the same bytes, any stick in any order, and nothing lost on the way."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sync import client, policy, stick_book, usb
from sync.call import open_reply
from sync.errors import StickFull, StickGone, StickMissing, StickReadOnly, SyncError
from sync.server.arrivals import sticks
from sync.server.desk import orders
from sync.server.storage.store import open_store
from sync.stick_folder import StickFolder
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for


@pytest.fixture
def make_stick(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        path = tmp_path / "media" / name
        path.mkdir(parents=True)
        return path

    return make


@pytest.fixture
def stick(make_stick: Callable[[str], Path]) -> Path:
    return make_stick("STICK")


def to_region(region: RegionSimulator, stick: Path) -> sticks.StickReport:
    store = open_store(region.region.database)
    try:
        return sticks.import_stick(store, region.region, stick, region.time)
    finally:
        store.close()


def order(region: RegionSimulator, *, stop: bool) -> int:
    store = open_store(region.region.database)
    try:
        return orders.publish(region.region, store, region.time, changes={"stop": stop}, limits={}).version
    finally:
        store.close()


def files(stick: Path, kind: str) -> list[Path]:
    return sorted((stick / "SANDYQ").glob(f"*.{kind}"))


def test_stick_there_and_back_settles_everything_and_is_left_clean(
    box: Box, region: RegionSimulator, stick: Path
) -> None:
    box.ask(times=5)
    assert usb.visit(box.settings, stick).written == 1
    assert (box.status().sealed_events, region.count("question_asked")) == (5, 0)
    report = to_region(region, stick)
    assert (report.stored, report.replies, report.refused) == (1, 1, {})
    visit = usb.visit(box.settings, stick)
    assert (visit.confirmed, visit.written, visit.damaged) == (1, 0, 0)
    assert box.status().receipted_events == region.count("question_asked") == 5
    assert not files(stick, "sb1")
    assert not files(stick, "sbr")
    assert len(files(stick, "sbq")) == 1


def test_stick_and_wire_carry_the_same_bytes_and_count_once(
    box: Box, region: RegionSimulator, stick: Path
) -> None:
    box.ask(times=3)
    usb.visit(box.settings, stick)
    box.sync()
    assert [path.read_bytes() for path in files(stick, "sb1")] == region.received
    report = to_region(region, stick)
    assert (report.stored, report.known) == (0, 1)
    assert region.count("question_asked") == 3
    usb.visit(box.settings, stick)
    assert not files(stick, "sb1")


def test_sticks_in_any_order_and_copies_of_them_are_harmless(
    box: Box, region: RegionSimulator, make_stick: Callable[[str], Path], tmp_path: Path
) -> None:
    sticks_ = [make_stick(name) for name in ("first", "second", "third")]
    for number, stick in enumerate(sticks_, start=1):
        box.ask(times=number)
        usb.visit(box.settings, stick)
    assert [len(files(stick, "sb1")) for stick in sticks_] == [1, 2, 3]
    copy = tmp_path / "media" / "copy"
    shutil.copytree(sticks_[1], copy)
    for stick in (sticks_[2], copy, sticks_[0], sticks_[1], sticks_[2]):
        to_region(region, stick)
    assert region.count("question_asked") == 6
    # The stick that left first comes home last; each brings what it can.
    for stick in (copy, sticks_[1], sticks_[0], sticks_[2]):
        usb.visit(box.settings, stick)
    assert box.status().receipted_events == 6
    assert box.status().sealed_batches == 0


def test_lost_stick_loses_nothing(
    box: Box, region: RegionSimulator, make_stick: Callable[[str], Path]
) -> None:
    box.ask(times=4)
    usb.visit(box.settings, make_stick("lost"))
    box.ask(times=2)
    found = make_stick("found")
    usb.visit(box.settings, found)
    to_region(region, found)
    usb.visit(box.settings, found)
    assert box.status().receipted_events == region.count("question_asked") == 6


def test_one_stick_serves_many_schools_and_each_hears_only_its_own(
    make_box: Callable[[str], Box], region: RegionSimulator, stick: Path
) -> None:
    boxes = [make_box(name) for name in ("abai", "ulytau", "semei")]
    for number, box in enumerate(boxes, start=1):
        box.ask(times=number)
        usb.visit(box.settings, stick)
    assert to_region(region, stick).replies == 3
    for number, box in enumerate(boxes, start=1):
        assert usb.visit(box.settings, stick).confirmed == 1
        assert box.status().receipted_events == number


def test_order_rides_on_every_stick_and_an_old_stick_lifts_no_stop(
    make_box: Callable[[str], Box], region: RegionSimulator, make_stick: Callable[[str], Path]
) -> None:
    box, other = make_box("abai"), make_box("ulytau")
    old, new = make_stick("old"), make_stick("new")
    order(region, stop=False)
    for stick in (old, new):
        usb.visit(box.settings, stick)
    to_region(region, old)
    order(region, stop=True)
    to_region(region, new)
    # The other school never left a call on this stick; the order is for all.
    for school, stick in ((box, new), (other, new), (box, old), (other, old)):
        usb.visit(school.settings, stick)
        db = client.open_outbox(school.settings)
        found = policy.current(db)
        db.close()
        assert found is not None
        assert (found.version, found.stop) == (2, True)


def test_forged_order_on_a_stick_is_counted_as_damage(box: Box, stick: Path) -> None:
    usb.visit(box.settings, stick)
    (stick / "SANDYQ" / ("0" * 32 + ".sbp")).write_bytes(b"\x82\x40\x40")
    assert usb.visit(box.settings, stick).damaged == 1


def test_nothing_stable_and_no_name_lies_on_a_stick(
    box: Box, region: RegionSimulator, make_stick: Callable[[str], Path]
) -> None:
    first, second = make_stick("first"), make_stick("second")
    box.ask("Канарейка", by="Айгерім")
    usb.visit(box.settings, first)
    box.ask("Канарейка", by="Айгерім")
    usb.visit(box.settings, second)
    for stick in (first, second):
        to_region(region, stick)
    on_first, on_second = ([path for path in stick.rglob("*") if path.is_file()] for stick in (first, second))
    assert not {path.name for path in on_first} & {path.name for path in on_second}
    known = [
        box.device.kid,
        box.device.public,
        box.enrolment.token.encode(),
        box.enrolment.box_label.encode(),
        *(row[0] for row in box.query("SELECT epoch FROM sync_state")),
        "Канарейка".encode(),
        "Айгерім".encode(),
    ]
    for path in (*on_first, *on_second):
        assert re.fullmatch(r"[0-9a-f]{32}\.sb[1qrp]", path.name)
        content = path.read_bytes()
        for secret in known:
            assert isinstance(secret, bytes)
            assert secret not in content, path
            assert secret.hex().encode() not in content
    # Calls all look alike in size; replies have few sizes.
    assert len({path.stat().st_size for path in (*files(first, "sbq"), *files(second, "sbq"))}) == 1


# A stick is a stranger's disk ---------------------------------------------------------------


def test_half_written_and_foreign_files_are_passed_over(
    box: Box, region: RegionSimulator, stick: Path, tmp_path: Path
) -> None:
    box.ask(times=3)
    usb.visit(box.settings, stick)
    folder = stick / "SANDYQ"
    whole = files(stick, "sb1")[0].read_bytes()
    secret = tmp_path / "secret"
    secret.write_bytes(whole)
    (folder / ("1" * 32 + ".sb1")).write_bytes(whole[: len(whole) // 2])
    (folder / ("2" * 32 + ".sb1")).write_bytes(b"")
    (folder / ("3" * 32 + ".sb1")).symlink_to(secret)
    (folder / ("4" * 32 + ".sb1")).mkdir()
    os.mkfifo(folder / ("5" * 32 + ".sb1"))
    with (folder / ("6" * 32 + ".sb1")).open("wb") as huge:
        huge.truncate(10**9)
    (folder / "holiday.jpg").write_bytes(b"photo")
    (folder / ".torn").write_bytes(b"x")
    (folder / ("7" * 32 + ".sbr")).write_bytes(os.urandom(600))
    (folder / ("8" * 32 + ".sbq")).write_bytes(b"\x83")
    report = to_region(region, stick)
    assert (report.stored, report.known) == (1, 0)
    assert report.refused == {"envelope_truncated": 2, "not_a_file": 4, "envelope_malformed": 1}
    assert usb.visit(box.settings, stick).confirmed == 1
    assert (folder / "holiday.jpg").read_bytes() == b"photo"
    assert secret.read_bytes() == whole


def test_every_cut_of_an_envelope_on_a_stick_is_refused_and_a_second_copy_is_written(
    box: Box, region: RegionSimulator, stick: Path
) -> None:
    box.ask()
    usb.visit(box.settings, stick)
    path = files(stick, "sb1")[0]
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        assert to_region(region, stick).stored == 0
    assert usb.visit(box.settings, stick).written == 1
    assert to_region(region, stick).stored == 1


def test_folder_that_is_a_link_leads_nowhere(box: Box, stick: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (stick / "SANDYQ").symlink_to(elsewhere)
    box.ask()
    with pytest.raises(StickMissing):
        usb.visit(box.settings, stick)
    assert not list(elsewhere.iterdir())


def test_missing_stick_is_named(box: Box, region: RegionSimulator, tmp_path: Path) -> None:
    with pytest.raises(StickMissing, match="nowhere"):
        usb.visit(box.settings, tmp_path / "nowhere")
    with pytest.raises(StickMissing):
        to_region(region, tmp_path / "nowhere")


def broken_after(monkeypatch: pytest.MonkeyPatch, calls: int, number: int) -> None:
    """The stick fails from its n-th write to the disk on."""
    real, count = os.fsync, 0

    def fsync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > calls:
            raise OSError(number, "the stick")
        real(descriptor)

    monkeypatch.setattr("sync.stick_folder.os.fsync", fsync)


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, StickFull),
        (errno.EROFS, StickReadOnly),
        (errno.EIO, StickGone),
        (errno.ENODEV, StickGone),
    ],
)
def test_stick_that_fails_at_any_write_loses_nothing(
    box: Box,
    region: RegionSimulator,
    make_stick: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: type[SyncError],
) -> None:
    monkeypatch.setattr("sync.outbox.MAX_EVENTS", 2)
    box.ask(times=6)
    for calls in range(7):
        stick = make_stick(f"s{calls}")
        with monkeypatch.context() as broken:
            broken_after(broken, calls, number)
            with pytest.raises(error):
                usb.visit(box.settings, stick)
        assert box.status().sealed_events + box.status().waiting_events == 6
        db = client.open_outbox(box.settings)
        last = usb.last_run(db)
        db.close()
        assert last is not None
        assert last.fault == error.key
        if (stick / "SANDYQ").exists():
            to_region(region, stick)
    usb.visit(box.settings, stick)
    assert not [path for path in (stick / "SANDYQ").iterdir() if path.name.endswith(".tmp")]
    to_region(region, stick)
    usb.visit(box.settings, stick)
    assert box.status().receipted_events == region.count("question_asked") == 6


def test_read_only_stick_still_brings_its_receipts(
    box: Box, region: RegionSimulator, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.ask(times=2)
    usb.visit(box.settings, stick)
    to_region(region, stick)

    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr("sync.stick_folder.os.unlink", refuse)
    monkeypatch.setattr("sync.stick_folder.os.rename", refuse)
    with pytest.raises(StickReadOnly):
        usb.visit(box.settings, stick)
    assert box.status().receipted_events == 2


def test_region_pulled_out_in_the_middle_keeps_what_it_stored(
    box: Box, region: RegionSimulator, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.ask(times=2)
    usb.visit(box.settings, stick)
    with monkeypatch.context() as broken:
        broken_after(broken, 0, errno.EIO)
        with pytest.raises(StickGone):
            to_region(region, stick)
    assert region.count("question_asked") == 2
    assert to_region(region, stick).known == 1
    usb.visit(box.settings, stick)
    assert box.status().receipted_events == 2


def test_reply_of_another_box_opens_for_nobody_else(
    make_box: Callable[[str], Box], region: RegionSimulator, stick: Path
) -> None:
    dana, erlan = make_box("dana"), make_box("erlan")
    dana.ask()
    usb.visit(dana.settings, stick)
    to_region(region, stick)
    usb.visit(erlan.settings, stick)
    blob = files(stick, "sbr")[0].read_bytes()
    for box, opens in ((dana, True), (erlan, False)):
        db = client.open_outbox(box.settings)
        keys = [call.reply_key for call in stick_book.waiting_calls(db)]
        db.close()
        assert keys
        assert any(open_reply(blob, key) for key in keys) is opens


def test_replies_do_not_pile_up_on_a_stick(box: Box, region: RegionSimulator, stick: Path) -> None:
    box.ask()
    usb.visit(box.settings, stick)
    for _ in range(5):
        to_region(region, stick)
    assert len(files(stick, "sbr")) == 1


def test_commands_walk_a_stick_there_and_back(box: Box, region: RegionSimulator, stick: Path) -> None:
    runner = CliRunner()
    at_box, at_region = settings_for(box.settings.home), settings_for(region.settings.home)
    box.ask(times=3)

    def said(settings: object, *words: str) -> dict[str, object]:
        result = runner.invoke(main, [*words, "--json"], obj=settings)
        assert result.exit_code == 0, (result.output, result.exception)
        assert box.enrolment.token not in result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    assert said(at_box, "sync", "export", str(stick)) == {"written": 1, "already_there": 0}
    assert said(at_box, "sync", "export", str(stick)) == {"written": 0, "already_there": 1}
    brought = said(at_region, "region", "import", str(stick))
    assert brought == {"stored": 1, "known": 0, "refused": {}, "replies": 1}
    assert said(at_box, "sync", "import", str(stick)) == {"replies": 1, "confirmed": 1, "damaged": 0}
    assert said(at_box, "sync", "visit", str(stick))["confirmed"] == 0
    for words in (["sync", "export"], ["sync", "import"], ["sync", "visit"], ["region", "import"]):
        settings = at_region if words[0] == "region" else at_box
        assert runner.invoke(main, [*words, str(stick)], obj=settings).exit_code == 0


def test_folder_of_a_stick_knows_its_own_names_only(stick: Path) -> None:
    with StickFolder(stick, make=True) as folder:
        for name in ("../up.sb1", "A" * 32 + ".sb1", "0" * 31 + ".sb1", "x.sb1"):
            assert name not in folder.names("sb1")
        name = folder.write("sb1", b"content")
        assert folder.names("sb1") == [name]
        assert folder.read(name) == b"content"
        assert folder.read("0" * 32 + ".sb1") is None
