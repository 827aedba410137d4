"""The teacher sees where the box is found and changes it through the helpers; nobody else does."""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import root_door
from tests.classroom import SETUP, Browser, Classroom

CODES = {"wifi_password": "abcde-fghjk", "setup_code": "483920"}


class Helpers:
    """The real doors, with verbs that only note that they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.is_broken = False
        self.mode = "lan"
        self._doors: list[socket.socket] = []
        for helper, verbs in root_door.HELPERS.items():
            door = socket.socket(socket.AF_UNIX)
            door.bind(str(folder / f"{helper}.sock"))
            door.listen()
            self._doors.append(door)
            noted = {verb: self._verb(verb) for verb in verbs}
            # The test is root or somebody: both are who the kernel says they are.
            uid = frozenset({os.getuid()})
            threading.Thread(target=self._serve, args=(door, noted, uid), daemon=True).start()

    def _serve(self, door, noted, uid) -> None:  # type: ignore[no-untyped-def]
        with suppress(OSError):  # closed at the end of the test
            root_door.serve(door, noted, uid)

    def _verb(self, name: str):  # type: ignore[no-untyped-def]
        def verb() -> dict[str, object]:
            if self.is_broken and name != "status":
                raise OSError("no radio")
            if name != "status":
                self.asked.append(name)
            return {"wish": "auto", "mode": self.mode, "has_radio": True}

        return verb

    def close(self) -> None:
        for door in self._doors:
            door.shutdown(socket.SHUT_RDWR)
            door.close()


@pytest.fixture
def helpers(classroom: Classroom, tmp_path: Path) -> Iterator[Helpers]:
    folder = tmp_path / "doors"
    folder.mkdir()
    app = classroom.app
    app.extensions["sandyq"] = replace(app.extensions["sandyq"], helpers=folder)
    helpers = Helpers(folder)
    yield helpers
    helpers.close()


def give_codes(classroom: Classroom) -> None:
    (classroom.home / "box.json").write_text(json.dumps({"name": "sandyq-1a2b", "device_id": "00"}))
    (classroom.home / "codes.json").write_text(json.dumps(CODES))


def test_the_teacher_switches_the_network(classroom: Classroom, dana: Browser, helpers: Helpers) -> None:
    page = dana.page("/teacher/box")
    assert "192.168.7.1:8080" in page
    assert "The box is in the school's network." in page
    for wish, verb in (("hotspot", "use-hotspot"), ("lan", "use-lan"), ("auto", "use-auto")):
        assert dana.post("/teacher/box", {"wish": wish}).status_code == 303
        assert helpers.asked.pop() == verb


def test_restart_and_switch_off_are_asked_about_once_more(dana: Browser, helpers: Helpers) -> None:
    for wish, verb in (("restart", "restart"), ("switch-off", "switch-off")):
        answer = dana.post("/teacher/box", {"wish": wish})
        assert "Yes," in answer.text
        assert helpers.asked == []
        assert dana.post("/teacher/box", {"wish": wish, "sure": "yes"}).status_code == 200
        assert helpers.asked.pop() == verb


def test_nobody_but_a_classs_teacher_comes_here(
    classroom: Classroom, dana: Browser, aigerim: Browser, helpers: Helpers
) -> None:
    for browser in (classroom.browser(), aigerim):
        assert browser.get("/teacher/box").status_code in (303, 403)
        answer = browser.post("/teacher/box", {"wish": "switch-off", "sure": "yes"})
        assert answer.status_code in (303, 403)
    foreign = dana.post(
        "/teacher/box", {"wish": "restart", "sure": "yes"}, headers={"Origin": "http://evil.kz"}
    )
    assert foreign.status_code == 403
    assert helpers.asked == []


@pytest.mark.parametrize("wish", ["", "use-lan", "reboot", "status", "../power"])
def test_only_listed_wishes_are_passed_on(dana: Browser, helpers: Helpers, wish: str) -> None:
    assert dana.post("/teacher/box", {"wish": wish, "sure": "yes"}).status_code == 400
    assert helpers.asked == []


def test_a_machine_without_helpers_says_what_to_do(dana: Browser) -> None:
    page = dana.page("/teacher/box")
    assert "On this machine the pages cannot change the network" in page
    assert "192.168.7.1:8080" in page
    assert "Switch the box off" not in page
    answer = dana.post("/teacher/box", {"wish": "hotspot"})
    assert answer.status_code == 501
    assert "Do it by hand" in answer.text


def test_a_helper_that_fails_changes_nothing_and_is_said(dana: Browser, helpers: Helpers) -> None:
    helpers.is_broken = True
    answer = dana.post("/teacher/box", {"wish": "hotspot"})
    assert answer.status_code == 502
    assert "Everything is as before" in answer.text
    assert "no radio" not in answer.text


def test_the_wifis_password_is_shown_to_the_teacher_while_it_is_open(
    classroom: Classroom, dana: Browser, aigerim: Browser, helpers: Helpers
) -> None:
    give_codes(classroom)
    assert "abcde-fghjk" not in dana.page("/teacher/box")
    helpers.mode = "hotspot"
    page = dana.get("/teacher/box").text
    assert "abcde-fghjk" in page
    assert len(re.findall(r"<svg[^>]*class=\"qr", page)) == 2
    assert "abcde-fghjk" not in aigerim.get("/ask").text


# The first start ---------------------------------------------------------------


def test_a_new_box_belongs_to_whoever_can_read_its_screen_or_its_card(classroom: Classroom) -> None:
    give_codes(classroom)
    learner = classroom.browser()
    assert "Code for the first start" in learner.page("/setup")
    for typed in ({}, {"setup_code": "000000"}, {"setup_code": ""}):
        answer = learner.post("/setup", {**SETUP, **typed})
        assert answer.status_code == 403
        assert "sandyq-result.txt" in answer.text
    # Guessing is braked on one device and costs no one else anything.
    while (answer := learner.post("/setup", {**SETUP, "setup_code": "111111"})).status_code == 403:
        pass
    assert answer.status_code == 429
    assert not (classroom.home / "set-up").exists()

    dana = classroom.browser()
    assert dana.post("/setup", {**SETUP, "setup_code": "483 920"}).status_code == 303
    # From now on the machine takes the codes off the card.
    assert (classroom.home / "set-up").exists()


def test_a_machine_without_a_first_start_asks_for_no_code(classroom: Classroom) -> None:
    assert "Code for the first start" not in classroom.browser().page("/setup")
    classroom.dana_sets_up()


def test_a_colleague_needs_no_code(classroom: Classroom) -> None:
    give_codes(classroom)
    dana = classroom.browser()
    assert dana.post("/setup", {**SETUP, "setup_code": CODES["setup_code"]}).status_code == 303
    assert "Code for the first start" not in dana.page("/setup")
    assert dana.post("/setup", {**SETUP, "school_class": "8B"}).status_code == 303
