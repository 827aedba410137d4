"""The whole walk in a real browser: set-up, a lesson, two answers of the real model, the region's count."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.processes import RealBox, real_box

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHROMIUM = Path("/usr/bin/chromium")
# Root needs --no-sandbox; the rest keeps the browser from calling home.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECONDS = 1000
# A busy machine may take long over a page; only a real hang reaches this.
PATIENCE = 120 * SECONDS
PASSWORD = "four wet camels sing"
# Words of two answers interleave on the screen, so each page must have been seen half-written.
RECORD_LENGTHS = """() => {
  window.lengths = [];
  new MutationObserver(() => {
    const answer = document.querySelector(".question .answer");
    if (answer) window.lengths.push(answer.textContent.length);
  }).observe(document.getElementById("questions"), {subtree: true, childList: true, characterData: true});
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.fail("Debian's package chromium is missing: make test installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def box(tmp_path: Path, real_model_home: Path) -> Iterator[RealBox]:
    with real_box(tmp_path, real_model_home) as running:
        running.enrol()
        running.start("web", "engine")
        running.wait_ready("web")
        yield running


def test_a_class_asks_and_the_region_counts(box: RealBox, chromium: Browser) -> None:
    dana = dana_sets_up(box, chromium)
    code = dana.locator(".digits").inner_text()
    aigerim = joined(box, chromium, code, "Айгерім")
    bolat = joined(box, chromium, code, "Болат")
    for learner, question in ((aigerim, "What is a prime number?"), (bolat, "Why is the sky blue?")):
        learner.fill("#question", question)
    for learner in (aigerim, bolat):
        learner.click("form.ask button:not([type=button])")
        learner.evaluate(RECORD_LENGTHS)
    for learner in (aigerim, bolat):
        learner.wait_for_selector(".question .label", timeout=PATIENCE)
        text = learner.locator(".question .answer").inner_text()
        assert len(text) > 20
        lengths = learner.evaluate("window.lengths")
        assert len({length for length in lengths if 0 < length < len(text)}) >= 3, "it did not stream in"
    dana.locator(".class td.text a").nth(1).wait_for()
    assert "prime number" in dana.locator("#class").inner_text()

    sent = box.json("sync", "run", "--early")
    facts = box.value("SELECT count(*) FROM event")
    assert sent["events"] == facts
    box.json("region", "operator", "add", "erlan", "--role", "viewer", "--prompt", typed=PASSWORD + "\n")
    region = chromium.new_context().new_page()
    region.goto(box.url("region") + "/?lang=en")
    region.fill("#name", "erlan")
    region.fill("#password", PASSWORD)
    region.click("main form button")
    region.wait_for_selector(".totals")
    assert region.locator(".totals dd").all_inner_texts() == ["1", "1", "0"]
    assert box.json("region", "report")["events"] == facts


def test_a_page_without_scripts_shows_the_answer_too(box: RealBox, chromium: Browser) -> None:
    dana = dana_sets_up(box, chromium)
    context = chromium.new_context(java_script_enabled=False)
    bolat = joined(box, context, dana.locator(".digits").inner_text(), "Болат")
    bolat.fill("#question", "What is water?")
    bolat.click("form.ask button:not([type=button])")
    bolat.wait_for_selector(".question .label", timeout=PATIENCE)
    context.close()


def dana_sets_up(box: RealBox, chromium: Browser) -> Page:
    page = chromium.new_context().new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(box.url("web") + "/?lang=kk")
    page.fill("#school_class", "7A")
    page.check("#grade-7")
    page.fill("#learners", "Айгерім\nБолат")
    page.fill("#pin", "271828")
    page.fill("#pin_again", "271828")
    page.click("main form > button")
    page.click("button[value=open]")
    page.wait_for_selector(".digits")
    return page


def joined(box: RealBox, browser: "Browser | object", code: str, name: str) -> Page:
    context = browser.new_context() if isinstance(browser, Browser) else browser
    page = context.new_page()  # type: ignore[attr-defined]
    page.set_default_timeout(PATIENCE)
    page.goto(box.url("web") + "/?lang=en")
    page.fill("#code", code)
    page.click("main button")
    page.click(f"button.tile:has-text('{name}')")
    for picture in ("sun", "fish", "yurt"):
        page.click(f"button.picture[value={picture}]")
    page.click("button[name=sure]")
    page.click("main form button")  # the rules, read once
    page.wait_for_selector("#question")
    return page  # type: ignore[no-any-return]
