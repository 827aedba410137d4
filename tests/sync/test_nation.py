"""What the nation is told: noisy counts of learners, drawn once, that no region can read."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from sync import cbor, client, outbox, tally
from sync.anonymise import LeavingRow
from sync.batch import Batch, pack_rows
from sync.database import write_transaction
from sync.envelope import NationLetter, Recipient, open_envelope, open_nation_letter, seal, verify_sender
from sync.errors import BatchMalformed, BatchOversized, ForgedSignature, WrongRegion
from sync.event import Event
from sync.generalise import week_of
from sync.keys import OpeningKey, SigningKey, ensure_device_key, vouch_for_nation_key
from sync.nation import (
    CELLS,
    EPSILON,
    GRADES,
    MOST_CELLS,
    MOST_WEEKS_A_YEAR,
    NO_GRADE,
    NationSection,
    Week,
    count,
    is_school_week,
    read_section,
    weeks_due,
    write_section,
)
from sync.server.storage.store import open_store
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

MONDAY = date(2026, 9, 7)
WEDNESDAY = datetime(2026, 9, 9, 5, 0, tzinfo=UTC)
NEXT_WEEK = WEDNESDAY + timedelta(days=7)
NATION = OpeningKey.from_seed(bytes(range(96)))


def opened(session: str, grade: int | None, at: datetime = WEDNESDAY) -> Event:
    return Event(
        "session_opened", at, session, None, {"school_class": "7A", "grade": grade, "language": "kk"}
    )


def joined(learner: str, session: str, at: datetime = WEDNESDAY) -> Event:
    return Event("learner_joined", at, session, learner, {"learner_name": learner, "language": "kk"})


def asked(learner: str, session: str, language: str = "kk", at: datetime = WEDNESDAY) -> Event:
    fields = {"question_id": "q", "learner_name": learner, "text": "?", "language": language, "characters": 1}
    return Event("question_asked", at, session, learner, fields)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    opened_db = client.open_outbox(SyncSettings(home=tmp_path / "home"))
    yield opened_db
    opened_db.close()


def record(db: Database, *events: Event) -> None:
    with write_transaction(db):
        for event in events:
            outbox.add(db, event)


def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, so that a test can count."""
    monkeypatch.setattr("sync.nation.discrete_laplace", lambda _scale, _below: 0)


def told(section: NationSection, week: int, grade: int, cell: str) -> int:
    return section.weeks[week].counts[grade * len(section.cells) + section.cells.index(cell)]


# Counting -------------------------------------------------------------------------


