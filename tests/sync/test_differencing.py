"""Nobody finds a number under ten: not in a query, not between two, not between today and yesterday.

Schools send by the box's own code whatever hypothesis thinks of, late and early; the region counts and
tells as the days pass; the attacker keeps every answer and subtracts.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from sync.generalise import K
from sync.server import telling
from sync.server.equity import VECTORS
from sync.server.store import Store, open_store
from tests.sync.schools import Deed, Schools

FIRST = date(2026, 9, 1)
NAMES = tuple(f"school {number}" for number in range(8))
COLUMNS = ("period", "stratum", "size_class", "language", "vector", "part", "amount")

Answer = dict[tuple[str, ...], int]  # what is told, by cell

lessons = st.fixed_dictionaries(
    {
        "school": st.sampled_from(NAMES),
        "day": st.integers(0, 3),
        "arrives": st.sampled_from([0, 1, 10, 40, 70]),
        "learners": st.integers(1, 24),
        "deeds": st.integers(1, 3),
        "language": st.sampled_from(["kk", "ru"]),
        "mood": st.sampled_from(["even", "right", "one wrong", "asking"]),
    }
)
# Now and then everybody teaches on one day: without it nothing would ever be told.
# Tiny schools tell the kind alone, and of one learner each: only the region can hold them back.
fullness = st.sampled_from(["all", "all but one", "tiny", "few"])


def deeds_of(lesson: dict[str, object]) -> list[Deed]:
    language, mood = str(lesson["language"]), lesson["mood"]
    learners, each = lesson["learners"], lesson["deeds"]
    assert isinstance(learners, int)
    assert isinstance(each, int)
    made = []
    for at in range(learners * each):
        who = f"{language} {at % learners}"
        if mood == "asking":
            made.append(Deed(who, "question_asked", language))
            if at % 5 == 0:
                made.append(Deed(who, "hand_back", language, reason="third_hint"))
        else:
            is_right = {"even": at % 2 == 0, "right": True, "one wrong": at != 0}[str(mood)]
            made.append(Deed(who, "attempt_checked", language, result="right" if is_right else "wrong"))
    return made


def look(store: Store) -> Answer:
    """Everything that anybody may see, by the finest cells there are."""
    rows = store.db.rows(f"SELECT {', '.join(COLUMNS)} FROM told")
    answer: Answer = defaultdict(int)
    for *cell, amount in rows:
        answer[tuple(cell)] += amount
    return answer


def ask(answer: Answer, wanted: dict[int, str]) -> int:
    """Add up all cells that have these values in these columns."""
    return sum(
        amount for cell, amount in answer.items() if all(cell[at] == value for at, value in wanted.items())
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(st.lists(lessons, max_size=14), fullness, st.data())
def test_no_answer_and_no_difference_of_answers_is_under_ten(
    extra: list[dict[str, object]], full: str, data: st.DataObject
) -> None:
    plan = list(extra)
    if full == "tiny":
        for name in NAMES:
            few = {"school": name, "day": 0, "arrives": 0, "language": "kk", "mood": "asking"}
            plan.append({**few, "learners": 1, "deeds": data.draw(st.integers(1, 3))})
    elif full != "few":
        for name in NAMES[: len(NAMES) - (full == "all but one")]:
            common = {"school": name, "day": 0, "arrives": 0, "deeds": 2, "language": "kk", "mood": "even"}
            for mood in data.draw(st.sampled_from([["even"], ["even", "asking"]])):
                plan.append({**common, "mood": mood, "learners": data.draw(st.integers(20, 24))})
    with TemporaryDirectory() as folder:
        store = open_store(f"sqlite:///{Path(folder) / 'region.sqlite'}")
        store.migrate()
        schools = Schools(store)
        for number, name in enumerate(NAMES):
            schools.add(name, "urban" if number == 7 else "rural", "small")
        seen, truth = attack(schools, plan)
        store.close()
    event(f"cells told: {min(3, len(seen[-1]))}")
    for answer in seen:
        verify_answer(answer, truth)
    for early, late in combinations(seen, 2):
        for cell in set(early) | set(late):
            assert late.get(cell, 0) - early.get(cell, 0) >= (K if early.get(cell) != late.get(cell) else 0)
    verify_queries(seen, data)


def attack(
    schools: Schools, plan: list[dict[str, object]]
) -> tuple[list[Answer], dict[tuple[str, str], set[str]]]:
    """Let it all happen day by day and look after each; say as well who did what."""
    seen: list[Answer] = []
    truth: dict[tuple[str, str], set[str]] = defaultdict(set)
    for days in range(0, 120, 10):
        today = FIRST + timedelta(days=days)
        for lesson in plan:
            arrives, day = lesson["arrives"], lesson["day"]
            assert isinstance(arrives, int)
            assert isinstance(day, int)
            if arrives == days:
                deeds = deeds_of(lesson)
                for deed in deeds:
                    what = deed.result or {"question_asked": "asked"}.get(deed.kind, "handed")
                    truth[deed.language, what].add(f"{lesson['school']}/{deed.learner}")
                    truth["", what].add(f"{lesson['school']}/{deed.learner}")
                schools.send(str(lesson["school"]), FIRST + timedelta(days=day), today, deeds)
        telling.update(schools.store.db, datetime.combine(today, datetime.min.time(), UTC))
        seen.append(look(schools.store))
    return seen, truth


def verify_answer(answer: Answer, truth: dict[tuple[str, str], set[str]]) -> None:
    for (_period, _stratum, _size, language, _vector, part), amount in answer.items():
        assert amount >= K
        assert len(truth[language, part]) >= K  # different learners, as they really were


def verify_queries(seen: list[Answer], data: st.DataObject) -> None:
    """Any query, and any query inside another, on any two days."""
    values = [sorted({cell[at] for cell in seen[-1]}) or [""] for at in range(len(COLUMNS) - 1)]
    wanted: dict[int, str] = {}
    for _ in range(4):
        at = data.draw(st.integers(0, len(values) - 1))
        narrower = {**wanted, at: wanted.get(at) or data.draw(st.sampled_from(values[at]))}
        early, late = sorted(data.draw(st.tuples(*[st.integers(0, len(seen) - 1)] * 2)))
        for difference in (
            ask(seen[late], wanted) - ask(seen[late], narrower),
            ask(seen[late], narrower) - ask(seen[early], narrower),
        ):
            assert difference == 0 or difference >= K
        wanted = narrower


def test_the_attack_would_find_what_is_not_protected() -> None:
    """The same attacker on plain counts of the same rows."""
    before: Answer = {("2026-09", "rural", "small", "kk", "tries", "right"): 120}
    after: Answer = {("2026-09", "rural", "small", "kk", "tries", "right"): 123}
    cell = next(iter(after))
    assert 0 < after[cell] - before[cell] < K


def test_the_parts_of_a_vector_are_in_one_vector_only() -> None:
    """Else one thing would be counted twice, and the two countings could be subtracted."""
    parts = [part for vector in VECTORS.values() for part in vector.parts]
    assert len(parts) == len(set(parts))
