"""No number is told that fewer than ten learners or five schools stand behind."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from sync.event import KINDS
from sync.server.arrivals.metrics import RegionMetrics
from sync.server.insight.threshold import FEWEST_BOXES, LEARNERS_KINDS, Block, Circle, learners_of, may_tell
from sync.server.storage.records import Counted


def block(parts: Mapping[str, list[int]], learners: int = 10) -> Block:
    """Each list holds the rows of school 1, 2, 3, ..."""
    made = Block()
    for part, rows in parts.items():
        for box, count in enumerate(rows):
            if count:
                made.add(part, box, count, learners)
    return made


def test_five_schools_and_ten_of_everything_are_told() -> None:
    assert may_tell(block({"right": [10] * 5, "wrong": [4] * 5}))


def test_four_schools_are_not_told() -> None:
    assert not may_tell(block({"right": [100] * 4, "wrong": [100] * 4}))


def test_one_school_that_is_most_of_it_is_not_told() -> None:
    assert not may_tell(block({"right": [60, 10, 10, 10, 10], "wrong": [20, 5, 5, 5, 5]}))


def test_a_part_of_nine_holds_the_whole_back() -> None:
    """Otherwise the part would be the whole without the others."""
    assert not may_tell(block({"right": [50] * 5, "wrong": [9, 0, 0, 0, 0]}))
    assert may_tell(block({"right": [50] * 5, "wrong": [10, 0, 0, 0, 0]}))


def test_ten_rows_of_one_learner_are_not_ten() -> None:
    assert not may_tell(block({"right": [20] * 5, "wrong": [20, 0, 0, 0, 0]}, learners=1))
    assert may_tell(block({"right": [20] * 10, "wrong": [20] * 10}, learners=1))


def test_what_all_of_a_few_say_is_not_told() -> None:
    """Whoever knows that a child is among them would know the child's value."""
    assert not may_tell(block({"wrong": [20] * 10}, learners=1))
    assert may_tell(block({"wrong": [20] * 20}, learners=1))


def test_nothing_is_not_told() -> None:
    assert not may_tell(Block())


def test_a_box_that_sends_small_circles_is_counted_on_for_one_learner() -> None:
    wide = Circle("answer_finished", 40, is_bare=False)
    assert learners_of([wide]) == 10
    assert learners_of([wide, Circle("question_asked", 9, is_bare=False)]) == 1
    assert learners_of([wide, Circle("question_asked", 3, is_bare=True)]) == 10
    assert learners_of([wide, Circle("session_opened", 1, is_bare=False)]) == 10


def test_kinds_of_learners_are_kinds() -> None:
    assert set(KINDS) > LEARNERS_KINDS


portions = st.dictionaries(
    st.sampled_from(["right", "wrong", "other"]),
    st.dictionaries(
        st.integers(1, 9), st.tuples(st.integers(1, 60), st.sampled_from([1, 10])), min_size=1, max_size=9
    ),
    max_size=3,
)


@given(portions)
def test_whatever_is_told_holds_the_promise(parts: dict[str, dict[int, tuple[int, int]]]) -> None:
    made = Block()
    for part, boxes in parts.items():
        for box, (rows, learners) in boxes.items():
            made.add(part, box, rows, learners)
    if may_tell(made):
        assert len(made.rows_by_box()) >= FEWEST_BOXES
        for part, boxes in parts.items():
            assert made.rows(part) >= 10
            assert sum(learners for _, learners in boxes.values()) >= 10


def test_the_machines_figures_do_not_tell_what_one_envelope_held() -> None:
    """Who looks at /metrics before and after a box was in touch learns no number under ten."""
    metrics, seen = RegionMetrics(), []
    for events in (3, 1, 96, 7, 250):
        metrics.kept("new", events, 0.1)
        page = metrics.text(Counted(1, 1, 1000 + events, 0)).decode()
        seen.append(float(page.split("\nsandyq_region_events_total ")[1].split("\n")[0]))
        assert "sandyq_region_ledger_events 1000.0" in page or events == 250
    assert seen == [0, 0, 100, 100, 300]
