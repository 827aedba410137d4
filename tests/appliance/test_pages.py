"""What every page keeps: languages, headers, weight, and a life without scripts."""

import re
from html.parser import HTMLParser

import pytest

from appliance import languages
from tests.classroom import Browser, Classroom

# The promise for a first visit over a bad network.
MOST_BYTES = 60_000
MOST_REQUESTS = 8


class _Page(HTMLParser):
    """Collects what a browser would fetch, and what our rules forbid."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.inline: list[str] = []
        self.labelled: set[str] = set()
        self.fields: set[str] = set()
        self._open_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag in ("img", "script") and known.get("src"):
            self.fetched.append(str(known["src"]))
        if tag == "link":
            self.fetched.append(str(known["href"]))
        self._open_script = tag == "script"
        if tag == "style" or "style" in known or any(name.startswith("on") for name in known):
            self.inline.append(tag)
        if tag == "label":
            self.labelled.add(str(known["for"]))
        if tag in ("input", "select", "textarea") and known.get("type") != "hidden":
            self.fields.add(str(known.get("id")))

    def handle_data(self, data: str) -> None:
        if self._open_script and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", ["/", "/ask", "/teacher", "/setup", "/teacher/learners", "/teacher/login"])
def test_pages_hold_no_inline_script_and_every_field_has_its_label(
    classroom: Classroom, dana: Browser, aigerim: Browser, path: str
) -> None:
    browser = {"/teacher": dana, "/teacher/learners": dana, "/ask": aigerim}.get(path, classroom.browser())
    page = _Page(browser.get(path, follow_redirects=True).text)
    assert page.inline == []
    assert page.fields <= page.labelled


def test_the_first_set_up_form_labels_every_field(classroom: Classroom) -> None:
    page = _Page(classroom.browser().get("/setup").text)
    assert {"school_class", "grade-1", "language", "learners", "list", "pin", "pin_again"} <= page.fields
    assert page.fields <= page.labelled


def test_a_cold_first_visit_is_light(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    for browser, path in ((classroom.browser(), "/"), (aigerim, "/ask")):
        answer = browser.get(path)
        fetched = {source: browser.get(source) for source in _Page(answer.text).fetched}
        assert all(part.status_code == 200 for part in fetched.values())
        total = len(answer.data) + sum(len(part.data) for part in fetched.values())
        assert total <= MOST_BYTES
        assert 1 + len(fetched) <= MOST_REQUESTS


def test_every_answer_forbids_inline_script_and_framing(classroom: Classroom, dana: Browser) -> None:
    for path in ("/", "/health", "/nowhere", "/static/sandyq.css"):
        policy = classroom.browser().get(path).headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_pages_with_names_are_not_kept_by_browsers(dana: Browser) -> None:
    assert dana.get("/teacher").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("language", list(languages.languages()))
def test_each_language_has_its_own_words_on_every_page(
    classroom: Classroom, dana: Browser, aigerim: Browser, language: str
) -> None:
    stranger = classroom.browser(language)
    heading = re.search(r"<h1>([^<]+)</h1>", stranger.get("/").text)[1]
    assert heading == languages.render(language, "Type the class code", {})
    for browser, path in ((dana, "/teacher"), (aigerim, "/ask"), (dana, "/teacher/learners")):
        page = browser.get(f"{path}?lang={language}").text
        assert f'<html lang="{language}">' in page


def test_a_language_chosen_once_stays(classroom: Classroom, dana: Browser) -> None:
    stranger = classroom.browser(language="")
    stranger.get("/?lang=ru")
    assert '<html lang="ru">' in stranger.get("/").text


def test_kazakh_comes_first(classroom: Classroom, dana: Browser) -> None:
    assert next(iter(languages.languages())) == "kk"
    stranger = classroom.browser(language="")
    assert '<html lang="kk">' in stranger.get("/").text, "the class of this box learns in Kazakh"


def test_the_page_is_up_before_the_model_and_says_so(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    classroom.engine.phase = "loading"
    while classroom.assistant.state.phase != "loading":
        classroom.assistant.wake()
    assert "still loading" in aigerim.page()
    assert classroom.browser().get("/health").json["engine"] == "loading"


def test_without_a_script_the_page_looks_again_by_itself(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    classroom.engine.hold()
    aigerim.ask("No script?")
    assert '<noscript><meta http-equiv="refresh"' in aigerim.get("/ask").text
    assert '<noscript><meta http-equiv="refresh"' in dana.get("/teacher").text
