"""Pictures of the region, drawn on the server as SVG, each with its numbers in a table beside it. Pure.

Shapes only: words and figures stand in HTML, where they grow with the reader's letters. Colours come from
the style sheet by class, because our CSP forbids inline style. No colour carries a meaning alone: length
and place say the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH = 600
BAR_HEIGHT = 18
RANGE_HEIGHT = 18
DAYS_HEIGHT = 120
GAP = 2


def share_range(value: float, low: float, high: float, most: float, label: str) -> Markup:
    """Return a share as a bar with the range that chance leaves open, on a scale that ends at `most`."""
    parts = [
        _rectangle("track", 0, 0, WIDTH, RANGE_HEIGHT),
        _rectangle("bar", 0, 0, WIDTH * _clamp(value / most), RANGE_HEIGHT),
        _rectangle("range", WIDTH * _clamp(low / most), 6, WIDTH * _clamp((high - low) / most), 6),
    ]
    return _svg("share", RANGE_HEIGHT, label, parts)


def stack(parts: Sequence[tuple[str, int]], label: str) -> Markup:
    """Return one bar of parts, each as wide as its share; the names are those of the style sheet."""
    total = max(1, sum(count for _, count in parts))
    shapes, x = [], 0.0
    for name, count in parts:
        width = WIDTH * count / total
        if count:
            shapes.append(_rectangle(f"part-{name}", x, 0, max(width - GAP, 1), BAR_HEIGHT))
        x += width
    return _svg("stack", BAR_HEIGHT, label, shapes)


def columns(counts: Sequence[int | None], label: str) -> Markup:
    """Return a column for each day, None where nothing may be told."""
    most = max((count for count in counts if count), default=1)
    step = WIDTH / max(1, len(counts))
    shapes = []
    for at, count in enumerate(counts):
        height = 2.0 if count is None else max(2.0, DAYS_HEIGHT * count / most)
        name = "untold" if count is None else "bar"
        shapes.append(_rectangle(name, at * step, DAYS_HEIGHT - height, max(step - GAP, 1), height))
    return _svg("columns", DAYS_HEIGHT, label, shapes)


def _clamp(share: float) -> float:
    return min(1.0, max(0.0, share))


def _rectangle(name: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        name, x, y, max(width, 1.0), height
    )


def _svg(name: str, height: float, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(name, WIDTH, height, label, Markup("").join(parts))
