"""`sandyq demo`: engine, pages and a region on this machine, with a sample class.

The four real processes are started as the units would start them and started again when they die;
here is only what a supervisor, an IT person and a teacher would do by hand. Everything listens on
loopback. The demonstration's PIN is kept in `demo.json`, because there is no teacher to remember it.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Self

import click
import urllib3

from appliance import database, languages
from appliance.errors import N_, DemoFailed
from appliance.lesson import sessions
from appliance.people import access, roster
from appliance.settings import Settings
from models.store import Store

MODEL = "smollm2-135m-instruct"  # runs anywhere; English only, and the pages say so
LEARNERS = ("Айгерім", "Болат", "Гүлназ", "Ерасыл", "Жансая", "Иван", "Мадина", "Тимур")
HOST = "127.0.0.1"
OPERATOR = "demo"
# A slow card reads 98 MB in ten seconds; a busy single core needs a minute to warm up.
READY_SECONDS = 180.0
LOOK_SECONDS = 0.5
SYNC_SECONDS = 15.0
# More than any part needs to stop, so that Ctrl-C ends in peace and never leaves a process behind.
STOP_SECONDS = 12.0
STARTING = N_("Starting: %(part)s …")
READY = N_("Ready. Everything runs on this machine; stop with Ctrl-C.")
LINES = (
    (N_("Learners' page"), "web"),
    (N_("Teacher's page"), "teacher"),
    (N_("Teacher's PIN"), "teacher_pin"),
    (N_("Class code"), "class_code"),
    (N_("Region"), "region"),
    (N_("Region's account"), "region_account"),
    (N_("Region's password"), "region_password"),
    (N_("Engine"), "engine"),
    (N_("Model"), "model"),
)


@dataclass(frozen=True)
class Part:
    """One process of the demonstration, and where to ask whether it is ready."""

    name: str
    title: str
    arguments: tuple[str, ...]
    url: str


@click.command("demo")
@click.option("--home", type=click.Path(path_type=Path), help="State folder; kept between runs.")
@click.option("--port", default=8080, show_default=True, help="Port of the pages.")
@click.option("--engine-port", default=8081, show_default=True, help="Port of the engine.")
@click.option("--region-port", default=8090, show_default=True, help="Port of the region.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line when ready.")
@click.pass_obj
def demo_command(
    settings: Settings, home: Path | None, port: int, engine_port: int, region_port: int, as_json: bool
) -> None:
    """Run engine, pages and a region here, with a sample class."""
    language = languages.of_terminal(os.environ)

    def say(sentence: str, **params: object) -> None:
        if not as_json:
            titles = {name: languages.render(language, str(title), {}) for name, title in params.items()}
            click.echo(languages.render(language, sentence, {**titles}))

    demo = _Demo(settings, home or settings.home / "demo", (port, engine_port, region_port), say)
    with demo:
        facts = demo.start()
        if as_json:
            click.echo(json.dumps(facts, ensure_ascii=False))
        else:
            click.echo("\n" + languages.render(language, READY, {}) + "\n")
            for label, key in LINES:
                click.echo(f"  {languages.render(language, label, {}):<22} {facts[key]}")
            click.echo()
        demo.watch()


class _Demo:
    """The processes of one demonstration; leaving the `with` block stops them all."""

    def __init__(
        self, settings: Settings, home: Path, ports: tuple[int, int, int], say: Callable[..., None]
    ) -> None:
        self._home = home.absolute()
        self._models_home = settings.home
        port, engine_port, region_port = ports
        self._settings = replace(settings, home=self._home, sync=replace(settings.sync, home=self._home))
        self._say = say
        self._parts = (
            Part("region", N_("Region"), ("region", "serve"), f"http://{HOST}:{region_port}"),
            Part("engine", N_("Engine"), ("engine", "serve"), f"http://{HOST}:{engine_port}"),
            Part("web", N_("Learners' page"), ("web", "serve"), f"http://{HOST}:{port}"),
        )
        self._environment = os.environ | {
            "SANDYQ_HOME": str(self._home),
            "SANDYQ_WEB_HOST": HOST,
            "SANDYQ_WEB_PORT": str(port),
            "SANDYQ_ENGINE_PORT": str(engine_port),
            "SANDYQ_REGION_PORT": str(region_port),
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._http = urllib3.PoolManager(retries=False, timeout=2.0)

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _leave)
        return self

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self) -> dict[str, str]:
        """Bring everything up and return the facts of the contract."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        model = self._ensure_model()
        self._ensure_region()
        for part in self._parts:
            self._say(STARTING, part=part.title)
            self._launch(part)
        pin, code = self._ensure_class()
        password = self._ensure_operator()
        for part in self._parts:
            self._wait_until_ready(part)
        self._ensure_enrolled()
        urls = {part.name: part.url for part in self._parts}
        return {
            **urls,
            "teacher": urls["web"] + "/teacher",
            "teacher_pin": pin,
            "class_code": code,
            "model": model,
            "region_account": OPERATOR,
            "region_password": password,
        }

    def watch(self) -> None:
        """Start what dies again, and send to the region now and then, until a signal comes."""
        next_sync = time.monotonic() + SYNC_SECONDS
        while True:
            time.sleep(LOOK_SECONDS)
            for part in self._parts:
                if self._running[part.name].poll() is not None:
                    self._launch(part)
            if time.monotonic() >= next_sync:
                # A region that is down is a normal day; the outbox keeps everything.
                self._run("sync", "run", check=False)
                next_sync = time.monotonic() + SYNC_SECONDS

    def _ensure_model(self) -> str:
        store = Store(self._home)
        card = store.current()
        if card is not None and store.holds(card):
            return card.name
        here = Store(self._models_home)
        known = here.catalogue.get(MODEL)
        if here.holds(known):
            # A second's work; to be told of it again would look like a second download.
            self._run("models", "pull", MODEL, "--from", str(here.path_of(known)))
        else:
            command = [*_COMMAND, "models", "pull", MODEL]
            subprocess.run(command, env=self._environment, check=True, stdout=sys.stderr)
        return MODEL

    def _ensure_region(self) -> None:
        if not self._settings_region_exists():
            self._run("region", "init", "--json")

    def _settings_region_exists(self) -> bool:
        return (self._home / "region" / "region.sqlite").exists()

    def _ensure_class(self) -> tuple[str, str]:
        """Make the sample class once, and open a lesson; return its PIN and code."""
        path = self._settings.sync.database_path
        database.prepare(path)
        note = self._home / "demo.json"
        now = datetime.now(UTC)
        with database.connection(path) as db:
            school_class = roster.find_first_class(db)
            if school_class is None:
                pin = f"{secrets.randbelow(1_000_000):06d}"
                note.touch(mode=0o600)
                note.write_text(json.dumps({"teacher_pin": pin}), encoding="utf-8")
                pin_hash = access.hash_pin(pin)
                with database.saving(db):
                    school_class = roster.add_school_class(db, "7A", (7,), self._settings.language, now=now)
                    roster.add_learners(db, school_class, LEARNERS, now=now)
                    access.add_teacher(db, school_class.id, pin_hash, now=now)
            with database.saving(db):
                sessions.open_session(db, school_class, now=now)
        pin = json.loads(note.read_text(encoding="utf-8"))["teacher_pin"]
        return pin, school_class.code

    def _ensure_operator(self) -> str:
        """Make one account of the region, for whoever tries it out; real ones add a telephone."""
        note = self._home / "region.json"
        if not note.exists():
            password = secrets.token_urlsafe(12)
            add = ("region", "operator", "add", OPERATOR, "--role", "operator", "--no-second-factor")
            self._run(*add, "--prompt", "--json", typed=password + "\n")
            note.touch(mode=0o600)
            note.write_text(json.dumps({"password": password}), encoding="utf-8")
        return str(json.loads(note.read_text(encoding="utf-8"))["password"])

    def _ensure_enrolled(self) -> None:
        if self._settings.sync.home.joinpath("enrolment.json").exists():
            return
        code = json.loads(self._run("region", "code", "--json"))["code"]
        url = next(part.url for part in self._parts if part.name == "region")
        self._run("sync", "enrol", url, "--json", typed=code + "\n")

    def _launch(self, part: Part) -> None:
        with self._log(part).open("ab") as log:
            self._running[part.name] = subprocess.Popen(
                [*_COMMAND, *part.arguments],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches this process alone, which then stops the parts in order.
                start_new_session=True,
            )

    def _wait_until_ready(self, part: Part) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._running[part.name].poll() is None:
            try:
                if self._http.request("GET", f"{part.url}/health").status == 200:
                    return
            except urllib3.exceptions.HTTPError:
                pass
            time.sleep(0.1)
        lines = self._log(part).read_text(encoding="utf-8", errors="replace").splitlines()
        click.echo("\n".join(lines[-20:]), err=True)
        raise DemoFailed(part=part.name)

    def _run(self, *arguments: str, typed: str = "", check: bool = True) -> str:
        """Run one `sandyq` command to its end and return what it printed."""
        done = subprocess.run(
            [*_COMMAND, *arguments],
            env=self._environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            click.echo(done.stderr, err=True)
            raise DemoFailed(part=" ".join(arguments[:2]))
        return done.stdout

    def _log(self, part: Part) -> Path:
        return self._home / f"{part.name}.log"


_COMMAND = (sys.executable, "-m", "appliance.cli")


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)
