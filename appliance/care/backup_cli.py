"""`sandyq backup …`: copies that are proven to open, and the way back.

A door. The key of the school is asked for or piped in when the box's own do not fit, never an argument: other
accounts can read argument lists.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

import click

from appliance.care import backup, backup_book, backup_file, backup_folder, deleted_marks, school_key
from appliance.care.backup import Opened
from appliance.care.backup_file import Manifest
from appliance.care.care_errors import BackupForeign, CodeMistyped
from appliance.care.restore import Found, Restoring, Wish, restore
from appliance.errors import N_
from appliance.settings import Settings
from models.saying import json_option
from sync.keys import SCHOOL_SEED_BYTES, change_school_seed, ensure_school_seed, school_seeds

MADE = N_("The backup %(name)s is written, read back and whole (%(kilobytes)d KB, %(learners)d learners).")
DROPPED = N_("Older than 30 days, so removed: %(names)s")
ONLY_HERE = N_("It lies on the box itself. If its card breaks, it is gone: make one on a stick as well.")
OPENS = N_("The backup %(name)s opens and is whole: %(day)s, %(classes)d classes, %(learners)d learners.")
RESTORED = N_("The box has the state of %(day)s again: %(classes)d classes, %(learners)d learners.")
DELETED_AGAIN = N_("Deleted again, as they had been since the backup was made: %(learners)d learners.")
MAY_BE_BACK = N_("Who was deleted after that day on a box that is lost may be in it again: check the list.")
ASIDE = N_("The database that was here is kept in %(path)s.")
EVENTS_ASIDE = N_(
    "%(events)d events that waited in it are set aside, not sent: they may have been sent since."
)
NEW_KEYS = N_("On a new machine enrol the box again, with a new code: sandyq sync enrol REGION_URL")
KEY_IS = N_("Backups are made to the key %(name)s. Print its sheet from the teacher's page, or see it here.")
CODE = N_("Code from the backup sheet")

Say = Callable[..., str]


@click.group("backup")
def backup_group() -> None:
    """Copy the box's state, prove that the copy opens, and bring it back."""


