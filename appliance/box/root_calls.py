"""Ask the root helpers for what the pages may not do themselves: the network, restart, switch off.

One word and a line's end to a Unix socket, one line of JSON back (provisioning/root_door). A machine without
helpers, such as a demonstration, says so in words; nothing else of the pages depends on them.
"""

import json
import socket
from pathlib import Path
from typing import Any

from appliance.errors import HelperFailed, HelperMissing

FOLDER = Path("/run/sandyq-helpers")
# Opening the hotspot may take half a minute: the radio changes its channel, the helper starts first.
ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 4096


def call(folder: Path, helper: str, verb: str) -> dict[str, Any]:
    """Return the helper's answer.

    Raises:
        HelperMissing: this machine has none.
        HelperFailed: it refused, or what it started failed.
    """
    try:
        answer = _exchange(folder / f"{helper}.sock", f"{verb}\n".encode())
    except (FileNotFoundError, ConnectionRefusedError, PermissionError) as error:
        raise HelperMissing from error
    except OSError as error:
        raise HelperFailed(why=error.strerror or "timeout") from error
    try:
        said = json.loads(answer)
    except ValueError as error:
        raise HelperFailed(why="unreadable") from error
    if not isinstance(said, dict) or said.get("done") is not True:
        why = said.get("why") if isinstance(said, dict) else None
        raise HelperFailed(why=str(why or "unreadable")[:40])
    return said


def _exchange(path: Path, line: bytes) -> bytes:
    answer = b""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(ANSWER_SECONDS)
        door.connect(str(path))
        door.sendall(line)
        while len(answer) < MAX_ANSWER_BYTES and (piece := door.recv(MAX_ANSWER_BYTES)):
            answer += piece
    return answer
