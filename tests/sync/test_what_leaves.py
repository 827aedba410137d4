"""No name, no question and no IIN leaves, and `sync show` tells the truth."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync import batch as batch_module
from sync import outbox
from sync.anonymise import anonymise
from sync.batch import pack_rows, unpack_rows
from sync.client import open_outbox, run
from sync.disclosure import describe
from sync.envelope import open_envelope
from sync.event import KINDS, AllowedRow, Event, Log2, Whole, allowed_row, log2_bucket
from sync.keys import ensure_device_key
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.runner import main, settings_for

NOON = datetime(2026, 9, 1, 7, 0, tzinfo=UTC)
DAY = NOON.date()

CANARIES = [
    "Айгерім Серікқызы",
    "Bolat Akhmetov",
    "070101500123",
    "870415300987",
    "Жай сан деген не?",
    "Почему небо голубое?",
    "What is a prime number?",
    "Сатпаев көшесі 43",
    "7A-canary",
]


def events_full_of_canaries(canary: str) -> Iterator[Event]:
    """Every kind, with the canary in every raw field that takes a text, and in both ids."""
    for kind, declared in KINDS.items():
        fields = dict.fromkeys(declared.fields, canary)
        numbers = {name: 5 for name, rule in declared.fields.items() if isinstance(rule, Log2 | Whole)}
        yield Event(kind, NOON, f"session {canary}", f"learner {canary}", fields | numbers)
        if canary.isdecimal():
            digits = {name: int(canary) for name in numbers}
            yield Event(kind, NOON, canary, canary, fields | digits)


def traces(canary: str) -> list[bytes]:
    """The canary in the forms it could travel in."""
    forms = [canary, canary.lower(), canary.upper(), *canary.split()]
    written = [form.encode(coding) for form in forms if len(form) > 3 for coding in ("utf-8", "utf-16-le")]
    if canary.isdecimal():
        written.append(int(canary).to_bytes(8, "big").lstrip(b"\0"))
    written += [json.dumps(form)[1:-1].encode() for form in forms if len(form) > 3]
    return written


def test_no_canary_in_anything_that_leaves(
    box: Box, region: RegionSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    unpacked: list[bytes] = []
    real_decompress = batch_module._decompress

    def keep_unpacked(payload: bytes) -> bytes:
        unpacked.append(real_decompress(payload))
        return unpacked[-1]

    monkeypatch.setattr(batch_module, "_decompress", keep_unpacked)
    box.record(*(event for canary in CANARIES for event in events_full_of_canaries(canary)))
    shown = CliRunner().invoke(main, ["sync", "show", "--json"], obj=settings_for(box.settings.home))
    human = CliRunner().invoke(main, ["sync", "show"], obj=settings_for(box.settings.home))
    region.headers.clear()
    box.sync()
    opened = open_envelope(region.received[0], region.region.keys.opening, region.region.id)
    places = [
        opened._body,
        *unpacked,
        region.received[0],
        shown.stdout_bytes,
        human.stdout_bytes,
        *(str(headers).encode() for headers in region.headers),
    ]
    assert len(unpacked) >= 2
    assert len(region.headers) == 2  # the question what is new, and the envelope
    for canary in CANARIES:
        for trace in traces(canary):
            for place in places:
                assert trace not in place, (canary, place[:200])
    assert region.report()["events"] == (len(CANARIES) + 2) * len(KINDS)


def test_real_http_headers_carry_only_the_token(box: Box, region: RegionSimulator) -> None:
    box.ask("Жай сан деген не?")
    with region.serve() as url:
        path = box.settings.home / "enrolment.json"
        record = json.loads(path.read_text()) | {"region_url": url}
        path.write_text(json.dumps(record))
        region.headers.clear()
        run(box.settings)
    assert len(region.headers) == 2
    for headers in region.headers:
        assert {name.lower() for name in headers} == {
            "host",
            "accept-encoding",
            "content-length",
            "content-type",
            "authorization",
            "user-agent",
            "sandyq-order",
        }
        assert headers["User-Agent"] == "sandyq"
        assert headers["Sandyq-Order"] == "2"  # which form of orders it reads: the same for every box
    assert region.count("question_asked") == 1


def test_show_is_what_the_next_envelope_holds(box: Box, region: RegionSimulator) -> None:
    def shown() -> dict[str, object]:
        result = CliRunner().invoke(main, ["sync", "show", "--json"], obj=settings_for(box.settings.home))
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    first = shown()
    assert (first["state"], first["envelope"], first["is_sealed"]) == ("nothing", None, False)
    for round_ in range(3):
        events = (event for canary in CANARIES[: 3 + round_] for event in events_full_of_canaries(canary))
        box.record(*events)
        before = shown()
        region.lose_next_envelope()
        with pytest.raises(Exception, match="does not answer"):
            box.sync()
        box.ask()  # comes too late for the sealed batch
        sealed = shown()
        assert before["state"] == "ready"
        assert sealed["state"] == "sealed"
        assert sealed["is_sealed"] is True
        assert sealed["envelope"] == before["envelope"]
        box.sync()
        assert sealed["sealed_sha256"] == hashlib.sha256(region.received[-2]).hexdigest()
        sent = region.open(region.received[-2], box.device.public)
        assert describe(sent) == sealed["envelope"]


def test_show_speaks_to_people(box: Box) -> None:
    for at in range(30):
        box.ask(by=f"learner {at % 15}", text="x" * (1 << at % 3 * 4), times=2)
    said = CliRunner().invoke(main, ["sync", "show"], obj=settings_for(box.settings.home)).stdout
    assert "events 1 to 60" in said
    assert "60 x  kind=question_asked  session=0  day=2026-09-01  language=kk" in said
    assert "leaves with the next run" in said
    assert "For the nation: counts of the weeks 2026-08-31" in said


def test_exact_time_and_size_do_not_leave() -> None:
    fields = {"question_id": "q", "learner_name": "Bolat", "text": "…", "language": "kk", "characters": 37}
    row = allowed_row(Event("question_asked", NOON.replace(second=17), "s", "l", fields))
    assert dict(row.fields) == {"language": "kk", "characters": 6}
    assert row.day.isoformat() == "2026-09-01"


def test_value_outside_its_list_leaves_as_nothing_but_is_counted() -> None:
    fields = {"school_class": "7A", "grade": 99, "language": "Aigerim"}
    row = allowed_row(Event("session_opened", NOON, "s", None, fields))
    assert dict(row.fields) == {}


@given(st.integers(-5, 2**40))
def test_size_class_is_what_the_page_says(value: int) -> None:
    bucket = log2_bucket(value, 22)
    if value <= 0:
        assert bucket == 0
    else:
        assert bucket == 22 or 2 ** (bucket - 1) <= value < 2**bucket


def test_session_numbers_are_by_chance() -> None:
    day = NOON.date()
    rows = [AllowedRow("session_closed", day, name, {}) for name in ("first", "second")]
    firsts = set()
    for seed in range(40):
        leaving = anonymise([rows[0], *rows], bytes([seed]) * 32)
        counts = [sum(row.session == number for row in leaving) for number in (0, 1)]
        firsts.add(counts.index(2))
    assert firsts == {0, 1}


def test_order_of_rows_says_nothing_of_the_order_of_the_lesson() -> None:
    rows = [
        AllowedRow(
            "question_asked", NOON.date() + timedelta(days=at % 3), f"s{at % 4}", {"characters": at % 7}
        )
        for at in range(60)
    ]
    assert anonymise(rows, bytes(32)) == anonymise(reversed(rows), bytes(32))


rows_of_a_lesson = st.lists(
    st.builds(
        AllowedRow,
        st.just("question_asked"),
        st.dates(min_value=NOON.date(), max_value=NOON.date() + timedelta(days=40)),
        st.sampled_from(["s1", "s2", "s3"]),
        st.fixed_dictionaries(
            {}, optional={"language": st.sampled_from(["kk", "ru"]), "characters": st.integers(0, 17)}
        ),
    ),
    min_size=1,
    max_size=60,
)


@given(rows_of_a_lesson, st.binary(min_size=32, max_size=32))
def test_packing_keeps_every_row(rows: list[AllowedRow], seed: bytes) -> None:
    leaving = anonymise(rows, seed)
    assert unpack_rows(pack_rows(leaving)) == leaving
    assert len(leaving) == len(rows)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 7))
def test_batches_partition_the_events_in_order(
    tmp_path_factory: pytest.TempPathFactory, lessons: list[int], most: int
) -> None:
    home = tmp_path_factory.mktemp("box")
    device = ensure_device_key(home)
    db = open_outbox(SyncSettings(home=home))
    asked = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "MAX_EVENTS", most)
        for lesson in lessons:
            with db.atomic():
                for _ in range(lesson):
                    outbox.add(
                        db,
                        Event(
                            "learner_joined", NOON, str(asked), None, {"learner_name": "", "language": "kk"}
                        ),
                    )
                    asked += 1
            outbox.cut_batch(db, device.kid, lambda batch, _blob_id: batch.to_bytes())
        while outbox.cut_batch(db, device.kid, lambda batch, _blob_id: batch.to_bytes()):
            pass
    numbers = db.execute("SELECT seq, lo, hi, events FROM batch ORDER BY id").fetchall()
    members = db.execute(
        "SELECT batch_id, min(session_id + 0), max(session_id + 0), count(*) FROM outbox GROUP BY 1"
    )
    assert [number[0] for number in numbers] == list(range(1, len(numbers) + 1))
    expected = 1
    for (_, lo, hi, events), (_, first, last, count) in zip(numbers, members.fetchall(), strict=True):
        assert lo == expected == first + 1
        assert hi == last + 1
        assert hi - lo + 1 == events == count <= most
        expected = hi + 1
    assert expected == asked + 1
    db.close()


# When a batch leaves ---------------------------------------------------------------------


def cut(box: Box, day: int, *, is_early: bool = False) -> bool:
    db = open_outbox(box.settings)
    try:
        now = NOON.replace(day=day)
        return outbox.cut_batch(
            db, box.device.kid, lambda batch, _: batch.to_bytes(), now=now, is_early=is_early
        )
    finally:
        db.close()


def test_nothing_leaves_before_its_day_is_over(box: Box) -> None:
    for at in range(30):
        box.ask(by=f"learner {at}")
    assert not cut(box, day=1)
    assert cut(box, day=2)


def test_a_small_school_waits_until_its_week_has_passed(box: Box) -> None:
    box.ask(by="Aigerim")
    assert not cut(box, day=2)
    assert not cut(box, day=7)
    assert cut(box, day=8)


def test_waiting_ends_when_ten_learners_look_alike(box: Box) -> None:
    for at in range(9):
        box.ask(by=f"learner {at}")
    assert not cut(box, day=2)
    box.ask(by="learner 9")
    assert cut(box, day=2)


def test_early_does_not_wait_and_tells_less(box: Box) -> None:
    box.ask(by="Aigerim")
    assert cut(box, day=1, is_early=True)
    ((body,),) = box.query("SELECT body FROM batch")
    (row,) = unpack_rows(batch_module.read_batch(bytes(body)).payload)  # type: ignore[arg-type]
    assert row.as_record() == {"kind": "question_asked"}


def test_a_clock_that_jumped_does_not_hold_a_batch_back_for_ever(box: Box) -> None:
    """Recorded while the clock ran a month ahead: put right again, the batch leaves."""
    box.record(*(event for canary in CANARIES[:1] for event in events_full_of_canaries(canary)))
    db = open_outbox(box.settings)
    db.execute("UPDATE outbox SET day = '2026-10-20'")
    db.close()
    assert cut(box, day=2)


def test_rows_of_an_unknown_day_leave_early_as_well(box: Box) -> None:
    box.ask(by="Aigerim")
    db = open_outbox(box.settings)
    db.execute("UPDATE outbox SET day = ''")
    db.close()
    assert cut(box, day=1, is_early=True)
