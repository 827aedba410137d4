"""Pages of the region: what is told can be read, what is not told is in no page, file or answer."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator

from sync.server.insight.exports import schema
from sync.server.people import api_tokens
from sync.server.storage.store import open_store
from tests.region_simulator import RegionSimulator
from tests.sync.schools import play_autumn

NOVEMBER = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def told_region(tmp_path_factory: pytest.TempPathFactory) -> RegionSimulator:
    """Made once: everybody here only looks."""
    region = RegionSimulator(tmp_path_factory.mktemp("region"))
    play_autumn(region, NOVEMBER)
    return region


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
    assert "Found: 5" in text(browser.get("/boxes?lang=en&show=needs").text)
    assert "Found: 1" in text(browser.get("/boxes?lang=en&q=b-00012").text)
    assert "No box fits." in browser.get("/boxes?lang=en&q=%27%3B--").text


@pytest.mark.parametrize(
    "query", ["page=99999", "page=-1", "page=٣", "q=" + "x" * 999, "show=nothing", "q=%00"]
)
def test_odd_questions_get_a_page(browser: FlaskClient, query: str) -> None:
    assert browser.get(f"/boxes?{query}").status_code == 200


def test_the_planted_difference_stands_on_the_page_with_what_it_cannot_tell(browser: FlaskClient) -> None:
    page = browser.get("/equity?lang=en").text
    waiting = text(page[page.index('id="waiting"') : page.index('id="failing"')])
    shares = dict(re.findall(r"(Rural|Urban) schools (\d+)%", waiting))
    assert int(shares["Rural"]) > 2 * int(shares["Urban"])
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
        "told": ["2026-11", "2026-10", "2026-09"],
        "settled": ["2026-09"],
    }
    for name in ("2026-08.json", "2026-09.xml", "x", "2026-09.csv.json"):
        assert reader.get(f"/data/told/{name}", headers=token).status_code == 404
    panels = reader.get("/data/equity/2026-09", headers=token).get_json()
    differing = {(panel["measure"], panel["axis"]) for panel in panels if panel["differ"]}
    assert ("waiting", "stratum") in differing
    assert {measure for measure, _ in differing} == {"waiting"}
    boxes = reader.get("/data/boxes", headers=token).get_json()
    assert [box["label"] for box in boxes[:2]] == ["B-00009", "B-00007"]


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
