"""Codes by the sheet, approval, new keys, another school."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from provisioning.settings_card import read_table
from sync import client, usb
from sync.errors import BoxNotApproved, BoxRevoked, CodeRefused
from sync.keys import ensure_device_key
from sync.region_errors import PlaceUnknown, UnknownLabel
from sync.server.arrivals import sticks
from sync.server.enrolment import code_sheet, enrolments, registry
from sync.server.enrolment.enrolments import CodeSheet, read_places
from sync.server.storage.store import Place
from sync.server.translation import LANGUAGES, load_speakers
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for

PLACES = [Place("№12 мектеп", "rural", "small"), Place("Лицей <1> & Co", "urban", "large"), Place()]


def sheet_of(region: RegionSimulator, places: list[Place] = PLACES, **asked: object) -> CodeSheet:
    with region.store() as store:
        return enrolments.make_sheet(store, region.region.keys, places, region.time, **asked)  # type: ignore[arg-type]


def enrolled(region: RegionSimulator, home: Path, code: object) -> Box:
    settings = SyncSettings(home=home)
    with region.serve() as url:
        enrolment = client.enrol(settings, url, str(code))
    return Box(settings, region, enrolment, ensure_device_key(settings.home))


def test_every_code_of_a_sheet_takes_in_one_box_at_its_school(
    either_region: RegionSimulator, tmp_path: Path
) -> None:
    sheet = sheet_of(either_region)
    assert len({str(one.code) for one in sheet.codes}) == 3
    box = enrolled(either_region, tmp_path / "box", sheet.codes[0].code)
    with either_region.store() as store:
        found = registry.get_box_by_token(store, box.enrolment.token)
        ((_, place),) = store.places(found)
        assert place == PLACES[0]
        assert found.is_approved
        kept = [code.sheet for code in store.codes()]
        assert kept == [sheet.name] * 3
        secrets = {one.code.secret.encode() for one in sheet.codes}
        assert not secrets & {code.secret_sha256 for code in store.codes()}
    with pytest.raises(CodeRefused):
        enrolled(either_region, tmp_path / "other", sheet.codes[0].code)
    either_region.wait(days=31)
    with pytest.raises(CodeRefused):
        enrolled(either_region, tmp_path / "late", sheet.codes[1].code)


def test_what_an_unapproved_box_sends_waits_and_is_stored_in_its_order(
    either_region: RegionSimulator, tmp_path: Path
) -> None:
    region = either_region
    box = enrolled(region, tmp_path / "box", sheet_of(region, needs_approval=True).codes[0].code)
    box.ask(times=3)
    for _ in range(2):
        with pytest.raises(BoxNotApproved):
            box.sync()
    box.cut()
    box.ask(times=2)
    # A stick may bring more than the wire: all of it is kept.
    stick = tmp_path / "stick"
    stick.mkdir()
    usb.visit(box.settings, stick)
    with region.store() as store:
        report = sticks.import_stick(store, region.region, stick, region.time)
        assert dict(report.refused) == {"box_not_approved": 2}
        found = registry.get_box_by_token(store, box.enrolment.token)
        assert store.count_held(found) == 2
    assert region.report()["events"] == 0
    assert box.status().sealed_batches == 2, "the box keeps everything as well"
    with region.store() as store:
        done = enrolments.approve(store, region.region.keys, region.region.id, found.label, region.time)
        assert (done.stored, done.refused) == (2, 0)
        again = enrolments.approve(store, region.region.keys, region.region.id, found.label, region.time)
        assert (again.stored, again.refused) == (0, 0)
    assert (region.report()["events"], region.report()["boxes"][0]["remarks"]) == (5, [])
    box.sync()
    assert (box.status().receipted_events, box.status().sealed_batches) == (5, 0)
    assert region.report()["events"] == 5


def test_a_box_that_nobody_approves_cannot_fill_the_disk(
    region: RegionSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.server.arrivals.inbox.MAX_HELD", 2)
    box = enrolled(region, tmp_path / "box", sheet_of(region, needs_approval=True).codes[0].code)
    blobs = []
    for _ in range(3):
        box.ask()
        box.cut()
        blobs = [row[0] for row in box.query("SELECT sealed FROM batch ORDER BY id")]
    for blob in blobs:
        with pytest.raises(BoxNotApproved):
            region.deliver(blob, box.enrolment.token)  # type: ignore[arg-type]
    with region.store() as store:
        known = registry.get_box_by_token(store, box.enrolment.token)
        assert store.count_held(known) == 2
        registry.revoke(store, known.label, region.time)
        assert store.count_held(known) == 0, "refused, and nothing of it is kept"


def test_a_box_with_new_keys_goes_on_as_itself(either_region: RegionSimulator, tmp_path: Path) -> None:
    region = either_region
    old = enrolled(region, tmp_path / "old", sheet_of(region).codes[0].code)
    old.ask(times=2)
    old.sync()
    label = old.enrolment.box_label
    with region.store() as store:
        registry.revoke(store, label, region.time)
    with pytest.raises(BoxRevoked):
        old.sync()
    # A code for anybody does not make the stolen key good again; one for this box gives it a new key.
    with pytest.raises(BoxRevoked):
        enrolled(region, old.settings.home, region.code())
    code = sheet_of(region, [Place()], renews=label).codes[0].code
    new = enrolled(region, tmp_path / "new", code)
    assert new.enrolment.box_label == label
    new.ask(times=3)
    new.sync()
    (line,) = region.report()["boxes"]
    assert (line["label"], line["events"], line["batches"]) == (label, 5, 2)
    # The old key is believed no more: neither its batches nor a new code in its name.
    old.ask()
    with pytest.raises(Exception, match="does not recognise"):
        old.sync()
    with pytest.raises(BoxRevoked):
        enrolled(region, old.settings.home, region.code())
    with region.store() as store:
        assert registry.get_box_by_token(store, new.enrolment.token).label == label
        with pytest.raises(UnknownLabel):
            enrolments.make_sheet(store, region.region.keys, [Place()], region.time, renews="B-NONE0")


def test_a_clone_is_noticed_told_to_the_operator_and_to_both_boxes(
    region: RegionSimulator, tmp_path: Path
) -> None:
    box = enrolled(region, tmp_path / "box", sheet_of(region).codes[0].code)
    box.ask()
    box.sync()
    clone = box.copy("clone")
    shutil.copytree(box.settings.home / "keys", clone.settings.home / "keys")
    clone.ask(times=2)
    clone.cut()
    box.ask()
    box.sync()
    with pytest.raises(Exception, match="Another batch with the same number"):
        clone.sync()
    assert "fork" in region.report()["boxes"][0]["remarks"]
    assert clone.status().set_aside_events == 2, "the box says that it keeps what may have been sent twice"
    assert region.report()["events"] == 2


# Lists and sheets ---------------------------------------------------------------------------


def test_lists_of_schools_are_read_as_people_write_them() -> None:
    text = '\ufeffschool,stratum,size\n№12 мектеп, Rural ,small\n\n"Лицей, №1",urban\nМектеп\n'
    assert read_places(text) == [
        Place("№12 мектеп", "rural", "small"),
        Place("Лицей, №1", "urban", ""),
        Place("Мектеп", "", ""),
    ]
    assert read_places("A;rural;small\nB;urban\n") == [Place("A", "rural", "small"), Place("B", "urban", "")]
    for wrong, line in (("A,village\n", 1), ("A\nB,rural,tiny\n", 2), (",rural\n", 1), (f"{'x' * 81}\n", 1)):
        with pytest.raises(PlaceUnknown) as refused:
            read_places(wrong)
        assert refused.value.params["line"] == line


def test_the_list_opens_in_a_spreadsheet_and_starts_no_formula(region: RegionSimulator) -> None:
    sheet = sheet_of(region, [Place("=HYPERLINK(1)", "rural", "small"), Place("Мектеп, №1")])
    rows = list(csv.DictReader(io.StringIO(enrolments.sheet_as_csv(sheet, "https://region.example"))))
    assert [row["school"] for row in rows] == ["'=HYPERLINK(1)", "Мектеп, №1"]
    assert rows[0]["code"] == str(sheet.codes[0].code)
    assert rows[0]["region_url"] == "https://region.example"


def test_cards_for_boxes_are_made_from_the_sheet(region: RegionSimulator) -> None:
    sheet = sheet_of(region, [*PLACES, PLACES[0]])
    table = read_table(enrolments.sheet_as_settings(sheet, "https://region.example").encode())
    assert list(table) == ["001-12-мектеп", "002-Лицей-1-Co", "003", "004-12-мектеп"]
    assert [card.enrolment_code for card in table.values()] == [str(one.code) for one in sheet.codes]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sheet_holds_every_code_and_escapes_what_people_wrote(
    region: RegionSimulator, language: str
) -> None:
    sheet = sheet_of(region)
    page = code_sheet.render_sheet(sheet, "Түркістан", "https://region.example", load_speakers()[language])
    for one in sheet.codes:
        assert page.count(str(one.code)) == 1
    assert page.count("<svg") == 3
    assert "Лицей &lt;1&gt; &amp; Co" in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="', page), "the file needs nothing else"


def test_commands_write_private_files_and_say_no_code_twice(tmp_path: Path) -> None:
    obj = settings_for(tmp_path)
    runner = CliRunner()

    def ran(*words: str) -> str:
        result = runner.invoke(main, words, obj=obj, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    ran("region", "init", "--json")
    schools = tmp_path / "schools.csv"
    schools.write_text("№12 мектеп,rural,small\n№13 мектеп,urban,large\n", encoding="utf-8")
    listed, page = tmp_path / "codes.csv", tmp_path / "codes.html"
    said = ran(
        "region", "codes", str(schools), "--csv", str(listed), "--sheet", str(page), "--language", "ru"
    )
    assert "2 codes" in said
    for file in (listed, page):
        assert file.stat().st_mode & 0o077 == 0
    codes = [row["code"] for row in csv.DictReader(io.StringIO(listed.read_text(encoding="utf-8")))]
    assert not any(code in said for code in codes)
    assert all(code in page.read_text(encoding="utf-8") for code in codes)
    answer = json.loads(ran("region", "codes", "--count", "2", "--approval", "--json"))
    assert [one["school"] for one in answer["codes"]] == ["", ""]
