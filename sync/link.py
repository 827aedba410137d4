"""Is there a way out of this machine, and is it paid by the byte? Asked of the kernel and of NetworkManager.

Looking costs no byte: a line that is down is not tried. What cannot be found out counts as a line that
is up and not metered. Keeps out: what follows from the answers.
"""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

ROUTES = Path("/proc/net/route")
ROUTES_6 = Path("/proc/net/ipv6_route")
UP, REJECT = 0x1, 0x200
ASK_SECONDS = 2.0
# NetworkManager's word: 1 yes, 3 guessed yes (a phone's hotspot); 0 unknown, 2 no, 4 guessed no.
METERED = {"1", "3"}
_ASK = (
    *("busctl", "get-property", "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager"),
    *("org.freedesktop.NetworkManager", "Metered"),
)


def is_up(url: str) -> bool:
    """Say whether this machine has a route to the region: a default route, or the region is here."""
    if _is_here(urlsplit(url).hostname or ""):
        return True
    try:
        return _has_default(ROUTES.read_text()) or _has_default_6(ROUTES_6.read_text())
    except OSError:
        return True


def is_metered() -> bool:
    """Say whether NetworkManager holds the line for one that is paid by the byte."""
    try:
        said = subprocess.run(_ASK, capture_output=True, text=True, timeout=ASK_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.split()[1:] in ([word] for word in METERED)


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _has_default(table: str) -> bool:
    """Interface, destination, gateway, flags, ..., mask: a line for each route."""
    rows = [line.split() for line in table.splitlines()[1:]]
    return any(
        len(row) > 7 and row[1] == row[7] == "00000000" and int(row[3], 16) & UP and row[0] != "lo"
        for row in rows
    )


def _has_default_6(table: str) -> bool:
    """Destination, its length, ..., flags, interface."""
    rows = [line.split() for line in table.splitlines()]
    return any(
        len(row) > 9
        and row[0] == "0" * 32
        and row[1] == "00"
        and int(row[8], 16) & UP
        and not int(row[8], 16) & REJECT
        and row[9] != "lo"
        for row in rows
    )
