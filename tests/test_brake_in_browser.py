"""The teacher's brake in a real browser on a phone: one tap stops, and pages notice when it is over."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.fake_engine import FakeEngine
from tests.processes import RealBox, real_box
from tests.test_end_to_end import PATIENCE
from tests.test_end_to_end import chromium as chromium

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PHONE = {"width": 360, "height": 640}


@pytest.fixture
def box(tmp_path: Path, real_model_home: Path, engine: FakeEngine) -> Iterator[RealBox]:
    with real_box(tmp_path, real_model_home) as running:
        running.environment["SANDYQ_ENGINE_URL"] = engine.url
        running.start("web")
        running.wait_ready("web")
        yield running


def opened(chromium: Browser, url: str) -> Page:
    page = chromium.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    return page


@pytest.fixture
def dana(box: RealBox, chromium: Browser) -> Page:
    page = opened(chromium, box.url("web") + "/?lang=kk")
    page.fill("#school_class", "7A")
    page.check("#pictures-no")
    page.fill("#learners", "Айгерім\nБолат")
    page.fill("#pin", "271828")
    page.fill("#pin_again", "271828")
    page.locator("main form button").last.click()
    page.wait_for_load_state()
    page.goto(box.url("web") + "/teacher")
    page.click("button[value=open]")
    page.wait_for_selector(".digits")
    return page


@pytest.fixture
def aigerim(box: RealBox, dana: Page, chromium: Browser) -> Page:
    code = box.value("SELECT code FROM school_class")
    page = opened(chromium, box.url("web") + f"/class/{code}?lang=kk")
    page.click("button.tile:has-text('Айгерім')")
    page.click("main form button")  # the rules, read once
    page.goto(box.url("web") + "/ask")
    page.wait_for_selector("#question")
    return page


def test_one_tap_stops_a_running_answer_and_the_page_notices_the_lift(
    box: RealBox, engine: FakeEngine, dana: Page, aigerim: Page
) -> None:
    engine.hold()
    aigerim.fill("#question", "Жай сан деген не?")
    aigerim.click("form.ask .row button")
    aigerim.wait_for_selector("article.question")
    dana.reload()
    brake = dana.locator(".brake button")
    seen = brake.bounding_box()
    assert seen is not None
    assert seen["y"] + seen["height"] < PHONE["height"], "without scrolling"
    assert seen["height"] >= 44
    assert seen["width"] > PHONE["width"] * 0.8
    brake.click()
    # What was being written ends before the learner's eyes.
    expect(aigerim.locator("article.question")).to_contain_text("тоқтатты", timeout=PATIENCE)
    assert box.value("SELECT quiet_ms FROM stop") < 2000
    aigerim.reload()
    expect(aigerim.locator("[data-again]")).to_contain_text("бүкіл сыныпқа")
    aigerim.fill("#question", "Тағы бір сұрақ")
    dana.locator(".brake button").click()
    expect(aigerim.locator("[data-again]")).to_have_count(0, timeout=PATIENCE)
    assert aigerim.input_value("#question") == "Тағы бір сұрақ", "no word is lost when the pause ends"
    engine.go_on()


def test_an_exam_hides_the_form_and_gives_it_back(box: RealBox, dana: Page, aigerim: Page) -> None:
    dana.goto(box.url("web") + "/teacher/exam")
    dana.click("button.stop")
    dana.wait_for_selector("dl[data-again]")
    aigerim.reload()
    expect(aigerim.locator("main")).to_contain_text("емтихан тапсырып жатыр")
    expect(aigerim.locator("#question")).to_have_count(0)
    dana.click("summary")
    dana.click("details button.stop")
    expect(dana.locator("a[download]")).to_have_count(1)
    aigerim.wait_for_selector("#question")
    with dana.expect_download() as download:
        dana.click("a[download]")
    told = box.json("exam", "verify", str(download.value.path()))
    assert told["whole"]
    assert told["engine"] == "other", "a stand-in engine is told honestly"
