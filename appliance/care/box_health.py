"""Once on a day with a lesson the box says how it feels, so that the region can send somebody.

Version, disk and heat as a word each: nothing about anybody. Which day it was is not told.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from sqlite_utils import Database

from appliance import events
from appliance.care.health import Reading
from appliance.lesson.sessions import Session
from sync.event import Event

KIND = "box_health"


def note(db: Database, session: Session, readings: Sequence[Reading], *, now: datetime) -> None:
    """Record how the machine feels, the first time today."""
    today = now.astimezone(UTC).date().isoformat()
    is_noted = db.execute(
        "SELECT 1 FROM event WHERE kind = ? AND occurred_at >= ? LIMIT 1", [KIND, today]
    ).fetchone()
    if is_noted is not None:
        return
    moods = {reading.name: reading.mood for reading in readings}
    fields = {
        "software": software_number(version("sandyq")),
        "disk": moods.get("disk"),
        "heat": moods.get("heat"),
    }
    events.record(db, Event(KIND, now, session.id, None, fields))


def software_number(text: str) -> int:
    """Return 1.2.3 as 1002003: a number leaves where a text may not."""
    parts = [int(part) for part in re.findall(r"\d+", text)[:3]]
    major, minor, patch = (min(part, 999) for part in [*parts, 0, 0, 0][:3])
    return major * 1_000_000 + minor * 1_000 + patch
