"""What a person can mend comes first; a school's results rank nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations

from sync.server.insight.needs import (
    NEEDS,
    BoxState,
    SchoolDays,
    in_touch,
    needs_of,
    newest_version,
    ranked,
    version_of,
)

TODAY = date(2026, 10, 14)  # a Wednesday in school time
NOW = datetime(2026, 10, 14, 8, tzinfo=UTC)
WELL = BoxState(
    id=1,
    label="B-AAAAA",
    school="",
    stratum="rural",
    size_class="small",
    software="0.1.0",
    enrolled_at=NOW - timedelta(days=60),
    last_contact_at=NOW,
    is_revoked=False,
    is_approved=True,
    batches=40,
    missing=0,
    remarks=(),
    flags=(),
    disk="good",
    heat="good",
)


def names(box: BoxState, today: date = TODAY) -> list[str]:
    return [need.name for need in needs_of(box, SchoolDays(today), version_of("0.1.0"))]


def test_a_box_that_is_well_needs_nobody() -> None:
    assert names(WELL) == []


def test_silence_counts_in_school_days_only() -> None:
    days = SchoolDays(TODAY)
    assert days.since(TODAY) == 0
    assert days.since(TODAY - timedelta(days=7)) == 5
    assert names(WELL._replace(last_contact_at=NOW - timedelta(days=8))) == []
    assert names(WELL._replace(last_contact_at=NOW - timedelta(days=10))) == ["quiet"]
    assert names(WELL._replace(last_contact_at=NOW - timedelta(days=20))) == ["silent"]
    # Six weeks without a word, five of them summer: nobody was in school.
    august = datetime(2026, 9, 3, tzinfo=UTC)
    assert names(WELL._replace(last_contact_at=august - timedelta(weeks=6)), august.date()) == []
    assert days.since(date(2020, 1, 1)) > 150  # older than the calendar is just long ago


def test_a_new_box_that_never_sent_anything_is_called_so() -> None:
    fresh = WELL._replace(batches=0, enrolled_at=NOW - timedelta(days=1))
    assert names(fresh) == []
    assert names(fresh._replace(enrolled_at=NOW - timedelta(days=9))) == ["never"]


def test_every_reason_has_its_place() -> None:
    assert names(WELL._replace(remarks=("fork",))) == ["copied"]
    assert names(WELL._replace(remarks=("epoch", "gap"))) == ["copied", "order"]
    assert names(WELL._replace(missing=3, remarks=("gap",))) == ["missing"]
    assert names(WELL._replace(disk="bad", heat="watch")) == ["disk", "warm"]
    assert names(WELL._replace(heat="bad")) == ["heat"]
    assert names(WELL._replace(flags=("slow", "stuck", "failing", "handing"))) == [
        *("failing", "slow", "handing", "stuck")
    ]
    assert names(WELL._replace(is_revoked=True, disk="bad")) == []
    assert names(WELL._replace(is_approved=False)) == ["waiting"]


def test_versions_compare_as_numbers() -> None:
    boxes = [WELL._replace(software="0.9.0"), WELL._replace(software="0.10.0")]
    assert newest_version(boxes) == (0, 10, 0)
    assert [len(needs) for _, needs in ranked(boxes, TODAY)] == [1]


def test_lessons_decide_nothing_between_two_boxes() -> None:
    """Whatever order they come in: alike in need, they stand by their names."""
    boxes = [WELL._replace(id=at, label=f"B-{name}", flags=("stuck",)) for at, name in enumerate("CAB")]
    for order in permutations(boxes):
        assert [box.label for box, _ in ranked(order, TODAY)] == ["B-A", "B-B", "B-C"]


def test_the_longest_silence_comes_first() -> None:
    boxes = [
        WELL._replace(label=f"B-{days}", last_contact_at=NOW - timedelta(days=days)) for days in (22, 40)
    ]
    assert [box.label for box, _ in ranked(boxes, TODAY)] == ["B-40", "B-22"]
    assert in_touch([WELL, *boxes], TODAY) == 1


def test_no_field_of_a_box_is_about_a_teacher_a_learner_or_a_result() -> None:
    told = set(BoxState._fields)
    for unwanted in (
        "teacher",
        "learner",
        "class",
        "share",
        "right",
        "wrong",
        "result",
        "rank",
        "score",
        "events",
    ):
        assert not [name for name in told if unwanted in name and name != "size_class"]
    for name, wording in NEEDS.items():
        # A figure stands only where it is of days or of envelopes.
        assert "%(count)s" not in wording.said or name in {"silent", "quiet", "missing"}
        assert wording.level in {"now", "soon", "later"}
