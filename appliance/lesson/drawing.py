"""Pictures of the class, drawn on the server as SVG. Pure.

Shapes only: words and figures stand beside them in HTML, where they grow with the reader's letters. Colours
come from the style sheet by class, because our CSP forbids inline style.
"""

from collections.abc import Sequence

from markupsafe import Markup

from appliance.lesson.class_now import ClassNow
from appliance.lesson.states import STATES

WIDTH = 600
BAND_HEIGHT = 40
GAP = 3
WAIT_HEIGHT = 14
# A wait longer than this fills the line: past two minutes the teacher acts, whatever the figure.
LONGEST_WAIT_SECONDS = 120


def class_band(now: ClassNow, label: str) -> Markup:
    """Return one band with a part for each state, as wide as the learners in it."""
    total = max(1, len(now.learners))
    parts, x = [], 0.0
    for state in STATES:
        count = now.count(state)
        if count:
            width = WIDTH * count / total
            parts.append(_rectangle(f"state-{state}", x, 0, width - GAP, BAND_HEIGHT))
            x += width
    return _svg("band", BAND_HEIGHT, label, parts)


def waits(seconds: Sequence[int], label: str) -> Markup:
    """Return a bar for each waiting learner, in their order: how long they have waited so far."""
    parts: list[Markup] = []
    for row, waited in enumerate(seconds):
        y = row * (WAIT_HEIGHT + GAP)
        share = min(waited, LONGEST_WAIT_SECONDS) / LONGEST_WAIT_SECONDS
        parts.append(_rectangle("track", 0, y, WIDTH, WAIT_HEIGHT))
        parts.append(_rectangle("state-waiting", 0, y, max(WAIT_HEIGHT / 2, WIDTH * share), WAIT_HEIGHT))
    return _svg("waits", max(1, len(seconds) * (WAIT_HEIGHT + GAP) - GAP), label, parts)


def minutes_band(with_ai: Sequence[bool], label: str) -> Markup:
    """Return a lesson as a row of minutes, those with AI in another colour."""
    width = WIDTH / max(1, len(with_ai))
    parts = [
        _rectangle("with-ai" if is_with else "track", number * width, 0, max(width - 1, 1), BAND_HEIGHT)
        for number, is_with in enumerate(with_ai)
    ]
    return _svg("band", BAND_HEIGHT, label, parts)


def _rectangle(name: str, x: float, y: float, width: float, height: float) -> Markup:
    return Markup('<rect class="{}" x="{:.1f}" y="{:.0f}" width="{:.1f}" height="{:.0f}" rx="4"/>').format(
        name, x, y, max(width, 1.0), height
    )


def _svg(name: str, height: float, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {:.0f}" role="img" aria-label="{}" '
        'preserveAspectRatio="none">{}</svg>'
    ).format(name, WIDTH, height, label, Markup("").join(parts))