def test_learners_are_counted_once_a_week_under_the_grade_of_their_lesson(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact(monkeypatch)
    record(
        db,
        *(opened("7A", 7), joined("Aigerim", "7A"), asked("Aigerim", "7A"), asked("Aigerim", "7A")),
        *(joined("Bolat", "7A"), opened("9B", None), joined("Erlan", "9B"), asked("Erlan", "lost", "ru")),
    )
    with write_transaction(db):
        section = read_section(tally.take(db, NEXT_WEEK.date()))
    weeks = [week.monday for week in section.weeks]
    assert weeks == [MONDAY]
    assert told(section, 0, 7, "learner_joined") == 2
    assert told(section, 0, 7, "question_asked:kk") == 1
    assert told(section, 0, NO_GRADE, "learner_joined") == 1
    assert told(section, 0, NO_GRADE, "question_asked:ru") == 1
    assert sum(section.weeks[0].counts) == 5


marks = st.dictionaries(
    st.integers(0, 6).map(str),
    st.sets(st.tuples(st.integers(0, GRADES - 1), st.sampled_from(CELLS)), max_size=14),
    max_size=7,
)


@given(marks, st.sets(st.tuples(st.integers(0, GRADES - 1), st.sampled_from(CELLS))))
def test_one_learner_changes_the_counts_by_at_most_the_sensitivity(
    others: dict[str, set[tuple[int, str]]], own: set[tuple[int, str]]
) -> None:
    def first(known: object, most: int) -> list[tuple[int, str]]:
        return list(known)[:most]  # type: ignore[call-overload, no-any-return]

    without, with_one = count(others, first), count({**others, "Aigerim": own}, first)
    distance = sum(abs(a - b) for a, b in zip(without, with_one, strict=True))
    assert distance == min(len(own), MOST_CELLS)


def test_the_list_of_numbers_does_not_depend_on_what_happened(db: Database) -> None:
    record(db, joined("Aigerim", "7A"))
    with write_transaction(db):
        tally.forget_learner(db, "Aigerim")
        section = read_section(tally.take(db, NEXT_WEEK.date()))
    assert section.cells == CELLS
    assert len(section.weeks[0].counts) == GRADES * len(CELLS)
    assert any(section.weeks[0].counts), "noise stands where nobody was"


# Weeks -----------------------------------------------------------------------------


def test_a_school_year_has_at_most_its_weeks() -> None:
    for year in range(2026, 2040):
        mondays = [date(year, 8, 31) + timedelta(days=at) for at in range(300)]
        weeks = [day for day in mondays if day.weekday() == 0 and is_school_week(day)]
        assert MOST_WEEKS_A_YEAR <= len(weeks) <= MOST_WEEKS_A_YEAR + 1, year
        start = week_of(date(year, 9, 1))
        due = weeks_due(start, week_of(date(year + 1, 7, 1)), ())
        assert len(due) <= MOST_WEEKS_A_YEAR


def test_empty_weeks_are_told_as_well_and_the_running_one_is_not() -> None:
    first = date(2026, 9, 7)
    assert weeks_due(first, date(2026, 9, 28), [date(2026, 9, 14)]) == (first, date(2026, 9, 21))
    assert weeks_due(first, first, ()) == ()


def test_a_week_is_told_once_and_its_learners_are_forgotten(db: Database) -> None:
    record(db, opened("7A", 7), joined("Aigerim", "7A"), joined("Bolat", "7A", NEXT_WEEK))
    with write_transaction(db):
        assert tally.take(db, NEXT_WEEK.date())
    assert db.execute("SELECT DISTINCT learner_id FROM week_mark").fetchall() == [("Bolat",)]
    with write_transaction(db):
        assert tally.take(db, NEXT_WEEK.date()) == b""
    # A corrected clock brings a late event into the week that was told: it is not told again.
    record(db, joined("Aigerim", "7A"))
    with write_transaction(db):
        section = read_section(tally.take(db, (NEXT_WEEK + timedelta(days=7)).date()))
    assert [week.monday for week in section.weeks] == [MONDAY + timedelta(days=7)]
    spend = tally.spent(db, NEXT_WEEK.date())
    assert (spend.weeks, spend.epsilon, spend.school_year) == (2, 2 * EPSILON, 2026)
    assert spend.most == 17


def test_a_clock_without_time_marks_nothing(db: Database) -> None:
    record(db, joined("Aigerim", "7A", datetime(1970, 1, 2, tzinfo=UTC)))
    assert tally.weeks_due(db, NEXT_WEEK.date()) == ()
    assert db.execute("SELECT count(*) FROM week_mark").fetchone() == (0,)


def test_noise_is_drawn_in_the_transaction_that_seals(db: Database, tmp_path: Path) -> None:
    record(db, opened("7A", 7), joined("Aigerim", "7A"))
    device = ensure_device_key(tmp_path / "home")
    seen: list[bytes] = []

    def fail(batch: Batch, _blob_id: bytes) -> bytes:
        seen.append(batch.nation)
        raise RuntimeError("power")

    def keep(batch: Batch, _blob_id: bytes) -> bytes:
        seen.append(batch.nation)
        return batch.to_bytes()

    later = NEXT_WEEK + timedelta(days=2)
    with pytest.raises(RuntimeError, match="power"):
        outbox.cut_batch(db, device.kid, fail, now=later, with_nation=True)
    # Nothing of the first draw is kept or spent: nobody saw it.
    assert tally.spent(db, later.date()).weeks == 0
    assert outbox.cut_batch(db, device.kid, keep, now=later, with_nation=True)
    assert tally.spent(db, later.date()).weeks == 1
    assert seen[0] != seen[1]
    found = outbox.find_next_envelope(db, device.kid, now=later).batch
    assert found is not None
    assert found.nation == seen[1], "what is shown is what was sealed"


def test_without_the_nations_key_weeks_wait(db: Database, tmp_path: Path) -> None:
    record(db, opened("7A", 7), joined("Aigerim", "7A"))
    device = ensure_device_key(tmp_path / "home")
    later = NEXT_WEEK + timedelta(days=2)
    assert outbox.cut_batch(db, device.kid, lambda batch, _: batch.to_bytes(), now=later)
    assert tally.weeks_due(db, later.date()) == (MONDAY,)


def test_without_the_nations_key_nobody_is_remembered_for_ever(db: Database, tmp_path: Path) -> None:
    record(db, opened("7A", 7), joined("Aigerim", "7A"))
    device = ensure_device_key(tmp_path / "home")
    years_later = WEDNESDAY + timedelta(days=400)
    assert outbox.cut_batch(db, device.kid, lambda batch, _: batch.to_bytes(), now=years_later)
    assert db.execute("SELECT count(*) FROM week_mark").fetchone() == (0,)


def test_a_copied_card_leaves_the_telling_to_the_original(db: Database) -> None:
    record(db, opened("7A", 7), joined("Aigerim", "7A"))
    outbox.begin_epoch(db, secrets.token_bytes(8))
    assert tally.weeks_due(db, NEXT_WEEK.date()) == ()
    assert db.execute("SELECT count(*) FROM week_mark").fetchone() == (0,)


def test_a_deleted_learner_leaves_no_waiting_row(db: Database) -> None:
    record(db, joined("Aigerim", "7A"), joined("Bolat", "7A"))
    with write_transaction(db):
        outbox.forget_learner(db, "Aigerim")
    assert db.execute("SELECT learner_id FROM outbox").fetchall() == [("Bolat",)]
    assert db.execute("SELECT learner_id FROM week_mark").fetchall() == [("Bolat",)]


def test_a_sealed_row_has_no_learner(db: Database, tmp_path: Path) -> None:
    record(db, joined("Aigerim", "7A"))
    device = ensure_device_key(tmp_path / "home")
    assert outbox.cut_batch(db, device.kid, lambda batch, _: batch.to_bytes())
    assert db.execute("SELECT learner_id FROM outbox").fetchall() == [(None,)]


# Bytes ------------------------------------------------------------------------------


def section_of() -> NationSection:
    return NationSection(CELLS, (Week(MONDAY, tuple(range(-20, GRADES * len(CELLS) - 20))),))


def test_section_comes_back_as_it_was() -> None:
    assert read_section(write_section(section_of())) == section_of()


@pytest.mark.parametrize(
    "wrong",
    [
        NationSection(CELLS, ()),
        NationSection((), (Week(MONDAY, ()),)),
        NationSection(CELLS[::-1], section_of().weeks),
        NationSection(CELLS, (Week(MONDAY + timedelta(days=1), section_of().weeks[0].counts),)),
        NationSection(CELLS, section_of().weeks * 2),
        NationSection(CELLS, (Week(MONDAY, section_of().weeks[0].counts[1:]),)),
        NationSection(CELLS, (Week(MONDAY, (10**7, *section_of().weeks[0].counts[1:])),)),
    ],
)
def test_section_in_another_form_is_refused(wrong: NationSection) -> None:
    with pytest.raises(BatchMalformed):
        read_section(write_section(wrong))


def test_bytes_that_are_no_section_are_refused() -> None:
    with pytest.raises(BatchMalformed):
        read_section(write_section(section_of())[:-1])
    with pytest.raises(BatchOversized):
        read_section(bytes(100_000))


# On the way ---------------------------------------------------------------------------


def with_nation(box: Box) -> Box:
    return replace(box, enrolment=replace(box.enrolment, nation_public=NATION.public))


def test_region_keeps_the_nations_section_as_it_came_and_cannot_open_it(
    box: Box, region: RegionSimulator
) -> None:
    # The real clock of the run is months later, so the week of these events is over.
    box.ask(times=3)
    told_box = with_nation(box)
    region.lose_next_receipt()
    with pytest.raises(Exception, match="does not answer"):
        told_box.sync()
    told_box.sync()
    assert region.received[0] == region.received[1]
    store = open_store(region.region.database)
    try:
        (letter,) = store.nation_letters()
    finally:
        store.close()
    section = read_section(open_nation_letter(letter, NATION))
    assert section.cells == CELLS
    assert box.device.kid not in letter
    assert box.enrolment.box_label.encode() not in letter
    assert region.report()["events"] == 3
    assert box.query("SELECT nation FROM batch") == [(None,)], "dropped with the receipt"


def test_another_section_in_its_place_is_noticed() -> None:
    device, region_key = SigningKey.from_seed(bytes(range(32))), OpeningKey.from_seed(bytes(range(60, 156)))
    recipient = Recipient(bytes(16), region_key.public, NATION.public)
    rows = pack_rows([LeavingRow("session_closed", 0, MONDAY, {})])
    batch = Batch(device.kid, bytes(8), 1, bytes(32), 1, 1, 1, rows, write_section(section_of()))
    blob = seal(
        batch, device, recipient, blob_id=bytes(16), content_key=bytes([1]) * 32, nation_key=bytes([2]) * 32
    )
    honest = open_envelope(blob, region_key, bytes(16))
    assert verify_sender(honest, device.public).events == 1
    magic, header, (own, (cap, sealed)) = cbor.read(blob)  # type: ignore[misc]
    for changed in ([cap, bytes([sealed[0] ^ 1]) + sealed[1:]], [cap[:-1] + bytes([cap[-1] ^ 1]), sealed]):
        forged = cbor.write([magic, header, [own, changed]])
        with pytest.raises(ForgedSignature):
            verify_sender(open_envelope(forged, region_key, bytes(16)), device.public)
    letter = NationLetter(header, cap, sealed).to_bytes()
    assert read_section(open_nation_letter(letter, NATION)) == section_of()


def test_a_nation_key_the_region_did_not_sign_is_refused(box: Box) -> None:
    path = box.settings.home / "enrolment.json"
    record = json.loads(path.read_text())
    key = {"nation_key": base64.b64encode(NATION.public).decode()}
    path.write_text(json.dumps(record | key | {"nation_proof": base64.b64encode(bytes(64)).decode()}))
    with pytest.raises(WrongRegion):
        client.get_enrolment(box.settings)
    proof = vouch_for_nation_key(box.region.region.keys, box.region.region.id, NATION.public)
    path.write_text(json.dumps(record | key | {"nation_proof": base64.b64encode(proof).decode()}))
    assert client.get_enrolment(box.settings).nation_public == NATION.public
