"""What a region does by itself at night: the units name real files, and the backup's line writes one."""

import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.client import ENROLMENT_FILE
from sync.server.nation import forward
from sync.server.storage.identity import IDENTITY_FILE, make_region
from sync.server.upkeep.region_backup import new_backup_key, restore_backup
from sync.settings import RegionSettings

UNITS = Path(__file__).parents[2] / "systemd"
PROGRAM = "/opt/sandyq/venv/bin/sandyq"
SANDYQ = Path(sys.executable).with_name("sandyq")
HOME = Path("/var/lib/sandyq-region")


def settings_in(unit: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)


def test_a_region_that_is_not_made_or_has_not_joined_is_no_failure() -> None:
    folder = RegionSettings(home=HOME).folder
    for unit, path in (
        ("sandyq-region-forward.service", folder / forward.FOLDER / ENROLMENT_FILE),
        ("sandyq-region-retain.service", folder / IDENTITY_FILE),
        ("sandyq-region-backup.service", folder / IDENTITY_FILE),
    ):
        assert str(path) in settings_in(unit, "ConditionPathExists")


@pytest.mark.parametrize("name", ["forward", "retain", "backup"])
def test_each_timer_starts_its_service_as_the_regions_user(name: str) -> None:
    assert settings_in(f"sandyq-region-{name}.timer", "Persistent") == ["yes"]
    assert settings_in(f"sandyq-region-{name}.service", "User") == ["sandyq-region"]
    assert settings_in(f"sandyq-region-{name}.service", "Environment") == [f"SANDYQ_HOME={HOME}"]


def test_the_nights_backup_opens_with_the_key_that_is_elsewhere(tmp_path: Path) -> None:
    region = make_region(RegionSettings(home=tmp_path / "server"), "Түркістан", "")
    public = new_backup_key(tmp_path / "key")
    (tmp_path / "server/backups").mkdir()
    (line,) = settings_in("sandyq-region-backup.service", "ExecStart")
    words = [word.replace("$$", "$").replace("%%", "%") for word in shlex.split(line)]
    done = subprocess.run(
        [word.replace(PROGRAM, str(SANDYQ)) for word in words],
        cwd=tmp_path / "server",
        env=os.environ | {"SANDYQ_HOME": str(tmp_path / "server"), "REGION_BACKUP_TO": public},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "server/backups").iterdir()
    assert re.fullmatch(r"region-[1-7]\.age", file.name)
    new_home = RegionSettings(home=tmp_path / "new")
    found = restore_backup(new_home, file, tmp_path / "key", "", datetime.now(UTC), lambda _table: None)
    assert found.region_id == region.id.hex()
