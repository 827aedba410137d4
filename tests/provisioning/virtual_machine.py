"""A PC for an image: starts it through its firmware, cuts its power, turns back its clock.

QEMU translates every instruction (TCG, no hardware help), so a start takes half a minute on a quiet machine
and three on a busy one: tests wait for what they need and never for a time. The processor is one of 2009
without AVX: what starts here starts on any PC that a school still has.
"""

import http.client
import json
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.processes import free_ports

# Half a minute alone on the machine, five on one where nine others work. Only a real hang reaches it.
START_SECONDS = 600.0
LOOK_SECONDS = 0.25
# The model writes two words a second when nothing else runs on the machine; the prompt takes half a minute.
ANSWER_SECONDS = 600.0
# Each look makes a page, on processors that should be writing the answer.
ANSWER_LOOK_SECONDS = 4.0

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
FIRMWARE_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
# Also the quickest to translate: what ggml does with AVX2, QEMU works out in software (decision 0052).
OLD_PROCESSOR = "Nehalem"
MEMORY_MB = 1536

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "en"}


def wait_for(
    holds: Callable[[], Any],
    what: str,
    seconds: float = START_SECONDS,
    alive: Callable[[], bool] | None = None,
    look_seconds: float = LOOK_SECONDS,
) -> Any:
    """Return the first true value of `holds`, looking often; fail late, or when nothing lives to do it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := holds():
            return value
        if alive is not None and not alive():
            raise AssertionError(f"the machine ended before {what}")
        time.sleep(look_seconds)
    raise AssertionError(f"waited {seconds:.0f} s in vain for {what}")


@dataclass
class VirtualMachine:
    """One power-on of a disk; `disk` is QEMU's words for the block device, or a raw file."""

    folder: Path
    disk: Path
    clock: str = "2026-09-01T08:00:00"
    memory_mb: int = MEMORY_MB
    more: tuple[str, ...] = ()
    drive: tuple[str, ...] = ()
    port: int = field(default_factory=lambda: free_ports(1)[0])
    more_ports: dict[int, int] = field(default_factory=dict)  # on this machine → in the machine
    has_pc_firmware: bool = True  # otherwise `more` names the kernel
    reaches_this_machine: bool = False  # under 10.0.2.2; otherwise it reaches nothing

    def start(self) -> "VirtualMachine":
        self.folder.mkdir(parents=True, exist_ok=True)
        variables = self.folder / "variables.fd"
        if not variables.exists():
            shutil.copyfile(FIRMWARE_VARIABLES, variables)
        self.serial = self.folder / "serial.log"
        self._control = self.folder / "control"
        self._control.unlink(missing_ok=True)
        self.started_at = time.monotonic()
        with (self.folder / "qemu.log").open("ab") as said:
            self._process = subprocess.Popen(
                self._command(variables), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said
            )
        return self

    def _command(self, variables: Path) -> list[str]:
        forwards = "".join(
            f",hostfwd=tcp:127.0.0.1:{outside}-:{inside}"
            for outside, inside in {self.port: 80, **self.more_ports}.items()
        )
        firmware = (
            *("-drive", f"if=pflash,format=raw,readonly=on,file={FIRMWARE}"),
            *("-drive", f"if=pflash,format=raw,file={variables}"),
        )
        restrict = "off" if self.reaches_this_machine else "on"
        drive = self.drive or (
            "-drive",
            f"if=none,id=disk,file={self.disk},format=raw,cache=writeback",
        )
        return [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-user-config"),
            *("-machine", "q35,smm=off", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", OLD_PROCESSOR),
            *("-smp", "2", "-m", str(self.memory_mb), "-rtc", f"base={self.clock}"),
            *(firmware if self.has_pc_firmware else ()),
            *drive,
            *("-device", "virtio-blk-pci,drive=disk"),
            *("-netdev", f"user,id=net,restrict={restrict}{forwards}"),
            *("-device", "virtio-net-pci,netdev=net,romfile="),
            *("-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng"),
            *("-serial", f"file:{self.serial}", "-qmp", f"unix:{self._control},server=on,wait=off"),
            *self.more,
        ]

    # --- power ---

    @property
    def is_on(self) -> bool:
        return self._process.poll() is None

    def cut_power(self) -> None:
        """End it at once, as when somebody pulls the plug."""
        self._process.kill()
        self._process.wait()

    def press_button(self) -> None:
        """Press the power button and wait until it has shut down."""
        self.say("system_powerdown")
        wait_for(lambda: not self.is_on, "the shutdown", 300)

    def say(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Give QEMU itself an order."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(60)
            line.connect(str(self._control))
            with line.makefile("rw") as stream:
                stream.readline()  # QEMU says hello
                answer: dict[str, Any] = {}
                for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    stream.write(json.dumps(order) + "\n")
                    stream.flush()
                    while "return" not in (answer := json.loads(stream.readline())) and "error" not in answer:
                        pass  # news of other things
            return answer

    def console(self) -> str:
        """Return what the machine has said on its serial port."""
        return self.serial.read_text("utf-8", "replace") if self.serial.exists() else ""

    # --- pages ---

    def wait_for_page(self, path: str = "/", port: int | None = None) -> float:
        """Wait until a page is there, or the way to one; return the seconds since power-on."""
        wait_for(
            lambda: self.status_of(path, port) in (200, 303), f"the page {path}", alive=lambda: self.is_on
        )
        return time.monotonic() - self.started_at

    def status_of(self, path: str, port: int | None = None) -> int | None:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)) as line:
                line.request("GET", path)
                return line.getresponse().status
        except (OSError, http.client.HTTPException):
            return None

    def visitor(self, port: int | None = None) -> "Visitor":
        return Visitor(port or self.port)


