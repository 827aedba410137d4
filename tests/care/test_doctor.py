"""`sandyq doctor`: names what is wrong and the next step, is content only when all is well, names nobody."""

import dataclasses
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from appliance.box import discovery
from appliance.box.box_codes import Codes, find_codes
from appliance.care import backup_book, doctor, health, senses, signs
from appliance.care.backup_book import Proof
from appliance.care.radios import PI_MINIMAL_CLIENTS, PI_STANDARD_CLIENTS, hotspot_finding, judge
from appliance.cli import sandyq
from appliance.errors import BundleNotSaved
from appliance.settings import Settings, read_settings
from models.engine_key import ensure_engine_key
from models.store import Store
from provisioning.first_boot import prepare_box
from provisioning.hardware import Machine
from sync import client
from sync.clock import Quality
from tests.classroom import Classroom, wait_until
from tests.fake_engine import FakeEngine
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.test_what_leaves import CANARIES, traces

MODEL = "smollm2-135m-instruct"
NOW = datetime.now(UTC)
MACHINE = Machine(system="this system", board_serial=None, network_addresses=())


def settings_of(home: Path, **variables: str) -> Settings:
    return read_settings({"SANDYQ_HOME": str(home), **variables})


def run(settings: Settings, *arguments: str, language: str = "en") -> Result:
    environment = {"SANDYQ_LANGUAGE": language, "LC_ALL": None}
    return CliRunner().invoke(sandyq, ["doctor", *arguments], obj=settings, env=environment)


def keys(settings: Settings, *moods: str) -> set[str]:
    return {one.key for one in doctor.examine(settings) if not moods or one.mood in moods}


