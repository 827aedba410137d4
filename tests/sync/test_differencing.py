"""Nobody finds a number under ten: not in an answer, not in what follows from all answers of all days.

Schools send by the box's own code whatever hypothesis thinks of, late and early; the region counts and tells
as the days pass; `tests/sync/attacker` keeps every answer and solves. Each rule is then taken out in turn: an
attack that finds nothing without it would find nothing with it either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from fractions import Fraction
from unittest import mock

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sync.server.insight import box_flags, rollups, telling, threshold
from sync.server.insight.equity import VECTORS
from sync.server.insight.rollups import Counted
from sync.server.insight.threshold import Block, Portion
from sync.server.storage.database import RegionDatabase
from sync.server.storage.store import Store, open_store
from tests.region_simulator import RegionSimulator
from tests.sync.attacker import Answers, Lesson, find_leaks, live, solve
from tests.sync.schools import Deed

NAMES = tuple(f"school {number:02}" for number in range(14))

World = Sequence[Lesson]


def lesson(
    school: str,
    mood: str,
    learners: int,
    each: int = 2,
    *,
    day: int = 0,
    arrives: int = 0,
    language: str = "kk",
) -> Lesson:
    """A lesson in which so many learners do so many things each."""
    made = []
    for at in range(learners * each):
        who = f"{language} {at % learners}"
        if mood in ("asks", "asks and is handed", "two are handed"):
            made.append(Deed(who, "question_asked", language))
            is_handed = {"asks and is handed": at % 5 == 0, "two are handed": at < 2}.get(mood, False)
            made += [Deed(who, "hand_back", language, reason="third_hint")] * is_handed
        else:
            is_right = {
                "even": at % 2 == 0,
                "all right": True,
                "one right": at % learners == 0,
                "ten right": at < 10,
            }[mood]
            made.append(Deed(who, "attempt_checked", language, result="right" if is_right else "wrong"))
    return Lesson(school, tuple(made), day, arrives)


def raw(school: str, mood: str, learners: int, each: int = 2) -> Lesson:
    """The same from a box that does not protect its learners: small circles come from no honest one."""
    return replace(lesson(school, mood, learners, each), is_raw=True)


# Worlds in which a rule is needed -----------------------------------------------------------------

EVEN = tuple(lesson(name, "even", 24) for name in NAMES[:8])

WORLDS: Mapping[str, World] = {
    "four schools": EVEN[:4],
    "one school is most of it": (
        *(lesson(name, "even", 24, 1) for name in NAMES[1:5]),
        *(lesson(NAMES[0], "even", 24, 3, day=day) for day in (0, 0)),
    ),
    "fourteen learners all ask": tuple(lesson(name, "asks", 1) for name in NAMES),
    "eight learners": tuple(lesson(name, "asks", 1, 6) for name in NAMES[:8]),
    "eight raw learners": tuple(raw(name, "even", 1, 6) for name in NAMES[:8]),
    "the same eight raw learners, three times": tuple(
        replace(raw(name, "even", 1, 6), arrives=arrives) for name in NAMES[:8] for arrives in (0, 0, 10)
    ),
    "two are handed over": (
        raw(NAMES[0], "two are handed", 24),
        *(lesson(name, "asks", 24) for name in NAMES[1:8]),
    ),
    "one school is late": (*EVEN, lesson(NAMES[0], "even", 24, arrives=40)),
    "one urban school": (*EVEN[:7], lesson(NAMES[7], "even", 24)),
    "all are late again": (*EVEN, *(lesson(name, "even", 24, arrives=40) for name in NAMES[:8])),
    "one of many was right": (raw(NAMES[0], "one right", 24, 3), lesson(NAMES[0], "asks", 24)),
    "thirty tries": (lesson(NAMES[0], "ten right", 30, 1),),
}


# Rules taken out ------------------------------------------------------------------------------------

Mutation = Callable[[], AbstractContextManager[object]]


def constant(module: object, name: str, value: object) -> Mutation:
    return lambda: mock.patch.object(module, name, value)


def wide(is_wide: Callable[[Mapping[int, Portion]], bool]) -> Mutation:
    return lambda: mock.patch.object(threshold, "_is_wide", is_wide)


def rows_only(boxes: Mapping[int, Portion]) -> bool:
    return sum(portion.rows for portion in boxes.values()) >= threshold.K


def learners_add_up(counted: Iterable[Counted]) -> list[Counted]:
    sums: dict[tuple[object, ...], Counted] = {}
    for one in counted:
        key = (one.box, one.period, one.language, one.vector, one.part)
        before = sums.get(key, replace(one, rows=0, learners=0))
        sums[key] = replace(one, rows=one.rows + before.rows, learners=one.learners + before.learners)
    return list(sums.values())


def later_learners_add_up(db: RegionDatabase, counted: Iterable[tuple[Counted, tuple[str, str]]]) -> None:
    db.execute_many(
        "INSERT INTO rollup_waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT"
        " (period, stratum, size_class, language, vector, part, box_id) DO UPDATE SET"
        " amount = rollup_waiting.amount + excluded.amount,"
        " learners = rollup_waiting.learners + excluded.learners",
        [
            (one.period, *kind, one.language, one.vector, one.part, one.box, one.rows, one.learners)
            for one, kind in counted
        ],
    )


def one_wide_part_is_enough(block: Block) -> bool:
    by_box = block.rows_by_box()
    is_spread = max(by_box.values(), default=0) <= threshold.MOST_OF_ONE_BOX * sum(by_box.values())
    parts = block.parts.values()
    return len(by_box) >= threshold.FEWEST_BOXES and is_spread and any(map(threshold._is_wide, parts))


@contextmanager
def only_wide_parts_are_told() -> Iterator[None]:
    """Primary suppression alone: the small parts are left out and wait."""
    wide_parts: dict[str, bool] = {}

    def may_tell(block: Block) -> bool:
        wide_parts.clear()
        wide_parts.update({part: threshold._is_wide(boxes) for part, boxes in block.parts.items()})
        return one_wide_part_is_enough(block)

    write = telling._write_block

    def write_wide(
        db: RegionDatabase, period: str, cell: telling.Cell, parts: Mapping[str, int], today: object
    ) -> None:
        write(db, period, cell, {part: rows for part, rows in parts.items() if wide_parts[part]}, today)  # type: ignore[arg-type]

    with (
        mock.patch.object(telling, "may_tell", may_tell),
        mock.patch.object(telling, "_write_block", write_wide),
    ):
        yield


_WAITING = "SELECT * FROM rollup_waiting WHERE period = ?"
_INSERT = "INSERT INTO rollup_waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


@contextmanager
def what_was_told_goes_on_waiting() -> Iterator[None]:
    """A wider cell then holds the narrow one as well."""
    tell = telling._tell

    def tell_and_keep(db: RegionDatabase, period: str, today: object) -> None:
        kept = db.rows(_WAITING, (period,))
        tell(db, period, today)  # type: ignore[arg-type]
        db.execute_many(_INSERT, kept)

    with mock.patch.object(telling, "_tell", tell_and_keep):
        yield


@contextmanager
def late_rows_join_what_is_told() -> Iterator[None]:
    """A cell that was told once is kept up to date."""
    tell, may_tell = telling._tell, telling.may_tell

    def tell_up_to_date(db: RegionDatabase, period: str, today: object) -> None:
        tell(db, period, today)  # type: ignore[arg-type]
        if db.row("SELECT 1 FROM told WHERE substr(period, 1, 7) = ?", (period[:7],)):
            with mock.patch.object(telling, "may_tell", lambda _block: True):
                tell(db, period, today)  # type: ignore[arg-type]

    with mock.patch.object(telling, "_tell", tell_up_to_date):
        yield
    assert telling.may_tell is may_tell


@contextmanager
def told_rows_are_written_over() -> Iterator[None]:
    """No block stays as it was: the newest takes the number of the first."""
    write = telling._write_block

    def write_over(db: RegionDatabase, *words: object) -> None:
        write(db, *words)  # type: ignore[arg-type]
        db.execute("UPDATE told SET amount = amount + 1 WHERE block < (SELECT max(block) FROM told)")

    with mock.patch.object(telling, "_write_block", write_over):
        yield


MUTATIONS: Mapping[str, tuple[Mutation, str]] = {
    "four schools are enough": (constant(threshold, "FEWEST_BOXES", 4), "four schools"),
    "one school may be most of it": (constant(threshold, "MOST_OF_ONE_BOX", 1.0), "one school is most of it"),
    "ten may all be alike": (constant(threshold, "TELLING_CIRCLE", 10), "fourteen learners all ask"),
    "rows count, not learners": (wide(rows_only), "eight raw learners"),
    "a bare row is of ten learners": (constant(rollups, "LEARNERS_OF_BARE", 10), "eight learners"),
    "learners of batches add up": (
        constant(rollups, "_merged", learners_add_up),
        "the same eight raw learners, three times",
    ),
    "learners of later batches add up": (
        constant(rollups, "add_waiting", later_learners_add_up),
        "the same eight raw learners, three times",
    ),
    "one wide part is enough": (
        constant(telling, "may_tell", one_wide_part_is_enough),
        "two are handed over",
    ),
    "small parts are left out": (only_wide_parts_are_told, "two are handed over"),
    "every box is believed": (constant(rollups, "learners_of", lambda _circles: 10), "eight raw learners"),
    "what was told goes on waiting": (what_was_told_goes_on_waiting, "one urban school"),
    "late rows join what is told": (late_rows_join_what_is_told, "one school is late"),
    "a block changes": (told_rows_are_written_over, "all are late again"),
    "a word needs nobody on the other side": (constant(box_flags, "K", 0), "one of many was right"),
    "a word needs no forty rows": (constant(box_flags, "FEWEST_FOR_FLAG", 1), "thirty tries"),
}


# The attack -------------------------------------------------------------------------------------------


class Place:
    """One region, emptied before every world."""

    def __init__(self, region: RegionSimulator) -> None:
        self.browser: FlaskClient = region.enter()
        self.store: Store = open_store(region.region.database)

    def attack(self, world: World) -> Answers:
        with self.store.transaction():
            for table in reversed(self.store.db.tables()):
                if (table.startswith(("rollup_", "told")) and table != "rollup_mark") or table in _OF_BOXES:
                    self.store.db.execute(f"DELETE FROM {table}")
            self.store.db.execute("UPDATE rollup_mark SET number = 0, settled_on = NULL")
        return live(self.browser, self.store, world)


_OF_BOXES = ("event", "ledger", "remark", "box_place", "box")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(RegionSimulator(tmp_path_factory.mktemp("attacked")))
    yield made
    made.store.close()


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_attack_finds_each_rule_that_is_missing(place: Place, mutation: str) -> None:
    mutate, world = MUTATIONS[mutation]
    with mutate():
        assert find_leaks(place.attack(WORLDS[world])), "nothing is found without this rule"


@pytest.mark.parametrize("world", WORLDS)
def test_the_attack_finds_nothing_with_all_rules(place: Place, world: str) -> None:
    answers = place.attack(WORLDS[world])
    assert find_leaks(answers) == []
    # So ten rows follow from ten learners: of that rule alone no attack can miss anything.
    assert not answers.trace.has_fewer_rows_than_learners


lessons = st.builds(
    lesson,
    st.sampled_from(NAMES[:8]),
    st.sampled_from(
        ["even", "all right", "one right", "ten right", "asks", "asks and is handed", "two are handed"]
    ),
    st.integers(1, 24),
    st.integers(1, 3),
    day=st.integers(0, 3),
    arrives=st.sampled_from([0, 10, 40, 70]),
    language=st.sampled_from(["kk", "ru"]),
)
# Now and then everybody teaches on one day: without it nothing would ever be told.
common = st.sampled_from(
    [(), EVEN, EVEN[:7], WORLDS["fourteen learners all ask"], WORLDS["two are handed over"]]
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(common, st.lists(lessons, max_size=14))
def test_nothing_under_ten_follows_from_all_answers(place: Place, common: World, extra: list[Lesson]) -> None:
    answers = place.attack([*common, *extra])
    event(f"blocks told: {min(3, len({row['block'] for row in answers.releases[-1]}))}")
    assert find_leaks(answers) == []


def test_all_doors_tell_the_same_numbers(place: Place) -> None:
    """So that to attack one of them is to attack all."""
    told = place.attack(WORLDS["one school is late"]).releases[-1]
    browser = place.browser
    months = browser.get("/data/months").get_json()["told"]
    lines = [
        line for month in months for line in browser.get(f"/data/told/{month}.csv").text.splitlines()[1:]
    ]
    assert lines == [",".join(str(value) for value in row.values()) for row in told]
    stated = [one for month in months for one in browser.get(f"/data/xapi/{month}.json").get_json()]
    amounts = [next(iter(one["result"]["extensions"].values())) for one in stated]
    assert amounts == [row["amount"] for row in told]


def test_the_solver_finds_what_follows() -> None:
    a, b, c = ((place, "right") for place in range(3))
    one = Fraction(1)
    found = solve(
        [({a: one, b: one}, Fraction(30)), ({b: one, c: one}, Fraction(50)), ({a: one, c: one}, Fraction(26))]
    )
    assert sorted((*row, value) for row, value in found) == [(a, 3), (b, 27), (c, 23)]
    assert solve([({a: one, b: one}, Fraction(30)), ({a: one, b: one}, Fraction(30))]) == [
        ({a: one, b: one}, Fraction(30))
    ]


def test_the_parts_of_a_vector_are_in_one_vector_only() -> None:
    """Else one thing would be counted twice, and the two countings could be subtracted."""
    parts = [part for vector in VECTORS.values() for part in vector.parts]
    assert len(parts) == len(set(parts))
