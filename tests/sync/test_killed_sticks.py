"""kill -9 of box or region while a stick is plugged in, or an envelope is on its way in pieces."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync import client, outbox
from sync.errors import RegionRefused
from sync.transport import HttpTransport
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box
from tests.sync.test_killed_processes import Processes, stopped

ROUNDS = 6


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    running = Processes(tmp_path)
    yield running
    running.close()


@pytest.mark.slow
def test_killed_beside_a_stick_loses_and_doubles_nothing(
    box: Box, region: RegionSimulator, processes: Processes, tmp_path: Path
) -> None:
    """The real commands on both sides, killed at any moment; the stick stays in."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    stick = tmp_path / "stick"
    stick.mkdir()
    walk = ((box.settings.home, "sync", "visit"), (region.settings.home, "region", "import"))
    box.ask(times=20)
    calls = [processes.calls_of(home, *words, str(stick)) for home, *words in walk]
    killed = 0
    for _ in range(ROUNDS):
        box.ask(times=20)
        for (home, *words), most in zip(walk, calls, strict=True):
            running = processes.start(home, *words, str(stick), stop_at_call=chance.randrange(1, most))
            killed += stopped(running)
            running.kill()
            running.communicate(timeout=20)
    assert killed >= ROUNDS, "the kills came too late to mean anything"
    for home, *words in (*walk, walk[0]):
        said = processes.ran(home, *words, str(stick), "--json")
        assert json.loads(said)
    status = box.status()
    assert (status.waiting_events, status.sealed_batches) == (0, 0)
    assert status.receipted_events == region.count("question_asked") == 20 * (1 + ROUNDS)
    assert not [path for path in (stick / "SANDYQ").iterdir() if path.name.endswith(".tmp")]
    assert region.report()["boxes"][0]["remarks"] == []


@pytest.mark.slow
def test_region_killed_between_pieces_goes_on_where_it_said(
    box: Box, region: RegionSimulator, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.envelope.LEAST_PADDED_BYTES", 200_000)
    box.ask(times=5)
    box.cut()
    db = client.open_outbox(box.settings)
    batch = outbox.find_oldest_sealed(db)
    db.close()
    assert batch is not None
    processes.region = region.settings.home
    pieces, kills = 0, 0

    class Dead(Exception):
        pass

    def pause() -> None:
        nonlocal pieces
        pieces += 1
        if pieces % 3 == 0:
            raise Dead

    while True:
        processes.serve()
        try:
            HttpTransport(processes.url, box.enrolment.token).send(batch.sealed, pause)
        except Dead:
            kills += 1
            processes.end_region(signal.SIGKILL)
        except RegionRefused as error:
            # The whole arrived, or its digest would have been refused; the padding that made it so
            # large is ours alone, and the region's own process refuses it.
            assert "not an envelope" in str(error)
            break
    assert kills >= 3
    # Thirteen pieces, and one look for each new start: nothing that was told as kept was sent again.
    assert pieces <= len(batch.sealed) // 16_000 + 1 + kills
    assert region.report()["events"] == 0
    assert not list((region.settings.folder / "uploads").rglob("*.part"))
