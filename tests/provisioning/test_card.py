"""The card's settings on their way: machine (root), box (no rights), and back onto the card as words."""

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance import languages
from provisioning import machine
from provisioning.card import find_waiting, join_region, take_card, write_result
from provisioning.first_boot import find_codes, prepare_box
from provisioning.hardware import Machine
from provisioning.network import read_wish
from provisioning.settings_card import CARD_FILE, RESULT_FILE, CardSettings, write_card
from sync import client
from sync.errors import CodeRefused
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator

CODE = "ABCDE-12345-FGHJK-67890"
THIS = Machine(system="this system", board_serial=None, network_addresses=())


class Card:
    """A FAT partition, the machine's state and the box's home; `start` is what the units do."""

    def __init__(self, folder: Path) -> None:
        self.card, self.state, self.home, self.root = (folder / n for n in ("card", "state", "home", "root"))
        self.card.mkdir()
        (self.root / "sys/class/net").mkdir(parents=True)
        self.settings = SyncSettings(self.home)

    def write(self, settings: CardSettings | bytes) -> None:
        content = settings if isinstance(settings, bytes) else write_card(settings)
        (self.card / CARD_FILE).write_bytes(content)

    def start(self) -> list[str]:
        done = machine.prepare(self.card, self.state, self.root)
        self.start_box()
        return done

    def start_box(self) -> None:
        prepare_box(self.home, THIS)
        record = self.state / "card.json"
        take_card(self.home, record.read_bytes() if record.exists() else None)
        self.report()

    def report(self) -> None:
        write_result(self.settings, languages.render)
        machine.report(self.card, self.state, self.home)

    def result(self) -> str:
        return (self.card / RESULT_FILE).read_text("utf-8-sig")

    def everything(self, *folders: Path) -> bytes:
        return b"".join(p.read_bytes() for f in folders for p in f.rglob("*") if p.is_file())


@pytest.fixture
def card(tmp_path: Path) -> Card:
    return Card(tmp_path)


def test_a_card_is_applied_once_and_the_result_is_on_it(card: Card) -> None:
    card.write(CardSettings("ru", "KG", "hotspot", portal=False))
    assert card.start()[-1] == "card: applied"
    assert (read_wish(card.state).network, read_wish(card.state).country) == ("hotspot", "KG")
    assert (card.home / "card.env").read_text() == "SANDYQ_LANGUAGE=ru\nSANDYQ_WEB_PORTAL=false\n"
    assert "The settings in sandyq.toml were taken." in card.result()
    # What the teacher chooses later is not undone by the card that still lies there.
    machine.write_wish(card.state, network="lan")
    assert card.start()[-1] == "card: known"
    assert read_wish(card.state).network == "lan"
    # Another word on it is another card.
    card.write(CardSettings("kk", "KG", "hotspot"))
    assert card.start()[-1] == "card: applied"
    assert read_wish(card.state).network == "hotspot"


def test_a_box_without_a_card_starts_all_the_same(card: Card) -> None:
    assert card.start()[-1] == "card: no settings"
    assert "There was no sandyq.toml" in card.result()
    assert read_wish(card.state).network == "auto"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('langauge = "ru"', "Perhaps language is meant"),
        ('country = "XX"', "Write this instead: KZ"),
        ("language = ru", "Put the line right"),
    ],
)
def test_a_mistake_on_the_card_is_said_in_three_languages_and_changes_nothing(
    card: Card, line: str, said: str
) -> None:
    card.write(CardSettings("ru", "KG", "lan"))
    card.start()
    card.write(f'network = "hotspot"\n{line}\n'.encode())
    assert "refused" in card.start()[-1]
    assert (read_wish(card.state).network, read_wish(card.state).country) == ("lan", "KG")
    assert "SANDYQ_LANGUAGE=ru" in (card.home / "card.env").read_text()
    result = card.result()
    assert said in result
    for code in ("kk", "ru", "en"):
        assert (
            languages.render(code, "The settings in sandyq.toml were not taken; nothing was changed.", {})
            in result
        )
    # The file itself is left for whoever puts it right.
    assert line.encode() in (card.card / CARD_FILE).read_bytes()
    card.write(CardSettings("ru", "KG", "hotspot"))
    card.start()
    assert read_wish(card.state).network == "hotspot"
    assert said not in card.result()


def test_a_code_leaves_the_card_and_the_machine_and_stays_with_the_box_alone(card: Card) -> None:
    card.write(CardSettings(region_url="http://127.0.0.1:9", enrolment_code=CODE))
    size = (card.card / CARD_FILE).stat().st_size
    card.start()
    assert CODE.encode() not in card.everything(card.card, card.state)
    # Written over where it lay: a FAT would keep the sectors of a file that was replaced.
    assert (card.card / CARD_FILE).stat().st_size == size
    waiting = find_waiting(card.home)
    assert waiting is not None
    assert waiting.enrolment_code == CODE
    card.start()
    assert find_waiting(card.home) == waiting
    # A link that is not there yet costs nothing.
    join_region(card.settings)
    assert find_waiting(card.home) == waiting
    card.report()
    assert "joins the region as soon as" in card.result()


