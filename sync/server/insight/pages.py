"""What `sandyq region report` counts, exactly and of every box.

For the administrator of the machine, who can read the database as well: no page and no route shows it.
"""

from __future__ import annotations

from typing import Any

from sync.server.storage.identity import Region
from sync.server.storage.store import Store


def report(region: Region, store: Store) -> dict[str, Any]:
    """Return what `region report --json` prints."""
    boxes, counts = store.box_lines(), store.counts()
    return {
        "region": region.name,
        "region_id": region.id.hex(),
        "boxes": [
            {
                "label": box.label,
                "enrolled_at": box.enrolled_at.isoformat(),
                "last_contact_at": box.last_contact_at.isoformat(),
                "batches": box.batches,
                "events": box.events,
                "missing_batches": box.missing,
                "remarks": list(box.remarks),
            }
            for box in boxes
        ],
        "batches": sum(box.batches for box in boxes),
        "events": sum(box.events for box in boxes),
        "by_kind": {kind or "none": count for kind, count in counts.by_kind.items()},
        "by_language": {language or "none": count for language, count in counts.by_language.items()},
        "by_day": {day.isoformat(): count for day, count in counts.by_day.items()},
    }