@contextmanager
def pages_that_answer(phase: str) -> Iterator[int]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"status": "ok", "engine": phase, "model": MODEL}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine of the test run feels and is connected to is not what is tested."""
    good = [signs.heat(40.0), signs.voltage(0), signs.memory(0.5), signs.disk_space(1 << 40)]
    monkeypatch.setattr(health, "findings", lambda _home: good)
    monkeypatch.setattr(discovery, "lan_addresses", lambda: ["192.168.7.1"])


@pytest.fixture
def well(tmp_path: Path, quiet_machine: None) -> Iterator[Settings]:
    """A box at which nothing is missing: set up, enrolled, synced, backed up, its pages answer."""
    home, region = tmp_path / "box", RegionSimulator(tmp_path / "region")
    region.time = datetime.now(UTC)
    prepare_box(home, MACHINE)
    store = Store(home)
    card = store.catalogue.get(MODEL)
    store.path_of(card).parent.mkdir(parents=True)
    with store.path_of(card).open("wb") as blob:
        blob.truncate(card.bytes)
    note = {"name": card.name, "sha256": card.sha256}
    (home / "models/current.json").write_text(json.dumps(note))
    backup_book.note(home, Proof("a.age", datetime.now(UTC), 1, is_elsewhere=True))
    with pages_that_answer("ready") as port, region.serve() as url:
        settings = settings_of(home, SANDYQ_WEB_PORT=str(port))
        client.enrol(settings.sync, url, region.code())
        client.run(settings.sync)
        yield settings


def test_a_box_without_a_fault_is_well_and_the_exit_code_says_so(well: Settings) -> None:
    assert not keys(well, signs.BAD, signs.WATCH)
    done = run(well)
    assert (done.exit_code, "All is well." in done.output) == (0, True)
    facts = json.loads(run(well, "--json").output)
    assert facts["well"] is True
    assert {one["area"] for one in facts["findings"]} == set(doctor.AREAS)
    assert {one["mood"] for one in facts["findings"]} == {"good"}


def test_a_blank_folder_gets_a_next_step_for_every_fault(tmp_path: Path, quiet_machine: None) -> None:
    settings = settings_of(tmp_path / "nothing", SANDYQ_WEB_PORT="1")
    done = run(settings)
    assert done.exit_code == 1
    assert keys(settings, signs.BAD, signs.WATCH) == {
        *("database_missing", "no_current_model", "pages_away", "key_missing", "backup_none"),
    }
    assert done.output.count("→") == 5
    assert not (tmp_path / "nothing").exists(), "looking makes nothing"


@pytest.mark.parametrize(
    ("language", "word"), [("kk", "Беттер жауап бермейді."), ("ru", "Страницы не отвечают.")]
)
def test_it_speaks_the_technicians_language(
    tmp_path: Path, quiet_machine: None, language: str, word: str
) -> None:
    assert word in run(settings_of(tmp_path, SANDYQ_WEB_PORT="1"), language=language).output


def test_each_fault_of_a_box_is_named(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    home = well.home
    with pages_that_answer("down") as port:
        broken = dataclasses.replace(well, web=dataclasses.replace(well.web, port=port))
        assert "engine_down" in keys(broken, signs.BAD)
    monkeypatch.setattr(discovery, "lan_addresses", list)
    (home / "keys/device/signing.key").chmod(0o644)
    card = Store(home).catalogue.get(MODEL)
    Store(home).path_of(card).unlink()
    backup_book.note(home, Proof("a.age", NOW - timedelta(days=30), 1, is_elsewhere=True))
    (home / "first-boot/moving-aside.json").write_text("{}")
    assert {"no_address", "key_exposed", "model_absent", "backup_old", "first_boot_unfinished"} == keys(
        well, signs.BAD, signs.WATCH
    )


def test_a_damaged_database_is_named_and_left_as_it_is(well: Settings) -> None:
    path = well.sync.database_path
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    assert "database_damaged" in keys(well, signs.BAD)
    assert path.read_bytes() == content


def test_what_waits_and_what_is_set_aside_is_told(well: Settings, tmp_path: Path) -> None:
    box = Box(well.sync, RegionSimulator(tmp_path / "r2"), client.get_enrolment(well.sync), None)  # type: ignore[arg-type]
    box.ask(times=3)
    db = client.open_outbox(well.sync)
    doctor.outbox.begin_epoch(db, b"12345678")
    for _ in range(doctor.MOST_FAILURES):
        doctor.line_book.note_failure(db, doctor.boots.read(), 1.0)
    db.close()
    assert {"set_aside", "line_fails"} <= keys(well, signs.WATCH)


@pytest.mark.parametrize(
    ("finding", "mood"),
    [
        (signs.heat(60), "good"),
        (signs.heat(76), "watch"),
        (signs.heat(81), "bad"),
        (signs.voltage(0x50005), "bad"),
        (signs.voltage(0x50000), "watch"),
        (signs.voltage(0x80008), "good"),
        (signs.disk_space(1 << 20), "bad"),
        (signs.disk_writable(is_read_only=True), "bad"),
        (signs.clock(datetime(1970, 1, 1, tzinfo=UTC), Quality.UNKNOWN, is_synchronised=True), "bad"),
        (signs.clock(NOW, Quality.UNCONFIRMED, is_synchronised=True), "good"),
        (signs.clock(NOW, Quality.UNCONFIRMED, is_synchronised=False), "watch"),
        (signs.clock(NOW, Quality.CONFIRMED, is_synchronised=False), "good"),
    ],
)
def test_signs_have_words_and_a_next_step(finding: signs.Finding, mood: str) -> None:
    assert finding.mood == mood
    assert finding.message % finding.params
    assert bool(finding.hint) == (mood != "good")


def test_the_senses_read_what_a_raspberry_pi_tells(tmp_path: Path) -> None:
    assert (senses.power_flags(tmp_path), senses.radios(tmp_path)) == (0, [])
    sensor = tmp_path / "sys/class/hwmon/hwmon1"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("rpi_volt\n")
    (sensor / "in0_lcrit_alarm").write_text("1\n")
    assert senses.power_flags(tmp_path) == 1
    flags = tmp_path / senses.PI_FLAGS
    flags.parent.mkdir(parents=True)
    flags.write_text("50005\n")
    assert senses.power_flags(tmp_path) == 0x50005
    port = tmp_path / "sys/class/net/wlan0"
    (port / "wireless").mkdir(parents=True)
    driver = tmp_path / "sys/bus/sdio/drivers/brcmfmac"
    driver.mkdir(parents=True)
    (port / "device").mkdir()
    (port / "device/driver").symlink_to(driver)
    (tmp_path / "sys/class/net/eth0").mkdir()
    assert senses.radios(tmp_path) == [senses.Radio("wlan0", "brcmfmac", "")]
    firmware = tmp_path / "lib/firmware/cypress/cyfmac43455-sdio-minimal.bin"
    firmware.parent.mkdir(parents=True)
    firmware.touch()
    chosen = tmp_path / senses.PI_RADIO_FIRMWARE[0]
    chosen.parent.mkdir(parents=True)
    chosen.symlink_to(firmware)
    assert senses.radios(tmp_path)[0].firmware == "cyfmac43455-sdio-minimal.bin"


@pytest.mark.parametrize(
    ("driver", "firmware", "most"),
    [
        ("brcmfmac", "", PI_STANDARD_CLIENTS),
        ("brcmfmac", "cyfmac43455-sdio-standard.bin", PI_STANDARD_CLIENTS),
        ("brcmfmac", "cyfmac43455-sdio-minimal.bin", PI_MINIMAL_CLIENTS),
        ("iwlwifi", "", None),
    ],
)
def test_a_hotspot_promises_only_what_somebody_counted(driver: str, firmware: str, most: int | None) -> None:
    hotspot = judge(driver, firmware)
    assert hotspot.most_clients == most
    finding = hotspot_finding(hotspot)
    assert finding.mood == "watch"
    assert finding.hint
    assert most is None or str(most) in finding.message % finding.params


@pytest.fixture
def lived_in(tmp_path: Path, engine: FakeEngine) -> Iterator[Settings]:
    """A box in a folder with somebody's name, where everything a person can type is a canary."""
    home = tmp_path / "Сатпаев көшесі 43"
    home.mkdir()
    prepare_box(home, MACHINE)
    ensure_engine_key(home)
    engine.words = [CANARIES[5]]
    room = Classroom(home, engine)
    form = {
        "school_class": "7A-canary",
        "grade": "7",
        "language": "kk",
        "learners": "\n".join(CANARIES[:2]),
        "pin": "070101",
        "pin_again": "070101",
        "setup_code": codes_of(home).setup_code,
    }
    dana = room.browser()
    assert dana.post("/setup", form).status_code == 303
    dana.post("/teacher/session", {"wish": "open"})
    learner = room.joined(CANARIES[0])
    for text in CANARIES[2:8]:
        assert learner.ask(text).status_code == 303
        wait_until(room.all_answered)
    room.stop()
    yield settings_of(home, SANDYQ_ENGINE_URL="http://bolat.example/070101500123")


