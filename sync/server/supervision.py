"""Tell the service manager that the region is ready and alive; `models/supervision` does the same on a box.

The two rooms are strangers, and the protocol is one datagram. The sign is given by a thread that only
lives: eight boxes on bad lines may hold every place for minutes, and that is no reason to throw them out.
"""

import os
import socket
import threading
from contextlib import suppress

SIGNS_A_TERM = 3


def tell_supervisor(message: str) -> None:
    """Send one message such as READY=1, if anybody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        line.sendto(message.encode(), socket.MSG_DONTWAIT, name)


def show_life() -> None:
    """Give signs from now on, if systemd wants any of this very process."""
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    term = os.environ.get("WATCHDOG_USEC", "")
    if is_ours and term.isdecimal():
        pause = int(term) / 1_000_000 / SIGNS_A_TERM
        threading.Thread(target=_show_life, args=(pause,), name="signs of life", daemon=True).start()


def _show_life(pause: float) -> None:
    silence = threading.Event()
    while not silence.wait(pause):
        tell_supervisor("WATCHDOG=1")
