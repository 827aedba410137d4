"""What the teacher's page says about the box's own health, its backups, and the sheet that opens them.

Light on purpose: nothing here knows the cipher. The code of the sheet opens everything on the box, so only
the teacher who speaks for the school sees it (the first of the box, decision 0007).
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from sqlite_utils import Database

from appliance import languages
from appliance.box.discovery import box_name
from appliance.care import backup_book, health, school_key, senses, signs, soundness
from appliance.care.signs import BAD, Finding
from appliance.errors import NotAllowed
from appliance.permission import stops
from appliance.web import control
from appliance.web.context import get_teacher_class, language, login, services
from sync import boots
from sync.errors import SyncError
from sync.keys import ensure_school_seed

# Milliseconds until the year 2286 have thirteen digits.
LONGEST_CLOCK = 13

pages = Blueprint("care", __name__, url_prefix="/teacher")


@dataclass(frozen=True)
class News:
    """What is not well and what is to be done; compared, so that a stream draws it only when it changes."""

    troubles: tuple[Finding, ...]
    backup: Finding
    restored_at: datetime | None = None
    asks_for_sheet: bool = False
    speaks_for_school: bool = False


def news(own: Database, school_class_id: str, troubles: list[Finding]) -> News:
    """Gather what the machine, the clock, the backups and the last restore have to say."""
    home = services().home
    newest, elsewhere = backup_book.find_newest(home), backup_book.find_newest_elsewhere(home)
    now, restored = datetime.now(UTC), backup_book.find_restored(home)
    is_fresh_elsewhere = elsewhere is not None and now - elsewhere.made_at <= signs.BACKUP_IS_OLD
    # By the stream's own connection: this request's may be closed already.
    speaks = stops.actor_of(own, login().teacher_id or "", school_class_id).speaks_for_school
    return News(
        tuple(troubles) + _of_database(own),
        signs.backup(newest.made_at if newest else None, now, is_elsewhere=is_fresh_elsewhere),
        restored_at=restored.made_at if restored and not restored.is_checked else None,
        asks_for_sheet=speaks and newest is not None and not backup_book.is_sheet_seen(home),
        speaks_for_school=speaks,
    )


def shown(told: News) -> dict[str, Any]:
    """Return what the template needs, in the reader's language."""
    code = language()
    return {
        "troubles": [
            (one.mood, in_words(one), languages.render(code, one.hint, dict(one.params)))
            for one in told.troubles
        ],
        "restored_day": told.restored_at.astimezone().strftime("%d.%m.%Y") if told.restored_at else "",
        "asks_for_sheet": told.asks_for_sheet,
        "speaks_for_school": told.speaks_for_school,
    }


def in_words(one: Finding) -> str:
    return languages.render(language(), one.message, dict(one.params))


def hear_clock(own: Database, shown: str) -> None:
    """A teacher who just showed the right PIN sent the time of the device, in milliseconds since 1970.

    Only a hint, and only while no time server and no region has told better; it dates what waits for the
    region and the backups. Exams count the machine's own ticks and never ask.
    """
    if not shown.isascii() or not shown.isdigit() or len(shown) > LONGEST_CLOCK or senses.is_synchronised():
        return
    # The log-in must not fail because of it; the next one brings it again.
    with suppress(SyncError, OverflowError, ValueError, OSError):
        boots.hint(own, datetime.fromtimestamp(int(shown) / 1000, UTC))


def limits() -> list[tuple[str, str]]:
    """Say how many devices the box's own Wi-Fi carries, and what to do; nothing when it is not open."""
    found = signs.matters(health.hotspots())
    return [(in_words(one), languages.render(language(), one.hint, dict(one.params))) for one in found]


@pages.get("/backup")
def sheet() -> ResponseReturnValue:
    _verify_speaks_for_school()
    return render_template("backup_sheet.html", code="", name="", box=box_name(services().home))


@pages.post("/backup")
def show_sheet() -> ResponseReturnValue:
    """Show the code, as often as it is asked for: the box keeps it."""
    _verify_speaks_for_school()
    home = services().home
    seed = ensure_school_seed(home)
    backup_book.note_sheet_seen(home)
    return render_template(
        "backup_sheet.html",
        code=school_key.to_code(seed),
        name=school_key.name_of(seed),
        box=box_name(home),
    )


@pages.post("/restored/checked")
def checked() -> ResponseReturnValue:
    """The teacher has looked whether somebody is back who had been deleted."""
    _verify_speaks_for_school()
    restored = backup_book.find_restored(services().home)
    if restored is not None:
        backup_book.note_restored(services().home, replace(restored, is_checked=True))
    return redirect(url_for("teacher.view"), 303)


def _verify_speaks_for_school() -> None:
    """Raise NotAllowed for anybody else: the code opens every class of the box."""
    get_teacher_class()
    if not control.get_actor().speaks_for_school:
        raise NotAllowed


def _of_database(own: Database) -> tuple[Finding, ...]:
    """Return what the tables and the daily check say, when it is bad; the rest is the technician's."""
    moment = boots.now(own)
    clock = signs.clock(datetime.now(UTC), moment.quality, is_synchronised=senses.is_synchronised())
    damage = signs.database(soundness.is_damage_noted(services().home))
    return tuple(one for one in (clock, damage) if one.mood == BAD)
