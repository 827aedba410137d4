"""The machine's own part of the first start, as root: before the box's keys are made, and after.

    python -I -m provisioning.machine prepare CARD    sandyq-first-boot-machine.service
    python -I -m provisioning.machine report CARD     sandyq-card-result.service

`prepare` gives the machine an id, makes the secure shell's keys and takes the settings from the card, each
once and stamped; `report` puts the box's own words on the card as sandyq-result.txt. Promises: it may be
cut anywhere and run again; a card with a mistake changes nothing; a code is on the disk before it leaves
the card, and stays neither there nor, once the box has it, here. Standard library only. Keeps out: the
box's keys and name (first_boot, without rights), the network (network), growing the data partition.

Files it owns, below STATE: `machine-id`, `board.json`, `ssh/`, `card.json` (settings for the box),
`cards.json` (hashes of the cards that were applied).
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provisioning.errors import ProvisioningError
from provisioning.hardware import Machine, is_same_machine, look_at_machine, recognise
from provisioning.network import STATE, write_wish
from provisioning.settings_card import (
    CARD_FILE,
    MAX_CARD_BYTES,
    RESULT_FILE,
    SECRETS,
    CardSettings,
    card_hash,
    read_card,
    without_secrets,
)
from provisioning.steps import (
    Step,
    alone,
    forget_steps,
    make_folder,
    read_record,
    sync_folder,
    take_steps,
    write_durably,
)

HOME = Path("/var/lib/sandyq")
# Enough for the box's words in three languages; whatever else lies there under that name is not copied.
MAX_RESULT_BYTES = 16 * 1024
# A card that somebody edits ten times a day for years.
MAX_KNOWN_CARDS = 200
MACHINE_ID_FILE = Path("/etc/machine-id")
TOOL_SECONDS = 60


def prepare(card: Path, state: Path = STATE, root: Path = Path("/")) -> list[str]:
    """Take the steps that this machine has not taken; return what was done, for the journal."""
    make_folder(state)
    make_folder(state / "first-boot")
    with alone(state / "first-boot"):
        if not _is_own(state, root):
            # The whole card was copied after its first start: what names a machine is made anew.
            forget_steps(state / "first-boot")
            (state / "machine-id").unlink(missing_ok=True)
            _remove_keys(state / "ssh")
        done = take_steps(state / "first-boot", _steps(state))
        _remember_machine(state, root)
    return [*done, f"card: {_take_card(card, state)}"]


def _steps(state: Path) -> list[Step]:
    return [
        Step("machine-id", lambda: _make_machine_id(state), lambda: _has_machine_id(state)),
        Step("ssh-keys", lambda: _make_shell_keys(state / "ssh"), lambda: _has_shell_keys(state / "ssh")),
    ]


# The machine -----------------------------------------------------------------


def _make_machine_id(state: Path) -> None:
    write_durably(state / "machine-id", (uuid.uuid4().hex + "\n").encode())
    # The journal's sender reads it without rights.
    (state / "machine-id").chmod(0o444)


def _has_machine_id(state: Path) -> bool:
    with suppress(OSError, ValueError):
        return bool(uuid.UUID((state / "machine-id").read_text("ascii").strip()))
    return False


def _make_shell_keys(folder: Path) -> None:
    """Keys for the day on which a technician switches the secure shell on; it is off."""
    make_folder(folder)
    if not Path("/usr/bin/ssh-keygen").exists():
        return
    _remove_keys(folder)
    key = folder / "ssh_host_ed25519_key"
    command = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sandyq", "-f", str(key)]
    subprocess.run(command, check=True, timeout=TOOL_SECONDS, stdin=subprocess.DEVNULL)
    sync_folder(folder)


def _has_shell_keys(folder: Path) -> bool:
    return (folder / "ssh_host_ed25519_key.pub").exists() or not Path("/usr/bin/ssh-keygen").exists()


def _remove_keys(folder: Path) -> None:
    for key in folder.glob("ssh_host_*"):
        key.unlink()


def _is_own(state: Path, root: Path) -> bool:
    known = _known_machine(state)
    return known is None or is_same_machine(known, _board(root))


def _remember_machine(state: Path, root: Path) -> None:
    known, seen = _known_machine(state), _board(root)
    record = recognise(known, seen) if known else seen
    if record != known:
        write_durably(state / "board.json", json.dumps(asdict(record)).encode())


def _known_machine(state: Path) -> Machine | None:
    found = read_record(state / "board.json")
    try:
        return Machine(None, found["board_serial"], tuple(found["network_addresses"]))
    except (KeyError, TypeError):
        return None


def _board(root: Path) -> Machine:
    """Only the board is evidence here: the machine's id is what this module makes."""
    seen = look_at_machine(root)
    return Machine(None, seen.board_serial, seen.network_addresses)


