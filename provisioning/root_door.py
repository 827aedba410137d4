"""A root helper behind a Unix socket: a few fixed verbs for one user, and nothing else.

    python -I -m provisioning.root_door network|power|led|update

The web process has no rights at all; what needs root is asked for here by name. Promises: the caller's user
comes from the kernel (SO_PEERCRED), not from what it says; a call is one word of a table and a line's end,
so no text of the caller ever reaches a command line; one call, one answer, a line of JSON.
systemd opens the socket and starts the helper at the first call; it ends when nobody called for a while.
Standard library only, like everything it imports: what runs as root should be read in one sitting.
"""

import json
import os
import pwd
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from provisioning import led, network, power, slots

# Who may ask; the socket's mode says the same, this holds when somebody changes that.
CALLER = "sandyq"
# The longest word has eleven letters.
MAX_LINE_BYTES = 64
# A caller that says nothing must not keep the next one waiting.
CALL_SECONDS = 5.0
# Without a call for so long the process ends; systemd keeps the door.
IDLE_SECONDS = 60.0
# systemd hands over its sockets from this number on.
FIRST_SOCKET = 3

Verb = Callable[[], Mapping[str, Any]]
HELPERS: dict[str, Mapping[str, Verb]] = {
    "network": network.VERBS,
    "power": power.VERBS,
    "led": led.VERBS,
    "update": slots.VERBS,
}


class Refusal(Exception):
    """Why nothing was done, as a word that the pages translate."""


def answer(verbs: Mapping[str, Verb], caller_uid: int, allowed_uids: frozenset[int], line: bytes) -> bytes:
    """Return the answer to one line; do what it asks if this caller may ask it."""
    if caller_uid not in allowed_uids:
        return _line({"done": False, "why": "foreign_user"})
    try:
        said: dict[str, Any] = {"done": True, **_find_verb(verbs, line)()}
    except Refusal as refusal:
        said = {"done": False, "why": str(refusal)}
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # The tool behind the verb failed; its own words go to the journal, a page says what to do next.
        print(f"failed: {error}", file=sys.stderr)  # noqa: T201 - the journal
        said = {"done": False, "why": "failed"}
    return _line(said)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"


def _find_verb(verbs: Mapping[str, Verb], line: bytes) -> Verb:
    verb = line.removesuffix(b"\n").decode("ascii", "replace")
    if verb not in verbs:
        raise Refusal("unknown_verb")
    return verbs[verb]


def peer_uid(call: socket.socket) -> int:
    """Return the user at the other end, as the kernel knows it."""
    form = "3i"  # struct ucred: process, user, group
    _, uid, _ = struct.unpack(
        form, call.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize(form))
    )
    return int(uid)


def serve(door: socket.socket, verbs: Mapping[str, Verb], allowed_uids: frozenset[int]) -> None:
    """Answer calls one after the other until nobody calls any more."""
    door.settimeout(IDLE_SECONDS)
    while True:
        try:
            call, _ = door.accept()
        except TimeoutError:
            return
        with call, suppress(OSError), _uninterrupted():
            call.sendall(answer(verbs, peer_uid(call), allowed_uids, _read_line(call)))


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A restart ends this process, too: first it says that it has been done."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _read_line(call: socket.socket) -> bytes:
    deadline = time.monotonic() + CALL_SECONDS
    line = b""
    while b"\n" not in line and len(line) <= MAX_LINE_BYTES:
        call.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            piece = call.recv(MAX_LINE_BYTES)
        except TimeoutError:
            break
        if not piece:
            break
        line += piece
    return line


def main(name: str) -> None:
    # Root may ask too: a technician at the console.
    allowed = frozenset({0, pwd.getpwnam(CALLER).pw_uid})
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        sys.exit("systemd opens this socket: systemctl start sandyq-helper-" + name + ".socket")
    with socket.socket(fileno=FIRST_SOCKET) as door:
        serve(door, HELPERS[name], allowed)


if __name__ == "__main__":
    main(sys.argv[1])
