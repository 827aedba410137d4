"""The cast: one box of 7A and one region."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sync import client
from sync.keys import ensure_device_key
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box


@pytest.fixture
def region(tmp_path: Path) -> RegionSimulator:
    return RegionSimulator(tmp_path / "region-home")


@pytest.fixture
def make_box(tmp_path: Path, region: RegionSimulator) -> Callable[[str], Box]:
    def make(name: str) -> Box:
        settings = SyncSettings(home=tmp_path / name)
        with region.serve() as url:
            enrolment = client.enrol(settings, url, region.code())
        return Box(settings, region, enrolment, ensure_device_key(settings.home))

    return make


@pytest.fixture
def box(make_box: Callable[[str], Box]) -> Box:
    return make_box("box")
