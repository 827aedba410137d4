"""Tell the network where the box is: `sandyq-1a2b.local` and an `_http._tcp` service by multicast DNS.

A box keeps its name from its first start (`box.json`). Where another device answers to that name the box
takes the next one, and its page says which. A school network may swallow multicast, a phone may not
understand it, a laptop may have no network at all: then the box runs on and the teacher's page shows its
address.
"""

import ipaddress
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import zeroconf

log = logging.getLogger(__name__)

SERVICE_TYPE = "_http._tcp.local."
# A machine that had no first start of its own, such as a demonstration.
PLAIN_NAME = "sandyq"
NAME = re.compile(r"[a-z][a-z0-9-]{0,40}")
# How long a device on the network may take to say that a name is its own; a phone's radio sleeps in between.
PROBE_MILLISECONDS = 1500
# After so many boxes of one name in one network the last one has none; people use addresses there anyway.
MOST_NAMES = 9
# A cable is plugged in, the school's address server hands out another address, the hotspot is opened.
LOOK_SECONDS = 5.0
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


class Announcement:
    """The box's entry in the network's address book, as long as it is open."""

    def __init__(
        self, name: str, addresses: Sequence[str], port: int, *, interfaces: Sequence[str] | None = None
    ) -> None:
        self._name = name
        self._addresses = list(addresses)
        self._port = port
        self._interfaces = interfaces
        self._zeroconf: zeroconf.Zeroconf | None = None
        self.host: str | None = None  # the name that the network knows, without the last dot

    def open(self) -> bool:
        """Announce; return whether the network let us. Never raises: lessons go on."""
        try:
            # By address: on the box's own Wi-Fi there is no way out that would name a port.
            opened = zeroconf.Zeroconf(interfaces=list(self._interfaces or self._addresses))
            self._zeroconf = opened
            host = self._free_name(opened)
            if host is None:
                log.warning("every name like %s is taken in this network; use the box's address", self._name)
                self.close()
                return False
            opened.register_service(self._service(host), allow_name_change=True)
        except (OSError, zeroconf.Error, TimeoutError) as error:
            log.warning("the network does not carry announcements (%s); use the box's address", error)
            self.close()
            return False
        self.host = f"{host}.local"
        log.info("found in the network as %s", self.host)
        return True

    def close(self) -> None:
        self.host = None
        opened, self._zeroconf = self._zeroconf, None
        if opened is not None:
            opened.close()

    def must_yield(self) -> bool:
        """Say whether another device answers to our name and keeps it: of two the lower address does."""
        if self._zeroconf is None or self.host is None:
            return False
        others = _others(self._zeroconf, self.host.removesuffix(".local"), self._addresses)
        ours = map(ipaddress.IPv4Address, self._addresses)
        return bool(others) and min(others) < min(ours)

    def _free_name(self, opened: zeroconf.Zeroconf) -> str | None:
        names = [self._name, *(f"{self._name}-{number}" for number in range(2, MOST_NAMES + 1))]
        return next((name for name in names if not _others(opened, name, self._addresses)), None)

    def _service(self, host: str) -> zeroconf.ServiceInfo:
        return zeroconf.ServiceInfo(
            SERVICE_TYPE,
            f"{host}.{SERVICE_TYPE}",
            port=self._port,
            addresses=[socket.inet_aton(address) for address in self._addresses],
            properties={"path": "/"},
            server=f"{host}.local.",
        )


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
        if self.addresses and not self._ended.is_set():
            self._announcement = Announcement(self._name, self.addresses, self._port)
            self._announcement.open()

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


def _others(opened: zeroconf.Zeroconf, name: str, ours: Sequence[str]) -> list[ipaddress.IPv4Address]:
    """Return the addresses, beside ours, of devices that answer to the name."""
    asked = zeroconf.AddressResolverIPv4(  # type: ignore[attr-defined]  # public, not listed
        f"{name}.local."
    )
    asked.request(opened, PROBE_MILLISECONDS)
    found = (ipaddress.IPv4Address(str(address)) for address in asked.parsed_addresses())
    return [address for address in found if str(address) not in ours]