@backup_group.command("create")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def create_command(ctx: click.Context, folder: Path | None, as_json: bool) -> None:
    """Write a proven backup into FOLDER, such as a stick; without one, onto the box itself."""
    settings, say = _of(ctx)
    made = backup.create(settings, folder, _progress(say))
    facts = {
        "path": str(made.path),
        "bytes": made.size,
        "key": school_key.name_of(school_seeds(settings.home)[0]),
        **_as_record(made.manifest),
        "dropped": list(made.dropped),
        "elsewhere": backup_folder.is_elsewhere(made.path.parent, settings.home),
    }
    size = -(-made.size // 1024)
    lines = [say(MADE, {"name": made.path.name, "kilobytes": size, "learners": made.manifest.learners})]
    if made.dropped:
        lines.append(say(DROPPED, {"names": ", ".join(made.dropped)}))
    if not facts["elsewhere"]:
        lines.append(say(ONLY_HERE, {}))
    _print(facts, lines, as_json=as_json)


@backup_group.command("verify")
@click.argument("place", required=False, type=click.Path(path_type=Path))
@json_option
@click.pass_context
def verify_command(ctx: click.Context, place: Path | None, as_json: bool) -> None:
    """Really open a backup and check all of it; of a folder, its newest."""
    settings, say = _of(ctx)
    path = backup_folder.find(place or backup.own_folder(settings.home))[0]
    manifest = backup.verify(settings.home, path, _ask_if_needed(settings, path, say))
    said = {"name": path.name, "day": _day(manifest.made_at)}
    counts = {"classes": manifest.classes, "learners": manifest.learners}
    facts = {"path": str(path), "whole": True, **_as_record(manifest)}
    _print(facts, [say(OPENS, {**said, **counts})], as_json=as_json)


@backup_group.command("restore")
@click.argument("place", required=False, type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Also where classes are already; their database is kept aside.")
@click.option("--old", is_flag=True, help="Also a backup older than 30 days.")
@json_option
@click.pass_context
def restore_command(ctx: click.Context, place: Path | None, replace: bool, old: bool, as_json: bool) -> None:
    """Bring back a backup, of a folder its newest. The pages must be stopped."""
    settings, say = _of(ctx)
    path = backup_folder.find(place or backup.own_folder(settings.home))[0]
    code = _ask_if_needed(settings, path, say)
    marks = deleted_marks.read(path.parent) | deleted_marks.read(backup.own_folder(settings.home))
    home = settings.home
    with backup.alone(home), backup.workspace(home) as work, backup.opened(home, path, work, code) as opened:
        done = restore(settings, found_in(opened), Wish(replaces_classes=replace, takes_old=old), marks)
    if code is not None:
        # The school's sheet goes on being right on the new machine.
        change_school_seed(home, code)
    _print(_restored_record(path, done), _restored_words(done, say), as_json=as_json)


@backup_group.command("key")
@click.option("--show", is_flag=True, help="Print the code of the sheet; whoever reads it can open backups.")
@click.option(
    "--new", is_flag=True, help="Make backups to a new key from now on: the sheet was lost or seen."
)
@click.option("--take", is_flag=True, help="Ask for the code of a sheet and use that key from now on.")
@json_option
@click.pass_context
def key_command(ctx: click.Context, show: bool, new: bool, take: bool, as_json: bool) -> None:
    """Say which key backups are made to, change it, or show its code."""
    settings, say = _of(ctx)
    if take:
        change_school_seed(settings.home, _ask(say))
    elif new:
        change_school_seed(settings.home, backup.new_seed(SCHOOL_SEED_BYTES))
        backup_book.forget_sheet(settings.home)
    seed = ensure_school_seed(settings.home)
    facts = {"key": school_key.name_of(seed)}
    lines = [say(KEY_IS, {"name": facts["key"]})]
    if show:
        facts |= {"code": school_key.to_code(seed), "age_identity": school_key.to_identity(seed)}
        lines += [facts["code"], facts["age_identity"]]
    _print(facts, lines, as_json=as_json)


def found_in(opened: Opened) -> Found:
    """Return what the restore needs to know of an opened backup."""
    manifest, named = opened.manifest, backup_folder.read_name(opened.path)
    return Found(
        name=opened.path.name,
        folder=opened.folder,
        made_at=manifest.made_at,
        is_sure=manifest.clock_quality == "confirmed",
        box=named.box if named else "",
        migrations=manifest.migrations,
        classes=manifest.classes,
        learners=manifest.learners,
    )


def _of(ctx: click.Context) -> tuple[Settings, Say]:
    return ctx.obj, ctx.meta["sandyq.say"]


def _progress(say: Say) -> Callable[[str], None]:
    return lambda step: click.echo(say(step, {}), err=True)


def _ask_if_needed(settings: Settings, path: Path, say: Say) -> bytes | None:
    """Ask for the code of the sheet when no key of this box fits.

    Raises:
        BackupForeign: nobody types one, or it is not this backup's.
    """
    with backup_folder.translated_faults(path.parent), path.open("rb") as file:
        if not backup_file.needs_another_key(file, school_seeds(settings.home)):
            return None
    try:
        return _ask(say)
    except click.Abort as error:
        raise BackupForeign(name=path.name) from error


def _ask(say: Say) -> bytes:
    typed = click.prompt(say(CODE, {}), err=True)
    seed = school_key.from_code(typed)
    if seed is None:
        raise CodeMistyped
    return seed


def _as_record(manifest: Manifest) -> dict[str, object]:
    return {
        "made_at": manifest.made_at.isoformat(),
        "clock_quality": manifest.clock_quality,
        "box": manifest.box,
        "software": manifest.software,
        "classes": manifest.classes,
        "learners": manifest.learners,
    }


def _restored_record(path: Path, done: Restoring) -> dict[str, object]:
    return {
        "path": str(path),
        "made_at": done.made_at.isoformat(),
        "days": done.days,
        "classes": done.classes,
        "learners": done.learners,
        "deleted_again": done.deleted_again,
        "set_aside_events": done.set_aside_events,
        "kept_aside": str(done.kept_aside) if done.kept_aside else None,
    }


def _restored_words(done: Restoring, say: Say) -> list[str]:
    counts = {"classes": done.classes, "learners": done.learners}
    lines = [say(RESTORED, {"day": _day(done.made_at), **counts})]
    if done.deleted_again:
        lines.append(say(DELETED_AGAIN, {"learners": done.deleted_again}))
    if done.set_aside_events:
        lines.append(say(EVENTS_ASIDE, {"events": done.set_aside_events}))
    if done.kept_aside:
        lines.append(say(ASIDE, {"path": done.kept_aside}))
    return [*lines, say(MAY_BE_BACK, {}), say(NEW_KEYS, {})]


def _day(at: datetime) -> str:
    return at.astimezone().strftime("%d.%m.%Y %H:%M")


def _print(facts: Mapping[str, object], lines: list[str], *, as_json: bool) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else "\n".join(lines))
