"""A school's box for tests of care: set up as Dana would, in a folder, without its pages."""

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from appliance import database
from appliance.cli import sandyq
from appliance.lesson import deletion
from appliance.people import access, roster
from appliance.settings import Settings, read_settings
from provisioning.first_boot import prepare_box
from provisioning.hardware import Machine
from sync.database import open_database

PIN = "271828"


def settings_of(home: Path, **variables: str) -> Settings:
    return read_settings({"SANDYQ_HOME": str(home), **variables})


def machine(name: str) -> Machine:
    return Machine(system=name, board_serial=None, network_addresses=())


def make_school(home: Path, *learners: str, name: str = "7A") -> Settings:
    """First boot and set-up of one class."""
    prepare_box(home, machine(home.name))
    settings = settings_of(home)
    database.prepare(settings.sync.database_path)
    pin_hash = access.hash_pin(PIN)
    now = datetime.now(UTC)
    with closing(open_database(settings.sync.database_path)) as db, database.saving(db):
        school_class = roster.add_school_class(db, name, (7,), "kk", now=now)
        roster.add_learners(db, school_class, learners or ("Aigerim", "Bolat"), now=now)
        access.add_teacher(db, school_class.id, pin_hash, now=now)
    return settings


def run(settings: Settings, *arguments: str, typed: str = "", language: str = "en") -> Result:
    environment = {"SANDYQ_LANGUAGE": language, "LC_ALL": None}
    return CliRunner().invoke(sandyq, [*arguments], obj=settings, env=environment, input=typed)


def rows(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    with closing(open_database(settings.sync.database_path)) as db:
        return list(db.execute(sql).fetchall())


def learners(settings: Settings) -> list[str]:
    return [row[0] for row in rows(settings, "SELECT name FROM learner ORDER BY name")]


def delete(settings: Settings, name: str) -> str:
    """What the teacher does on the learner's page; return the id that is gone."""
    now = datetime.now(UTC)
    with closing(open_database(settings.sync.database_path)) as db:
        learner_id = db.execute("SELECT id FROM learner WHERE name = ?", [name]).fetchone()[0]
        found = roster.find_learner(db, learner_id)
        deletion.delete(db, found, now=now)
        deletion.clean(db, now=now)
    return str(learner_id)
