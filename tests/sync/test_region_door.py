"""The region's door: enrolment, problems in the reader's language, the page, real HTTP."""

from __future__ import annotations

import base64
import json
import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from openapi_spec_validator import validate

from sync import client
from sync.enrolment_code import read_code
from sync.errors import (
    AlreadyEnrolled,
    AnswerUnreadable,
    BadRegionAddress,
    CodeMisspelt,
    CodeRefused,
    KeyDamaged,
    KeyExposed,
    NotEnrolled,
    RegionRefused,
    RegionUnreachable,
    TooManyCodes,
    WrongRegion,
)
from sync.keys import device_id, ensure_device_key, ensure_region_keys, get_device_key
from sync.region_errors import RegionNotReady
from sync.server.storage.identity import get_region, make_region
from sync.settings import RegionSettings, SyncSettings
from sync.transport import HttpTransport
from tests.region_simulator import RegionSimulator, serve
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for


def enrol(home: Path, region: RegionSimulator, code: str) -> client.Enrolment:
    with region.serve() as url:
        return client.enrol(SyncSettings(home=home), url, code)


def test_code_enrols_one_box_only(tmp_path: Path, region: RegionSimulator) -> None:
    code = region.code()
    enrol(tmp_path / "dana", region, code)
    with pytest.raises(CodeRefused):
        enrol(tmp_path / "erlan", region, code)
    assert len(region.report()["boxes"]) == 1


def test_lost_answer_to_an_enrolment_may_be_asked_for_again(tmp_path: Path, region: RegionSimulator) -> None:
    code = region.code()
    first = enrol(tmp_path / "dana", region, code)
    again = enrol(tmp_path / "dana", region, code)
    assert again.box_label == first.box_label
    assert again.token != first.token
    assert len(region.report()["boxes"]) == 1


def test_old_code_is_refused(tmp_path: Path, region: RegionSimulator) -> None:
    code = region.code()
    region.wait(days=3, seconds=1)
    with pytest.raises(CodeRefused):
        enrol(tmp_path / "dana", region, code)


def test_guessing_codes_is_slowed_down(tmp_path: Path, region: RegionSimulator) -> None:
    good = region.code()
    wrong = "00000-00000" + good[11:]
    home = tmp_path / "mallory"
    for _ in range(10):
        with pytest.raises(CodeRefused):
            enrol(home, region, wrong)
    with pytest.raises(TooManyCodes, match="Wait 6"):
        enrol(home, region, good)
    region.wait(minutes=11)
    assert enrol(home, region, good).region_name == "Түркістан"


def test_misspelt_code_never_reaches_the_region(tmp_path: Path) -> None:
    for typed in ("", "ABC", "U" * 20, "0" * 21, "Әліпби" * 4):
        with pytest.raises(CodeMisspelt):
            client.enrol(SyncSettings(home=tmp_path), "http://127.0.0.1:9", typed)


def test_region_with_other_keys_than_the_code_says_is_an_impostor(
    tmp_path: Path, region: RegionSimulator
) -> None:
    impostor = RegionSimulator(tmp_path / "impostor")
    code = impostor.code()
    mixed = code[:11] + region.code()[11:]
    with pytest.raises(WrongRegion):
        enrol(tmp_path / "dana", impostor, mixed)
    assert client.find_enrolment(SyncSettings(home=tmp_path / "dana")) is None


def test_enrolled_box_does_not_move_by_mistake(tmp_path: Path, box: Box) -> None:
    other = RegionSimulator(tmp_path / "other")
    with pytest.raises(AlreadyEnrolled):
        enrol(box.settings.home, other, other.code())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        json.dumps({"code": 1}).encode(),
        json.dumps({"code": "A", "device_key": "!", "proof": "", "software": "x"}).encode(),
    ],
)
def test_request_in_another_form_is_a_bad_request(region: RegionSimulator, body: bytes) -> None:
    answer = region.http.post("/v1/enrolments", data=body)
    assert (answer.status_code, answer.get_json()["code"]) == (400, "bad_request")


def test_key_that_is_not_proven_is_refused(tmp_path: Path, region: RegionSimulator) -> None:
    device = ensure_device_key(tmp_path)
    request = {
        "code": read_code(region.code()).secret,
        "device_key": base64.b64encode(device.public).decode(),
        "proof": base64.b64encode(device.sign(b"something else")).decode(),
        "software": "0.1.0",
    }
    answer = region.http.post("/v1/enrolments", json=request)
    assert answer.get_json()["code"] == "device_not_proven"


def test_problem_is_told_in_the_readers_language(region: RegionSimulator) -> None:
    said = {}
    for language in ("kk", "ru", "en", "fr", "ru-RU,ru;q=0.9,en;q=0.8"):
        answer = region.http.post("/v1/batches", data=b"x", headers={"Accept-Language": language})
        problem = answer.get_json()
        assert set(problem) == {"type", "title", "status", "detail", "code", "hint"}
        assert (answer.status_code, problem["code"]) == (401, "token_refused")
        said[language] = problem["title"]
    assert said["kk"] == "Өңір бұл құрылғыны танымайды."
    assert said["ru"] == said["ru-RU,ru;q=0.9,en;q=0.8"] == "Регион не узнаёт это устройство."
    assert said["en"] == said["fr"] == "The region does not recognise this box."


