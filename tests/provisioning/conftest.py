"""What the tests of this room share: one built system for a whole run, and a region on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.provisioning.appliance_tree import appliance_image, appliance_tree, workshop
from tests.region_simulator import RegionSimulator

__all__ = ["appliance_image", "appliance_tree", "workshop"]


@pytest.fixture
def region(tmp_path: Path) -> RegionSimulator:
    return RegionSimulator(tmp_path / "region-home")


@pytest.fixture
def url(region: RegionSimulator) -> Iterator[str]:
    with region.serve() as address:
        yield address
