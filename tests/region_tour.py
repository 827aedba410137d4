"""Every page that shows the region, after an autumn of lessons: for axe and for pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page

from sync.server.desk import offers
from sync.server.enrolment import enrolments
from sync.server.people.web_access import LOGIN_COOKIE
from sync.server.storage.identity import NATION
from sync.server.storage.store import Place
from tests.region_simulator import RegionSimulator
from tests.sync.schools import play_autumn
from tests.sync.test_forward import Country, sent
from tests.sync.test_policy_desk import HOLDERS, Desk

NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)
# Answers of other kinds than a page: their own tests read them.
NO_PAGES = re.compile(r"^/(static|data|v1)/|\.json$|^/(health|metrics)$")


@dataclass(frozen=True)
class Visit:
    """A page: its name, whose it is, and where."""

    name: str
    endpoint: str
    path: str
    who: str = "operator"
    press: str = ""  # a button to press there, for pages that only a form opens


@dataclass(frozen=True)
class Scene:
    """A region or a nation that answers, and who is logged in there."""

    url: str
    cookies: dict[str, str]
    visits: tuple[Visit, ...]


class Tour:
    """A browser in one language, as each of the people sees the pages."""

    def __init__(self, chromium: Chromium, scene: Scene, language: str, width: int) -> None:
        self._scene, self._language = scene, language
        self._contexts: dict[str, BrowserContext] = {}
        for who in {visit.who for visit in scene.visits}:
            context = chromium.new_context(viewport={"width": width, "height": 800}, locale=language)
            if who in scene.cookies:
                context.add_cookies([{"name": LOGIN_COOKIE, "value": scene.cookies[who], "url": scene.url}])
            self._contexts[who] = context

    def open(self, visit: Visit) -> Page:
        page = self._contexts[visit.who].new_page()
        page.goto(f"{self._scene.url}{visit.path}{'&' if '?' in visit.path else '?'}lang={self._language}")
        if visit.press:
            page.click(visit.press)
            page.wait_for_load_state("load")
        return page

    def close(self) -> None:
        for context in self._contexts.values():
            context.close()


@contextmanager
def played_region(home: Path) -> Iterator[Scene]:
    """Serve a region in which a bit of everything happened."""
    region = RegionSimulator(home)
    play_autumn(region, NOVEMBER)
    with region.store() as store:
        # One of each: a box that may be a copy, one that waits, and codes that still open.
        row = store.db.rows("SELECT id, label FROM box ORDER BY id LIMIT 2")
        copied, waits = row[0][0], row[1][0]
        store.db.execute(
            "INSERT INTO remark VALUES (?, ?, 1, 'fork', ?, ?)",
            [copied, bytes(8), bytes(32), NOVEMBER.isoformat()],
        )
        store.db.execute("UPDATE box SET approved_at = NULL WHERE id = ?", [waits])
        enrolments.make_sheet(store, region.region.keys, [Place("№12 мектеп", "rural", "small")], NOVEMBER)
        desk = Desk(region, store)
        _give_orders(desk)
        order = desk.write(retention_days=60, rate_kbit=60)
        stop = desk.write(stop=True)
        desk.sign(stop, HOLDERS[0])
    with region.serve() as url:
        visits = (
            Visit("login", "people.login", "/login", "stranger"),
            Visit("welcome", "people.welcome", "/welcome", "stranger"),
            Visit("needs", "insight.overview", "/"),
            Visit("boxes", "insight.boxes", "/boxes"),
            Visit("equity", "insight.equity_page", "/equity"),
            Visit("tables", "insight.tables", "/tables"),
            Visit("enrolment", "enrolment.overview", "/enrolment"),
            Visit("enrolment-box", "enrolment.overview", f"/enrolment?label={row[0][1]}"),
            Visit("codes", "enrolment.make_codes", "/enrolment", press="form[action$='/codes'] button"),
            Visit("desk", "desk.overview", "/desk"),
            Visit("desk-new", "desk.new", "/desk/new"),
            Visit("desk-draft", "desk.preview", f"/desk/draft/{order.id}"),
            Visit("desk-stop", "desk.preview", f"/desk/draft/{stop.id}"),
            Visit("record", "people.record", "/audit", "auditor"),
            Visit("record-verified", "people.verify_record", "/audit/verify", "auditor"),
            Visit("account", "people.account", "/account"),
            Visit("telephone", "people.telephone", "/account/telephone"),
            Visit("not-found", "static", "/nowhere"),
        )
        yield Scene(url, {who: _cookie(region, who) for who in ("operator", "auditor")}, visits)


@contextmanager
def told_nation(home: Path) -> Iterator[Scene]:
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
    with nation.serve() as url:
        visits = (Visit("nation", "nation.overview", "/nation"),)
        yield Scene(url, {"operator": _cookie(nation, "operator")}, visits)


def _give_orders(desk: Desk) -> None:
    """Give an order that reached all, one that somebody halted, and a drill that is under way."""
    desk.set_up()
    desk.give(rate_kbit=20)
    _tell_boxes(desk, 1)
    halted = desk.give(share=5, rate_kbit=40)
    region = desk.region
    offers.halt(desk.store.db, region.region.keys.desk, halted.version, "dana", region.time)
    drill = desk.give(is_drill=True)
    _tell_boxes(desk, drill.version, every=3)


def _tell_boxes(desk: Desk, version: int, every: int = 1) -> None:
    """Every so many-th box asks, is told, and says that it has the order."""
    db, told = desk.store.db, desk.region.time + timedelta(minutes=9)
    for (box_id,) in db.rows("SELECT id FROM box WHERE id % ? = 0", [every]):
        db.execute("INSERT INTO box_order VALUES (?, ?, 1, ?, ?)", [box_id, version, *[told.isoformat()] * 2])


def _cookie(region: RegionSimulator, role: str) -> str:
    cookie = region.enter(role).get_cookie(LOGIN_COOKIE)
    if cookie is None:
        raise ValueError("nobody is logged in")
    return cookie.value
