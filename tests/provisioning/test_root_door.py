"""The doors to what needs root: one user, a few verbs, and nothing that a caller says becomes a command."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioning import led, root_door
from provisioning.network_rules import (
    LAN_SECONDS,
    PROFILES,
    choose_mode,
    hotspot_profile,
    name_server_lines,
)
from provisioning.slots import slot_of

US, STRANGER = 4711, 4712
ALLOWED = frozenset({0, US})


class Bell:
    """A verb that notes that it was rung."""

    def __init__(self) -> None:
        self.rung = 0

    def ring(self) -> dict[str, object]:
        self.rung += 1
        return {"rung": self.rung}

    def break_down(self) -> dict[str, object]:
        raise OSError("no such tool, /secret/path")


@pytest.fixture
def bell() -> Bell:
    return Bell()


def said(bell: Bell, uid: int, line: bytes) -> dict[str, object]:
    verbs = {"ring": bell.ring, "break": bell.break_down}
    answer: dict[str, object] = json.loads(root_door.answer(verbs, uid, ALLOWED, line))
    return answer


def test_the_pages_user_is_heard(bell: Bell) -> None:
    assert said(bell, US, b"ring\n") == {"done": True, "rung": 1}
    assert said(bell, 0, b"ring\n") == {"done": True, "rung": 2}


def test_a_foreign_user_is_refused_whatever_it_says(bell: Bell) -> None:
    for line in (b"ring", b"ring\nuid=0", b"", b"\xff"):
        assert said(bell, STRANGER, line) == {"done": False, "why": "foreign_user"}
    assert bell.rung == 0


@pytest.mark.parametrize(
    "line",
    [
        b"poweroff; rm -rf /",
        b"RING",
        b" ring",
        b"ring ring",
        b"ring\nring\n",
        b"ring\0",
        b"__class__",
        b"",
        b"\n",
        b"\xff",
    ],
)
def test_what_is_not_exactly_a_verb_is_refused(bell: Bell, line: bytes) -> None:
    assert said(bell, US, line) == {"done": False, "why": "unknown_verb"}
    assert bell.rung == 0


@given(st.binary(max_size=300))
def test_no_line_rings_but_the_right_one(line: bytes) -> None:
    bell = Bell()
    answer = said(bell, US, line)
    assert answer["done"] is (bell.rung == 1)


def test_a_tool_that_fails_is_said_without_its_words(bell: Bell) -> None:
    assert said(bell, US, b"break") == {"done": False, "why": "failed"}


@pytest.fixture
def door(tmp_path: Path, bell: Bell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(root_door, "CALL_SECONDS", 0.3)
    monkeypatch.setattr(root_door, "IDLE_SECONDS", 1.0)
    path = tmp_path / "door"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    allowed = frozenset({os.getuid()})
    thread = threading.Thread(target=root_door.serve, args=(listener, {"ring": bell.ring}, allowed))
    thread.start()
    yield path
    # Nobody calls any more: it ends by itself.
    thread.join(10)
    listener.close()
    assert not thread.is_alive()


def call(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(line)
        return client.recv(1000)


def test_the_kernel_says_who_calls_and_a_silent_caller_does_not_keep_the_next_one_waiting(
    door: Path, bell: Bell
) -> None:
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as gone:
        silent.connect(str(door))
        gone.connect(str(door))
        gone.close()
        assert json.loads(call(door, b"ring\n")) == {"done": True, "rung": 1}
        assert json.loads(call(door, b"x" * 60 + b"\n"))["why"] == "unknown_verb"
    assert bell.rung == 1


def test_only_verbs_without_arguments_are_offered() -> None:
    assert {name: sorted(verbs) for name, verbs in root_door.HELPERS.items()} == {
        "network": ["status", "use-auto", "use-hotspot", "use-lan"],
        "power": ["restart", "switch-off"],
        "led": ["trouble", "well", "working"],
        "update": ["status"],
    }


def test_the_light_of_a_pi_is_set_and_a_machine_without_one_says_so(tmp_path: Path) -> None:
    assert led.show("well", tmp_path) == {"light": None}
    (tmp_path / "ACT").mkdir()
    (tmp_path / "ACT/trigger").write_text("none [mmc0] timer heartbeat")
    assert led.show("trouble", tmp_path) == {"light": "ACT"}
    assert (tmp_path / "ACT/trigger").read_text() == "timer"


# How the box is reached ------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "has_address", "has_radio", "mode"),
    [
        ("auto", True, True, "lan"),
        ("auto", False, True, "hotspot"),
        # Without a radio it would hand out addresses on a school's own cable.
        ("auto", False, False, "lan"),
        ("lan", False, True, "lan"),
        ("hotspot", True, True, "hotspot"),
        ("hotspot", True, False, "hotspot"),
    ],
)
def test_the_mode_follows_the_wish_and_what_is_there(
    wish: str, has_address: bool, has_radio: bool, mode: str
) -> None:
    assert choose_mode(wish, has_address=has_address, has_radio=has_radio) == mode
    assert LAN_SECONDS == 20


def test_the_profile_of_the_hotspot_has_the_boxs_own_name_and_password() -> None:
    text = hotspot_profile("wifi", "sandyq-1a2b", "abcde-fghjk")
    assert "ssid=sandyq-1a2b\n" in text
    assert "psk=abcde-fghjk\n" in text
    assert "autoconnect=false" in text
    assert "psk" not in hotspot_profile("ethernet", "sandyq-1a2b", "abcde-fghjk")
    assert len({hotspot_profile(kind, "sandyq-1a2b", "abcde-fghjk") for kind in PROFILES}) == 2


@pytest.mark.parametrize(
    ("name", "password"),
    [("sandyq-1a2b\n[vpn]", "abcde-fghjk"), ("sandyq-1a2b", "x\npsk=y"), ("", "abcde-fghjk"), ("sandyq", "")],
)
def test_no_line_is_smuggled_into_a_profile(name: str, password: str) -> None:
    with pytest.raises(ValueError, match="hotspot"):
        hotspot_profile("wifi", name, password)


def test_without_a_portal_only_the_boxs_own_names_are_answered() -> None:
    assert "address=/#/" in name_server_lines("sandyq-1a2b", portal=True)
    without = name_server_lines("sandyq-1a2b", portal=False)
    assert "address=/#/" not in without
    assert "address=/sandyq.lan/10.42.0.1" in without


@pytest.mark.parametrize(
    ("line", "slot"),
    [
        ("root=PARTLABEL=root-a ro quiet", "a"),
        ("ro root=/dev/disk/by-partlabel/root-b", "b"),
        ("ro root=PARTLABEL=root-a sandyq.slot=a", "a"),
        ("root=/dev/sda1", None),
    ],
)
def test_the_running_system_is_read_off_the_kernels_line(line: str, slot: str | None) -> None:
    assert slot_of(line) == slot


def test_who_asks_for_the_restart_hears_that_it_is_done(tmp_path: Path) -> None:
    """systemd ends every process at once, this one in the middle of its answer."""
    path = tmp_path / "door"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    child = os.fork()
    if child == 0:

        def restart() -> dict[str, object]:
            os.kill(os.getpid(), signal.SIGTERM)
            return {}

        root_door.serve(listener, {"restart": restart}, frozenset({os.getuid()}))
        os._exit(1)
    listener.close()
    assert json.loads(call(path, b"restart\n")) == {"done": True}
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGTERM
