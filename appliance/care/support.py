"""The support bundle: what a technician elsewhere needs to know of a box, and nothing of anybody in it.

By construction and not by filtering: the bundle is built of numbers, of words this program knows itself, and
of names of tables; no text of a row, of a log, of a path or of a key file is ever read for it.
"""

import io
import json
import os
import platform
import zipfile
from contextlib import closing
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from appliance.care import health, senses
from appliance.care.signs import Finding
from appliance.errors import BundleNotSaved
from appliance.settings import SECTIONS, Settings
from models.errors import ModelsError
from models.store import Store
from sync import boots
from sync.database import open_database
from sync.errors import SyncError
from sync.keys import save_private

LIBRARIES = ("llama-cpp-python", "flask", "cheroot", "sqlite-utils", "cryptography", "zeroconf")


def save_bundle(path: Path, settings: Settings, findings: list[Finding]) -> None:
    """Write the bundle, whole or not at all.

    Raises:
        BundleNotSaved: the folder takes no file.
    """
    try:
        save_private(path.absolute(), build(settings, findings), replace=True)
    except SyncError as error:
        raise BundleNotSaved(path=path) from error


def build(settings: Settings, findings: list[Finding]) -> bytes:
    """Return the bundle as a ZIP file of small JSON files."""
    parts = {
        "findings": [_finding(one) for one in findings],
        "versions": _versions(),
        "machine": _machine(settings.home),
        "database": _database(settings.sync.database_path),
        "settings": _settings(settings),
        "model": _model(settings.home),
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, part in parts.items():
            bundle.writestr(f"{name}.json", json.dumps(part, indent=1))
    return file.getvalue()


def _finding(one: Finding) -> dict[str, object]:
    # Parameters that are texts may be a path, an address or a region's name.
    numbers = {name: value for name, value in one.params.items() if isinstance(value, int | float)}
    return {"area": one.area, "key": one.key, "mood": one.mood, "numbers": numbers}


def _versions() -> dict[str, str]:
    return {
        "sandyq": version("sandyq"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "processor": platform.machine(),
        **{name: version(name) for name in LIBRARIES},
    }


def _machine(home: Path) -> dict[str, object]:
    return {
        "cores": os.cpu_count(),
        "gauges": {one.name: one.value for one in health.read(home)} if home.exists() else {},
        "power_flags": senses.power_flags(),
        "radios": [{"driver": radio.driver, "firmware": radio.firmware} for radio in senses.radios()],
        "clock": datetime.now(UTC).isoformat(timespec="minutes"),
    }


def _database(path: Path) -> dict[str, object]:
    """Return the names of tables with how many rows they have."""
    if not path.exists():
        return {}
    log = path.with_name(path.name + "-wal")
    sizes = {"bytes": path.stat().st_size, "log_bytes": log.stat().st_size if log.exists() else 0}
    try:
        with closing(open_database(path)) as db:
            counts = {name: db.table(name).count for name in sorted(db.table_names())}
            quality = boots.now(db).quality.name.lower() if "boot" in counts else ""
    except SyncError as error:
        return {**sizes, "fault": error.key}
    return {**sizes, "rows": counts, "clock_quality": quality}


def _settings(settings: Settings) -> dict[str, object]:
    """Return the numbers and switches; of a text only whether it is set, because it may be an address."""
    found: dict[str, object] = {"language": settings.language}
    for section in SECTIONS:
        for item in fields(getattr(settings, section)):
            value = getattr(getattr(settings, section), item.name)
            if isinstance(value, int | float):
                found[f"{section}.{item.name}"] = value
            elif item.name != "home":
                found[f"{section}.{item.name}"] = "set" if value else ""
    return found


def _model(home: Path) -> dict[str, object]:
    try:
        card = Store(home).find_current()
    except ModelsError as error:
        return {"fault": error.key}
    return {"name": card.name, "sha256": card.sha256} if card else {}