def test_a_card_enrols_the_box_and_a_used_code_says_what_to_do(
    card: Card, region: RegionSimulator, url: str, tmp_path: Path
) -> None:
    code = region.code()
    card.write(CardSettings(region_url=url, enrolment_code=code))
    card.start()
    join_region(card.settings)
    card.report()
    enrolment = client.find_enrolment(card.settings)
    assert enrolment is not None
    assert f"The box belongs to the region {enrolment.region_name}." in card.result()
    assert code.encode() not in card.everything(card.card, card.state, card.home)

    (tmp_path / "second").mkdir()
    second = Card(tmp_path / "second")
    second.write(CardSettings("ru", region_url=url, enrolment_code=code))
    second.start()
    with pytest.raises(CodeRefused):
        join_region(second.settings)
    second.report()
    assert "The code is wrong, has been used, or is too old." in second.result()
    assert "ask the region's operator for a new one" in second.result()
    # It is not tried again and again, and everything else of the card holds.
    assert find_waiting(second.home) is None
    assert "SANDYQ_LANGUAGE=ru" in (second.home / "card.env").read_text()
    # The next step, as told: a new code on the card.
    second.write(CardSettings("ru", region_url=url, enrolment_code=region.code()))
    second.start()
    join_region(second.settings)
    second.report()
    assert "The box belongs to the region" in second.result()
    assert "has been used" not in second.result()


def test_the_codes_are_on_the_card_until_the_first_teacher_has_a_pin(card: Card) -> None:
    card.start()
    codes = find_codes(card.home)
    assert codes is not None
    assert codes.wifi_password in card.result()
    assert codes.setup_code in card.result()
    (card.home / "set-up").touch()
    card.report()
    assert codes.wifi_password not in card.result()
    assert codes.setup_code not in card.result()
    assert "This box is called" in card.result()


def test_two_copies_of_one_card_share_no_id_key_or_code(card: Card, tmp_path: Path) -> None:
    card.write(CardSettings("ru"))
    shutil.copytree(card.card, tmp_path / "copy of the card")
    (tmp_path / "second").mkdir()
    second = Card(tmp_path / "second")
    second.write((tmp_path / "copy of the card" / CARD_FILE).read_bytes())
    card.start(), second.start()
    for name in ("state/machine-id", "home/box.json", "home/codes.json", "home/keys/device/signing.key"):
        folder, file = name.split("/", 1)
        assert (getattr(card, folder) / file).read_bytes() != (getattr(second, folder) / file).read_bytes(), (
            name
        )
    first, other = find_codes(card.home), find_codes(second.home)
    assert first and other
    assert first.wifi_password != other.wifi_password


def test_the_machines_id_is_made_once_and_made_anew_on_another_board(card: Card) -> None:
    serial = card.root / "proc/device-tree/serial-number"
    serial.parent.mkdir(parents=True)
    serial.write_bytes(b"board one\0")
    card.start()
    made = (card.state / "machine-id").read_text()
    assert len(made.strip()) == 32
    card.start()
    assert (card.state / "machine-id").read_text() == made
    serial.write_bytes(b"board two\0")
    card.start()
    assert (card.state / "machine-id").read_text() != made


def test_what_lies_in_the_boxs_folder_under_the_results_name_is_not_followed(
    card: Card, tmp_path: Path
) -> None:
    card.start()
    secret = tmp_path / "shadow"
    secret.write_text("root:hash")
    (card.home / RESULT_FILE).unlink()
    (card.home / RESULT_FILE).symlink_to(secret)
    machine.report(card.card, card.state, card.home)
    assert "root:hash" not in card.result()


# Power cuts ------------------------------------------------------------------

CALLS = ("open", "mkdir", "rename", "replace", "link", "unlink", "fsync", "write")
MAX_CUTS = 120


def killed_before(number: int, act: Callable[[], object]) -> bool:
    """Run `act` in a process that is killed before its nth change to the disk; say whether it was."""
    child = os.fork()
    if child == 0:
        calls = iter(range(1, 10_000))

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*arguments: object, **named: object) -> object:
                if next(calls) == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        for name in CALLS:
            setattr(os, name, counted(getattr(os, name)))
        act()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) != 0


@pytest.mark.slow
def test_cut_at_any_moment_the_card_is_applied_once_and_no_code_is_lost_or_left(tmp_path: Path) -> None:
    for number in range(1, MAX_CUTS):
        (tmp_path / str(number)).mkdir()
        card = Card(tmp_path / str(number))
        card.write(
            CardSettings("ru", network="hotspot", region_url="http://127.0.0.1:9", enrolment_code=CODE)
        )
        was_cut = killed_before(number, lambda card=card: machine.prepare(card.card, card.state, card.root))
        card.start()
        assert read_wish(card.state).network == "hotspot"
        waiting = find_waiting(card.home)
        assert waiting is not None and waiting.enrolment_code == CODE
        assert CODE.encode() not in card.everything(card.card, card.state)
        assert len(json.loads((card.state / "cards.json").read_text())["hashes"]) == 2
        if not was_cut:
            break
    else:
        pytest.fail("prepare does not end")
    assert number > 20