# The card --------------------------------------------------------------------


def _take_card(card: Path, state: Path) -> str:
    """Apply the card's settings if they are new; return how it went, as a word."""
    path = card / CARD_FILE
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CARD_BYTES + 1)
    except FileNotFoundError:
        return "no settings"
    except OSError as error:
        return f"unreadable ({error.strerror})"
    known = read_record(state / "cards.json").get("hashes", [])
    if card_hash(content) in known:
        _save_outcome(state, {})
        # Cut between applying and cleaning, or a card that lies there since the first start.
        _clean_card(path, content)
        return "known"
    try:
        settings = read_card(content)
    except ProvisioningError as error:
        said = {"message": error.message, "hint": error.hint, "params": error.params}
        _save_outcome(state, {"refused": said})
        return f"refused ({error})"
    _apply(settings, state)
    _remember_card(state, content, known)
    _clean_card(path, content)
    return "applied"


def _apply(settings: CardSettings, state: Path) -> None:
    write_wish(state, network=settings.network, country=settings.country, portal=settings.portal)
    _save_outcome(state, {"settings": asdict(settings)})


def _save_outcome(state: Path, outcome: dict[str, Any]) -> None:
    """Keep for the box what the card said or why it was refused; a refusal leaves the settings alone."""
    before = read_record(state / "card.json")
    after = {key: value for key, value in before.items() if key != "refused"} | outcome
    if after != before:
        write_durably(state / "card.json", json.dumps(after).encode())


def _remember_card(state: Path, content: bytes, known: list[str]) -> None:
    # Also the card as it is after cleaning: that one is nothing new either.
    hashes = [*known, card_hash(content), card_hash(without_secrets(content))]
    record = {"hashes": list(dict.fromkeys(hashes))[-MAX_KNOWN_CARDS:]}
    write_durably(state / "cards.json", json.dumps(record).encode())


def _clean_card(path: Path, content: bytes) -> None:
    """Blank the secrets where they lie: a file written anew would leave the old sectors on the card."""
    left = without_secrets(content)
    if left != content:
        _write_over(path, left)


def forget_secrets(state: Path, home: Path) -> None:
    """Keep no code here once the box has noted which card it took (first_boot's stamp)."""
    record = read_record(state / "card.json")
    settings = record.get("settings", {})
    taken = _read_small(home / "first-boot/card-taken").decode("ascii", "replace").strip()
    if taken == settings_hash(settings) and any(settings.get(key) for key in SECRETS):
        emptied = {**settings, **dict.fromkeys(SECRETS, "")}
        write_durably(state / "card.json", json.dumps({**record, "settings": emptied}).encode())


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Return by what the box says which settings it took."""
    return card_hash(json.dumps(settings, sort_keys=True).encode())


# The result ------------------------------------------------------------------


def report(card: Path, state: Path = STATE, home: Path = HOME) -> str:
    """Put the box's words on the card, if they changed; return how it went, as a word."""
    forget_secrets(state, home)
    said = _read_small(home / RESULT_FILE)
    target = card / RESULT_FILE
    if not said or not card.is_dir():
        return "nothing to say"
    if _read_small(target) == said:
        return "unchanged"
    if target.exists():
        # What stands there may hold the set-up code: blanks over it before anything else is written.
        _write_over(target, b" " * target.stat().st_size)
    _write_over(target, said)
    sync_folder(card)
    return "written"


def _write_over(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(handle)


def _read_small(path: Path) -> bytes:
    """Return a short regular file, without following a link: the folder belongs to the pages' user."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        content = file.read(MAX_RESULT_BYTES + 1)
    return content if len(content) <= MAX_RESULT_BYTES else b""


if __name__ == "__main__":
    act = {
        "prepare": lambda: "; ".join(prepare(Path(sys.argv[2]))),
        "report": lambda: report(Path(sys.argv[2])),
    }
    print(act[sys.argv[1]]())  # noqa: T201 - the journal
