"""Who this region is: its id, its name, where its database is. Made once by `region init`."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from sync.envelope import REGION_ID_BYTES
from sync.errors import KeyDamaged, RegionNotReady
from sync.keys import RegionKeys, ensure_region_keys, get_region_keys, read_private, save_private
from sync.server.store import SQLITE_PREFIX, open_store, sqlite_path
from sync.settings import RegionSettings

IDENTITY_FILE = "region.json"


@dataclass(frozen=True)
class Region:
    """Everything the region's doors need."""

    id: bytes
    name: str
    database: str
    keys: RegionKeys
    folder: Path  # beside the database: keys and unfinished uploads


def make_region(settings: RegionSettings, name: str, database: str) -> Region:
    """Make the region, or find the one that is already there; running twice changes nothing."""
    address = database or settings.database
    address = SQLITE_PREFIX + str(
        sqlite_path(address).absolute() if address else (settings.folder / "region.sqlite").absolute()
    )
    ensure_region_keys(settings.folder)
    record = {"region_id": secrets.token_hex(REGION_ID_BYTES), "name": name, "database": address}
    content = json.dumps(record, ensure_ascii=False, indent=1).encode()
    save_private(settings.folder / IDENTITY_FILE, content, replace=False)
    region = get_region(settings)
    store = open_store(region.database)
    try:
        store.migrate()
    finally:
        store.close()
    return region


def get_region(settings: RegionSettings) -> Region:
    """Return the region that `region init` made here."""
    content = read_private(settings.folder / IDENTITY_FILE)
    if content is None:
        raise RegionNotReady
    try:
        record = json.loads(content)
        region_id, name = bytes.fromhex(record["region_id"]), str(record["name"])
        database = settings.database or str(record["database"])
    except (ValueError, KeyError, TypeError) as fault:
        raise KeyDamaged(name=IDENTITY_FILE) from fault
    return Region(region_id, name, database, get_region_keys(settings.folder), settings.folder)
