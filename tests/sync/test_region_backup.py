"""A region's backup: what is restored is what was there, and what came after is not counted twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sync import client
from sync.keys import ensure_device_key, read_private, save_private
from sync.region_errors import BackupKeyWrong, RegionBackupDamaged, RegionThere, TargetNotEmpty
from sync.server.app import create_app
from sync.server.desk import drafts, orders
from sync.server.nation import forward
from sync.server.people import audit, operators
from sync.server.people.roles import Role
from sync.server.storage.identity import get_region
from sync.server.storage.store import open_store
from sync.server.upkeep.region_backup import new_backup_key, restore_backup, write_backup
from sync.settings import RegionSettings, SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for

LEFT_OUT = {"region_migration", "region_move", "operator_login", "operator_try"}


def content(address: str) -> dict[str, list[tuple[Any, ...]]]:
    store = open_store(address)
    try:
        return {
            table: sorted(
                store.db.rows(f"SELECT {', '.join(sorted(store.db.columns(table)))} FROM {table}"), key=repr
            )
            for table in store.db.tables()
            if table not in LEFT_OUT
        }
    finally:
        store.close()


@pytest.fixture
def filled(either_region: RegionSimulator, tmp_path: Path) -> Box:
    """A box with a history at a region with people, a record and an order."""
    settings = SyncSettings(home=tmp_path / "box")
    with either_region.serve() as url:
        enrolment = client.enrol(settings, url, either_region.code())
    box = Box(settings, either_region, enrolment, ensure_device_key(settings.home))
    box.ask(times=30)
    box.sync()
    store = open_store(either_region.region.database)
    operators.add(store.db, either_region.region.keys.desk, "dana", Role.VIEWER, either_region.time)
    orders.publish(either_region.region, store, either_region.time, changes={}, limits={"rate_kbit": 20})
    store.close()
    either_region.enter()
    return box


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_a_restored_region_is_the_one_that_was_there(
    filled: Box, tmp_path: Path, into: str, request: pytest.FixtureRequest
) -> None:
    region, key, file = filled.region, tmp_path / "backup.key", tmp_path / "region.age"
    public = new_backup_key(key)
    before = content(region.region.database)
    to_nation = forward.settings_of(region.region).home  # as a region has it that has joined a nation
    save_private(to_nation / "keys/device.key", b"canary", replace=True)
    write_backup(region.region, file, [public], region.time)
    plain = file.read_bytes()
    assert b"dana" not in plain
    assert filled.enrolment.box_label.encode() not in plain
    # Handed over after the backup: lost with the disk, and known to be missing.
    filled.ask(times=7)
    filled.sync()

    settings = RegionSettings(home=tmp_path / "fresh")
    address = "" if into == "sqlite" else request.getfixturevalue("postgres").new_database()
    restore_backup(settings, file, key, address, region.time, lambda _table: None)
    fresh = get_region(settings)
    assert fresh.id == region.region.id
    assert fresh.keys.receipts.public == region.region.keys.receipts.public
    assert read_private(forward.settings_of(fresh).home / "keys/device.key") == b"canary"
    after = content(fresh.database)
    new_entries = [row for row in after["audit"] if row not in before["audit"]]
    assert len(new_entries) == 1
    for table, rows in before.items():
        if table not in ("audit", "draft"):
            assert after[table] == rows, table
    store = open_store(fresh.database)
    assert audit.verify_record(store.db, fresh.keys.desk).broken_at is None
    assert drafts.next_version(store.db) > drafts.SKIPPED
    store.close()

    # The box goes on with the restored region: nothing twice, the hole is shown, a new order is followed.
    region.region, region.app = fresh, create_app(fresh, clock=lambda: region.time)
    region.http = region.app.test_client()
    filled.ask(times=5)
    filled.sync()
    filled.sync()
    report = region.report()
    assert report["events"] == 35
    assert report["boxes"][0]["missing_batches"] == 1


def test_nothing_is_overwritten_and_a_damaged_or_foreign_file_restores_nothing(
    box: Box, region: RegionSimulator, tmp_path: Path
) -> None:
    box.ask(times=3)
    box.sync()
    key, other, file = tmp_path / "a.key", tmp_path / "b.key", tmp_path / "region.age"
    public = new_backup_key(key)
    new_backup_key(other)
    write_backup(region.region, file, [public], region.time)

    def restore(source: Path, identity: Path, home: str = "fresh", address: str = "") -> None:
        restore_backup(
            *(RegionSettings(home=tmp_path / home), source, identity, address, region.time),
            lambda _table: None,
        )

    with pytest.raises(RegionThere):
        restore(file, key, "region-home")
    with pytest.raises(TargetNotEmpty):
        restore(file, key, address=region.region.database)
    with pytest.raises(BackupKeyWrong):
        restore(file, other)
    with pytest.raises(BackupKeyWrong):
        write_backup(region.region, tmp_path / "x", ["age1nonsense"], region.time)
    whole = file.read_bytes()
    for bad in (b"", whole[:100], whole[:-1], whole[:-200], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]):
        damaged = tmp_path / "damaged.age"
        damaged.write_bytes(bad)
        with pytest.raises((RegionBackupDamaged, BackupKeyWrong)):
            restore(damaged, key)
    assert not (tmp_path / "fresh/region/region.json").exists()
    assert not list((tmp_path / "fresh/region").glob(".restore*"))


def test_the_commands_write_and_restore(region: RegionSimulator, tmp_path: Path) -> None:
    runner, key, file = CliRunner(), tmp_path / "key", tmp_path / "region.age"

    def said(home: Path, *words: object) -> dict[str, Any]:
        words = ("region", *map(str, words), "--json")
        result = runner.invoke(main, words, obj=settings_for(home))
        assert result.exit_code == 0, (words, result.output, result.exception)
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    public = said(tmp_path, "backup-key", key)["public"]
    said(region.settings.home, "backup", file, "--to", public)
    answer = said(tmp_path / "fresh", "restore", file, "--identity", key)
    assert answer["region_id"] == region.region.id.hex()
    assert said(tmp_path / "fresh", "audit", "verify")["entries"] == 1
    assert said(tmp_path / "fresh", "policy", "publish", "--stop")["version"] > drafts.SKIPPED
