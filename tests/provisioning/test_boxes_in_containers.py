"""What the units promise, shown by systemd itself: two boxes of one tree, a phone between them.

One opens its own network (on its cable: no radio can be had here), the other looks for one, finds it, and is
used on it. What only hardware can show is in docs/hardware-checklist.md.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from sync import client
from sync.keys import get_device_key
from sync.server.arrivals import sticks
from sync.settings import SyncSettings
from tests.provisioning.containers import Container, Network, ProgramFailed, need_containers, run, wait_for
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

# The first test waits until the system is made: four minutes beside other work.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PHONE = Path(__file__).with_name("phone.py")
CODE = "ABCDE-12345-FGHJK-67890"
HOTSPOT = "10.42.0.1"


@dataclass
class Room:
    """A classroom's air with two boxes in it."""

    network: Network
    first: Container  # opens its own network; read-only root
    second: Container  # takes what it finds

    def phone(self, *words: str):  # type: ignore[no-untyped-def]
        return self.network.python(PHONE, *words)


@pytest.fixture(scope="module")
def room(appliance_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    need_containers()
    network = Network(f"sandyq{os.getpid()}")
    folder = tmp_path_factory.mktemp("boxes")
    first = Container(appliance_tree, folder / "first", network.plug_in(), volatile="state")
    second = Container(appliance_tree, folder / "second", network.plug_in())
    (first.card / "sandyq.toml").write_text('network = "hotspot"\nlanguage = "ru"\n')
    # The region is out of reach: its code must wait, and be nowhere it does not belong.
    (second.card / "sandyq.toml").write_text(
        f'network = "auto"\nregion_url = "http://10.42.0.77:9"\nenrolment_code = "{CODE}"\n'
    )
    try:
        first.start(), second.start()
        for box in (first, second):
            wait_until_started(box)
        yield Room(network, first, second)
    finally:
        with ThreadPoolExecutor() as hands:
            list(hands.map(Container.stop, (first, second)))
        network.close()


def wait_until_started(box: Container) -> None:
    try:
        wait_for(lambda: box.state_of("sandyq-health.service") == "active", f"{box.namespace}'s pages")
        wait_for(lambda: box.state_of("sandyq-machine-network.service") == "active", "its network")
    except AssertionError:
        print(box.log.read_text("utf-8", "replace"))
        print(box.systemctl("list-units", "--all", "sandyq*", check=False))
        print(box.inside("journalctl", "--no-pager", "-m", "-n", "60", check=False))
        raise


def test_nothing_fails_on_a_read_only_root_and_what_is_written_beside_the_state_is_known(room: Room) -> None:
    assert room.first.failed_units() == []
    assert room.second.failed_units() == []
    # The check bites: the root of the first box takes nothing.
    assert (
        room.first.inside("sh", "-c", "touch /etc/x /opt/x /usr/x 2>&1; true").count("Read-only file system")
        == 3
    )
    # /var is the running system's own and empty at this start: nothing of ours is in it.
    written = room.first.inside("find", "/var", "-xdev", "-newer", "/proc/1/cmdline", "-type", "f").split()
    ours = [
        path
        for path in written
        if not re.match(r"/var/(log|lib/(systemd|NetworkManager|dbus|private))/", path)
    ]
    assert ours == []
    found = room.second.inside("find", "/", "-xdev", "-user", "sandyq", "-not", "-path", "/proc/*").split()
    at_home = "/var/lib/sandyq"
    assert {Path(path).parts[1] for path in found if not path.startswith(at_home)} <= {"run", "tmp", "dev"}


def test_two_copies_of_one_tree_share_no_id_key_or_code(room: Room) -> None:
    first, second = room.first, room.second
    for name in ("machine-id", "ssh/ssh_host_ed25519_key", "ssh/ssh_host_ed25519_key.pub"):
        assert (first.machine / name).read_bytes() != (second.machine / name).read_bytes(), name
    for name in ("keys/device/signing.key", "box.json", "codes.json"):
        assert (first.home / name).read_bytes() != (second.home / name).read_bytes(), name
    one, two = (json.loads((box.home / "codes.json").read_text()) for box in (first, second))
    assert set(one.values()).isdisjoint(two.values())
    for box in (first, second):
        name = json.loads((box.home / "box.json").read_text())["name"]
        assert box.inside("hostname").strip() == name
        assert box.inside("cat", "/etc/machine-id") == (box.machine / "machine-id").read_text()
        assert box.home.stat().st_uid == box.uid
        profile = box.inside("cat", "/run/NetworkManager/system-connections/sandyq-hotspot.nmconnection")
        assert f"ssid={name}\n" in profile
        codes = json.loads((box.home / "codes.json").read_text())
        assert f"psk={codes['wifi_password']}\n" in profile
        # In memory, and nobody else's.
        mode = "/run/NetworkManager/system-connections/sandyq-hotspot.nmconnection"
        assert box.inside("stat", "-c", "%a %U", mode).strip() == "600 root"


def test_the_secure_shell_is_off_and_would_use_the_boxs_own_key(room: Room) -> None:
    assert room.second.state_of("ssh.service", "LoadState") == "masked"
    shown = room.second.inside("sh", "-c", "mkdir -p /run/sshd && /usr/sbin/sshd -T")
    assert "hostkey /var/lib/sandyq-machine/ssh/ssh_host_ed25519_key\n" in shown
    assert "passwordauthentication no\n" in shown


def test_the_card_was_applied_its_code_handed_over_and_nothing_secret_left(room: Room) -> None:
    second = room.second
    assert "The settings in sandyq.toml were taken." in second.result()
    assert "joins the region as soon as" in second.result()
    # systemd handed it over (LoadCredential); afterwards only the box's own user has it.
    assert CODE in (second.home / "to-enrol.json").read_text()
    wait_for(lambda: CODE not in (second.machine / "card.json").read_text(), "the machine to forget the code")
    for folder in (second.card, second.machine):
        for path in folder.rglob("*"):
            assert not path.is_file() or CODE.encode() not in path.read_bytes(), path
    assert "SANDYQ_LANGUAGE=ru" in room.first.inside("cat", "/var/lib/sandyq/card.env")
    # A link that is not there is no failure.
    second.systemctl("start", "sandyq-join-region.service")
    assert CODE in (second.home / "to-enrol.json").read_text()


def test_a_phone_gets_an_address_and_finds_the_box_under_every_name(room: Room) -> None:
    given = room.phone("join", "air")
    assert given["address"].startswith("10.42.0.")
    assert given["routers"] == [HOTSPOT]
    assert given["name_servers"] == [HOTSPOT]
    names = (
        "sandyq.lan",
        "connectivitycheck.gstatic.com",
        "captive.apple.com",
        "www.msftconnecttest.com",
        "kz",
    )
    for name, answer in room.phone("look", HOTSPOT, *names).items():
        assert answer["addresses"] == [HOTSPOT], name
    for host, path in (
        ("connectivitycheck.gstatic.com", "/generate_204"),
        ("captive.apple.com", "/hotspot-detect.html"),
        ("www.msftconnecttest.com", "/connecttest.txt"),
    ):
        answer = room.phone("open", HOTSPOT, host, path)
        assert (answer["status"], answer["location"]) == (302, f"http://{HOTSPOT}/wifi"), host
    assert HOTSPOT in room.phone("open", HOTSPOT, HOTSPOT, "/wifi")["text"]
    assert room.phone("open", HOTSPOT, HOTSPOT, "/wifi", "POST")["status"] == 200
    assert room.phone("open", HOTSPOT, "connectivitycheck.gstatic.com", "/generate_204")["status"] == 204
    # No false certificate: whoever asks securely is refused at once.
    assert room.phone("port", HOTSPOT, "443") == "ConnectionRefusedError"


def test_the_other_box_takes_the_address_it_is_given_and_stays_in_that_network(room: Room) -> None:
    said = json.loads(helper(room.second, "network", "status"))
    assert (said["wish"], said["mode"], said["has_radio"]) == ("auto", "lan", False)
    assert json.loads(helper(room.first, "network", "status"))["mode"] == "hotspot"


def test_both_boxes_are_found_by_their_names_from_another_namespace(room: Room) -> None:
    names = {}
    for box, address in ((room.first, HOTSPOT), (room.second, second_address(room))):
        name = json.loads((box.home / "box.json").read_text())["name"]
        names[name] = address
    found = room.phone("find", *(f"{name}.local" for name in names), "_http._tcp.local")
    for name, address in names.items():
        assert found[f"{name}.local"] == [address]
    assert found["_http._tcp.local"] == sorted(names.values())


def second_address(room: Room) -> str:
    found = re.search(r"inet (10\.42\.0\.\d+)/", room.second.inside("ip", "-4", "addr", "show", "eth0"))
    assert found is not None
    return found[1]


def helper(box: Container, name: str, verb: str, user: str = "sandyq") -> str:
    talk = (
        "import socket,sys; s=socket.socket(socket.AF_UNIX); s.settimeout(60);"
        f"s.connect('/run/sandyq-helpers/{name}.sock'); s.sendall(b'{verb}\\n'); print(s.recv(4096).decode())"
    )
    return box.as_user(user, "/usr/bin/python3", "-c", talk)


def test_helpers_answer_the_pages_user_alone_and_only_their_verbs(room: Room) -> None:
    box = room.second
    assert json.loads(helper(box, "update", "status")) == {"done": True, "slot": None, "on_trial": False}
    assert json.loads(helper(box, "led", "well"))["done"] is True
    for name in ("network", "power", "led", "update"):
        refused = json.loads(helper(box, name, "poweroff; reboot"))
        assert refused == {"done": False, "why": "unknown_verb"}
        # The door is shut for others; and where somebody opened it, the kernel says who calls.
        with pytest.raises(ProgramFailed, match="PermissionError"):
            helper(box, name, "status", user="65534")
        box.inside("chmod", "666", f"/run/sandyq-helpers/{name}.sock")
        assert json.loads(helper(box, name, "status", user="65534")) == {
            "done": False,
            "why": "foreign_user",
        }
    assert box.state_of("sandyq-web.service") == "active"


def test_no_request_fails_while_the_pages_restart(room: Room, tmp_path: Path) -> None:
    box = room.second
    address = second_address(room)
    before = box.state_of("sandyq-web.service", "MainPID")
    asked_so_far = tmp_path / "asked"
    loop = (
        "import http.client, json, os, time\n"
        "seen, slowest = [], 0\n"
        "while not os.path.exists('{0}'):\n"
        "    began = time.monotonic()\n"
        "    line = http.client.HTTPConnection('{1}', 80, timeout=60)\n"
        "    line.request('GET', '/health'); seen.append(line.getresponse().status); line.close()\n"
        "    slowest = max(slowest, time.monotonic() - began)\n"
        "    open('{2}', 'a').write('.')\n"
        "    time.sleep(0.01)\n"
        "print(json.dumps([len(seen), sorted(set(seen)), slowest]))"
    )

    def wait_for_ten_more() -> None:
        goal = asked_so_far.stat().st_size + 10
        wait_for(lambda: asked_so_far.stat().st_size >= goal, "ten requests")

    with ThreadPoolExecutor() as hands:
        words = loop.format(tmp_path / "enough", address, asked_so_far)
        asked = hands.submit(room.network.python, "-c", words)
        try:
            wait_for(asked_so_far.exists, "the first request")
            wait_for_ten_more()
            box.systemctl("restart", "sandyq-web.service")
            wait_for_ten_more()
        finally:
            (tmp_path / "enough").touch()
        number, statuses, slowest = asked.result()
    print(f"{number} requests, the slowest {slowest:.1f} s")
    assert box.state_of("sandyq-web.service", "MainPID") != before
    assert statuses == [200]
    assert number > 20


def test_pages_that_stand_still_are_started_anew(room: Room) -> None:
    box = room.second
    assert box.state_of("sandyq-web.service", "WatchdogUSec") == "1min"
    folder = "/run/systemd/system/sandyq-web.service.d"
    box.inside("mkdir", "-p", folder)
    # The same watchdog with less patience, so that the test need not wait a minute.
    box.inside("sh", "-c", f"printf '[Service]\\nWatchdogSec=3s\\n' >{folder}/90-impatient.conf")
    box.systemctl("daemon-reload")
    box.systemctl("restart", "sandyq-web.service")
    before = box.state_of("sandyq-web.service", "MainPID")
    # It gives signs of life: twice the time passes and nothing happens.
    time.sleep(4)
    assert box.state_of("sandyq-web.service", "MainPID") == before
    box.inside("kill", "-STOP", before)
    wait_for(lambda: box.state_of("sandyq-web.service", "NRestarts") == "1", "the watchdog", 30)
    wait_for(lambda: box.state_of("sandyq-web.service") == "active", "the pages", 30)
    assert room.phone("open", second_address(room), "box", "/health")["status"] == 200
    box.inside("rm", f"{folder}/90-impatient.conf")
    box.systemctl("daemon-reload")


def test_a_stick_carries_batches_out_and_receipts_back_through_the_unit(room: Room, tmp_path: Path) -> None:
    """Nobody plugs anything in here (no udev): the unit is started by hand, less its bond to a device."""
    box, stick = room.second, tmp_path / "stick"
    stick.mkdir()
    region = RegionSimulator(tmp_path / "region-home")
    settings = SyncSettings(box.home)
    box.systemctl("stop", "sandyq-web.service", "sandyq-web.socket", "sandyq-join-region.timer")
    with region.serve() as url:
        enrolment = client.enrol(settings, url, region.code())
    learner = Box(settings, region, enrolment, get_device_key(box.home))
    learner.ask(times=3)
    box.give_home_to_the_box()

    unit = Path(__file__).parents[2] / "systemd/sandyq-stick@.service"
    text = re.sub(r"(?m)^(BindsTo|After)=dev-%i\.device ?", r"After=", unit.read_text()).replace(
        "After=\n", ""
    )
    box.inside("tee", "/run/systemd/system/sandyq-stick@.service", typed=text)
    box.systemctl("daemon-reload")
    mounted = "/run/sandyq-sticks/sdx1"
    owner = f"uid={box.uid},mode=700,nosuid,nodev,noexec"
    box.inside("mkdir", "-p", mounted)
    box.inside("mount", "-t", "tmpfs", "-o", owner, "stick", mounted)

    box.systemctl("start", "sandyq-stick@sdx1.service")
    take_stick(box, mounted, stick)
    with region.store() as store:
        assert sticks.import_stick(store, region.region, stick, region.time).stored == 1
    put_stick(box, stick, mounted)
    box.systemctl("start", "sandyq-stick@sdx1.service")
    box.give_home_to_the_box()
    assert learner.status().receipted_batches == 1
    assert region.count("question_asked") == 3
    box.systemctl("start", "sandyq-web.socket", "sandyq-web.service")


def take_stick(box: Container, mounted: str, stick: Path) -> None:
    run("sh", "-c", f"cp -r /proc/{box.first_process}/root{mounted}/. {stick}/")


def put_stick(box: Container, stick: Path, mounted: str) -> None:
    inside = Path(f"/proc/{box.first_process}/root{mounted}")
    for path in inside.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    run("sh", "-c", f"cp -r {stick}/. {inside}/ && chown -R {box.uid}:{box.uid} {inside}")


def test_the_rule_for_sticks_is_understood_by_udev(room: Room) -> None:
    said = room.second.inside("udevadm", "verify", "/usr/lib/udev/rules.d/90-sandyq-stick.rules")
    assert "Success: 1" in said


def test_a_mistake_on_the_card_is_said_on_the_card(room: Room) -> None:
    box = room.second
    (box.card / "sandyq.toml").write_text('contry = "KZ"\nnetwork = "lan"\n')
    box.systemctl("restart", "sandyq-machine-prepare.service")
    box.systemctl("restart", "sandyq-first-boot.service")
    wait_for(lambda: "Perhaps country is meant" in box.result(), "the words on the card")
    assert "were not taken; nothing was changed" in box.result()
    assert json.loads(helper(box, "network", "status"))["wish"] == "auto"


def test_when_the_first_teacher_is_there_the_codes_leave_the_card(room: Room) -> None:
    box = room.first
    codes = json.loads((box.home / "codes.json").read_text())
    assert codes["setup_code"] in box.result()
    box.as_user("sandyq", "touch", "/var/lib/sandyq/set-up")
    wait_for(lambda: codes["setup_code"] not in box.result(), "the card without codes")
    assert codes["wifi_password"] not in box.result()


def test_without_the_portal_only_the_boxs_own_names_are_known(room: Room) -> None:
    box = room.first
    (box.card / "sandyq.toml").write_text('network = "hotspot"\nportal = false\n')
    for units in (["machine-prepare"], ["first-boot"], ["web", "machine-network"]):
        box.systemctl("restart", *(f"sandyq-{unit}.service" for unit in units))
    answers = room.phone("look", HOTSPOT, "sandyq.lan", "captive.apple.com")
    assert answers["sandyq.lan"]["addresses"] == [HOTSPOT]
    assert answers["captive.apple.com"]["addresses"] == []
    assert room.phone("open", HOTSPOT, "captive.apple.com", "/hotspot-detect.html")["status"] == 404


def test_asked_to_restart_the_box_comes_back_as_itself(room: Room) -> None:
    """A second start takes no step again: the same id, name, keys and codes, the card not applied twice."""
    box = room.first
    kept = {
        path: path.read_bytes()
        for folder in (box.home, box.machine)
        for name in (
            "machine-id",
            "ssh/ssh_host_ed25519_key",
            "keys/device/signing.key",
            "box.json",
            "codes.json",
        )
        if (path := folder / name).exists()
    }
    assert len(kept) == 5
    assert json.loads(helper(box, "power", "restart")) == {"done": True}
    box.wait_until_ended()
    box.start()
    wait_until_started(box)
    assert {path: path.read_bytes() for path in kept} == kept
    said = box.journal("sandyq-machine-prepare.service") + box.journal("sandyq-first-boot.service")
    assert "card: known" in said
    assert "Made:" not in said
    assert box.failed_units() == []


def test_a_pulled_plug_costs_nothing(room: Room) -> None:
    box = room.second
    before = (box.home / "box.json").read_bytes()
    box.cut_power()
    box.start()
    wait_until_started(box)
    assert (box.home / "box.json").read_bytes() == before
    assert box.failed_units() == []
