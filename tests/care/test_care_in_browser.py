"""The pages of care in a real browser: one sheet of A4, nothing that breaks WCAG, the phone's time sent."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium

from appliance import languages
from appliance.care import backup, backup_book, health, signs, stage
from appliance.care.backup_book import Proof, Restored
from appliance.care.radios import hotspot_finding, judge
from appliance.web.rescue import create_rescue_app
from tests.care.school import make_school
from tests.classroom import PIN, Classroom
from tests.fake_engine import FakeEngine
from tests.page_tour import Tour, Visit, browser, played_room
from tests.region_simulator import serve
from tests.test_accessibility import violations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PHONE = {"width": 360, "height": 780}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with browser() as opened:
        yield opened


def test_the_guide_prints_on_one_page(chromium: Chromium, tmp_path: Path) -> None:
    with played_room(tmp_path) as scene:
        for language in languages.languages():
            tour = Tour(chromium, scene, language, 1280)
            page = tour.open(Visit("guide", "guide.show", "teacher", "/teacher/guide"))
            sheet = page.pdf(format="A4", prefer_css_page_size=True)
            tour.close()
            assert sheet.count(b"/Type /Page\n") == 1, language


def test_the_rescue_page_breaks_nothing_and_fits_a_phone(chromium: Chromium, tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    backup.create(settings, None, lambda _step: None)
    assert stage.stage(settings, tmp_path / "no sticks")
    for home in (settings.home, tmp_path / "nothing"):
        with serve(create_rescue_app(home, "kk", lambda: False, lambda _offer: None)) as url:
            for language in languages.languages():
                page = chromium.new_page(viewport=PHONE)
                page.goto(f"{url}/teacher?lang={language}")
                assert page.locator("h1").count() == 1
                assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
                assert not violations(page)
                page.close()


def test_a_page_full_of_trouble_breaks_nothing_and_fits_a_phone(
    chromium: Chromium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [
        signs.heat(83),
        signs.voltage(1),
        signs.disk_space(12 << 20),
        signs.disk_writable(is_read_only=True),
        hotspot_finding(judge("brcmfmac", "")),
    ]
    monkeypatch.setattr(health, "findings", lambda _home: troubles)
    now, engine = datetime.now(UTC), FakeEngine()
    backup_book.note(tmp_path, Proof("a.age", now, 1, is_elsewhere=False))
    backup_book.note_restored(tmp_path, Restored(now, now, ("85e9",)))
    heard: list[str] = []
    monkeypatch.setattr("appliance.web.care.hear_clock", lambda _db, shown: heard.append(shown))
    room = Classroom(tmp_path, engine)
    room.dana_sets_up()
    heard.clear()
    with serve(room.app) as url:
        for language in languages.languages():
            context = chromium.new_context(viewport=PHONE)
            page = context.new_page()
            page.goto(f"{url}/teacher/login?lang={language}")
            page.fill("#pin", PIN)
            page.press("#pin", "Enter")
            page.wait_for_url("**/teacher")
            assert page.locator("#warnings .notice").count() == len(troubles) + 2
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert not violations(page)
            context.close()
    room.stop()
    engine.close()
    # The script sent the time of the device with each log-in.
    assert len(heard) == len(languages.languages())
    assert all(abs(int(shown) / 1000 - now.timestamp()) < 300 for shown in heard)
