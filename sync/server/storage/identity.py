"""Who this region is: its id, its name, where its database is. Made once by `region init`."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from sync.envelope import REGION_ID_BYTES
from sync.errors import KeyDamaged
from sync.keys import (
    SEALING_PUBLIC_BYTES,
    RegionKeys,
    ensure_region_keys,
    get_region_keys,
    read_private,
    save_private,
)
from sync.region_errors import RegionNotReady
from sync.server.storage.database import absolute_address
from sync.server.storage.store import open_store
from sync.settings import RegionSettings

IDENTITY_FILE = "region.json"
# The same program one level up: boxes speak to a region, regions to their nation.
REGION, NATION = "region", "nation"


@dataclass(frozen=True)
class Region:
    """Everything the region's doors need."""

    id: bytes
    name: str
    database: str
    keys: RegionKeys
    folder: Path  # beside the database: keys and unfinished uploads
    nation_public: bytes | None = None  # what boxes seal the nation's numbers to
    role: str = REGION

    @property
    def is_nation(self) -> bool:
        return self.role == NATION


def make_region(settings: RegionSettings, name: str, database: str, role: str = REGION) -> Region:
    """Make the region, or find the one that is already there; running twice changes nothing."""
    address = absolute_address(database or settings.database, settings.folder / "region.sqlite")
    ensure_region_keys(settings.folder)
    record: dict[str, str] = {
        "region_id": secrets.token_hex(REGION_ID_BYTES),
        "name": name,
        "database": address,
        "role": role,
    }
    content = json.dumps(record, ensure_ascii=False, indent=1).encode()
    save_private(settings.folder / IDENTITY_FILE, content, replace=False)
    region = get_region(settings)
    store = open_store(region.database)
    try:
        store.migrate()
    finally:
        store.close()
    return region


def name_nation_key(settings: RegionSettings, file: Path) -> Region:
    """Take the nation's public key from a file; boxes that enrol from now on seal to it."""
    get_region(settings)
    name_nation(settings.folder, _read_key(file.read_bytes().strip(), file.name))
    return get_region(settings)


def name_nation(folder: Path, public: bytes) -> None:
    """Note the nation's public key beside who the region is."""
    record = json.loads(read_private(folder / IDENTITY_FILE) or b"{}")
    record["nation_key"] = base64.b64encode(public).decode("ascii")
    content = json.dumps(record, ensure_ascii=False, indent=1).encode()
    save_private(folder / IDENTITY_FILE, content, replace=True)


def name_database(settings: RegionSettings, address: str) -> Region:
    """The region's database is at this address from now on."""
    get_region(settings)
    record = json.loads(read_private(settings.folder / IDENTITY_FILE) or b"{}")
    record["database"] = address
    content = json.dumps(record, ensure_ascii=False, indent=1).encode()
    save_private(settings.folder / IDENTITY_FILE, content, replace=True)
    return get_region(settings)


def get_region(settings: RegionSettings) -> Region:
    """Return the region that `region init` made here."""
    content = read_private(settings.folder / IDENTITY_FILE)
    if content is None:
        raise RegionNotReady
    try:
        record = json.loads(content)
        region_id, name = bytes.fromhex(record["region_id"]), str(record["name"])
        database = settings.database or str(record["database"])
        nation_key = record.get("nation_key")
        role = {REGION: REGION, NATION: NATION}[record.get("role", REGION)]
    except (ValueError, KeyError, TypeError) as fault:
        raise KeyDamaged(name=IDENTITY_FILE) from fault
    nation = _read_key(nation_key.encode(), IDENTITY_FILE) if nation_key else None
    return Region(region_id, name, database, get_region_keys(settings.folder), settings.folder, nation, role)


def read_month_keys(file: Path) -> dict[str, bytes]:
    """Return the nation's keys by month; a line each with a month such as 2026-12 and the key."""
    keys: dict[str, bytes] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        month, _, text = line.strip().partition(" ")
        if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", month):
            raise KeyDamaged(name=file.name)
        keys[month] = _read_key(text.strip().encode(), file.name)
    return keys


def _read_key(text: bytes, name: str) -> bytes:
    try:
        public = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as fault:
        raise KeyDamaged(name=name) from fault
    if len(public) != SEALING_PUBLIC_BYTES:
        raise KeyDamaged(name=name)
    return public
