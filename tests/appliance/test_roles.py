"""Every route of the box, tried by those it is not for: they read nothing of 7A and change nothing there.

The routes come from the app itself, so a new page is judged here without a new line. What each place in a
path could hold is filled with every id that 7A has.
"""

import itertools
import re
from collections.abc import Iterator

import pytest
from werkzeug.routing import Rule

from appliance.database import connection
from tests.appliance.people_pages import erlan_joins_the_box
from tests.classroom import Browser, Classroom, wait_until

# Words that only 7A's people may read. The learner's name and question are what a child would hate to see.
SECRETS = ("Aigerim-of-7A", "Bolat", "koala-question", "7A-rules-of-dana")
# Whoever has the class code or a card is let in by it: that is what they are for. Neither is known here.
UNKNOWN = {"code": "000000", "token": "no-such-card", "filename": "sandyq.css"}
# Streams of a stranger end at once or are refused; those of Erlan show his own class and never end.
ENDLESS = re.compile(r"/(stream|held)$")
LEAVING = ("entry.leave", "teacher.log_out")  # whoever left would be a stranger from then on
PROBES = {"GET": None, "POST": {"wish": "close", "learner": "", "name": "Mallory", "school_class": "Mallory"}}


@pytest.fixture
def lesson(classroom: Classroom, dana: Browser, aigerim: Browser) -> Classroom:
    """A lesson of 7A with something in it, beside Erlan's 8B on the same box."""
    aigerim.ask("koala-question?")
    wait_until(classroom.all_answered)
    learner = classroom.value("SELECT id FROM learner WHERE name = 'Aigerim'")
    dana.post(f"/teacher/learners/{learner}", {"name": "Aigerim-of-7A"})
    rules = {"school_class": "7A", "grade": "7", "language": "en", "own_rules": "7A-rules-of-dana"}
    dana.post("/teacher/class", rules)
    return classroom


@pytest.fixture
def erlan(lesson: Classroom, dana: Browser) -> Browser:
    return erlan_joins_the_box(lesson, dana)


@pytest.fixture
def zarina(lesson: Classroom, erlan: Browser) -> Browser:
    """A learner of Erlan's class, in a lesson of her own."""
    erlan.post("/teacher/session", {"wish": "open"})
    code = lesson.value("SELECT code FROM school_class WHERE name = '8B'")
    learner = lesson.value("SELECT id FROM learner WHERE name = 'Zarina'")
    browser = lesson.browser()
    browser.post(f"/class/{code}", {"learner": learner})
    browser.post("/welcome")
    return browser


def ids_of_7a(classroom: Classroom) -> list[str]:
    """Return every id that 7A's things have in any table, whoever made the table."""
    with connection(classroom.database) as db:
        class_id = classroom.value("SELECT id FROM school_class WHERE name = '7A'")
        found = {class_id}
        for _ in range(3):  # class, then its learners and sessions, then their questions and so on
            known = ", ".join(f"'{one}'" for one in found)
            for table in db.table_names():
                columns = [c.name for c in db[table].columns if c.name.endswith("_id") and c.type == "TEXT"]
                if not columns or not any(c.name == "id" and c.type == "TEXT" for c in db[table].columns):
                    continue
                owned = " OR ".join(f'"{column}" IN ({known})' for column in columns)
                found |= {str(row["id"]) for row in db.query(f'SELECT id FROM "{table}" WHERE {owned}')}
    return sorted(found)


def paths(classroom: Classroom, rule: Rule) -> Iterator[str]:
    """Return the addresses of a route: every place filled with every id of 7A."""
    places = sorted(rule.arguments)
    choices = [[UNKNOWN[place]] if place in UNKNOWN else ids_of_7a(classroom) for place in places]
    for values in itertools.product(*choices):
        with classroom.app.test_request_context():
            built = classroom.app.url_map.bind("localhost").build(
                rule.endpoint, dict(zip(places, values, strict=True)), method=next(iter(rule.methods or []))
            )
        yield built


def rows_of_7a(classroom: Classroom) -> dict[str, list[str]]:
    """Return all that the box keeps about 7A, but the log-ins and tries of those who knock."""
    ids = set(ids_of_7a(classroom))
    kept = {}
    with connection(classroom.database) as db:
        for table in db.table_names():
            if table in ("login", "failed_try", "sqlite_sequence"):
                continue
            rows = [str(sorted(row.items(), key=str)) for row in db[table].rows]
            kept[table] = sorted(row for row in rows if any(one in row for one in ids))
    return kept


def knock(
    classroom: Classroom, browser: Browser, *, skips_endless: bool, methods: tuple[str, ...] = ("GET", "POST")
) -> list[str]:
    """Try every route with every method; return what should not have been readable."""
    seen = []
    for rule in classroom.app.url_map.iter_rules():
        for method, form in PROBES.items():
            if method not in methods or method not in (rule.methods or ()) or rule.endpoint in LEAVING:
                continue
            for path in paths(classroom, rule):
                if skips_endless and ENDLESS.search(path):
                    continue
                answer = browser.get(path) if form is None else browser.post(path, form)
                assert answer.status_code < 500, f"{method} {path}: {answer.status_code}"
                seen += [f"{method} {path}: {secret}" for secret in SECRETS if secret.encode() in answer.data]
    return seen


def test_a_stranger_reads_and_changes_nothing(lesson: Classroom) -> None:
    before = rows_of_7a(lesson)
    assert knock(lesson, lesson.browser(), skips_endless=False) == []
    assert rows_of_7a(lesson) == before


def test_a_teacher_of_another_class_reads_and_changes_nothing(lesson: Classroom, erlan: Browser) -> None:
    before = rows_of_7a(lesson)
    assert knock(lesson, erlan, skips_endless=True) == []
    assert rows_of_7a(lesson) == before


def test_a_learner_of_another_class_reads_and_changes_nothing(lesson: Classroom, zarina: Browser) -> None:
    before = rows_of_7a(lesson)
    assert knock(lesson, zarina, skips_endless=True) == []
    assert rows_of_7a(lesson) == before


def test_a_classmate_reads_no_page_of_the_teacher_and_no_question_of_others(
    lesson: Classroom, bolat: Browser
) -> None:
    before = rows_of_7a(lesson)
    seen = knock(lesson, bolat, skips_endless=True)
    own = [line for line in seen if line.endswith(("Bolat", "7A-rules-of-dana"))]
    assert [line for line in seen if line not in own] == []
    after = rows_of_7a(lesson)
    for table in ("school_class", "teacher", "session", "question", "stop"):
        assert after[table] == before[table], table


def test_the_probe_finds_what_the_teacher_may_read(lesson: Classroom, dana: Browser) -> None:
    """Knocking as Dana finds every secret: the test would see a leak."""
    seen = knock(lesson, dana, skips_endless=True, methods=("GET",))
    for secret in SECRETS[:3]:
        assert any(secret in line for line in seen), secret
