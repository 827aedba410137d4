"""Open the region of this machine for one command.

Promises: the tables have this program's form, and the database is closed however the command ends. So no
command reads an older form after an upgrade. Keeps out: the serving process, which opens its own connections
(`stores`), and what moves or undoes the form itself (`store_cli`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from sync.server.storage.identity import Region, get_region
from sync.server.storage.store import Store, open_store
from sync.settings import RegionSettings


@contextmanager
def opened(settings: RegionSettings) -> Iterator[tuple[Region, Store]]:
    """Give the region and its store."""
    region = get_region(settings)
    with closing(open_store(region.database)) as store:
        store.migrate()
        yield region, store