def codes_of(home: Path) -> Codes:
    codes = find_codes(home)
    assert codes is not None
    return codes


def secrets_of(home: Path) -> list[bytes]:
    """What must not be told: the last word of each key file as hex and as bytes, and the Wi-Fi's password."""
    words = [path.read_text().split()[-1] for path in home.rglob("*.key")]
    assert len(words) >= 2, "the box's own key and the engine's"
    hexes = [word for word in words if set(word) <= set("0123456789abcdef")]
    words.append(codes_of(home).wifi_password)
    return [word.encode() for word in words] + [bytes.fromhex(word) for word in hexes]


def everything_in(bundle: Path) -> bytes:
    raw = bundle.read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as parts:
        return raw + b"".join(name.encode() + parts.read(name) for name in parts.namelist())


def test_the_support_bundle_names_nobody_and_holds_no_key(lived_in: Settings, tmp_path: Path) -> None:
    done = run(lived_in, "--bundle", str(tmp_path / "bundle.zip"))
    assert done.exit_code == 1, done.output
    held = everything_in(tmp_path / "bundle.zip")
    for canary in CANARIES:
        for trace in traces(canary):
            assert trace not in held, (canary, trace)
    for secret in secrets_of(lived_in.home):
        assert secret not in held
    code = doctor.open_database(lived_in.sync.database_path).execute("SELECT code FROM school_class")
    assert str(code.fetchone()[0]).encode() not in held


def test_the_search_would_find_them(lived_in: Settings) -> None:
    """The same search in the box's own files finds every canary that was typed, and the keys."""
    files = (path for path in lived_in.home.rglob("*") if path.is_file())
    held = b"".join(path.read_bytes() for path in files)
    assert all(canary.encode() in held for canary in CANARIES)
    assert all(secret in held for secret in secrets_of(lived_in.home)[:1])


def test_the_support_bundle_tells_what_a_technician_asks_first(lived_in: Settings, tmp_path: Path) -> None:
    run(lived_in, "--bundle", str(tmp_path / "bundle.zip"))
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        parts = {name: json.loads(bundle.read(name)) for name in bundle.namelist()}
    assert parts["database.json"]["rows"]["learner"] == 2
    assert parts["versions.json"]["sandyq"]
    assert parts["settings.json"]["engine.url"] == "set"
    assert {one["key"] for one in parts["findings.json"]} >= {"backup_none", "keys_good"}


def test_a_bundle_that_cannot_be_saved_is_an_error_with_a_next_step(lived_in: Settings) -> None:
    done = run(lived_in, "--bundle", "/proc/bundle.zip")
    assert isinstance(done.exception, BundleNotSaved)
