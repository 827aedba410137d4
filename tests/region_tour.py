"""Every page that shows the region, after an autumn of lessons: for axe and for pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sync.server import enrolments
from sync.server.identity import NATION
from sync.server.store import Place
from sync.server.web_access import LOGIN_COOKIE
from tests.region_simulator import RegionSimulator
from tests.sync.schools import play_autumn
from tests.sync.test_forward import Country, sent

NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)
PATHS = {
    "needs": "/",
    "boxes": "/boxes",
    "equity": "/equity",
    "tables": "/tables",
    "enrolment": "/enrolment",
    "not-found": "/nowhere",
}


@contextmanager
def played_region(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve a region; give its address and the cookie of somebody who may act."""
    region = RegionSimulator(home)
    play_autumn(region, NOVEMBER)
    cookie = region.enter("operator").get_cookie(LOGIN_COOKIE)
    if cookie is None:
        raise ValueError("nobody is logged in")
    with region.store() as store:
        # One of each: a box that may be a copy, one that waits, and codes that still open.
        row = store.db.rows("SELECT id FROM box ORDER BY id LIMIT 2")
        copied, waits = row[0][0], row[1][0]
        store.db.execute(
            "INSERT INTO remark VALUES (?, ?, 1, 'fork', ?, ?)",
            [copied, bytes(8), bytes(32), NOVEMBER.isoformat()],
        )
        store.db.execute("UPDATE box SET approved_at = NULL WHERE id = ?", [waits])
        enrolments.make_sheet(store, region.region.keys, [Place("№12 мектеп", "rural", "small")], NOVEMBER)
    with region.serve() as url:
        yield url, {"name": LOGIN_COOKIE, "value": cookie.value, "url": url}


@contextmanager
def told_nation(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve a nation that two regions told of some weeks, one of them with a doubt."""
    nation = RegionSimulator(home / "nation", role=NATION, name="Қазақстан")
    nation.time = NOVEMBER
    for name in ("Түркістан облысы", "Ұлытау облысы"):
        region = RegionSimulator(home / name, name=name)
        region.time = NOVEMBER
        with nation.store() as store:
            sheet = enrolments.make_sheet(store, nation.region.keys, [Place(name)], NOVEMBER)
        region.join(nation, str(sheet.codes[0].code))
        country = Country(nation, region, home / f"boxes of {name}")
        sent(country)
        region.wait(days=1)
        region.forward(nation)
    with nation.store() as store:
        box_id = store.db.rows("SELECT min(id) FROM box")[0][0]
        store.db.execute(
            "INSERT INTO remark VALUES (?, ?, 1, 'statement', ?, ?)",
            [box_id, bytes(8), bytes(32), NOVEMBER.isoformat()],
        )
    cookie = nation.enter("operator").get_cookie(LOGIN_COOKIE)
    if cookie is None:
        raise ValueError("nobody is logged in")
    with nation.serve() as url:
        yield url, {"name": LOGIN_COOKIE, "value": cookie.value, "url": url}
