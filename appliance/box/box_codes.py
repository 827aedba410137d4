"""The codes that this box alone knows, made at its first start (provisioning/first_boot) and only read here.

Promises: a machine that had no first start of its own, such as a demonstration, has none and asks for none.
"""

import hmac
import json
from dataclasses import dataclass
from pathlib import Path

from sync.keys import save_private

# Its appearance tells the machine to take the codes off the card (systemd/sandyq-result.path).
SET_UP_MARK = "set-up"


@dataclass(frozen=True)
class Codes:
    """What people type: phones at the hotspot, the first teacher at the first start."""

    wifi_password: str
    setup_code: str

    def __repr__(self) -> str:
        return "Codes(...)"


def find_codes(home: Path) -> Codes | None:
    try:
        record = json.loads((home / "codes.json").read_bytes())
        return Codes(str(record["wifi_password"]), str(record["setup_code"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_setup_code(codes: Codes, typed: str) -> bool:
    """Compare what was typed, spaces and dashes aside, in a time that tells nothing."""
    return hmac.compare_digest(codes.setup_code.encode(), typed.replace(" ", "").replace("-", "").encode())


def note_set_up(home: Path) -> None:
    """Leave the mark that the first teacher is there."""
    save_private(home / SET_UP_MARK, b"", replace=False)


def wifi_link(name: str, password: str) -> str:
    """Return what a phone's camera joins the hotspot by."""
    return f"WIFI:T:WPA;S:{name};P:{password};;"
