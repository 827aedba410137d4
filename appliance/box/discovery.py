"""Where the box is in its network, and that the network is told (`announcement`).

A box keeps its name from its first start (`box.json`), and its page says which it is. A school network may
swallow multicast, a phone may not understand it, a laptop may have no network at all: then the box runs on
and the teacher's page shows its address.
"""

import ipaddress
import json
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from appliance.box.announcement import Announcement

# A machine that had no first start of its own, such as a demonstration.
PLAIN_NAME = "sandyq"
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
# A cable is plugged in, the school's address server hands out another address, the hotspot is opened.
LOOK_SECONDS = 5.0
# The box starts with a class that waits: its first pages go before the library that announces it.
HEAD_START_SECONDS = 1.0
STOP_SECONDS = 0.5
# Two networks are joined into one and with them two boxes; that is rare and may wait.
LOOKS_A_PROBE = 12


def box_name(home: Path) -> str:
    """Return the box's name, given at its first start (provisioning/first_boot), or the plain one."""
    try:
        name = json.loads((home / "box.json").read_bytes())["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return PLAIN_NAME
    return name if isinstance(name, str) and NAME.fullmatch(name) else PLAIN_NAME


class Presence:
    """Where the box can be reached now: kept up to date in a thread of its own, read by the pages."""

    def __init__(
        self, name: str, port: int, look: Callable[[], list[str]] | None = None, *, is_announced: bool = True
    ) -> None:
        self._name = name
        self._port = port
        self._look = look or lan_addresses
        self._is_announced = is_announced
        self._ended = threading.Event()
        self._announcement: Announcement | None = None
        # Pages hold this very list: it is changed in place, in one step.
        self.addresses: list[str] = self._look() if is_announced else []
        self._thread = threading.Thread(target=self._keep, name="announcement", daemon=True)

    @property
    def host(self) -> str | None:
        """The name by which the network finds the box, such as sandyq-1a2b.local; None when it does not."""
        announcement = self._announcement
        return announcement.host if announcement else None

    def open(self) -> None:
        """Asking the network whether the name is free takes seconds; the first page does not wait."""
        if self._is_announced:
            self._thread.start()

    def close(self) -> None:
        self._ended.set()
        # It may be asking the network about a name; the pages do not wait for the answer to stop.
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
        self._announce_no_more()

    def _keep(self) -> None:
        looks = 0
        if self._ended.wait(HEAD_START_SECONDS):
            return
        self._announce()
        while not self._ended.wait(LOOK_SECONDS):
            looks += 1
            seen = self._look()
            if seen != self.addresses:
                self.addresses[:] = seen
                self._announce()
            elif looks % LOOKS_A_PROBE == 0 and self._announcement and self._announcement.must_yield():
                self._announce()

    def _announce(self) -> None:
        self._announce_no_more()
        if not self.addresses:
            return
        from appliance.box.announcement import Announcement  # slow; a box of its own machine never needs it

        # The box may have been told to stop meanwhile: nothing is opened that nobody would close.
        if not self._ended.is_set():
            self._announcement = Announcement(self._name, self.addresses, self._port)
            self._announcement.open()
            if self._ended.is_set():
                self._announce_no_more()

    def _announce_no_more(self) -> None:
        announcement, self._announcement = self._announcement, None
        if announcement is not None:
            announcement.close()


def lan_addresses() -> list[str]:
    """Return the IPv4 addresses at which other devices can reach this box."""
    found = {
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET
    }
    return sorted(
        address
        for address in found
        if not ipaddress.ip_address(address).is_loopback and not ipaddress.ip_address(address).is_link_local
    )
