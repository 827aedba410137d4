"""`sandyq region codes`, `approve`, `move`: what IT staff do with boxes.

A door: reads files, calls `enrolments`, prints. Codes are secrets: they go to files that only this account
can read, and to the terminal of whoever asked.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sync.answer_words import as_json, say
from sync.keys import save_private
from sync.server.enrolment import code_sheet, enrolments
from sync.server.storage.opened import opened
from sync.server.storage.store import Place
from sync.server.translation import LANGUAGES, PAGE_LANGUAGE, load_speakers
from sync.settings import RegionSettings

_STRATA = click.Choice(["rural", "urban"])
_SIZES = click.Choice(["small", "large"])


@click.command("codes")
@click.argument("schools", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--count", type=click.IntRange(1, enrolments.MAX_CODES), help="So many codes without a school.")
@click.option(
    "--days",
    type=click.IntRange(1, enrolments.MAX_SHEET_DAYS),
    default=enrolments.SHEET_DAYS,
    show_default=True,
    help="How long the codes open.",
)
@click.option("--approval", is_flag=True, help="What these boxes send waits until an operator approves them.")
@click.option("--renew", default="", help="One code that gives the box of this name new keys.")
@click.option("--url", default="", help="The region's address, for the square and the list.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a list.")
@click.option(
    "--sheet", "sheet_file", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to print."
)
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a table for `sandyq image settings`.",
)
@click.option("--language", type=click.Choice(list(LANGUAGES)), default=PAGE_LANGUAGE, help="Of the page.")
@as_json
@click.pass_obj
def codes_command(settings: RegionSettings, /, schools: Path | None, is_json: bool, **asked: Any) -> None:
    """Make one-time codes: one for each line of the file SCHOOLS, or --count of them."""
    places = _places(schools, asked["count"] or 1)
    with opened(settings) as (region, store):
        sheet = enrolments.make_sheet(
            store,
            region.keys,
            places,
            datetime.now(UTC),
            days=asked["days"],
            needs_approval=asked["approval"],
            renews=asked["renew"],
        )
    if asked["csv_file"]:
        _save(asked["csv_file"], enrolments.sheet_as_csv(sheet, asked["url"]))
    if asked["settings_file"]:
        _save(asked["settings_file"], enrolments.sheet_as_settings(sheet, asked["url"]))
    if asked["sheet_file"]:
        speaker = load_speakers()[asked["language"]]
        _save(asked["sheet_file"], code_sheet.render_sheet(sheet, region.name, asked["url"], speaker))
    answer = {
        "sheet": sheet.name,
        "codes": [
            {
                "code": str(one.code),
                "school": one.place.school,
                "stratum": one.place.stratum,
                "size_class": one.place.size_class,
                "expires_at": one.expires_at.isoformat(),
            }
            for one in sheet.codes
        ],
    }
    is_on_paper = any(asked[name] for name in ("csv_file", "sheet_file", "settings_file"))
    lines = [] if is_on_paper else [f"{one.code}  {one.place.school}".rstrip() for one in sheet.codes]
    lines.append(
        f"{len(sheet.codes)} codes, each for one box, until {sheet.codes[0].expires_at:%Y-%m-%d} UTC."
    )
    say(answer, is_json, "\n".join(lines))


@click.command("approve")
@click.argument("label")
@as_json
@click.pass_obj
def approve_command(settings: RegionSettings, label: str, is_json: bool) -> None:
    """Believe the box LABEL from now on, and store what it sent before."""
    with opened(settings) as (region, store):
        done = enrolments.approve(store, region.keys, region.id, label, datetime.now(UTC))
    words = f"{label} is approved. {done.stored} batches that waited are stored, {done.refused} refused."
    say({"approved": label, "stored": done.stored, "refused": done.refused}, is_json, words)


@click.command("move")
@click.argument("label")
@click.option("--school", required=True, help="The school that has the box now.")
@click.option("--stratum", type=_STRATA, help="Whether it is rural or urban.")
@click.option("--size", "size_class", type=_SIZES, help="Whether it is small or large.")
@as_json
@click.pass_obj
def move_command(
    settings: RegionSettings,
    label: str,
    school: str,
    stratum: str | None,
    size_class: str | None,
    is_json: bool,
) -> None:
    """Say that another school has the box LABEL now; what it sent before stays where it was counted."""
    with opened(settings) as (_region, store):
        place = Place(school[: enrolments.MAX_SCHOOL_LETTERS], stratum or "", size_class or "")
        box = enrolments.move(store, label, place, datetime.now(UTC))
        history = [(since.isoformat(), known.school) for since, known in store.places(box)]
    say({"moved": label, "places": history}, is_json, f"{label} is at {school} from now on.")


def _places(schools: Path | None, count: int) -> list[Place]:
    if schools is None:
        return [Place()] * count
    return enrolments.read_places(schools.read_text(encoding="utf-8"))


def _save(file: Path, content: str) -> None:
    save_private(file.absolute(), content.encode(), replace=True)
