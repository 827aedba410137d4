"""The page on which operators let boxes in, the nation's page, and how much one box may send."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from sync import client
from sync.errors import RegionBusy
from sync.keys import ensure_device_key
from sync.region_errors import QuotaSpent
from sync.server.app import create_app
from sync.server.arrivals.quotas import DailyQuota
from sync.server.enrolment import enrolments, registry
from sync.server.people import audit
from sync.server.storage.identity import NATION
from sync.server.storage.store import Place
from sync.settings import SyncSettings
from sync.transport import HttpTransport
from tests.region_simulator import RegionSimulator, serve
from tests.sync.cast import Box
from tests.sync.test_forward import MORNING, Country, sent

HTML = {"Accept": "text/html"}
CODE = re.compile(r"[0-9A-Z]{5}(?:-[0-9A-Z]{5}){3}")


def posted(browser: FlaskClient, path: str, **typed: str) -> str:
    page = browser.get("/enrolment", headers=HTML).text
    token = re.search(r'name="form_token" value="([^"]+)"', page)
    assert token
    answer = browser.post(
        f"/enrolment/{path}", data=typed | {"form_token": token[1]}, headers=HTML, follow_redirects=True
    )
    assert answer.status_code < 500
    return answer.text


def enrolled(region: RegionSimulator, home: Path, code: str) -> Box:
    settings = SyncSettings(home=home)
    with region.serve() as url:
        enrolment = client.enrol(settings, url, code)
    return Box(settings, region, enrolment, ensure_device_key(settings.home))


def test_an_operator_lets_a_box_in_moves_it_and_gives_it_new_keys(
    region: RegionSimulator, tmp_path: Path
) -> None:
    browser = region.enter("operator")
    sheet = posted(browser, "codes", schools="№12 мектеп, rural, small\n", approval="1", url="https://r.kz")
    (code,) = CODE.findall(sheet)
    assert "№12 мектеп" in sheet
    assert "<style" not in sheet, "the page's own rule forbids styles inside it"
    box = enrolled(region, tmp_path / "box", code)
    label = box.enrolment.box_label
    box.ask(times=2)
    with pytest.raises(Exception, match="must approve"):
        box.sync()
    page = browser.get("/enrolment", headers=HTML).text
    assert label in page
    assert code not in page
    assert posted(browser, "approve", label=label).count(label) > 1
    assert region.report()["events"] == 2
    page = posted(browser, "move", label=label, school="Лицей", stratum="urban", size_class="huge")
    with region.store() as store:
        known = registry.get_box_by_token(store, box.enrolment.token)
        assert store.places(known)[0][1] == Place("Лицей", "urban", "")
    posted(browser, "revoke", label=label)
    renewed = CODE.findall(posted(browser, "renew", label=label))
    assert enrolled(region, tmp_path / "new", renewed[0]).enrolment.box_label == label
    with region.store() as store:
        done = [link.entry.action for link in audit.newest(store.db)]
    assert [action for action in reversed(done) if action.startswith(("box", "codes"))] == [
        *("codes_made", "box_approved", "box_moved", "box_revoked", "codes_made")
    ]
    assert "B-NONE0" in posted(browser, "approve", label="B-NONE0")


def test_who_may_not_act_changes_nothing(region: RegionSimulator) -> None:
    viewer = region.enter("viewer")
    assert viewer.get("/enrolment", headers=HTML).status_code == 403
    assert region.app.test_client().get("/enrolment", headers=HTML).status_code == 302
    operator = region.enter("operator")
    assert operator.post("/enrolment/codes", data={"count": "2"}).status_code == 403, "no form of ours"
    with region.store() as store:
        assert store.codes() == []


@pytest.mark.parametrize("schools", ["A,village\n", "x" * 100, "\x00"])
def test_a_list_that_is_not_right_makes_no_code_and_comes_back(region: RegionSimulator, schools: str) -> None:
    page = posted(region.enter("operator"), "codes", schools=schools)
    assert 'role="alert"' in page or CODE.search(page)
    with region.store() as store:
        assert len(store.codes()) <= 1


def test_one_box_cannot_send_without_end(region: RegionSimulator, tmp_path: Path) -> None:
    quota = DailyQuota(most=2)
    box = enrolled(region, tmp_path / "box", region.code())
    other = enrolled(region, tmp_path / "other", region.code())
    app = create_app(region.region, clock=lambda: region.time, quota=quota)
    for _ in range(3):
        box.ask()
        box.cut()
    blobs = [row[0] for row in box.query("SELECT sealed FROM batch ORDER BY id")]
    with serve(app) as url, HttpTransport(url, box.enrolment.token) as line:
        for blob in blobs[:2]:
            line.send(blob)  # type: ignore[arg-type]
        with pytest.raises(RegionBusy):
            line.send(blobs[2])  # type: ignore[arg-type]
        answer = app.test_client().post(
            "/v1/batches", data=blobs[2], headers={"Authorization": f"Bearer {box.enrolment.token}"}
        )
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "21600")
        region.time += timedelta(days=1)
        line.send(blobs[2])  # type: ignore[arg-type]
    with region.store() as store:
        known = registry.get_box_by_token(store, box.enrolment.token)
        stranger = registry.get_box_by_token(store, other.enrolment.token)
        fresh = DailyQuota(most=2)
        fresh(store, known, region.time)
        with pytest.raises(QuotaSpent):
            fresh(store, known, region.time)  # a worker that was just started knows what came today
        fresh(store, stranger, region.time)


def test_the_nations_page_shows_regions_totals_and_uncertainty(tmp_path: Path) -> None:
    nation = RegionSimulator(tmp_path / "nation-home", role=NATION, name="Қазақстан")
    region = RegionSimulator(tmp_path / "region-home", name="Ұлытау облысы")
    nation.time = region.time = MORNING
    with nation.store() as store:
        code = enrolments.make_sheet(store, nation.region.keys, [Place(region.region.name)], MORNING).codes[0]
    region.join(nation, str(code.code))
    country = Country(nation, region, tmp_path)
    empty = nation.enter("viewer").get("/nation", headers=HTML).text
    assert "Ұлытау облысы" in empty
    sent(country, 2)
    country.wait(days=1)
    country.forward()
    for language, words in (("kk", "екеуінің есебі бірдей"), ("ru", "счёт совпадает"), ("en", "both count")):
        page = nation.enter("viewer").get(f"/nation?lang={language}", headers=HTML).text
        assert words in page
        assert page.count("±") > 10
        assert "Ұлытау облысы" in page
    assert nation.enter("viewer").get("/", headers=HTML).location == "/nation"
    assert region.enter("viewer").get("/nation", headers=HTML).status_code == 404
    for box in country.query("SELECT label, school FROM box", of="region"):
        assert str(box[0]) not in page
