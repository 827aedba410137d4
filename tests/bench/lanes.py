"""What the lanes cost on the wire, and what they give away: the bench parts `wire` and `privacy`.

Promises: the box's own sealing and the attacks of the test suite. Keeps out: judging.
"""

import gzip
import json
import random
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.bench.figures import Measurement, Section
from tests.sync import attacks, attacks_on_counts, attacks_over_weeks
from tests.sync.attacks import Found, attacked
from tests.sync.school_year import LARGE, MIDDLE, SMALL, Release, live, play, unprotected

TINY = (("1-4", 3, 12),)
SIXTY = (("5A", 5, 15), ("6A", 6, 14), ("7A", 7, 16), ("8A", 8, 15))
BOXES = (("12 learners", TINY), ("60 learners", SIXTY), ("275 learners", LARGE))
LESSONS = 5  # about 4,600 events a day in the large school, as in our research
# Measured with two Kolibri instances on loopback through a relay that counted bytes, everything counted:
# 600 records pushed, 3,548 pulled (the project's comparison of peers, 2026).
KOLIBRI_PUSH_BYTES, KOLIBRI_PULL_BYTES = 150, 1745

WIRE_HOW = f"""\
Sealed envelopes as they travel, everything counted but HTTP: signature, padding, one week's section for
the nation with its own 1,168-byte cap, chain. A day and a week of an invented school ({LESSONS} lessons of
each class a day), sealed by the box's own code. Beside it the same events in clear as JSON lines with
gzip -9: "rows" with only the fields that may leave and a learner, "records" with an id and a time as well,
as telemetry does. Kolibri's sync was measured at {KOLIBRI_PUSH_BYTES} B to push a record and
{KOLIBRI_PULL_BYTES:,} B to pull one, in clear."""

PRIVACY_HOW = """\
The attacks of `tests/sync/attacks.py` on invented schools, in per cent of the trials. "blind" is what
somebody without the release would hit (differencing: a coin), "unprotected" the same attack on rows that
nothing was taken from: one learner was company enough."""


def measure_wire(rounds: int) -> Section:
    """Bytes for an event, by size of the school."""
    rows: list[Measurement] = []
    for name, classes in BOXES:
        for what, days in (("a day", 1), ("a week", 5)):
            drawn = [_wire(classes, days, seed) for seed in range(1, rounds + 1)]
            events, sealed, plain, records = (
                tuple(map(float, column)) for column in zip(*drawn, strict=True)
            )
            rows += [
                Measurement(f"{name}, {what}", "events", events),
                Measurement(f"{name}, {what}: sealed", "B", sealed),
                _each(f"{name}, {what}: sealed", sealed, events),
                _each(f"{name}, {what}: JSON + gzip, rows", plain, events),
                _each(f"{name}, {what}: JSON + gzip, records", records, events),
            ]
    return Section("The lanes on the wire", WIRE_HOW, tuple(rows))


def _each(what: str, sizes: Sequence[float], events: Sequence[float]) -> Measurement:
    return Measurement(what, "B/event", tuple(size / n for size, n in zip(sizes, events, strict=True)))


def _wire(classes: Sequence[tuple[str, int, int]], days: int, seed: int) -> tuple[int, int, int, int]:
    with tempfile.TemporaryDirectory() as home:
        release = play(Path(home), classes, weeks=1, lessons=LESSONS, seed=seed, days=days)
    chance = random.Random(seed)
    rows = [
        {"kind": fact.row.kind, "day": str(fact.row.day), "session": fact.row.session_id}
        | {"learner": fact.learner}
        | dict(fact.row.fields)
        for fact in release.facts
    ]
    records = [
        row
        | {
            "id": str(uuid.UUID(int=chance.getrandbits(128))),
            "at": f"{row['day']}T04:{at // 60 % 60:02}:{at % 60:02}Z",
        }
        for at, row in enumerate(rows)
    ]
    sealed = sum(len(blob) for _, blob in release.envelopes)
    return len(rows), sealed, _gzipped(rows), _gzipped(records)


def _gzipped(rows: Sequence[dict[str, object]]) -> int:
    return len(gzip.compress("\n".join(map(json.dumps, rows)).encode(), 9))


SCHOOLS = (
    ("24 learners, a year", SMALL, 34),
    ("43 learners, a year", MIDDLE, 34),
    ("275 learners, a year", LARGE, 34),
)


WEEKS_OF_CONTROL = 6


def measure_privacy() -> Section:
    """How often attackers hit, school beside school."""
    columns = []
    for _, classes, weeks in SCHOOLS:
        with unprotected():
            control = live(classes, weeks=WEEKS_OF_CONTROL)
        columns.append(_attacked(live(classes, weeks=weeks), control))
    heads = [f"{name}: hit / blind / unprotected" for name, _, _ in SCHOOLS]
    lines = [f"| attack | {' | '.join(heads)} |", "|---|" + "---:|" * len(heads)]
    for attack in columns[0]:
        lines.append(f"| {attack} | {' | '.join(column[attack] for column in columns)} |")
    counted = [
        f"- {found.name}: {100 * found.hits:.1f} points better than a coin, bound {100 * found.blind:.1f}"
        for found in (attacks_on_counts.membership(), attacks_on_counts.worst_membership())
    ]
    return Section("Attacks on what left", "\n".join((PRIVACY_HOW, "", *lines, "", *counted)), ())


def _attacked(release: Release, control: Release) -> dict[str, str]:
    school, raw = attacked(release), attacked(control)
    pairs = [(attacks.singled_out(school, known), attacks.singled_out(raw, known)) for known in (2, 4, 8)]
    pairs += [
        (attacks.insider(school), attacks.insider(raw)),
        (attacks.inferred(school, "result"), attacks.inferred(raw, "result")),
        (attacks.inferred(school, "outcome"), attacks.inferred(raw, "outcome")),
        (attacks_over_weeks.differenced(school), attacks_over_weeks.differenced(raw)),
    ]
    found = {ours.name: _cell(ours, able) for ours, able in pairs}
    links, able = attacks_over_weeks.linked(school), attacks_over_weeks.linked(raw)
    cell = f"{100 * links.hits:.1f} / {100 * links.in_class:.1f} / {100 * able.hits:.0f}"
    found["linking a child's rows week to week, blind in the class its lesson tells"] = cell
    found["the same, blind in the school"] = f"- / {100 * links.blind:.1f} / -"
    by_name = attacks_over_weeks.linked_by_pseudonym(control)
    found["the same, rows under weekly pseudonyms"] = (
        f"- / {100 * by_name.blind:.1f} / {100 * by_name.hits:.0f}"
    )
    for known in (2, 4, 8):
        named = attacks.singled_out_by_pseudonym(control, known)
        found[f"singling out under weekly pseudonyms, {known} known"] = f"- / - / {100 * named.hits:.0f}"
    found["share of the fullest learner in a group, mean"] = f"{100 * attacks.fullest(school):.0f} / - / -"
    return found


def _cell(ours: Found, control: Found) -> str:
    return f"{100 * ours.hits:.1f} / {100 * ours.blind:.1f} / {100 * control.hits:.0f}"
