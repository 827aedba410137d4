"""Names, numbers and questions planted in every raw field of every kind, by enough learners that rows keep
all they may keep; searched in every byte that leaves by wire or stick, in clear and sealed."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from sync import batch as batch_module
from sync.envelope import open_envelope, open_nation_letter
from sync.event import KINDS, Event, Log2, OneOf, Whole
from sync.generalise import K
from sync.keys import OpeningKey, vouch_for_nation_key
from sync.nation import read_section
from sync.server.storage.store import open_store
from tests.region_simulator import RegionSimulator
from tests.sync.cast import NOON, Box
from tests.sync.runner import main, settings_for
from tests.sync.test_what_leaves import CANARIES, traces

SEALED = "SELECT sealed, body, nation, receipt FROM batch"
NATION = OpeningKey.from_seed(bytes(range(96)))


def planted() -> Iterator[Event]:
    """In a lesson of their own for each canary, twice ten learners do everything."""
    for canary in CANARIES:
        for kind, declared in KINDS.items():
            fields: dict[str, str | int] = dict.fromkeys(declared.fields, canary)
            for name, rule in declared.fields.items():
                if isinstance(rule, OneOf):
                    fields[name] = rule.words[0]
                elif isinstance(rule, Log2 | Whole):
                    fields[name] = 5
            for at in range(2 * K):
                learner = f"learner {canary} {at}"
                yield Event(kind, NOON + timedelta(minutes=at), f"session {canary}", learner, fields)


@dataclass
class Places:
    """Where a canary could turn up."""

    bytes: list[bytes] = field(default_factory=list)
    rows: int = 0
    full_rows: int = 0


@pytest.fixture
def left(
    box: Box,
    region: RegionSimulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Places:
    """Record, look, export to a stick, send over real HTTP, and gather everything that anybody can see."""
    caplog.set_level(logging.DEBUG)
    found = Places()
    real_decompress = batch_module._decompress

    def keep(payload: bytes) -> bytes:
        found.bytes.append(real_decompress(payload))
        return found.bytes[-1]

    monkeypatch.setattr(batch_module, "_decompress", keep)
    box.record(*planted())
    stick = tmp_path / "stick"
    stick.mkdir()
    with region.serve() as url:
        _name_keys(box, region, url)
        for command in (
            ["sync", "show"],
            ["sync", "show", "--json"],
            ["sync", "export", str(stick)],
            ["sync", "run"],
            ["sync", "status"],
            ["sync", "status", "--json"],
        ):
            result = CliRunner().invoke(main, command, obj=settings_for(box.settings.home))
            assert result.exit_code == 0, (command, result.output)
            found.bytes.append(result.output.encode())
            found.bytes += [part for row in box.query(SEALED) for part in row if isinstance(part, bytes)]
    for path in stick.rglob("*"):
        found.bytes.append(str(path.relative_to(stick)).encode())
        if path.is_file():
            found.bytes.append(path.read_bytes())
    found.bytes += [str(region.headers).encode(), caplog.text.encode()]
    found.bytes += [file.read_bytes() for file in region.settings.home.rglob("*") if file.is_file()]
    _open_all(found, region)
    return found


def _name_keys(box: Box, region: RegionSimulator, url: str) -> None:
    path = box.settings.home / "enrolment.json"
    proof = vouch_for_nation_key(region.region.keys, region.region.id, NATION.public)
    keys = {"nation_key": NATION.public, "nation_proof": proof}
    told = {name: base64.b64encode(value).decode() for name, value in keys.items()}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"region_url": url} | told))


def _open_all(found: Places, region: RegionSimulator) -> None:
    store = open_store(region.region.database)
    try:
        letters = store.nation_letters()
    finally:
        store.close()
    assert letters, "the nation was told"
    for letter in letters:
        found.bytes.append(open_nation_letter(letter, NATION))
        found.bytes.append(str(read_section(found.bytes[-1]).as_record()).encode())
    report = region.report()
    found.rows = report["events"]
    found.full_rows = report["by_kind"].get("hand_back", 0)


def test_no_canary_is_in_anything_that_anybody_outside_sees(left: Places) -> None:
    assert left.rows == len(CANARIES) * len(KINDS) * 2 * K
    # The rows kept all they may keep: a kind that fewer than ten would hide is told for every learner.
    assert left.full_rows == len(CANARIES) * 2 * K
    assert len(left.bytes) > 15
    for canary in CANARIES:
        for trace in [*traces(canary), f"learner {canary}".encode(), f"session {canary}".encode()]:
            for place in left.bytes:
                assert trace not in place, (canary, place[:200])


def test_the_search_would_find_them(box: Box) -> None:
    """The box itself holds every learner beside the waiting rows: the same search finds them there."""
    box.record(*planted())
    kept = str(box.query("SELECT session_id, learner_id FROM outbox")).encode()
    for canary in CANARIES:
        assert f"learner {canary}".encode() in kept
        assert any(trace in kept for trace in traces(canary))


def test_without_the_nations_key_there_is_no_section_for_it(box: Box, region: RegionSimulator) -> None:
    box.record(*planted())
    box.sync()
    blob = region.received[0]
    opened = open_envelope(blob, region.region.keys.opening, region.region.id)
    assert opened.nation is None
