"""Coming in, in a real browser on a phone: a list from a file, pictures, Kazakh letters, drafts, needs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.fake_engine import FakeEngine
from tests.page_tour import browser
from tests.room import Room, open_room
from tests.test_accessibility import violations
from tests.test_end_to_end import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

LIST = "Аты-жөні;Сынып\nСейітова Айгерім;3\nОмаров Болат;4\n"
BAD_LIST = LIST + ";4\n"
STORED = "Object.keys(localStorage).filter(key => key.includes('draft'))"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    with browser() as opened:
        yield opened


@pytest.fixture
def room(tmp_path: Path, engine: FakeEngine) -> Iterator[Room]:
    with open_room(tmp_path, engine) as running:
        yield running


def phone(chromium: Chromium, *, javascript: bool = True) -> Page:
    context = chromium.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=javascript)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    return page


def send_list(page: Page, text: str) -> None:
    page.evaluate("document.querySelector('details.file').open = true")
    sent = {"name": "тізім.csv", "mimeType": "text/csv", "buffer": text.encode("utf-16")}
    page.set_input_files("#list", files=[sent])  # type: ignore[list-item]
    page.click("details.file button")
    page.wait_for_load_state()


@pytest.fixture
def dana(room: Room, chromium: Chromium) -> Page:
    """Dana sets up two grades from a file, sees what is wrong with it first, and opens the lesson."""
    page = phone(chromium)
    page.goto(room.url + "/?lang=kk")
    page.fill("#school_class", "3-4")
    page.check("#grade-3")
    page.check("#grade-4")
    send_list(page, BAD_LIST)
    assert "4-жол" in page.locator(".problem").inner_text()
    assert violations(page) == []
    send_list(page, LIST)
    assert page.input_value("#learners") == "Сейітова Айгерім, 3\nОмаров Болат, 4"
    page.fill("#pin", "271828")
    page.fill("#pin_again", "271828")
    page.click("main form > button")
    page.click("button[value=open]")
    page.wait_for_selector(".digits")
    return page


def come_in(page: Page, room: Room, name: str, *, first: bool) -> None:
    page.goto(f"{room.url}/class/{room.code()}?lang=kk")
    page.click(f"button.tile:has-text('{name}')")
    for picture in ("sun", "yurt", "fish"):
        page.click(f"button[value={picture}]")
    if first:
        page.click("button[name=sure]")
        page.click("main form button")
    page.wait_for_selector("#question")


def test_a_learner_comes_in_writes_and_leaves_nothing_behind(
    room: Room, dana: Page, chromium: Chromium
) -> None:
    page = phone(chromium)
    come_in(page, room, "Айгерім", first=True)
    page.fill("#question", "Неге ")
    letters = page.locator(".letters button")
    letters.nth(1).click()  # ғ
    letters.nth(9).click()  # capitals
    letters.nth(0).click()  # Ә
    assert page.input_value("#question") == "Неге ғӘ"
    box = letters.nth(0).bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 44
    page.reload()
    assert page.input_value("#question") == "Неге ғӘ", "a draft outlives a reload"

    page.context.set_offline(True)
    page.click("form.ask .row button")
    page.wait_for_load_state()
    page.context.set_offline(False)
    page.goto(room.url + "/ask")
    assert page.input_value("#question") == "Неге ғӘ", "and a line that broke while it was sent"

    page.click("form.ask .row button")
    page.wait_for_selector(".question")
    assert page.input_value("#question") == "", "what has arrived does not come back"
    page.fill("#question", "my secret")
    assert page.evaluate(STORED) != []
    page.click("form.who button")
    page.wait_for_selector("#code")
    assert page.evaluate(STORED) == []


def test_the_next_child_finds_no_draft_of_the_one_before(room: Room, dana: Page, chromium: Chromium) -> None:
    page = phone(chromium)
    come_in(page, room, "Айгерім", first=True)
    page.fill("#question", "my secret")
    come_in(page, room, "Болат", first=True)  # without leaving first
    assert page.input_value("#question") == ""
    assert page.evaluate(STORED) == []


def test_three_pictures_are_one_request_with_a_script_and_work_without(
    room: Room, dana: Page, chromium: Chromium
) -> None:
    come_in(phone(chromium), room, "Айгерім", first=True)
    page = phone(chromium)
    sent: list[str] = []
    page.on("request", lambda r: sent.append(r.url) if r.method == "POST" and "/class/" in r.url else None)
    come_in(page, room, "Айгерім", first=False)
    assert len(sent) == 2, "the name and the pictures"
    come_in(phone(chromium, javascript=False), room, "Айгерім", first=False)


@pytest.mark.parametrize("contrast", ["high", "dark"])
def test_what_a_learner_needs_is_there_and_can_be_read(
    room: Room, dana: Page, chromium: Chromium, contrast: str
) -> None:
    page = phone(chromium)
    fonts: list[str] = []
    page.on("request", lambda request: fonts.append(request.url) if "woff2" in request.url else None)
    come_in(page, room, "Айгерім", first=True)
    assert fonts == [], "the letters are fetched by those who chose them"
    page.goto(room.url + "/reading")
    for choice in ("font-clear", "size-200", "spacing-wide", f"contrast-{contrast}", "read_aloud"):
        page.check(f"#{choice}")
    page.click("main form button")
    page.wait_for_load_state()
    page.goto(room.url + "/ask")
    page.fill("#question", "Неге?")
    page.click("form.ask .row button")
    page.wait_for_selector(".question .label")
    page.reload()
    page.wait_for_selector("audio")
    assert len(fonts) >= 1
    assert page.evaluate("document.fonts.check('16px \"Sandyq Reading\"')")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360, "nothing runs off the phone"
    for path in ("/ask", "/reading", "/welcome"):
        page.goto(room.url + path)
        assert violations(page) == []


def test_the_preview_of_a_list_can_be_read_by_everybody(room: Room, dana: Page) -> None:
    dana.goto(room.url + "/teacher/learners")
    send_list(dana, LIST + "Жаңа Бала;3\nЖаңа Бала;3\n")
    assert violations(dana) == []
    dana.click("button[name=twins]")
    dana.wait_for_selector(".people")
    assert dana.locator(".people li").count() == 6
    assert "Жаңа Бала (2)" in dana.inner_text(".people")
