"""A real disk that is really full: the learner is told, reading goes on, nothing acknowledged is lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from appliance import languages
from appliance.errors import DiskFull
from tests.processes import REPOSITORY, free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_a_full_card_refuses_kindly_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    # A mount of our own that nobody else sees; an ordinary account gets it through a user namespace.
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    inside = [sys.executable, "tests/full_disk_inside.py", str(tmp_path), str(free_ports(1)[0])]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [*alone, *inside], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["refused"]["status"] == 507
    assert languages.render("ru", DiskFull.message, {}) in facts["refused"]["page"]
    assert facts["refused"]["text"] in facts["refused"]["page"], "what was typed stays on the page"
    assert facts["readable"] == 200
    assert facts["again"] == 303
    assert facts["saved"] == facts["acknowledged"]
    assert facts["whole"] == "ok"
    assert facts["outbox"] == facts["events"]