@dataclass
class Visitor:
    """One person's browser in front of the box: keeps the cookie, sends forms."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> str:
        return self._send("GET", path, None)

    def post(self, path: str, fields: dict[str, str] | None = None) -> str:
        return self._send("POST", path, urlencode(fields or {}))

    def _send(self, method: str, path: str, body: str | None) -> str:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as line:
            line.request(method, path, body, FORM | ({"Cookie": cookie} if cookie else {}))
            answer = line.getresponse()
            text = answer.read().decode()
        if answer.status >= http.client.BAD_REQUEST:
            raise AssertionError(f"{method} {path} answered {answer.status}: {text[-600:]}")
        for given in answer.headers.get_all("Set-Cookie") or ():
            name, _, value = given.split(";")[0].partition("=")
            self.cookies[name] = value
        return text

    # --- walks ---

    def opens_the_box(self, learners: str, find_code: Callable[[], str | None]) -> str:
        """Dana makes her class and opens a lesson; return the class code."""
        # A box that made no codes asks for none: the control beside the real one.
        asks = 'name="setup_code"' in self.get("/setup")
        code = wait_for(find_code, "the code on the card") if asks else ""
        fields = {"school_class": "7A", "grade": "7", "language": "en", "learners": learners}
        self.post("/setup", fields | {"pin": "271828", "pin_again": "271828", "setup_code": code})
        self.post("/teacher/session", {"wish": "open"})
        page = self.get("/teacher")
        found = re.search(r"/class/(\d{6})", page) or re.search(r"\b(\d{6})\b", page)
        assert found, page[:2000]
        return found[1]

    def joins(self, code: str, name: str) -> None:
        page = self.get(f"/class/{code}")
        found = re.search(rf'value="(\w+)"[^>]*>\s*{name}\b', page)
        assert found, page[:2000]
        self.post(f"/class/{code}", {"learner": found[1]})
        self.post("/welcome")

    def asks(self, question: str) -> None:
        """Ask; when this returns, the box has promised to keep the question."""
        page = self.get("/ask")
        assert self.asks_on(page, question), page[:2000]

    def asks_on(self, page: str, question: str) -> bool:
        """Ask with the form on this page; False when it has none, because an answer is being written."""
        found = re.search(r'name="submission" value="(\w+)"', page)
        if found:
            self.post("/ask", {"question": question, "submission": found[1]})
        return found is not None

    def waits_for_answer(self, box: VirtualMachine) -> None:
        wait_for(
            lambda: "data-stream" not in self.get("/ask"),
            "the answer",
            ANSWER_SECONDS,
            alive=lambda: box.is_on,
            look_seconds=ANSWER_LOOK_SECONDS,
        )
