"""The smallest door: `python -m tests.sync.runner HOME PORT sync|region ...`.

With SANDYQ_TEST_STOP_AT_CALL=n the process stops itself (SIGSTOP) before its n-th call, so that a test may
kill it in the middle of its work, however quick or slow the machine is; with 0 it tells how many there were.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import click

from sync import generalise, outbox
from sync.cli import sync_group
from sync.errors import SyncError
from sync.server.cli import region_group
from sync.server.upkeep import move
from sync.settings import RegionSettings, SyncSettings


@dataclass(frozen=True)
class Settings:
    sync: SyncSettings
    region: RegionSettings


@click.group()
def main() -> None:
    pass


main.add_command(sync_group)
main.add_command(region_group)


def settings_for(home: Path, port: int = 0) -> Settings:
    return Settings(SyncSettings(home=home), RegionSettings(home=home, port=port))


class Calls:
    """Counts the calls of functions, Python's and C's alike, from here on."""

    def __init__(self, stop_at: int) -> None:
        self.stop_at, self.number = stop_at, 0
        sys.setprofile(self.note)

    def note(self, _frame: object, event: str, _about: object) -> None:
        if event in {"call", "c_call"}:
            self.number += 1
            if self.number == self.stop_at:
                os.kill(os.getpid(), signal.SIGSTOP)


if __name__ == "__main__":
    # Small batches and steps give a killed process many moments to die in.
    outbox.MAX_EVENTS = int(os.environ.get("SANDYQ_TEST_MAX_EVENTS", outbox.MAX_EVENTS))
    move.STEP_BATCHES = int(os.environ.get("SANDYQ_TEST_STEP_BATCHES", move.STEP_BATCHES))
    if "SANDYQ_TEST_WHOLE_ROWS" in os.environ:
        # Where events are told apart by their size to see that each arrived once, nobody is protected.
        generalise.K, generalise.MOST_OF_ONE = 1, 1.0
    stop_at = os.environ.get("SANDYQ_TEST_STOP_AT_CALL")
    calls = None if stop_at is None else Calls(int(stop_at))
    try:
        main(sys.argv[3:], obj=settings_for(Path(sys.argv[1]), int(sys.argv[2])), standalone_mode=False)
    except SyncError as error:
        click.echo(f"{error.key}: {error}", err=True)
        sys.exit(1)
    if stop_at == "0" and calls is not None:
        click.echo(calls.number)
