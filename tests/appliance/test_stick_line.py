"""The teacher's page says in one line how the last USB stick went."""

from datetime import UTC, datetime

import pytest

from sync import stick_book
from sync.database import open_database
from sync.settings import SyncSettings
from sync.stick_book import StickVisit
from tests.classroom import Browser, Classroom

AT = datetime(2026, 11, 20, 5, 30, tzinfo=UTC)


def note(classroom: Classroom, visit: StickVisit) -> None:
    db = open_database(SyncSettings(home=classroom.home).database_path)
    stick_book.note_visit(db, visit)
    db.close()


def test_box_that_saw_no_stick_says_nothing_of_one(dana: Browser) -> None:
    assert "USB stick" not in dana.page("/teacher")


@pytest.mark.parametrize(
    ("language", "head", "done", "failed"),
    [
        ("en", "Last USB stick", "put on it: 2 · confirmed by the region: 3", "nothing is lost"),
        ("ru", "Последняя флешка", "записано на неё: 2 · принято регионом: 3", "ничего не потеряно"),
        ("kk", "Соңғы флешка", "флешкаға жазылды: 2 · өңір қабылдады: 3", "ештеңе жоғалған жоқ"),
    ],
)
def test_last_stick_is_told_in_the_readers_language(
    classroom: Classroom, dana: Browser, language: str, head: str, done: str, failed: str
) -> None:
    note(classroom, StickVisit(AT, 2, 3, 0))
    page = dana.page(f"/teacher?lang={language}")
    assert head in page
    assert done in page
    note(classroom, StickVisit(AT, 0, 0, 0, "stick_full"))
    page = dana.page(f"/teacher?lang={language}")
    assert failed in page
    assert done not in page
