"""What the doors of this room must be told; `appliance/settings` is the only one that reads files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SyncSettings:
    """The box's side."""

    home: Path  # the one state folder of this machine (SANDYQ_HOME)
    # The region orders the same; the smaller number counts, and 0 says nothing.
    day_kilobytes: int = 0
    month_kilobytes: int = 0
    rate_kbit: int = 0
    uses_metered: bool = False  # who pays for the line may allow it

    @property
    def database_path(self) -> Path:
        """The one SQLite file the pages and sync share."""
        return self.home / "box.sqlite"


@dataclass(frozen=True)
class RegionSettings:
    """The region's side."""

    home: Path  # the one state folder of this machine (SANDYQ_HOME)
    host: str = "127.0.0.1"  # loopback: a proxy with TLS stands in front of a real region
    port: int = 8090
    database: str = ""  # "" = what `region init` chose, else an address such as sqlite:///file

    @property
    def folder(self) -> Path:
        """Where the region keeps its database and keys."""
        return self.home / "region"
