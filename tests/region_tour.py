"""Every page that shows the region, after an autumn of lessons: for axe and for pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sync.server.web_access import LOGIN_COOKIE
from tests.region_simulator import RegionSimulator
from tests.sync.schools import play_autumn

NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)
PATHS = {"needs": "/", "boxes": "/boxes", "equity": "/equity", "tables": "/tables", "not-found": "/nowhere"}


@contextmanager
def played_region(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve a region; give its address and the cookie of somebody who may look."""
    region = RegionSimulator(home)
    play_autumn(region, NOVEMBER)
    cookie = region.enter().get_cookie(LOGIN_COOKIE)
    if cookie is None:
        raise ValueError("nobody is logged in")
    with region.serve() as url:
        yield url, {"name": LOGIN_COOKIE, "value": cookie.value, "url": url}
