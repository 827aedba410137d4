"""Faults that a box meets, as fixtures."""

import sqlite3
from collections.abc import Callable

import pytest

import sync.database
from tests.classroom import Classroom


@pytest.fixture
def fill_disk(classroom: Classroom, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """SQLite's own limit stands for the card's end: it answers SQLITE_FULL in the same place."""
    real = sync.database.open_database

    def fill() -> None:
        db = real(classroom.database)
        db.execute("CREATE TABLE filler (bytes BLOB)")
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            while True:  # the room left in pages that are already there
                db.execute("INSERT INTO filler VALUES (zeroblob(200))")
        db.close()

        def limited(path, **how):  # type: ignore[no-untyped-def]
            db = real(path, **how)
            db.execute(f"PRAGMA max_page_count = {pages}")
            return db

        classroom.app.extensions["sandyq_connections"].close()  # those were opened before the disk was full
        for module in ("sync.database", "appliance.database"):
            monkeypatch.setattr(f"{module}.open_database", limited)

    return fill
