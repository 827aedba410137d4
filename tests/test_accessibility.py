"""axe-core finds no violation of WCAG 2.2 AA on any page, on a phone."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from appliance.app import create_app
from tests import region_tour
from tests.page_tour import NO_PAGES, Scene, Tour, browser, played_room
from tests.region_simulator import RegionSimulator
from tests.region_tour import played_region, told_nation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with played_room(tmp_path_factory.mktemp("tour")) as played:
        yield played


def violations(page: Page) -> list[str]:
    # axe is put in by the debugger, not by the page, so the page's own CSP stays in force.
    # What is well is not listed: thousands of elements that nobody reads.
    wanted = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    found: dict[str, Any] = Axe().run(page, options=wanted).response
    return [
        f"{page.url}: {violation['id']}: {node['html'][:200]}: {node['failureSummary'][:300]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def test_the_tour_leaves_no_page_out(scene: Scene) -> None:
    app = create_app(SimpleNamespace(database=Path("nowhere")))  # type: ignore[arg-type]
    pages = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and not NO_PAGES.search(rule.rule)
    }
    visited = {visit.endpoint for visit in scene.visits()} | {"setup.show"}
    assert pages - visited == set()


@pytest.mark.parametrize("language", ["kk", "ru", "en"])
def test_no_page_breaks_wcag(chromium: Chromium, scene: Scene, language: str) -> None:
    tour = Tour(chromium, scene, language)
    found: list[str] = []
    for visit in scene.visits():
        faults: list[str] = []
        page = tour.open(visit, faults)
        found += [f"{visit.path}: {fault}" for fault in faults]
        if page.locator("h1").count() != 1:
            found.append(f"{visit.path}: not one main heading")
        found += violations(page)
        page.close()
    tour.close()
    assert not found, "\n".join(found)


def test_the_judge_sees_a_fault_that_is_there(chromium: Chromium) -> None:
    page = chromium.new_page()
    page.set_content("<html><body><img src=x><input><p style='color:#ccc'>pale</p></body></html>")
    found = " ".join(violations(page))
    page.close()
    for rule in ("image-alt", "label", "color-contrast", "html-has-lang"):
        assert rule in found


def test_the_first_start_breaks_nothing_either(chromium: Chromium, tmp_path: Path) -> None:
    from tests.fake_engine import FakeEngine
    from tests.room import open_room

    engine = FakeEngine()
    with open_room(tmp_path, engine) as room:
        page = chromium.new_page()
        page.goto(room.url + "/setup?lang=kk")
        found = violations(page)
        page.close()
    engine.close()
    assert not found, "\n".join(found)


def test_no_page_of_the_region_breaks_wcag(chromium: Chromium, tmp_path: Path) -> None:
    with played_region(tmp_path) as scene:
        left_out = region_pages(tmp_path) - {visit.endpoint for visit in scene.visits}
        assert left_out == {"nation.overview"}
        found = seen_by_the_judge(chromium, scene)
    assert not found, "\n".join(found)


def region_pages(home: Path) -> set[str]:
    """Return the routes of the region that answer with a page."""
    rules = RegionSimulator(home).app.url_map.iter_rules()
    return {
        rule.endpoint
        for rule in rules
        if "GET" in (rule.methods or ()) and not region_tour.NO_PAGES.search(rule.rule)
    }


def test_no_page_of_the_nation_breaks_wcag(chromium: Chromium, tmp_path: Path) -> None:
    with told_nation(tmp_path) as scene:
        found = seen_by_the_judge(chromium, scene)
    assert not found, "\n".join(found)


def seen_by_the_judge(chromium: Chromium, scene: region_tour.Scene) -> list[str]:
    """Open pages in each language, wide and narrow, with everything unfolded.

    axe reads each on a phone and on a desk; in the third language only its width can be another.
    """
    found: list[str] = []
    for language, width, is_judged in (("kk", 360, True), ("ru", 1280, True), ("en", 360, False)):
        tour = region_tour.Tour(chromium, scene, language, width)
        for visit in scene.visits:
            page = tour.open(visit)
            page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            found += violations(page) if is_judged else []
            if page.locator("h1").count() != 1:
                found.append(f"{visit.path}: not one main heading")
            if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
                found.append(f"{visit.path}: wider than the screen")
            page.close()
        tour.close()
    return found
