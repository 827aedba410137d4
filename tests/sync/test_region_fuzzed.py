"""A fuzzer asks every JSON route of the region what its description allows, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync.server.people import api_tokens
from sync.server.storage.store import open_store
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.schools import play_autumn

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)
EXAMPLES = 15
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def fuzz(url: str, token: str, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
            *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"),
            *("--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"),
            *("--header", f"Authorization: Bearer {token}", *more),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.sync.fuzz_hooks"},
    )


def test_no_route_for_programs_has_a_fault_behind_it(tmp_path: Path) -> None:
    region = RegionSimulator(tmp_path)
    play_autumn(region, NOVEMBER)
    store = open_store(region.region.database)
    token, _ = api_tokens.add(store.db, region.region.keys.desk, "fuzzer", NOVEMBER)
    store.close()
    with region.serve() as url:
        for who in (token, "nobody"):
            done = fuzz(url, who, "--include-path-regex", "^/(data|health|openapi)")
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_route_for_boxes_has_a_fault_behind_it(box: Box, region: RegionSimulator) -> None:
    box.ask(times=30)
    box.sync()
    with region.serve() as url:
        for who in (box.enrolment.token, "nobody"):
            done = fuzz(url, who, "--include-path-regex", "^/v1/")
            assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
