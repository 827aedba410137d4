"""The record of an exam: whole, or refused at the line where it was touched."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.permission import exam_chain
from appliance.permission.exam_chain import (
    FIRST,
    Record,
    follow,
    read_line,
    verify_certificate,
    write_certificate,
)
from appliance.permission.exam_time import Moment, clock_jump_seconds, gained_seconds
from sync.keys import SigningKey, is_signed_by

KEY = SigningKey.from_seed(b"k" * 32)
NOON = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
TOLD = {"at": "2026-09-01T12:00:00+00:00", "second": 0}
BEGIN = {"kind": "started", "exam": "e", "class": "c", "planned_minutes": 45, "engine": "closed", **TOLD}
FACTS = [
    BEGIN,
    {"kind": "refused", "door": "page", "count": 3, **TOLD},
    {"kind": "restarted", **TOLD},
    {"kind": "refused", "door": "engine", "count": 2, **TOLD},
    {"kind": "clock_set", "by_seconds": -3600, **TOLD},
    {"kind": "ended", "by": "time", "refused": 5, "answers": 0, "restarts": 1, "records": 6, **TOLD},
]


def chain(facts: list[dict]) -> list[Record]:
    records: list[Record] = []
    for fact in facts:
        records.append(follow(records[-1] if records else None, fact))
    return records


def sealed(records: list[Record], key: SigningKey = KEY) -> bytes:
    last = records[-1].hash
    signature = key.sign(exam_chain.seal_message(last))
    return write_certificate([record.line for record in records], last, key.public, signature)


def verdict(content: bytes):
    return verify_certificate(content, is_signed_by)


WHOLE = sealed(chain(FACTS))
LINES = WHOLE.decode().splitlines()


def joined(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()


def test_a_whole_certificate_is_whole_and_says_who_sealed_it() -> None:
    judged = verdict(WHOLE)
    assert judged.is_whole
    assert judged.device == KEY.public.hex()
    assert [fact["kind"] for fact in judged.facts] == [fact["kind"] for fact in FACTS]


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_removed_line_is_noticed(number: int) -> None:
    assert not verdict(joined(LINES[:number] + LINES[number + 1 :])).is_whole


@pytest.mark.parametrize("number", range(len(LINES)))
def test_a_doubled_line_is_noticed(number: int) -> None:
    assert not verdict(joined([*LINES[: number + 1], *LINES[number:]])).is_whole


@pytest.mark.parametrize("first", range(len(LINES)))
@pytest.mark.parametrize("second", range(len(LINES)))
def test_two_lines_in_each_others_place_are_noticed(first: int, second: int) -> None:
    moved = list(LINES)
    moved[first], moved[second] = moved[second], moved[first]
    assert verdict(joined(moved)).is_whole == (first == second)


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_a_record_that_was_changed_with_its_hash_mended_is_noticed(number: int) -> None:
    records = chain(FACTS)
    told = {**FACTS[number], "second": 77}
    changed = [record.line for record in records]
    changed[number] = replace(records[number], facts=told).line
    judged = verdict(joined([*changed, LINES[-1]]))
    assert not judged.is_whole
    assert judged.line in (number + 2, number + 1)


@pytest.mark.parametrize("number", range(len(FACTS)))
def test_a_chain_that_was_calculated_anew_lacks_the_boxs_seal(number: int) -> None:
    forged = [dict(fact) for fact in FACTS]
    forged[number]["second"] = 77
    records = chain(forged)
    assert not verdict(joined([*(record.line for record in records), LINES[-1]])).is_whole
    stranger = verdict(sealed(records, SigningKey.from_seed(b"s" * 32)))
    assert stranger.device != KEY.public.hex(), "who signs it anew signs as another box"


@settings(max_examples=400, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_no_single_byte_can_be_another(position: int, byte: int) -> None:
    changed = WHOLE[:position] + bytes([byte]) + WHOLE[position + 1 :]
    assert verdict(changed).is_whole == (changed == WHOLE)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_judge_stumble(content: bytes) -> None:
    assert not verdict(content).is_whole


@settings(max_examples=200, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_no_json_makes_the_judge_stumble(value) -> None:
    line = json.dumps({"number": value, "previous": value, "facts": {"kind": value}, "hash": value})
    assert not verdict(joined([line, LINES[-1]])).is_whole
    assert not verdict(joined([*LINES[:-1], json.dumps({"device": value, "signature": value})])).is_whole


def test_numbers_that_only_look_equal_are_other_lines() -> None:
    records = chain(FACTS)
    for odd in (True, 1.0):
        line = replace(records[1], number=odd).line
        with pytest.raises(ValueError):
            read_line(line)


@pytest.mark.parametrize(
    "facts",
    [
        FACTS[:1],
        FACTS[1:],
        [BEGIN, BEGIN, FACTS[-1]],
        [FACTS[-1], *FACTS],
        [BEGIN, {**FACTS[-1], "records": 3, "refused": 0}],
        [BEGIN, FACTS[1], {**FACTS[-1], "records": 3, "refused": 2}],
        [{"kind": "started"}, {"kind": "ended", "records": 2, "refused": 0}],
    ],
)
def test_a_sealed_record_that_does_not_add_up_is_not_whole(facts: list[dict]) -> None:
    assert not verdict(sealed(chain(facts))).is_whole


def test_the_written_vector_holds() -> None:
    """docs/exam.md shows this very record; its hash was also made by hand, without our code."""
    shown = next(
        line.strip()
        for line in Path("docs/exam.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("    {")
    )
    assert Record(0, FIRST, BEGIN).line == shown
    body = json.loads(shown)
    claimed = body.pop("hash")
    text = json.dumps({**body, "format": "sandyq-exam-1"}, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == claimed


def test_only_ticks_of_the_same_start_count() -> None:
    last = Moment("one", 100.0, NOON)
    assert gained_seconds(last, Moment("one", 160.0, NOON - timedelta(days=9))) == 60
    assert gained_seconds(last, Moment("two", 160.0, NOON + timedelta(days=9))) == 0
    assert gained_seconds(last, Moment("one", 40.0, NOON)) == 0


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(-(10**8), 10**8), st.booleans())
def test_no_wall_clock_changes_how_much_time_has_passed(
    before: float, after: float, wall: int, is_same: bool
) -> None:
    last = Moment("one", before, NOON)
    now = Moment("one" if is_same else "two", after, NOON + timedelta(seconds=wall))
    assert gained_seconds(last, now) == gained_seconds(last, replace(now, wall=NOON))


def test_a_clock_that_was_set_is_told() -> None:
    last = Moment("one", 100.0, NOON)
    assert clock_jump_seconds(last, Moment("one", 110.0, NOON + timedelta(seconds=12))) == 0
    assert clock_jump_seconds(last, Moment("one", 110.0, NOON + timedelta(hours=1))) == 3590
    assert clock_jump_seconds(last, Moment("one", 110.0, NOON - timedelta(hours=1))) == -3610
    assert clock_jump_seconds(last, Moment("two", 10.0, NOON - timedelta(hours=1))) == 0
