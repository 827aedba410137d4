"""kill -9 of the forwarder, and of the nation with it, at every step: nothing lost, nothing doubled."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sync.server.nation import forward, national
from sync.server.storage.identity import NATION
from sync.server.storage.sqlite_database import SqliteDatabase
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.test_forward import MORNING, Country, sent
from tests.sync.test_killed_processes import Processes, ask, stopped

STATEMENTS = ("rows", "execute", "execute_many", "copy_rows")


def die_at(step: int) -> None:
    """Let this process kill itself before or behind its so many-th statement, on either side of the line."""
    left = [step]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **named: Any) -> Any:
            _tick(left)
            answer = real(*args, **named)
            _tick(left)
            return answer

        return counted

    for name in STATEMENTS:
        setattr(SqliteDatabase, name, counting(getattr(SqliteDatabase, name)))


def _tick(left: list[int]) -> None:
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def forwarded(country: Country, step: int) -> bool:
    """Run the forwarder in a process of its own that dies at a step; True when it got through."""
    child = os.fork()
    if child == 0:
        # The child never comes back into the test run, whatever happens in it.
        with ExitStack() as end:
            end.callback(os._exit, 1)
            die_at(step)
            country.forward()
            os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError(f"the forwarder failed at step {step}")
    return os.WIFEXITED(status)


def test_killed_at_every_step_it_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.nation.discrete_laplace", lambda _scale, _below: 0)
    monkeypatch.setattr("sync.parcel.MAX_ITEMS", 2)  # several parcels have more ends to die between
    nation = RegionSimulator(tmp_path / "nation-home", role=NATION)
    region = RegionSimulator(tmp_path / "region-home")
    nation.time = region.time = MORNING
    region.join(nation)
    country = Country(nation, region, tmp_path)
    sent(country, 3)
    country.wait(days=2)
    kills = 0
    for step in range(1, 400):
        if forwarded(country, step):
            break
        kills += 1
    else:
        raise AssertionError("it never gets through")
    assert kills > 20, "there was nothing to die in"
    with nation.store() as store:
        national.count_waiting(store, nation.region.keys)
    assert country.counted()["question_asked:kk"] == 3
    assert country.counted()["learner_joined"] == 0
    assert country.account.state == "equal"
    assert country.account.remarks == ()
    newest = country.account.newest
    assert newest is not None
    assert (newest.all_events, newest.all_letters) == (9, 3)
    with region.store() as store:
        assert forward.status(store).waiting_letters == forward.status(store).sealed_parcels == 0


def code_of(processes: Processes) -> str:
    code: str = json.loads(processes.ran(processes.region, "region", "code", "--json"))["code"]
    return code + "\n"


@pytest.mark.slow
def test_the_real_commands_killed_at_any_moment(tmp_path: Path) -> None:
    """Box, region and nation as people start them; the forwarder and the nation are killed in between."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    for name in ("below", "above"):
        (tmp_path / name).mkdir()
    below, above = Processes(tmp_path / "below"), Processes(tmp_path / "above")
    try:
        above.ran(above.region, "region", "init", "--role", "nation", "--name", "Қазақстан", "--json")
        above.serve()
        below.ran(below.region, "region", "init", "--json")
        below.ran(below.region, "region", "join", above.url, "--json", typed=code_of(above))
        below.serve()
        below.ran(below.box, "sync", "enrol", below.url, "--json", typed=code_of(below))
        calls, killed = 0, 0
        for _ in range(4):
            ask(SyncSettings(home=below.box), [chance.randrange(1, 500) for _ in range(20)])
            below.ran(below.box, "sync", "run")
            if not calls:
                calls = below.calls_of(below.region, "region", "forward")
                continue
            running = below.start(below.region, "region", "forward", stop_at_call=chance.randrange(1, calls))
            killed += stopped(running)
            if chance.random() < 0.5:
                above.end_region(signal.SIGKILL)
                running.send_signal(signal.SIGCONT)  # it meets a nation that is gone
                running.communicate(timeout=20)
                above.serve()
            running.kill()
            running.communicate(timeout=20)
        assert killed >= 1, "the kills came too late to mean anything"
        done = json.loads(below.ran(below.region, "region", "forward", "--json"))
        assert done["status"]["waiting_letters"] == done["status"]["sealed_parcels"] == 0
        told = json.loads(above.ran(above.region, "region", "nation", "--json"))
        (account,) = told["regions"]
        assert account["letters"] == {"counted": done["status"]["confirmed_letters"]}
        assert done["status"]["confirmed_letters"] > 0
        assert account["remarks"] == []
        assert told["weeks"][0]["boxes"] == 1
    finally:
        below.close()
        above.close()
