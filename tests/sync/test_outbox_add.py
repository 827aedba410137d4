"""A fact and its outbox row are saved together or not at all."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from sync import outbox, schema
from sync.database import migrate, open_database, write_transaction
from sync.errors import (
    DatabaseDamaged,
    EventFieldsDiffer,
    EventOutsideTransaction,
    EventValueInvalid,
    UnknownEventKind,
)
from sync.event import KINDS, Event

NOON = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)


def question(text: str = "What is a prime number?") -> Event:
    fields = {
        "question_id": "q1",
        "learner_name": "Aigerim",
        "text": text,
        "language": "en",
        "characters": 23,
    }
    return Event("question_asked", NOON, "s1", "l1", fields | {"characters": 23})


def test_event_and_fact_disappear_together_when_the_lesson_fails(tmp_path: Path) -> None:
    db = open_database(tmp_path / "box.sqlite")
    migrate(db, *schema.MIGRATIONS)
    with pytest.raises(RuntimeError, match="power"), db.atomic():
        outbox.add(db, question())
        raise RuntimeError("power")
    assert outbox.status(db).waiting_events == 0
    with write_transaction(db), db.atomic():
        outbox.add(db, question())
    assert outbox.status(db).waiting_events == 1
    db.close()


def test_event_outside_a_transaction_is_refused(tmp_path: Path) -> None:
    db = open_database(tmp_path / "box.sqlite")
    migrate(db, *schema.MIGRATIONS)
    with pytest.raises(EventOutsideTransaction):
        outbox.add(db, question())
    db.close()


def test_outbox_row_holds_no_name_and_no_text(tmp_path: Path) -> None:
    db = open_database(tmp_path / "box.sqlite")
    migrate(db, *schema.MIGRATIONS)
    with db.atomic():
        outbox.add(db, question("Жай сан деген не?"))
    row = next(iter(db.query("SELECT * FROM outbox")))
    # The machine's clocks: local as well, to put the day right before it is sealed.
    clocks = {name: row.pop(name) for name in ("boot", "boot_seconds", "wall", "occurred_at")}
    assert clocks["occurred_at"] == NOON.isoformat()
    assert row == {
        "id": 1,
        "kind": "question_asked",
        "day": "2026-09-01",
        "session_id": "s1",
        "fields": '{"characters": 5, "language": "en"}',
        "batch_id": None,
        "set_aside_by": None,
        "learner_id": "l1",  # local: gone when the row is sealed, and in no byte of the envelope
    }
    db.close()


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    first, second = (open_database(tmp_path / "box.sqlite") for _ in range(2))
    migrate(first, *schema.MIGRATIONS)
    migrate(second, *schema.MIGRATIONS)
    assert first.execute("SELECT count(*) FROM sync_state").fetchone() == (1,)
    first.close()
    second.close()


def test_damaged_file_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "box.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(DatabaseDamaged):
        open_database(tmp_path / "box.sqlite")


def test_undeclared_kind_and_field_cannot_be_recorded() -> None:
    with pytest.raises(UnknownEventKind):
        Event("learner_sneezed", NOON, "s1", None, {})
    with pytest.raises(EventFieldsDiffer, match="iin"):
        Event("session_closed", NOON, "s1", None, {"iin": "070101500123"})
    with pytest.raises(EventFieldsDiffer, match="grade"):
        Event("session_opened", NOON, "s1", None, {"school_class": "7A", "language": "kk"})


def test_wrong_type_and_clock_without_zone_are_refused() -> None:
    with pytest.raises(EventValueInvalid):
        Event(
            "session_opened", NOON, "s1", None, {"school_class": "7A", "language": "kk", "grade": "Aigerim"}
        )
    with pytest.raises(EventValueInvalid):
        Event("session_closed", datetime(2026, 9, 1), "s1", None, {})  # noqa: DTZ001 - the fault under test


def test_every_declared_field_has_a_rule() -> None:
    for name, kind in KINDS.items():
        for field, rule in kind.fields.items():
            assert type(rule).__name__ in {"Stays", "OneOf", "Whole", "Log2", "HexPrefix"}, (name, field)