def test_other_addresses_and_methods_are_problems_too(region: RegionSimulator) -> None:
    assert region.http.get("/v1/batches").get_json()["code"] == "method_not_allowed"
    assert region.http.get("/v1/nothing").get_json()["code"] == "not_found"
    page = region.http.get("/nothing", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "Бұл мекенжайда ештеңе жоқ." in page.text
    large = region.http.post("/v1/enrolments", data=bytes(5000))
    assert (large.status_code, large.get_json()["code"]) == (413, "request_too_large")


def test_unexpected_fault_is_answered_and_names_no_secret(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object) -> bytes:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("sync.server.arrivals.inbox.read_arrival", fail)
    answer = region.http.post(
        "/v1/batches", data=b"payload-canary", headers={"Authorization": f"Bearer {box.enrolment.token}"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (500, "unexpected")
    assert "ValueError" in caplog.text
    assert box.enrolment.token not in caplog.text
    assert "payload-canary" not in caplog.text


def test_page_shows_boxes_and_counts_in_three_languages(box: Box, region: RegionSimulator) -> None:
    box.ask(times=1234)
    box.sync()
    browser = region.enter()
    pages = {language: browser.get(f"/boxes?lang={language}") for language in ("kk", "ru", "en")}
    for language, page in pages.items():
        assert f'<html lang="{language}">' in page.text
        assert box.enrolment.box_label in page.text
        assert "Түркістан" in page.text
        assert not re.search(r"<script|<style|style=|onclick", page.text)
        assert "unsafe" not in page.headers["Content-Security-Policy"]
    assert "Соңғы байланыс" in pages["kk"].text
    assert "Последняя связь" in pages["ru"].text
    assert "1,234" not in pages["en"].text
    fresh = region.enter()
    assert fresh.get("/", headers={"Accept": "text/html"}).text.startswith("<!doctype html>")
    assert '<html lang="kk">' in fresh.get("/").text
    order = [pages["kk"].text.index(name) for name in ("Қазақша", "Русский", "English")]
    assert order == sorted(order)


def test_empty_region_says_what_next(region: RegionSimulator) -> None:
    assert "sandyq region code" in region.enter().get("/?lang=ru").text


def test_openapi_is_valid_and_names_every_route(region: RegionSimulator) -> None:
    document = region.http.get("/openapi.json").get_json()
    validate(document)
    assert document["openapi"].startswith("3.1")
    rules = {rule.rule for rule in region.app.url_map.iter_rules()}
    rules = {
        rule
        for rule in rules
        if rule.startswith(("/v1/", "/data/")) or rule in {"/health", "/metrics", "/openapi.json"}
    }
    assert set(document["paths"]) == {rule.replace("<", "{").replace(">", "}") for rule in rules}


def test_health_answers(region: RegionSimulator) -> None:
    assert region.http.get("/health").get_json() == {"status": "ok", "region": "Түркістан"}


def test_real_http_carries_a_batch_and_refuses_a_large_one(box: Box, region: RegionSimulator) -> None:
    box.ask(times=3)
    with region.serve() as url:
        with pytest.raises((RegionRefused, RegionUnreachable)):
            HttpTransport(url, box.enrolment.token).send(bytes(1_000_000))
        db = client.open_outbox(box.settings)
        report = client.send_all(db, box.device, box.enrolment, HttpTransport(url, box.enrolment.token))
        db.close()
    assert report.events == region.count("question_asked") == 3


def test_line_that_ends_nowhere_is_named(tmp_path: Path, region: RegionSimulator) -> None:
    with region.serve() as url:
        pass
    with pytest.raises(RegionUnreachable):
        client.enrol(SyncSettings(home=tmp_path), url, region.code())
    for address in ("", "region.kz", "ftp://region.kz", "https://", "https://user:pw@region.kz"):
        with pytest.raises(BadRegionAddress):
            client.enrol(SyncSettings(home=tmp_path), address, region.code())


@pytest.mark.parametrize(
    ("status", "body"), [("200 OK", b"<h1>Free Wi-Fi</h1>"), ("302 Found", b""), ("404 Not Found", b"<p>?")]
)
def test_sign_in_page_of_a_network_is_not_a_region(
    tmp_path: Path, region: RegionSimulator, status: str, body: bytes
) -> None:
    def portal(_environ: object, start: Callable[[str, list[tuple[str, str]]], object]) -> list[bytes]:
        start(status, [("Content-Type", "text/html"), ("Location", "http://127.0.0.1:9/login")])
        return [body]

    with serve(portal) as url, pytest.raises(AnswerUnreadable, match="sign-in page"):
        client.enrol(SyncSettings(home=tmp_path), url, region.code())
    with serve(portal) as url, pytest.raises(AnswerUnreadable, match="sign-in page"):
        client.HttpTransport(url, "token").send(b"envelope")


def test_sync_before_enrolment_says_how_to_enrol(tmp_path: Path) -> None:
    with pytest.raises(NotEnrolled, match="sandyq sync enrol"):
        client.run(SyncSettings(home=tmp_path))


# Files


def test_secrets_are_readable_by_this_account_only(box: Box, region: RegionSimulator) -> None:
    box.ask()
    box.sync()
    secrets = [
        *(box.settings.home / "keys" / "device").iterdir(),
        box.settings.home / "enrolment.json",
        *box.settings.home.glob("box.sqlite*"),
        *(region.settings.folder / "keys").iterdir(),
        region.settings.folder / "region.json",
        *region.settings.folder.glob("region.sqlite*"),
    ]
    assert len(secrets) >= 7
    for path in secrets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (box.settings.home / "keys" / "device", region.settings.folder / "keys"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_code_and_token_are_stored_only_as_hashes(box: Box, region: RegionSimulator) -> None:
    code = read_code(region.code())
    stored = b"".join(path.read_bytes() for path in region.settings.folder.glob("region.sqlite*"))
    assert code.secret.encode() not in stored
    assert box.enrolment.token.partition(".")[2].encode() not in stored


def test_key_others_can_read_is_refused(tmp_path: Path) -> None:
    ensure_device_key(tmp_path)
    path = tmp_path / "keys/device/signing.key"
    path.chmod(0o644)
    with pytest.raises(KeyExposed, match="chmod 600"):
        get_device_key(tmp_path)


def test_damaged_key_is_named_and_never_replaced(tmp_path: Path) -> None:
    ensure_device_key(tmp_path)
    path = tmp_path / "keys/device/signing.key"
    for content in (b"", b"sandyq-key-1 device 00\n", b"\xff\xff", path.read_bytes()[:-2]):
        path.write_bytes(content)
        with pytest.raises(KeyDamaged):
            ensure_device_key(tmp_path)


def test_second_start_keeps_the_keys(tmp_path: Path) -> None:
    assert ensure_device_key(tmp_path).public == ensure_device_key(tmp_path).public
    assert device_id(tmp_path) == ensure_device_key(tmp_path).kid.hex()
    settings = RegionSettings(home=tmp_path)
    first, second = (make_region(settings, name, "") for name in ("Абай", "Ұлытау"))
    assert (first.id, first.name) == (second.id, second.name) == (get_region(settings).id, "Абай")
    assert ensure_region_keys(settings.folder).opening.kid == first.keys.opening.kid


def test_words_of_a_key_do_not_show_it(tmp_path: Path, box: Box) -> None:
    seed = (box.settings.home / "keys/device/signing.key").read_text().split()[-1]
    for thing in (box.device, box.enrolment, client.HttpTransport("http://r", box.enrolment.token)):
        assert seed not in repr(thing)
        assert box.enrolment.token not in repr(thing)


# Commands


def test_commands_tell_the_whole_walk(tmp_path: Path, region: RegionSimulator) -> None:
    runner = CliRunner()
    settings = settings_for(region.settings.home)
    code = json.loads(runner.invoke(main, ["region", "code", "--json"], obj=settings).stdout)["code"]
    box = settings_for(tmp_path / "box")
    region.time = client_now()
    with region.serve() as url:
        done = runner.invoke(main, ["sync", "enrol", url, "--json"], obj=box, input=code + "\n")
        enrolled = json.loads(done.stdout)
        assert enrolled["region"] == "Түркістан"
        assert (
            runner.invoke(main, ["sync", "run", "--json"], obj=box).stdout
            == '{"batches": 0, "events": 0, "waiting": 0}\n'
        )
    status = json.loads(runner.invoke(main, ["sync", "status", "--json"], obj=box).stdout)
    assert (status["region"], status["box"], status["waiting_events"]) == (
        "Түркістан",
        enrolled["box"],
        0,
    )
    report = json.loads(runner.invoke(main, ["region", "report", "--json"], obj=settings).stdout)
    assert [line["label"] for line in report["boxes"]] == [enrolled["box"]]
    for command in (["sync", "status"], ["region", "report"], ["region", "code"], ["sync", "show"]):
        result = runner.invoke(main, command, obj=settings if command[0] == "region" else box)
        assert result.exit_code == 0
        assert client.get_enrolment(box.sync).token not in result.output


def client_now() -> datetime:
    return datetime.now(UTC)


def test_region_remembers_where_its_database_is(tmp_path: Path) -> None:
    runner, settings = CliRunner(), settings_for(tmp_path)
    assert isinstance(runner.invoke(main, ["region", "report"], obj=settings).exception, RegionNotReady)
    address = f"sqlite:///{tmp_path}/elsewhere.sqlite"
    runner.invoke(main, ["region", "init", "--database", address], obj=settings, catch_exceptions=False)
    assert (tmp_path / "elsewhere.sqlite").exists()
    assert get_region(settings.region).database == address
    assert runner.invoke(main, ["region", "report", "--json"], obj=settings).exit_code == 0
