"""The cast: one box of 7A and one region."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sync import client
from sync.keys import ensure_device_key
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.postgres import Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real server for the whole run; a test that kills it starts it again."""
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def region_address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind: a test that takes it runs on both."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/region.sqlite"
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def region(tmp_path: Path) -> RegionSimulator:
    return RegionSimulator(tmp_path / "region-home")


@pytest.fixture
def either_region(tmp_path: Path, region_address: str) -> Iterator[RegionSimulator]:
    """The region on each of the two databases."""
    simulator = RegionSimulator(tmp_path / "region-home", region_address)
    yield simulator
    simulator.app.extensions["stores"].close()


@pytest.fixture
def make_box(tmp_path: Path, region: RegionSimulator) -> Callable[[str], Box]:
    return partial(enrolled_box, tmp_path, region)


@pytest.fixture
def make_either_box(tmp_path: Path, either_region: RegionSimulator) -> Callable[[str], Box]:
    return partial(enrolled_box, tmp_path, either_region)


def enrolled_box(folder: Path, region: RegionSimulator, name: str) -> Box:
    settings = SyncSettings(home=folder / name)
    with region.serve() as url:
        enrolment = client.enrol(settings, url, region.code())
    return Box(settings, region, enrolment, ensure_device_key(settings.home))


@pytest.fixture
def box(make_box: Callable[[str], Box]) -> Box:
    return make_box("box")
