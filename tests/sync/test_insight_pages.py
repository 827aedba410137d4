"""Pages of the region: what is told can be read, what is not told is in no page, file or answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from sync.server import api_tokens, rollups
from sync.server.exports import schema
from sync.server.store import open_store
from tests.region_simulator import RegionSimulator
from tests.sync.schools import Deed, Schools, tries

MONDAY = date(2026, 9, 7)
NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.fixture
def told_region(region: RegionSimulator) -> Iterator[RegionSimulator]:
    """Twenty-four schools in September; in the rural ones answers take long."""
    store = open_store(region.region.database)
    schools = Schools(store)
    for number in range(24):
        schools.add(
            f"B-{number:05}", "rural" if number % 2 else "urban", "small" if number % 4 < 2 else "large"
        )
    for number, name in enumerate(schools.boxes):
        slow = 80 if number % 2 else 20
        waits = [60_000] * (slow + number % 3) + [10_000] * (100 - slow)
        answers = [
            Deed(f"kk {at % 14}", "answer_finished", "kk", "answered", duration_ms=wait)
            for at, wait in enumerate(waits)
        ]
        questions = [Deed(f"kk {at % 14}", "question_asked") for at in range(60)]
        schools.send(name, MONDAY, MONDAY, [*answers, *questions, *tries(12, 30, 20)])
    # Three learners of one school handed to a person, and one school where many are stuck.
    schools.send(
        "B-00003", MONDAY, MONDAY, [Deed(f"kk {at}", "hand_back", reason="third_hint") for at in "abc"]
    )
    schools.send("B-00004", date(2026, 11, 9), date(2026, 11, 9), tries(14, 20, 90))
    store.db.execute("UPDATE box SET last_contact_at = ?", (NOVEMBER.isoformat(),))
    long_ago = (NOVEMBER - timedelta(days=40)).isoformat()
    store.db.execute("UPDATE box SET last_contact_at = ? WHERE label = 'B-00007'", (long_ago,))
    rollups.update(store.db, NOVEMBER)
    store.close()
    region.time = NOVEMBER
    yield region


@pytest.fixture
def browser(told_region: RegionSimulator) -> FlaskClient:
    return told_region.enter()


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_help_is_named_in_its_order_with_a_first_step(browser: FlaskClient) -> None:
    page = text(browser.get("/?lang=en").text)
    silent, stuck = page.index("B-00007"), page.index("B-00004")
    assert silent < stuck
    assert "No word for 2" in page
    assert "Call the school" in page
    assert "Many tries at tasks do not succeed" in page
    assert "110" not in page  # no figure of a school's lessons


def test_boxes_are_found_by_name_and_need(browser: FlaskClient) -> None:
    assert browser.get("/boxes?lang=en").text.count('<h2 class="label">') == 24
    assert "Found: 2" in text(browser.get("/boxes?lang=en&show=needs").text)
    assert "Found: 1" in text(browser.get("/boxes?lang=en&q=b-00012").text)
    assert "No box fits." in browser.get("/boxes?lang=en&q=%27%3B--").text


@pytest.mark.parametrize(
    "query", ["page=99999", "page=-1", "page=٣", "q=" + "x" * 999, "show=nothing", "q=%00"]
)
def test_odd_questions_get_a_page(browser: FlaskClient, query: str) -> None:
    assert browser.get(f"/boxes?{query}").status_code == 200


def test_the_planted_difference_stands_on_the_page_with_what_it_cannot_tell(browser: FlaskClient) -> None:
    page = browser.get("/equity?lang=en").text
    assert "Rural schools 80" in text(page)
    assert "Chance and differences between schools do not explain it." in page
    assert text(page).count("What this cannot tell") == 5
    assert "too few to tell" in page  # of Russian and English nobody sent anything
    assert browser.get("/equity?month=2025-01").status_code == 404
    assert browser.get("/equity?month=%27").status_code == 404


def test_every_page_is_whole_in_three_languages(browser: FlaskClient) -> None:
    for path in ("/", "/boxes", "/equity", "/tables"):
        for language in ("kk", "ru", "en"):
            answer = browser.get(f"{path}?lang={language}")
            assert answer.status_code == 200
            assert f'<html lang="{language}">' in answer.text
            assert not re.search(r"<script|<style|style=|onclick", answer.text)
            assert answer.text.count("<h1") == 1


def test_three_learners_are_in_nothing_that_leaves(browser: FlaskClient) -> None:
    """The hand-backs of three are in no file or answer; neither is any other number under ten."""
    files = [browser.get(f"/data/{kind}/2026-09.json").get_json() for kind in ("told", "xapi")]
    assert not [row for row in files[0] if row["part"] == "handed"]
    assert all(row["amount"] >= 10 for row in files[0])
    counts = [one["result"]["extensions"]["urn:sandyq:xapi:extension:count"] for one in files[1]]
    assert sorted(counts) == sorted(row["amount"] for row in files[0])
    assert "B-0" not in json.dumps(files)
    assert "school" not in json.dumps(files)


def test_files_keep_their_schema_and_programs_read_them_with_a_token(told_region: RegionSimulator) -> None:
    reader = told_region.http
    store = open_store(told_region.region.database)
    secret, _ = api_tokens.add(store.db, told_region.region.keys.desk, "statistics", NOVEMBER)
    store.close()
    token = {"Authorization": f"Bearer {secret}"}
    assert reader.get("/data/told/2026-09.json").status_code == 401
    rows = reader.get("/data/told/2026-09.json", headers=token).get_json()
    Draft202012Validator(schema()).validate(rows)
    assert sum(row["amount"] for row in rows if row["vector"] == "tries") == 24 * 50
    table = reader.get("/data/told/2026-09.csv", headers=token)
    assert table.text.count("\n") == len(rows) + 1
    assert reader.get("/data/told/2026-09.parquet", headers=token).data[:4] == b"PAR1"
    assert reader.get("/data/months", headers=token).get_json() == {
        "told": ["2026-09"],
        "settled": ["2026-09"],
    }
    for name in ("2026-08.json", "2026-09.xml", "x", "2026-09.csv.json"):
        assert reader.get(f"/data/told/{name}", headers=token).status_code == 404
    panels = reader.get("/data/equity/2026-09", headers=token).get_json()
    (differing,) = [panel for panel in panels if panel["differ"]]
    assert (differing["measure"], differing["axis"]) == ("waiting", "stratum")
    boxes = reader.get("/data/boxes", headers=token).get_json()
    assert boxes[0]["label"] == "B-00007"


def test_no_answer_has_a_field_about_a_teacher_a_learner_or_a_result_of_a_school(
    browser: FlaskClient,
) -> None:
    """The schema test: no league table of schools, and nothing about a person."""
    document = browser.get("/openapi.json").get_json()
    paths = {path: what for path, what in document["paths"].items() if path.startswith("/data/")}
    names = set(re.findall(r'"(\w+)": \{', json.dumps(paths)))
    for unwanted in ("teacher", "learner", "pupil", "class_name", "rank", "score"):
        assert not [name for name in names if unwanted in name]
    box = document["paths"]["/data/boxes"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    fields = set(box["items"]["properties"])
    assert fields == set(browser.get("/data/boxes").get_json()[0])
    for result in ("share", "right", "wrong", "asked", "answers", "events", "tries", "success"):
        assert result not in fields
    told = {name for row in browser.get("/data/told/2026-09.json").get_json() for name in row}
    assert not told & {"box", "box_id", "label", "school", "teacher", "learner"}


def test_an_empty_region_has_pages_too(region: RegionSimulator) -> None:
    browser = region.enter()
    for path in ("/", "/boxes", "/equity", "/tables"):
        assert browser.get(path).status_code == 200
    assert browser.get("/data/boxes").get_json() == []
