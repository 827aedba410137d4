"""The real commands as people run them: messages in their language, exit codes, a clean end, memory."""

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import urllib3

from appliance import languages
from sync.errors import NotEnrolled, RegionUnreachable
from tests.processes import PATIENCE_SECONDS, SANDYQ, RealBox, free_ports, real_box

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LOCALES = {"kk": "kk_KZ.UTF-8", "ru": "ru_RU.UTF-8", "en": "C.UTF-8"}
# The promise; the engine has the rest of a small box.
WEB_MOST_RESIDENT_BYTES = 80_000_000


@pytest.fixture
def box(tmp_path: Path, real_model_home: Path) -> Iterator[RealBox]:
    with real_box(tmp_path, real_model_home) as running:
        yield running


@pytest.mark.parametrize("language", list(LOCALES))
def test_errors_on_the_terminal_speak_the_readers_language(box: RealBox, language: str) -> None:
    done = box.sandyq("sync", "run", language=LOCALES[language])
    assert done.returncode == 1
    assert languages.render(language, NotEnrolled.message, {}) in done.stderr
    assert languages.render(language, NotEnrolled.hint, {}) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_region_that_is_down_loses_nothing(box: RealBox) -> None:
    box.enrol()
    box.start("web")
    box.wait_ready("web")
    form = "school_class=7A&language=kk&learners=Aigerim&pin=271828&pin_again=271828"
    http = urllib3.PoolManager(retries=False)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http.request("POST", box.url("web") + "/setup", body=form, headers=kind, redirect=False)
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0], **kind}
    http.request(
        "POST", box.url("web") + "/teacher/session", body="wish=open", headers=cookie, redirect=False
    )
    box.kill("region")
    done = box.sandyq("sync", "run", language=LOCALES["kk"])
    assert done.returncode == 1
    assert languages.render("kk", RegionUnreachable.message, {}) in done.stderr
    status = box.json("sync", "status")
    assert status["waiting_events"] + status["sealed_events"] == 2  # with how the box feels today
    box.start("region")
    box.wait_ready("region")
    assert box.json("sync", "run", "--early")["events"] == 2


def test_a_wrong_word_on_the_command_line_exits_2(box: RealBox) -> None:
    assert box.sandyq("sync", "rnu").returncode == 2
    assert box.sandyq("web", "serve", "--port", "eighty").returncode == 2


def test_a_misspelt_setting_stops_the_start_by_name(box: RealBox) -> None:
    (box.home / "sandyq.toml").write_text("[web]\nprot = 80\n", encoding="utf-8")
    done = box.sandyq("web", "serve")
    assert done.returncode == 1
    assert "web.prot" in done.stderr


def test_a_taken_port_and_a_second_box_say_what_to_do(box: RealBox, tmp_path: Path) -> None:
    box.start("web")
    box.wait_ready("web")
    second = box.sandyq("web", "serve")
    assert second.returncode == 1
    assert "SANDYQ_HOME" in second.stderr
    box.environment["SANDYQ_HOME"] = str(tmp_path / "other")
    third = box.sandyq("web", "serve")
    assert third.returncode == 1
    assert f"Port {box.ports['web']} is already in use" in third.stderr


def test_the_engine_without_a_model_says_how_to_get_one(box: RealBox, tmp_path: Path) -> None:
    box.environment["SANDYQ_HOME"] = str(tmp_path / "empty")
    done = box.sandyq("engine", "serve")
    assert done.returncode == 1
    assert "sandyq models pull" in done.stderr


def test_the_pages_stay_light_and_end_on_sigterm_with_streams_open(box: RealBox) -> None:
    box.start("web")
    box.wait_ready("web")
    http = urllib3.PoolManager(retries=False, maxsize=8)
    form = "school_class=7A&language=kk&learners=Aigerim&pin=271828&pin_again=271828"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = http.request("POST", box.url("web") + "/setup", body=form, headers=kind, redirect=False)
    cookie = {"Cookie": answer.headers["Set-Cookie"].split(";")[0]}
    watching = threading.Thread(
        target=_read_until_it_ends, args=(box.url("web") + "/teacher/stream", cookie), daemon=True
    )
    watching.start()
    for _ in range(200):
        http.request("GET", box.url("web") + "/teacher", headers=cookie)
    process = psutil.Process(box.processes["web"].pid)
    assert process.memory_info().rss <= WEB_MOST_RESIDENT_BYTES
    box.processes["web"].send_signal(signal.SIGTERM)
    assert box.processes["web"].wait(30) == 0, box.log("web")
    watching.join(30)
    assert not watching.is_alive()
    assert "Traceback" not in box.log("web")


def test_the_demonstration_keeps_its_contract_and_stops_cleanly(
    tmp_path: Path, real_model_home: Path
) -> None:
    home = tmp_path / "demo"
    web, engine, region = free_ports(3)
    arguments = ["--home", home, "--port", web, "--engine-port", engine, "--region-port", region, "--json"]
    environment = RealBox(tmp_path / "unused", real_model_home).environment | {
        "SANDYQ_HOME": str(real_model_home)
    }
    for name in ("WEB_HOST", "WEB_PORT", "ENGINE_PORT", "REGION_PORT"):
        environment.pop(f"SANDYQ_{name}", None)
    demo = subprocess.Popen(
        [*SANDYQ, "demo", *map(str, arguments)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert demo.stdout is not None
        facts: dict[str, Any] = json.loads(demo.stdout.readline())
        assert {"web", "engine", "region", "teacher_pin", "class_code", "model"} <= set(facts)
        http = urllib3.PoolManager(retries=False)
        for part in ("web", "engine", "region"):
            assert http.request("GET", facts[part] + "/health").status == 200
        page = http.request("GET", f"{facts['web']}/class/{facts['class_code']}").data.decode()
        assert len(re.findall('class="tile"', page)) == 8
        _a_dead_part_comes_back(demo.pid, http, facts["engine"] + "/health")
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(30) == 0
        assert not [child for child in children if child.is_running() and child.status() != "zombie"]
        assert str(facts["teacher_pin"]) not in "".join(path.read_text() for path in home.glob("*.log"))
    finally:
        demo.kill()
        demo.wait()
        if demo.stdout:
            demo.stdout.close()


def _a_dead_part_comes_back(demo: int, http: urllib3.PoolManager, url: str) -> None:
    engine = next(child for child in psutil.Process(demo).children() if "engine" in child.cmdline())
    engine.kill()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if not engine.is_running() and http.request("GET", url, timeout=2).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.2)
    raise AssertionError("the engine did not come back")


def _read_until_it_ends(url: str, headers: dict[str, str]) -> None:
    try:
        response = urllib3.PoolManager(retries=False).request(
            "GET", url, headers=headers, preload_content=False
        )
        while response.read1(1024):  # type: ignore[attr-defined]
            pass
    except urllib3.exceptions.HTTPError:
        pass
