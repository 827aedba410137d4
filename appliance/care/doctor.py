"""Look at everything a box needs and say what is wrong, area by area, each with its next step.

Only looks: changes nothing, migrates nothing, starts nothing; also when half of the box is missing. Rules are
in `signs`, words of other rooms' errors are theirs.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import urllib3
from sqlite_utils import Database

from appliance.box import discovery
from appliance.care import backup_book, health, senses, signs, soundness
from appliance.care.signs import BAD, GOOD, WATCH, Finding
from appliance.errors import N_, ApplianceError
from appliance.settings import Settings
from models.errors import ModelsError
from models.store import Store
from sync import boots, client, line_book, outbox, policy
from sync.database import open_database
from sync.errors import SyncError
from sync.keys import device_id

AREAS = ("machine", "disk", "model", "network", "clock", "keys", "sync", "backup")
# The units serve at 80; by hand it is the settings' port.
UNIT_PORT = 80
ANSWER_SECONDS = 3.0
# Tries that failed one after another before anybody is told: a line is down now and then.
MOST_FAILURES = 5


def examine(settings: Settings) -> list[Finding]:
    """Return every finding, in the order of the areas."""
    found = [
        *_machine(settings.home),
        *_database(settings),
        _model(settings),
        *_network(settings),
        *_keys(settings),
        *_of_tables(settings),
        _backup(settings.home),
    ]
    return sorted(found, key=lambda one: AREAS.index(one.area))


def is_well(findings: list[Finding]) -> bool:
    return all(one.mood == GOOD for one in findings)


def _machine(home: Path) -> Iterator[Finding]:
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    yield from health.findings(existing)


def _database(settings: Settings) -> Iterator[Finding]:
    path = settings.sync.database_path
    if not path.exists():
        yield Finding(
            "disk",
            "database_missing",
            WATCH,
            N_("This box has no database yet: its pages never started."),
            N_("Start the pages and set up a class."),
        )
        return
    if path.stat().st_uid != os.geteuid():
        yield Finding(
            "disk",
            "other_account",
            WATCH,
            N_("The database belongs to another account than the one that looks at it."),
            N_("Look again as that account: sudo -u sandyq sandyq doctor"),
        )
    try:
        yield signs.database(soundness.is_damage_noted(settings.home) or soundness.is_damaged(path))
    except SyncError as error:
        yield _told("disk", error)


def _model(settings: Settings) -> Finding:
    if settings.engine.url:
        return Finding("model", "model_elsewhere", GOOD, N_("Another server answers in place of the engine."))
    try:
        card = Store(settings.home).get_current()
    except ModelsError as error:
        return _told("model", error)
    return Finding("model", "model_good", GOOD, N_("The model %(name)s is here."), params={"name": card.name})


def _network(settings: Settings) -> Iterator[Finding]:
    addresses = discovery.lan_addresses()
    yield (
        Finding(
            "network",
            "address",
            GOOD,
            N_("Devices reach the box at %(address)s."),
            "",
            {"address": addresses[0]},
        )
        if addresses
        else Finding(
            "network",
            "no_address",
            BAD,
            N_("The box is in no network: nobody can reach it."),
            N_("Plug in the network cable, or let the box be its own Wi-Fi (docs/hardware.md)."),
        )
    )
    phase = _engine_phase(settings)
    if phase is None:
        yield Finding(
            "network",
            "pages_away",
            BAD,
            N_("The pages do not answer."),
            N_("Start them: systemctl restart sandyq-web. If they stop again: journalctl -u sandyq-web"),
        )
        return
    yield Finding("network", "pages_good", GOOD, N_("The pages answer."))
    if phase == "ready":
        yield Finding("model", "engine_ready", GOOD, N_("The engine is ready."))
    else:
        yield Finding(
            "model",
            f"engine_{phase}",
            WATCH if phase == "loading" else BAD,
            N_("The engine is not ready."),
            N_("Wait a minute. If it stays so: systemctl restart sandyq-engine"),
        )


def _engine_phase(settings: Settings) -> str | None:
    """Return what the pages say of the engine, None when no pages answer."""
    http = urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS)
    for port in dict.fromkeys((settings.web.port, UNIT_PORT)):
        try:
            answer = http.request("GET", f"http://127.0.0.1:{port}/health")
            phase = answer.json().get("engine") if answer.status == 200 else None
        except (urllib3.exceptions.HTTPError, ValueError, AttributeError):
            continue
        if phase in ("ready", "loading", "down"):
            return str(phase)
    return None


def _keys(settings: Settings) -> Iterator[Finding]:
    try:
        device_id(settings.home)
        client.find_enrolment(settings.sync)
    except SyncError as error:
        yield _told("keys", error)
    else:
        yield Finding("keys", "keys_good", GOOD, N_("The box has its own key, and only it can read it."))
    if (settings.home / "first-boot/moving-aside.json").exists():
        yield Finding(
            "keys",
            "first_boot_unfinished",
            BAD,
            N_("The first start of this machine did not end, so nothing is sent."),
            N_("Run: sandyq first-boot"),
        )


def _of_tables(settings: Settings) -> Iterator[Finding]:
    """Ask the tables about clock and sync; a database that cannot be read was told already."""
    path = settings.sync.database_path
    if not path.exists():
        return
    try:
        with closing(open_database(path)) as db:
            if not {"boot", "outbox", "line_state"} <= set(db.table_names()):
                return  # made by no start of ours yet
            moment = boots.now(db)
            yield signs.clock(datetime.now(UTC), moment.quality, is_synchronised=senses.is_synchronised())
            yield from _sync(db, settings)
    except SyncError:
        return


def _sync(db: Database, settings: Settings) -> Iterator[Finding]:
    status, line, order = outbox.status(db), line_book.state(db), policy.current(db)
    if client.find_enrolment(settings.sync) is None:
        yield Finding(
            "sync",
            "not_enrolled",
            WATCH,
            N_("The box belongs to no region, so nothing is sent."),
            N_("Ask the region for a code and run: sandyq sync enrol REGION_URL"),
        )
    elif line.failures >= MOST_FAILURES:
        yield Finding(
            "sync",
            "line_fails",
            WATCH,
            N_("The last %(tries)d tries to reach the region failed."),
            N_("Nothing is lost. Check the link, or carry what waits on a stick: sandyq sync export FOLDER"),
            {"tries": line.failures},
        )
    elif _is_silent(status):
        yield Finding(
            "sync",
            "no_receipt",
            WATCH,
            N_("Sealed batches wait, and the region has confirmed nothing for a month."),
            N_("Nothing is lost. Check the link, or carry what waits on a stick: sandyq sync export FOLDER"),
        )
    else:
        yield Finding("sync", "sync_good", GOOD, N_("The way to the region is open."))
    if status.set_aside_events:
        yield Finding(
            "sync",
            "set_aside",
            WATCH,
            N_("%(events)d events are set aside and not sent: another machine may have sent them."),
            N_("Nothing is lost. Tell the technician, who knows whether this card was copied or restored."),
            {"events": status.set_aside_events},
        )
    if order is not None and order.stop:
        yield Finding(
            "sync",
            "region_stop",
            WATCH,
            N_("The region has stopped AI in all schools."),
            N_("Only the region can lift this. Ask it when."),
        )


def _is_silent(status: outbox.OutboxStatus) -> bool:
    last = status.last_receipt_at
    is_old = last is None or datetime.now(UTC) - last > signs.RECEIPT_IS_OLD
    return status.sealed_batches > 0 and is_old and last is not None


def _backup(home: Path) -> Finding:
    newest, elsewhere = backup_book.find_newest(home), backup_book.find_newest_elsewhere(home)
    made_at = newest.made_at if newest else None
    now = datetime.now(UTC)
    fresh_elsewhere = elsewhere is not None and now - elsewhere.made_at <= signs.BACKUP_IS_OLD
    return signs.backup(made_at, now, is_elsewhere=fresh_elsewhere)


def _told(area: str, error: ModelsError | SyncError | ApplianceError) -> Finding:
    """Return another room's error as a finding, in its own words."""
    return Finding(area, error.key, BAD, error.message, error.hint, error.params)
