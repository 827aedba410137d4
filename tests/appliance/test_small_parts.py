"""Parts that need no class: settings, policy, health, links, discovery."""

import socket
import tomllib
from pathlib import Path

import pytest
import zeroconf

from appliance import database, policy
from appliance.box.announcement import SERVICE_TYPE, Announcement
from appliance.box.discovery import Presence, box_name
from appliance.care import health
from appliance.errors import AlreadyRunning, SettingsRefused
from appliance.settings import every_key, read_settings
from appliance.web.teacher import class_link
from tests.classroom import wait_until


def settings_of(tmp_path: Path, toml: str = "", **environment: str):  # type: ignore[no-untyped-def]
    (tmp_path / "sandyq.toml").write_text(toml, encoding="utf-8")
    return read_settings({"SANDYQ_HOME": str(tmp_path), **environment})


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    assert settings_of(tmp_path).web.port == 8080
    assert settings_of(tmp_path, "[web]\nport = 81").web.port == 81
    assert settings_of(tmp_path, "[web]\nport = 81", SANDYQ_WEB_PORT="82").web.port == 82


def test_every_room_gets_the_one_home(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert {settings.engine.home, settings.sync.home, settings.region.home} == {tmp_path}


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        ("[web]\nprot = 81", "web.prot"),
        ("colour = 'red'", "colour"),
        ("[web]\nport = 'eighty'", "web.port"),
        ("[web]\nport = true", "web.port"),
        ("[engine]\nhome = '/tmp'", "engine.home"),
        ("[web", "sandyq.toml"),
    ],
)
def test_a_setting_nobody_reads_is_refused_by_name(tmp_path: Path, toml: str, named: str) -> None:
    with pytest.raises(SettingsRefused, match=named):
        settings_of(tmp_path, toml)


def test_a_misspelt_variable_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="SANDYQ_WEB_PROT"):
        settings_of(tmp_path, SANDYQ_WEB_PROT="81")


def test_every_setting_is_documented() -> None:
    text = Path("docs/settings.md").read_text(encoding="utf-8")
    for key in every_key():
        assert f"`{key}`" in text, key
        assert f"`SANDYQ_{key.upper().replace('.', '_')}`" in text, key


def test_two_web_processes_never_share_a_folder(tmp_path: Path) -> None:
    with database.sole_server(tmp_path), pytest.raises(AlreadyRunning), database.sole_server(tmp_path):
        pass
    with database.sole_server(tmp_path):
        pass


@pytest.mark.parametrize(
    ("text", "open_questions", "is_open", "key"),
    [
        ("", 0, True, "question_empty"),
        ("a\ufffdb", 0, True, "broken_text"),
        ("a\x00b", 0, True, "broken_text"),
        ("ә" * 2001, 0, True, "question_too_long"),
        ("Why?", 0, False, "session_not_open"),
        ("Why?", 2, True, "too_many_questions"),
    ],
)
def test_each_refusal_has_its_reason(text: str, open_questions: int, is_open: bool, key: str) -> None:
    decision = policy.decide_question(text, session_is_open=is_open, open_questions=open_questions)
    assert decision.refusal is not None
    assert decision.refusal.key == key


def test_a_question_of_exactly_the_limit_may_be_asked() -> None:
    text = "ә" * policy.MAX_QUESTION_CHARACTERS
    assert policy.decide_question(text, session_is_open=True, open_questions=1).refusal is None


def test_the_gauges_of_this_machine_are_readable(tmp_path: Path) -> None:
    gauges = {gauge.name: gauge for gauge in health.read(tmp_path)}
    assert {"memory", "disk", "load"} <= set(gauges)
    assert all(0 <= gauge.share <= 1 for gauge in gauges.values())
    assert all(gauge.mood in ("good", "watch", "bad") for gauge in gauges.values())


@pytest.mark.parametrize(
    ("host", "addresses", "link"),
    [
        ("192.168.7.1:8080", ["10.0.0.9"], "http://192.168.7.1:8080/class/123456"),
        ("sandyq.local", ["192.168.7.1"], "http://192.168.7.1/class/123456"),
        ("localhost:8080", ["192.168.7.1"], "http://192.168.7.1/class/123456"),
        ("127.0.0.1:8080", [], "http://127.0.0.1:8080/class/123456"),
    ],
)
def test_the_qr_names_an_address_that_a_phone_can_reach(host: str, addresses: list[str], link: str) -> None:
    assert class_link(host, addresses, 80, "123456") == link


