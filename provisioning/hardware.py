"""Which machine is this, and is it still the one that the ids and keys were made on?

The rule: a box stays itself as long as neither its board nor its installed system has changed.

- Another board (serial number, or not one of the known network addresses): this card was copied or moved.
  New ids.
- The same board under another machine-id: another system runs on this state folder, as when the folder is
  copied into a second container or put into a new installation. New ids.
- Evidence that is missing now, or was missing then, proves nothing and does not count: a network driver
  that comes up late must not cost a school its enrolment.
- The disk does not count. A bigger card in the same board is the same box: one board runs one system at a
  time, so two boxes with the same ids cannot come of it. And once the worn card is put into a second board,
  that board is what differs. A rule that believed the disk instead would let exactly this pair through.

What a false alarm costs, as with a replaced main board: lessons go on, the box has a new name, and the
region wants a new enrolment code. What a missed copy costs: two schools are counted as one, and no one sees
it. So doubt about a board leans to new ids.

Promises: `is_same_machine` and `recognise` are pure; `look_at_machine` only reads. Keeps out: what is done
about it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

# Enough that no two boards of a country meet, short enough to read out.
DIGEST_CHARACTERS = 16

# A box has one or two network ports; adapters come and go. Past this the oldest adapters are forgotten.
MAX_NETWORK_ADDRESSES = 16

MACHINE_ID_CHARACTERS = 32


@dataclass(frozen=True)
class Machine:
    """Evidence of a machine, each piece as a digest: the record is for comparing, not for an inventory."""

    system: str | None  # /etc/machine-id
    board_serial: str | None  # the board's own number, on a Raspberry Pi
    network_addresses: tuple[str, ...]  # of the network ports, given by their makers


def is_same_machine(known: Machine, seen: Machine) -> bool:
    """Whether nothing seen contradicts what is known."""
    if known.board_serial and seen.board_serial and known.board_serial != seen.board_serial:
        return False
    if known.system and seen.system and known.system != seen.system:
        return False
    # A board that has shown its serial number needs no network addresses: adapters may be changed at will.
    if known.board_serial and seen.board_serial:
        return True
    if known.network_addresses and seen.network_addresses:
        return not set(known.network_addresses).isdisjoint(seen.network_addresses)
    return True


def recognise(known: Machine, seen: Machine) -> Machine:
    """Add what is seen on the same machine to what is known: evidence may be late, so none is dropped."""
    addresses = list(dict.fromkeys((*seen.network_addresses, *known.network_addresses)))
    return Machine(
        system=known.system or seen.system,
        board_serial=known.board_serial or seen.board_serial,
        network_addresses=tuple(sorted(addresses[:MAX_NETWORK_ADDRESSES])),
    )


def look_at_machine(root: Path = Path("/")) -> Machine:
    """Read the evidence that needs no rights of root; what cannot be read is missing."""
    system = _read_machine_id(root)
    serial = _read_text(root / "proc/device-tree/serial-number")
    addresses = {
        address
        for port in sorted((root / "sys/class/net").glob("*"))
        if (address := _read_maker_address(port)) is not None
    }
    return Machine(
        system=_digest("system", system),
        board_serial=_digest("board", serial),
        network_addresses=tuple(sorted(filter(None, (_digest("network", a) for a in addresses)))),
    )


def _read_machine_id(root: Path) -> str | None:
    # systemd writes here when /etc cannot keep the id: it will be another at the next start, so it proves
    # nothing.
    if (root / "run/machine-id").exists():
        return None
    text = _read_text(root / "etc/machine-id")
    # An image carries "uninitialized" or nothing until its first start.
    return text if text is not None and len(text) == MACHINE_ID_CHARACTERS else None


def _read_maker_address(port: Path) -> str | None:
    address = _read_text(port / "address")
    # 0: burnt in by the maker; others are random, borrowed or set by software.
    if address is None or _read_text(port / "addr_assign_type") != "0":
        return None
    try:
        first = int(address.split(":")[0], 16)
    except ValueError:
        return None
    # Bit 2 of the first byte: made up by someone, as virtual machines do, often the same for all of them.
    # The loopback has zeros.
    return None if first & 0b10 or not address.strip("0:") else address


def _read_text(path: Path) -> str | None:
    try:
        # The device tree ends its texts with a zero byte.
        text = path.read_bytes().decode("ascii", "replace").strip("\0 \n\t")
    except OSError:
        return None
    return text or None


def _digest(kind: str, text: str | None) -> str | None:
    if text is None:
        return None
    return hashlib.sha256(f"sandyq {kind} {text}".encode()).hexdigest()[:DIGEST_CHARACTERS]
