"""What the units start exists, and the pages take the socket that systemd opens for them."""

import http.client
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import psutil
import pytest

from appliance.cli import sandyq

UNITS = Path(__file__).parents[2] / "systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
PROGRAM = "/opt/sandyq/venv/bin/sandyq"
SANDYQ = Path(sys.executable).with_name("sandyq")

# A busy machine imports slowly; this only bounds a hang.
ANSWER_SECONDS = 60.0


def exec_start(unit: str) -> list[str]:
    found = re.search(r"^ExecStart=(.*)$", (UNITS / unit).read_text(), re.MULTILINE)
    assert found is not None, unit
    return found[1].split()


@pytest.mark.parametrize("unit", [unit for unit in SERVICES if exec_start(unit)[0] == PROGRAM])
def test_the_command_that_a_unit_starts_exists_with_its_options(unit: str) -> None:
    words = exec_start(unit)[1:]
    command: click.Command = sandyq
    context = click.Context(sandyq, info_name="sandyq")
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{unit} starts a command {name} that is not there"
        command, context = found, click.Context(found, parent=context, info_name=name)
    # Raises a usage error for an option that is not there.
    command.make_context(command.name, words, parent=context)


def test_the_pages_answer_on_the_socket_that_is_handed_over(tmp_path: Path) -> None:
    """Instead of systemd, its own little stand-in listens and starts the pages at the first request."""
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.fail(
            "systemd-socket-activate is missing: install the Debian package systemd, or run `make test`"
        )
    port = free_port()
    command = [str(SANDYQ), *exec_start("sandyq-web.service")[1:]]
    # As the unit does it: port 80 is named, and not opened.
    assert command[-2:] == ["--port", "80"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                activate,
                f"--listen=127.0.0.1:{port}",
                f"--setenv=SANDYQ_HOME={tmp_path}",
                *command,
                "--host",
                "127.0.0.1",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        assert first_status(port, process) in (http.HTTPStatus.OK, http.HTTPStatus.SEE_OTHER), log.read_text()
        # The stand-in has become the pages; nobody opened port 80.
        sockets = psutil.Process(process.pid).net_connections(kind="tcp")
        assert {s.laddr.port for s in sockets if s.status == psutil.CONN_LISTEN} == {port}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(ANSWER_SECONDS)
    assert process.returncode == 0, log.read_text()


def first_status(port: int, process: subprocess.Popen[bytes]) -> int | None:
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.02)  # not listening yet
        finally:
            connection.close()
    return None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
