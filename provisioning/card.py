"""Take over what the card said, and say on the card how it went: the box's side, without any rights.

The machine's side (machine.py, root) reads the card and hands its settings over as a credential; here they
become the box's: language and portal (`card.env`, read by the unit of the pages), a region to join
(`to-enrol.json`), and the words that come back onto the card (`sandyq-result.txt`). Promises: settings are
taken once, whole, also when cut; a code is kept only until the region has answered. Keeps out: reading the
card, the languages themselves (the door hands in `render`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from provisioning.errors import N_
from provisioning.first_boot import find_box, find_codes
from provisioning.machine import settings_hash
from provisioning.settings_card import LANGUAGES, RESULT_FILE, CardSettings
from provisioning.steps import parse_record, read_record, sync_folder, write_durably
from sync.client import enrol, find_enrolment
from sync.errors import (
    AlreadyEnrolled,
    CodeMisspelt,
    CodeRefused,
    SyncError,
    WrongRegion,
)
from sync.settings import SyncSettings

# Written by the pages when the first teacher has chosen a PIN; from then on no code belongs on a card.
SET_UP_MARK = "set-up"

# After these the same code will never be taken: it is forgotten, and the card says what to do.
FINAL = (CodeRefused, CodeMisspelt, WrongRegion, AlreadyEnrolled)

NAME = N_("This box is called %(name)s.")
TAKEN = N_("The settings in sandyq.toml were taken.")
NO_CARD = N_("There was no sandyq.toml: the box runs with its own settings.")
NOT_TAKEN = N_("The settings in sandyq.toml were not taken; nothing was changed.")
WAITS = N_("The box joins the region as soon as it reaches the region over the network.")
JOINED = N_("The box belongs to the region %(region)s.")
WIFI = N_("Wi-Fi of the box: %(name)s, password: %(password)s")
SETUP = N_("Code for the first start: %(code)s")
GONE_LATER = N_("Both codes vanish from this card when the first teacher has chosen a PIN.")

Render = Callable[[str, str, dict[str, object]], str]
Said = tuple[str, dict[str, object]]


@dataclass(frozen=True)
class Waiting:
    """A region that the card named and that has not answered yet."""

    region_url: str
    enrolment_code: str

    def __repr__(self) -> str:
        return f"Waiting({self.region_url})"


def take_card(home: Path, handed_over: bytes | None) -> None:
    """Make the card's settings the box's, unless they are already."""
    record = parse_record(handed_over or b"{}")
    write_durably(home / "card-outcome.json", json.dumps(_outcome(record)).encode())
    found = record.get("settings")
    if not isinstance(found, dict) or _taken(home) == settings_hash(found):
        return
    settings = CardSettings(**{key: found.get(key, value) for key, value in asdict(CardSettings()).items()})
    lines = [f"SANDYQ_LANGUAGE={settings.language}", f"SANDYQ_WEB_PORTAL={str(settings.portal).lower()}"]
    write_durably(home / "card.env", ("\n".join(lines) + "\n").encode())
    if settings.enrolment_code:
        waiting = Waiting(settings.region_url, settings.enrolment_code)
        write_durably(home / "to-enrol.json", json.dumps(asdict(waiting)).encode())
        _forget(home / "enrolment-refused.json")
    # Last: only now root may forget the code.
    write_durably(home / "first-boot/card-taken", settings_hash(found).encode())


def join_region(settings: SyncSettings) -> Said:
    """Join the region that the card named, if one is waiting; return a sentence about it.

    A region that cannot be reached is asked again later; one that refuses is not.
    """
    waiting = find_waiting(settings.home)
    if waiting is None:
        return _enrolment_said(settings) or (NO_CARD, {})
    try:
        enrolment = enrol(settings, waiting.region_url, waiting.enrolment_code)
    except FINAL as error:
        refused = {"message": error.message, "hint": error.hint, "params": error.params}
        write_durably(settings.home / "enrolment-refused.json", json.dumps(refused).encode())
        _forget(settings.home / "to-enrol.json")
        raise
    except SyncError:
        return WAITS, {}
    _forget(settings.home / "to-enrol.json")
    return JOINED, {"region": enrolment.region_name}


def find_waiting(home: Path) -> Waiting | None:
    record = read_record(home / "to-enrol.json")
    try:
        return Waiting(record["region_url"], record["enrolment_code"])
    except KeyError:
        return None


def write_result(settings: SyncSettings, render: Render) -> None:
    """Write what the card shall say, in every language, for root to copy; unchanged words are not written."""
    said = sentences(settings)
    parts = ["\r\n".join(_render(render, code, *one) for one in said) for code in LANGUAGES]
    text = ("\r\n\r\n".join(parts) + "\r\n").encode("utf-8-sig")
    path = settings.home / RESULT_FILE
    if not path.exists() or path.read_bytes() != text:
        write_durably(path, text)


def sentences(settings: SyncSettings) -> list[Said]:
    """Return what there is to say about this box to whoever holds its card."""
    home = settings.home
    box, codes = find_box(home), find_codes(home)
    outcome = read_record(home / "card-outcome.json")
    said: list[Said] = [(NAME, {"name": box.name})] if box else []
    if "refused" in outcome:
        said += [(NOT_TAKEN, {}), *_refusal(outcome["refused"])]
    else:
        said.append((TAKEN if outcome.get("has_settings") else NO_CARD, {}))
    enrolment = _enrolment_said(settings)
    if find_waiting(home):
        said.append((WAITS, {}))
    elif refused := read_record(home / "enrolment-refused.json"):
        said += _refusal(refused)
    elif enrolment:
        said.append(enrolment)
    if box and codes and not (home / SET_UP_MARK).exists():
        said.append((WIFI, {"name": box.name, "password": codes.wifi_password}))
        said += [(SETUP, {"code": codes.setup_code}), (GONE_LATER, {})]
    return said


def _enrolment_said(settings: SyncSettings) -> Said | None:
    try:
        enrolment = find_enrolment(settings)
    except SyncError as error:
        return error.message, dict(error.params)
    return (JOINED, {"region": enrolment.region_name}) if enrolment else None


def _refusal(refused: Mapping[str, Any]) -> list[Said]:
    params = dict(refused["params"])
    return [(refused["message"], params), ("→ %(hint)s", {"hint": (refused["hint"], params)})]


def _render(render: Render, code: str, sentence: str, params: dict[str, object]) -> str:
    inner = params.get("hint")
    if isinstance(inner, tuple):
        return "→ " + render(code, *inner)
    return render(code, sentence, params)


def _outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of the machine's record the words on the card need: no code."""
    refused = {"refused": record["refused"]} if "refused" in record else {}
    return {"has_settings": "settings" in record, **refused}


def _taken(home: Path) -> str:
    path = home / "first-boot/card-taken"
    return path.read_text("ascii") if path.exists() else ""


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)
    sync_folder(path.parent)
