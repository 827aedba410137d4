"""What the region shows: one page for people, one report for programs.

Pure but for the store it reads. Pictures are drawn here as SVG, each with its
numbers in a table behind it. Keeps out: routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sync.server.identity import Region
from sync.server.store import BoxLine, Counts, Store
from sync.server.translation import KIND_WORDS, LANGUAGE_WORDS, LANGUAGES, REMARK_WORDS, Speaker

DAYS_DRAWN = 30
# The drawing's own units; the page scales it to the screen.
BAR_WIDTH, BAR_STEP, DRAWING_HEIGHT = 16, 20, 120


@dataclass(frozen=True)
class Bar:
    """One day in the drawing."""

    x: int
    y: int
    height: int
    title: str


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


def page(region: Region, store: Store, speaker: Speaker) -> dict[str, Any]:
    """Return what the template needs, already in the reader's language."""
    boxes, counts = store.box_lines(), store.counts()
    return {
        "region_name": region.name,
        "speaker": speaker,
        "languages": LANGUAGES,
        "boxes": [(box, _state(box, speaker)) for box in boxes],
        "batches": sum(box.batches for box in boxes),
        "events": sum(box.events for box in boxes),
        "kinds": [(speaker.say(KIND_WORDS.get(kind, kind)), count) for kind, count in counts.by_kind.items()],
        "spoken": [
            (speaker.say(LANGUAGE_WORDS[language]), count) for language, count in counts.by_language.items()
        ],
        "days": [(speaker.day(day), count) for day, count in reversed(counts.by_day.items())][:DAYS_DRAWN],
        "bars": _bars(counts, speaker),
        "drawing_width": DAYS_DRAWN * BAR_STEP,
        "drawing_height": DRAWING_HEIGHT,
        "bar_width": BAR_WIDTH,
    }


def _state(box: BoxLine, speaker: Speaker) -> list[str]:
    remarks = [speaker.say(REMARK_WORDS[remark]) for remark in box.remarks]
    if box.missing:
        remarks.append(speaker.say("batches still missing: %(count)s", count=speaker.number(box.missing)))
    return remarks


def _bars(counts: Counts, speaker: Speaker) -> list[Bar]:
    """Draw the last days that have anything, as high as their share of the fullest one."""
    if not counts.by_day:
        return []
    last = max(counts.by_day)
    first = last - timedelta(days=DAYS_DRAWN - 1)
    drawn: list[tuple[date, int]] = [(day, count) for day, count in counts.by_day.items() if day >= first]
    most = max(count for _, count in drawn)
    return [
        Bar(
            x=(day - first).days * BAR_STEP,
            y=DRAWING_HEIGHT - (height := max(2, count * DRAWING_HEIGHT // most)),
            height=height,
            title=f"{speaker.day(day)}: {speaker.number(count)}",
        )
        for day, count in drawn
    ]
