"""Bring the box onto the school's network or open its own; as a root helper, switch between the two.

    python -I -m provisioning.network      at each start, from sandyq-network.service

Promises: lessons never wait for it; the password of the hotspot is written to memory (/run) only; what the
teacher chose stays chosen. Keeps out: how it is decided (network_rules). Standard library only.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from provisioning.network_rules import (
    BOX_NAME,
    COUNTRY,
    LAN_SECONDS,
    PROFILES,
    Wish,
    choose_mode,
    hotspot_profile,
    name_server_lines,
)
from provisioning.steps import read_record, write_durably

# The state of the root services of this machine (StateDirectory of the units).
STATE = Path("/var/lib/sandyq-machine")
# NetworkManager reads profiles here as well; they are gone when the power is.
PROFILE_FOLDER = Path("/run/NetworkManager/system-connections")
# The image has a link to it in place of /etc/NetworkManager/dnsmasq-shared.d.
NAME_SERVER_FOLDER = Path("/run/sandyq-network/dnsmasq-shared.d")

# A radio needs some seconds until it sends; NetworkManager gives up after this.
CONNECT_SECONDS = 30
LOOK_SECONDS = 0.5


def start(state: Path = STATE, credentials: Path | None = None) -> str:
    """Name the machine, write the hotspot's profile, choose the mode; return the mode."""
    credentials = credentials or Path(os.environ["CREDENTIALS_DIRECTORY"])
    name = str(read_record(credentials / "box").get("name", ""))
    password = str(read_record(credentials / "codes").get("wifi_password", ""))
    wish = read_wish(state)
    if BOX_NAME.fullmatch(name):
        _run("hostnamectl", "--transient", "set-hostname", name)
        _write_profiles(name, password, wish)
    if COUNTRY.fullmatch(wish.country):
        # A radio without a country is not allowed to open a network.
        _run("iw", "reg", "set", wish.country)
    _run("nmcli", "radio", "wifi", "on")
    has_address = wish.network == "auto" and _wait_for_address()
    mode = choose_mode(wish.network, has_address=has_address, has_radio=_has("wifi"))
    if mode == "hotspot":
        _open_hotspot()
    return mode


def status(state: Path = STATE) -> Mapping[str, Any]:
    """Return the chosen and the present mode, and whether this machine has a radio."""
    active = _active_profiles()
    is_open = bool(active & set(PROFILES.values()))
    return {
        "wish": read_wish(state).network,
        "mode": "hotspot" if is_open else "lan",
        "has_radio": _has("wifi"),
    }


def use(network: str, state: Path = STATE) -> Mapping[str, Any]:
    """Switch, and keep the choice for the next starts. What cannot be opened is not kept."""
    has_address = network == "auto" and bool(_addresses(skip=set(PROFILES.values())))
    if choose_mode(network, has_address=has_address, has_radio=_has("wifi")) == "hotspot":
        _open_hotspot()
    else:
        for profile in _active_profiles() & set(PROFILES.values()):
            _must("nmcli", "connection", "down", profile)
        # The port that carried the hotspot looks for the school's network again.
        _run("nmcli", "device", "connect", _device("ethernet") or "lo")
    write_wish(state, network=network)
    return status(state)


def read_wish(state: Path) -> Wish:
    found = read_record(state / "network.json")
    default = asdict(Wish())
    return Wish(**{key: found.get(key, value) for key, value in default.items()})


def write_wish(state: Path, **changes: object) -> None:
    wish = asdict(read_wish(state)) | changes
    write_durably(state / "network.json", json.dumps(wish).encode())


VERBS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "status": status,
    "use-auto": partial(use, "auto"),
    "use-lan": partial(use, "lan"),
    "use-hotspot": partial(use, "hotspot"),
}


def _write_profiles(name: str, password: str, wish: Wish) -> None:
    PROFILE_FOLDER.mkdir(parents=True, exist_ok=True)
    for kind, profile in PROFILES.items():
        write_durably(
            PROFILE_FOLDER / f"{profile}.nmconnection", hotspot_profile(kind, name, password).encode()
        )
    NAME_SERVER_FOLDER.mkdir(parents=True, exist_ok=True)
    names = NAME_SERVER_FOLDER / "sandyq.conf"
    names.write_text(name_server_lines(name, portal=wish.portal))
    names.chmod(0o644)  # the name server gives up its rights before it reads
    _run("nmcli", "connection", "reload")


def _open_hotspot() -> None:
    kind = "wifi" if _has("wifi") else "ethernet"
    _must("nmcli", "--wait", str(CONNECT_SECONDS), "connection", "up", PROFILES[kind])


def _wait_for_address() -> bool:
    deadline = time.monotonic() + LAN_SECONDS
    while not _addresses():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _addresses(skip: set[str] | None = None) -> list[str]:
    """Return the addresses of this machine's ports, as NetworkManager knows them."""
    found = []
    for device, kind, connection in _devices():
        if kind in ("ethernet", "wifi") and connection not in (skip or ()):
            lines = _run("nmcli", "-g", "IP4.ADDRESS", "device", "show", device).splitlines()
            # One the port gave itself, because nobody answered, is not an address of the school.
            found += [line for line in lines if line and not line.startswith("169.254.")]
    return found


def _devices() -> list[tuple[str, str, str]]:
    lines = _run("nmcli", "-t", "-f", "DEVICE,TYPE,CONNECTION", "device").splitlines()
    return [(parts[0], parts[1], parts[2]) for line in lines if len(parts := line.split(":", 2)) == 3]


def _device(kind: str) -> str | None:
    return next((device for device, found, _ in _devices() if found == kind), None)


def _has(kind: str) -> bool:
    return _device(kind) is not None


def _active_profiles() -> set[str]:
    return {connection for _, _, connection in _devices()}


def _must(*command: str) -> None:
    done = _call(command)
    if done.returncode != 0:
        raise OSError(done.stderr.strip()[:200])


def _run(*command: str) -> str:
    """Return what a tool says; one that is missing or fails leaves that part out, and the box runs on."""
    try:
        done = _call(command)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{command[0]}: {error}")  # noqa: T201 - the journal
        return ""
    if done.returncode != 0:
        print(f"{' '.join(command)}: {done.stderr.strip()}")  # noqa: T201 - the journal
    return done.stdout


def _call(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    # nmcli speaks the machine's language; we read it in English.
    return subprocess.run(
        command, capture_output=True, text=True, timeout=CONNECT_SECONDS + 10, check=False, env=_environment()
    )


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


if __name__ == "__main__":
    print(f"network: {start()}")  # noqa: T201 - the journal
