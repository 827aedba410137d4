"""Tell the network where the box is: `sandyq.local` and an `_http._tcp` service by multicast DNS.

A school network may swallow multicast, a phone may not understand it, a laptop may have no network
at all: then the box runs on and the teacher's page shows its address.
"""

import ipaddress
import logging
import socket
from collections.abc import Sequence

import psutil
import zeroconf

log = logging.getLogger(__name__)

HOST_NAME = "sandyq.local."
SERVICE_TYPE = "_http._tcp.local."


class Announcement:
    """The box's entry in the network's address book, as long as it is open."""

    def __init__(
        self, addresses: Sequence[str], port: int, *, interfaces: Sequence[str] | None = None
    ) -> None:
        self._addresses = list(addresses)
        self._port = port
        self._interfaces = interfaces
        self._zeroconf: zeroconf.Zeroconf | None = None

    def open(self) -> bool:
        """Announce; return whether the network let us. Never raises: lessons go on."""
        try:
            opened = zeroconf.Zeroconf(
                interfaces=list(self._interfaces) if self._interfaces else zeroconf.InterfaceChoice.Default
            )
            self._zeroconf = opened
            opened.register_service(self._service(), allow_name_change=True)
        except (OSError, zeroconf.Error, TimeoutError) as error:
            log.warning("the network does not carry announcements (%s); use the box's address", error)
            self.close()
            return False
        return True

    def close(self) -> None:
        if self._zeroconf is not None:
            self._zeroconf.close()
            self._zeroconf = None

    def _service(self) -> zeroconf.ServiceInfo:
        return zeroconf.ServiceInfo(
            SERVICE_TYPE,
            f"Sandyq.{SERVICE_TYPE}",
            port=self._port,
            addresses=[socket.inet_aton(address) for address in self._addresses],
            properties={"path": "/"},
            server=HOST_NAME,
        )


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
