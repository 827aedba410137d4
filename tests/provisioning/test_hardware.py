"""When is a box still itself? The rule and its reasons are in provisioning/hardware.py."""

from pathlib import Path

import pytest

from provisioning.hardware import MAX_NETWORK_ADDRESSES, Machine, is_same_machine, look_at_machine, recognise

PI = Machine(system="system-a", board_serial="board-a", network_addresses=("lan-a", "wlan-a"))
PC = Machine(system="system-b", board_serial=None, network_addresses=("lan-b",))
NOTHING_SEEN = Machine(system=None, board_serial=None, network_addresses=())


def test_the_same_machine_is_the_same() -> None:
    assert is_same_machine(PI, PI)
    assert is_same_machine(PC, PC)


def test_a_copied_card_in_another_board_is_noticed_though_the_machine_id_was_copied_too() -> None:
    assert not is_same_machine(PI, Machine("system-a", "board-z", ("lan-z",)))
    assert not is_same_machine(PC, Machine("system-b", None, ("lan-z",)))


def test_a_state_folder_copied_into_another_system_on_the_same_board_is_noticed() -> None:
    assert not is_same_machine(PI, Machine("system-z", "board-a", ("lan-a", "wlan-a")))


def test_a_network_adapter_that_changes_is_no_other_box() -> None:
    assert is_same_machine(PI, Machine("system-a", "board-a", ("adapter",)))
    assert is_same_machine(PC, Machine("system-b", None, ("adapter", "lan-b")))


@pytest.mark.parametrize("known", [PI, PC])
def test_evidence_that_is_late_or_missing_proves_nothing(known: Machine) -> None:
    assert is_same_machine(known, NOTHING_SEEN)
    assert is_same_machine(NOTHING_SEEN, known)


def test_late_evidence_is_added_and_none_is_dropped() -> None:
    early = Machine("system-b", None, ())
    assert recognise(early, PC) == PC
    assert recognise(PC, early) == PC
    both = recognise(PC, Machine("system-b", None, ("adapter", "lan-b")))
    assert both.network_addresses == ("adapter", "lan-b")


def test_adapters_do_not_gather_for_ever() -> None:
    known = PC
    for number in range(100):
        known = recognise(known, Machine("system-b", None, ("lan-b", f"adapter-{number}")))
    assert len(known.network_addresses) == MAX_NETWORK_ADDRESSES
    assert "lan-b" in known.network_addresses


def test_a_raspberry_pi_is_read_without_keeping_its_numbers(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(tmp_path, "proc/device-tree/serial-number", "10000000a1b2c3d4\0")
    put_port(tmp_path, "eth0", "d8:3a:dd:01:02:03", "0")
    machine = look_at_machine(tmp_path)
    assert machine.system
    assert machine.board_serial
    assert len(machine.network_addresses) == 1
    assert "a1b2c3d4" not in repr(machine)
    assert "d8:3a" not in repr(machine)


def test_addresses_that_many_machines_share_are_no_evidence(tmp_path: Path) -> None:
    put_port(tmp_path, "lo", "00:00:00:00:00:00", "0")
    put_port(tmp_path, "veth0", "02:42:ac:11:00:02", "3")
    put_port(tmp_path, "eth0", "52:54:00:12:34:56", "0")  # QEMU gives this one to everybody
    put_port(tmp_path, "wlan0", "d8:3a:dd:01:02:03", "1")  # randomised for privacy
    put_port(tmp_path, "odd0", "not an address", "0")
    assert look_at_machine(tmp_path).network_addresses == ()


@pytest.mark.parametrize("text", ["", "uninitialized\n"])
def test_a_machine_id_that_is_not_yet_there_is_no_evidence(tmp_path: Path, text: str) -> None:
    put(tmp_path, "etc/machine-id", text)
    assert look_at_machine(tmp_path).system is None


def test_a_machine_id_for_this_start_only_is_no_evidence(tmp_path: Path) -> None:
    put(tmp_path, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    put(tmp_path, "run/machine-id", "0123456789abcdef0123456789abcdef\n")
    assert look_at_machine(tmp_path).system is None


def test_this_machine_is_itself() -> None:
    assert is_same_machine(look_at_machine(), look_at_machine())


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def put_port(root: Path, name: str, address: str, origin: str) -> None:
    put(root, f"sys/class/net/{name}/address", f"{address}\n")
    put(root, f"sys/class/net/{name}/addr_assign_type", f"{origin}\n")
