"""Whatever a school does with stops, in whatever order: nobody lifts what is above them, nobody slips by."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from appliance import policy
from appliance.database import connection, prepare, saving
from appliance.errors import ApplianceError, NotYourClass, StopSetAbove
from appliance.people import roster
from appliance.people.roster import Learner
from appliance.permission import permission, stops
from appliance.policy import Actor, Target
from tests.appliance.test_stops import NOW


@dataclass
class School:
    db: Database
    learners: list[Learner]  # two of 7A, one of 8B

    def target(self, name: str) -> Target:
        first, second, third = self.learners
        return {
            "school": Target(),
            "7A": Target(first.school_class_id),
            "8B": Target(third.school_class_id),
            "Aigerim": Target(first.school_class_id, first.id),
            "Bolat": Target(second.school_class_id, second.id),
            "Timur": Target(third.school_class_id, third.id),
        }[name]

    def actor(self, name: str) -> Actor:
        first, _second, third = self.learners
        if name == "Dana":  # set the box up
            return Actor(first.school_class_id, speaks_for_school=True)
        return Actor(third.school_class_id)


WITHIN = {
    "school": {"Aigerim", "Bolat", "Timur"},
    "7A": {"Aigerim", "Bolat"},
    "8B": {"Timur"},
    "Aigerim": {"Aigerim"},
    "Bolat": {"Bolat"},
    "Timur": {"Timur"},
}
ACTS = st.tuples(
    st.sampled_from(["Dana", "Erlan"]), st.sampled_from(["set", "lift"]), st.sampled_from(list(WITHIN))
)


@pytest.fixture
def school(tmp_path) -> Iterator[School]:
    prepare(tmp_path / "box.sqlite")
    with connection(tmp_path / "box.sqlite") as db:
        with saving(db):
            own = roster.add_school_class(db, "7A", 7, "kk", now=NOW)
            other = roster.add_school_class(db, "8B", 8, "kk", now=NOW)
            learners = roster.add_learners(db, own, ["Aigerim", "Bolat"], now=NOW)
            learners += roster.add_learners(db, other, ["Timur"], now=NOW)
        yield School(db, learners)


def authority(who: str, target: str) -> str | None:
    """Said anew, not asked of the code under test."""
    if who == "Dana":
        return "school_class" if target in ("7A", "Aigerim", "Bolat") else "school"
    return "school_class" if target in ("8B", "Timur") else None


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTS, max_size=14))
def test_no_history_lets_anybody_lift_what_is_above_them(
    school: School, acts: list[tuple[str, str, str]]
) -> None:
    with saving(school.db):
        school.db.execute("DELETE FROM stop")
    held: dict[str, str] = {}  # target -> authority it was set with
    for who, wish, name in acts:
        mine, refused = authority(who, name), None
        try:
            with saving(school.db):
                act = stops.set_stop if wish == "set" else stops.lift
                act(school.db, school.actor(who), school.target(name), now=NOW)
        except ApplianceError as error:
            refused = error
        if mine is None:
            assert isinstance(refused, NotYourClass)
        elif wish == "set":
            assert refused is None
            ranks = policy.LEVELS.index
            held[name] = max(held.get(name, mine), mine, key=ranks)
        elif who == "Erlan" and held.get(name) == "school":
            assert isinstance(refused, StopSetAbove)
        else:
            assert refused is None
            held.pop(name, None)
        stopped = set().union(*(WITHIN[target] for target in held)) if held else set()
        for learner in school.learners:
            permitted = permission.look(school.db, learner, now=NOW)
            assert (permitted.refusal is not None) == (learner.name in stopped)
