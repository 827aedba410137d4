"""Tell the service manager that this process is ready, and again and again that it still answers.

The protocol is one datagram of text to the socket that systemd names; without that name, as in a terminal
or in the demo, nothing is sent. Promises: never raises, never waits; a process that no longer answers its
own port falls silent, and systemd starts it anew. Keeps out: what ready means, which each server says itself.
"""

import http.client
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

# systemd waits WatchdogSec for a sign; three in that time forgive one that a busy machine swallowed.
SIGNS_A_TERM = 3
# Above what the slowest honest answer takes on a machine whose cores all write answers.
ANSWER_SECONDS = 20.0


def tell_supervisor(message: str) -> None:
    """Send one message such as READY=1, if anybody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    # An @ stands for the zero byte of a socket that has no file.
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto(message.encode(), socket.MSG_DONTWAIT, name)


def watchdog_seconds() -> float | None:
    """Return within which time systemd wants a sign of this very process; None when it wants none."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1_000_000
    except (KeyError, ValueError):
        return None


def show_life(is_well: Callable[[], bool]) -> threading.Event:
    """Give a sign whenever all is well, in a thread of its own, until the returned event is set."""
    ended = threading.Event()
    term = watchdog_seconds()
    if term is not None:
        arguments = (is_well, term / SIGNS_A_TERM, ended)
        threading.Thread(target=_show_life, args=arguments, name="signs of life", daemon=True).start()
    return ended


def answers(host: str, port: int, path: str) -> bool:
    """Say whether a server answers at all; what it answers is its own affair."""
    # A server that listens on every address is asked on loopback.
    asked = "127.0.0.1" if ipaddress.ip_address(host).is_unspecified else host
    line = http.client.HTTPConnection(asked, port, timeout=ANSWER_SECONDS)
    try:
        line.request("GET", path)
        line.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
    return True


def _show_life(is_well: Callable[[], bool], pause: float, ended: threading.Event) -> None:
    while not ended.wait(pause):
        if is_well():
            tell_supervisor("WATCHDOG=1")