def announced(name: str, address: str) -> Announcement:
    # Loopback carries every 127.x.y.z: two boxes on it are two devices of one network.
    return Announcement(name, [address], 8080, interfaces=["127.0.0.1"])


def looked_up(name: str) -> zeroconf.ServiceInfo | None:
    found = zeroconf.Zeroconf(interfaces=["127.0.0.1"])
    try:
        return found.get_service_info(SERVICE_TYPE, f"{name}.{SERVICE_TYPE}", timeout=5000)
    finally:
        found.close()


def test_the_box_is_found_by_multicast_on_loopback() -> None:
    announcement = announced("sandyq-1a2b", "127.0.0.1")
    assert announcement.open()
    try:
        service = looked_up("sandyq-1a2b")
    finally:
        announcement.close()
    assert service is not None
    assert service.server == "sandyq-1a2b.local."
    assert service.port == 8080
    assert service.addresses == [socket.inet_aton("127.0.0.1")]


def test_a_second_box_of_the_same_name_takes_the_next_one() -> None:
    first, second = announced("sandyq-3c4d", "127.0.0.1"), announced("sandyq-3c4d", "127.0.0.2")
    try:
        assert first.open()
        assert second.open()
        assert (first.host, second.host) == ("sandyq-3c4d.local", "sandyq-3c4d-2.local")
        assert looked_up("sandyq-3c4d-2") is not None
        # The first keeps its name, and neither gives way any more.
        assert not first.must_yield()
        assert not second.must_yield()
        # Back from a pause it finds its own name still free for it.
        first.close()
        assert first.open()
        assert first.host == "sandyq-3c4d.local"
    finally:
        first.close()
        second.close()


def test_of_two_networks_joined_the_box_with_the_higher_address_gives_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = announced("sandyq-5e6f", "127.0.0.1"), announced("sandyq-5e6f", "127.0.0.2")
    try:
        assert first.open()
        with monkeypatch.context() as apart:
            apart.setattr("appliance.box.announcement._others", lambda *_: [])
            assert second.open()
        assert first.host == second.host
        assert not first.must_yield()
        assert second.must_yield()
    finally:
        first.close()
        second.close()


def test_a_network_without_multicast_only_loses_the_announcement(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("appliance.box.announcement.zeroconf.Zeroconf", refuse)
    announcement = Announcement("sandyq", ["192.168.7.1"], 8080)
    assert announcement.open() is False
    assert announcement.host is None


def test_a_cable_that_is_plugged_in_later_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    opened: list[str] = []
    monkeypatch.setattr("appliance.box.discovery.HEAD_START_SECONDS", 0.0)
    monkeypatch.setattr("appliance.box.discovery.LOOK_SECONDS", 0.01)
    monkeypatch.setattr(Announcement, "open", lambda self: opened.append(self._addresses[0]))
    presence = Presence("sandyq-1a2b", 80, lambda: list(seen))
    held = presence.addresses
    presence.open()
    try:
        seen.append("192.168.7.1")
        wait_until(lambda: opened == ["192.168.7.1"], "the announcement")
        assert held == ["192.168.7.1"]
        seen[:] = ["10.42.0.1"]
        wait_until(lambda: opened == ["192.168.7.1", "10.42.0.1"], "the new announcement")
    finally:
        presence.close()


@pytest.mark.parametrize(
    ("record", "name"),
    [
        (b'{"name": "sandyq-1a2b", "device_id": "00"}', "sandyq-1a2b"),
        (b'{"name": "x\\ny"}', "sandyq"),
        (b"\0\0", "sandyq"),
        (None, "sandyq"),
    ],
)
def test_the_box_has_the_name_of_its_first_start(tmp_path: Path, record: bytes | None, name: str) -> None:
    if record is not None:
        (tmp_path / "box.json").write_bytes(record)
    assert box_name(tmp_path) == name


def test_the_version_is_written_once() -> None:
    from importlib.metadata import version

    written = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert version("sandyq") == written
