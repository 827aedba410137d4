"""The box in the network's address book: `sandyq-1a2b.local` and an `_http._tcp` service by multicast DNS.

Where another device answers to the box's name the box takes the next one. A network that swallows multicast
is a fact and no fault: nothing here raises. Keeps out when there is something to announce (`discovery`),
which alone imports this: the library is slow to load, and no page waits for it.
"""

import ipaddress
import logging
import socket
from collections.abc import Sequence

import zeroconf

log = logging.getLogger(__name__)

SERVICE_TYPE = "_http._tcp.local."
# How long a device on the network may take to say that a name is its own; a phone's radio sleeps in between.
PROBE_MILLISECONDS = 1500
# After so many boxes of one name in one network the last one has none; people use addresses there anyway.
MOST_NAMES = 9


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


def _others(opened: zeroconf.Zeroconf, name: str, ours: Sequence[str]) -> list[ipaddress.IPv4Address]:
    """Return the addresses, beside ours, of devices that answer to the name."""
    asked = zeroconf.AddressResolverIPv4(  # type: ignore[attr-defined]  # public, not listed
        f"{name}.local."
    )
    asked.request(opened, PROBE_MILLISECONDS)
    found = (ipaddress.IPv4Address(str(address)) for address in asked.parsed_addresses())
    return [address for address in found if str(address) not in ours]
