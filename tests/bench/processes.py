"""Start the real commands for the benchmark and end them again, whatever happens in between."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

SANDYQ = Path(sys.executable).with_name("sandyq")

# Short beside everything measured; a busy loop would take the processor from what is measured.
POLL_SECONDS = 0.01

# A Raspberry Pi reads a model of several GB from a card for minutes.
START_TIMEOUT_SECONDS = 600.0

# The contract says that SIGTERM is enough; after this we stop believing it.
STOP_TIMEOUT_SECONDS = 30.0

LOG_TAIL_CHARACTERS = 2_000

Found = TypeVar("Found")


class BenchFailed(Exception):
    """What was to be measured did not start or did not answer."""


@contextmanager
def started(
    name: str, home: Path, *arguments: str, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run `sandyq …` on a home of its own; `settings` are more of its environment."""
    environment = {**clean_environment(home), **(settings or {})}
    with running(name, home, [str(SANDYQ), *arguments], environment) as process:
        yield process


@contextmanager
def running(
    name: str, home: Path, command: Sequence[str], environment: Mapping[str, str] | None
) -> Iterator[subprocess.Popen[str]]:
    """Run a command; its words go to a log that a failure quotes."""
    log = home / f"bench-{name}.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,  # so that a failed stop can end what it started, too
        )
    try:
        yield process
    except BenchFailed as failure:
        tail = log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        raise BenchFailed(
            f"{failure}\n--- the last words of {' '.join(command[:3])} ---\n{tail}"
        ) from failure
    finally:
        stop(process)


def clean_environment(home: Path) -> Mapping[str, str]:
    """The caller's environment without the caller's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SANDYQ_")}
    return {**kept, "SANDYQ_HOME": str(home)}


def stop(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"  pid {process.pid} did not stop on SIGTERM and is killed", file=sys.stderr)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.stdout:
        process.stdout.close()


def wait_for(what: str, process: subprocess.Popen[str], look: Callable[[], Found | None]) -> Found:
    """Look until something is found; a process that ended or took too long is an error."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        if process.poll() is not None:
            raise BenchFailed(f"{what}: the process ended with exit code {process.returncode}")
        time.sleep(POLL_SECONDS)
    raise BenchFailed(f"{what}: nothing in {START_TIMEOUT_SECONDS:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say(line: str) -> None:
    """Progress goes beside the result, so that the result can be piped."""
    print(f"  {line}", file=sys.stderr, flush=True)
