"""`sandyq sync`: what waits, what would leave, and send it.

A door: builds nothing but what one command needs. Errors pass through to the
outermost door, which translates them. The enrolment code is asked for, never
taken as an argument: other accounts can read argument lists.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, cast

import click
from sqlite_utils import Database

from sync import boots, client, line_book, outbox, policy, schedule, usb
from sync.answer_words import as_json, say
from sync.disclosure import Disclosure
from sync.keys import device_id, get_device_key
from sync.nation import NO_GRADE
from sync.settings import SyncSettings

SHOWN_ROWS = 20  # what a person reads; --json prints all


class HasSyncSettings(Protocol):
    """What the door above hands down."""

    @property
    def sync(self) -> SyncSettings: ...


@click.group("sync")
@click.pass_context
def sync_group(ctx: click.Context) -> None:
    """Send what may leave this box to the region, and see what that is."""
    ctx.obj = cast("HasSyncSettings", ctx.obj).sync


@sync_group.command("enrol")
@click.argument("region_url")
@as_json
@click.pass_obj
def enrol_command(settings: SyncSettings, region_url: str, is_json: bool) -> None:
    """Join the region at REGION_URL with a one-time code, typed in or piped in."""
    code = click.prompt("Code", err=True)
    enrolment = client.enrol(settings, region_url, code)
    answer = {
        "region": enrolment.region_name,
        "region_url": enrolment.region_url,
        "box": enrolment.box_label,
        "device": device_id(settings.home),
    }
    say(answer, is_json, f"Enrolled with {enrolment.region_name} as {enrolment.box_label}.")


@sync_group.command("run")
@click.option(
    "--early", "is_early", is_flag=True, help="Do not wait for the week: less of each event leaves."
)
@click.option("--scheduled", "is_scheduled", is_flag=True, help="The timer's run: only in the box's turn.")
@as_json
@click.pass_obj
def run_command(settings: SyncSettings, is_early: bool, is_scheduled: bool, is_json: bool) -> None:
    """Send everything that may leave."""
    outcome = schedule.run(settings, is_scheduled=is_scheduled, is_early=is_early)
    report = outcome.report
    if report is None:
        say({"skipped": outcome.skipped}, is_json, f"Not now: {outcome.skipped}.")
        return
    rest = f"{report.waiting} wait for their week." if report.waiting else "Nothing waits."
    said = f"The region confirmed {report.events} events in {report.batches} batches. {rest}"
    say(asdict(report), is_json, said)


@sync_group.command("status")
@as_json
@click.pass_obj
def status_command(settings: SyncSettings, is_json: bool) -> None:
    """Say what waits and what the region has confirmed."""
    enrolment = client.find_enrolment(settings)
    with closing(client.open_outbox(settings)) as db:
        status = outbox.status(db)
        way = _way_as_record(db, settings)
    last = status.last_receipt_at.isoformat() if status.last_receipt_at else None
    answer = asdict(status) | {
        "last_receipt_at": last,
        "region": enrolment.region_name if enrolment else None,
        "box": enrolment.box_label if enrolment else None,
        **way,
    }
    lines = [
        f"Region:       {enrolment.region_name} ({enrolment.region_url})"
        if enrolment
        else "Region:       none",
        f"Waiting:      {status.waiting_events} events",
        f"On the way:   {status.sealed_events} events in {status.sealed_batches} sealed batches",
        f"Confirmed:    {status.receipted_events} events in {status.receipted_batches} batches",
        f"Last receipt: {last or 'none'}",
        f"Order:        {way['order']['version'] or 'none'}{', STOP' if way['order']['stop'] else ''}",
        f"Clock:        {way['clock']['at'][:16]} ({way['clock']['quality']})",
        f"Line today:   {way['line']['day_up']} of {way['line']['day_up_limit']} bytes sent",
    ]
    if way["last_stick"]:
        stick = way["last_stick"]
        lines.append(
            f"Last stick:   {stick['written']} envelopes on it, {stick['confirmed']} batches confirmed"
            f" {stick['fault'] or ''}".rstrip()
        )
    if status.set_aside_events:
        lines.append(
            f"Set aside:    {status.set_aside_events} events, never sent: this card was copied or moved,"
            " and the machine before may send them"
        )
    say(answer, is_json, "\n".join(lines))


def _way_as_record(db: Database, settings: SyncSettings) -> dict[str, Any]:
    """Return what the way to the region is like: the order, the clock, the budget, the last stick."""
    order, moment, stick = policy.current(db), boots.now(db), usb.last_run(db)
    limits = schedule.limits_in_force(db, settings)
    used = line_book.usage(db, (moment.at or datetime.now(UTC)).date())
    return {
        "order": {"version": order.version if order else 0, "stop": order.stop if order else False},
        "clock": {
            "at": moment.at.isoformat() if moment.at else "",
            "quality": moment.quality.name.lower(),
        },
        "line": asdict(used)
        | {
            "day": used.day.isoformat(),
            "day_up_limit": limits.day_up_bytes,
            "month_up_limit": limits.month_up_bytes,
            "rate_kbit": limits.rate_kbit,
            "failures": line_book.state(db).failures,
        },
        "last_stick": asdict(stick) | {"at": stick.at.isoformat()} if stick else None,
    }


@sync_group.command("show")
@as_json
@click.pass_obj
def show_command(settings: SyncSettings, is_json: bool) -> None:
    """Print in clear exactly what the next envelope holds."""
    device = get_device_key(settings.home)
    with closing(client.open_outbox(settings)) as db:
        disclosure = outbox.disclose_next(db, device.kid)
        waiting = outbox.status(db).waiting_events
    say(disclosure.as_record(), is_json, _in_words(disclosure, waiting))


@sync_group.command("export")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def export_command(settings: SyncSettings, folder: Path, is_json: bool) -> None:
    """Put every batch without a receipt on the stick mounted at FOLDER."""
    enrolment, device = client.get_enrolment(settings), get_device_key(settings.home)
    with closing(client.open_outbox(settings)) as db:
        done = usb.export_stick(db, device, enrolment, folder)
    said = (
        f"{done.written} envelopes written, {done.already_there} were there already. The box keeps them all"
    )
    say(asdict(done), is_json, said + " until their receipts come back.")


@sync_group.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def import_command(settings: SyncSettings, folder: Path, is_json: bool) -> None:
    """Take in receipts and orders from the stick mounted at FOLDER."""
    enrolment, device = client.get_enrolment(settings), get_device_key(settings.home)
    with closing(client.open_outbox(settings)) as db:
        done = usb.import_stick(db, device, enrolment, folder)
    said = f"{done.replies} replies read, {done.confirmed} batches confirmed, {done.damaged} files damaged."
    say(asdict(done), is_json, said)


@sync_group.command("visit")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def visit_command(settings: SyncSettings, folder: Path, is_json: bool) -> None:
    """Do both, import and then export: what a plugged-in stick starts."""
    done = usb.visit(settings, folder)
    said = f"{done.confirmed} batches confirmed, {done.written} envelopes on the stick."
    say(asdict(done) | {"at": done.at.isoformat()}, is_json, said)


_STATES = {
    "sealed": "sealed, waiting for its receipt",
    "ready": "not sealed yet: leaves with the next run",
    "waits": "not sealed yet: too few learners look alike, so it waits until {leaves_on}",
}


def _in_words(disclosure: Disclosure, waiting: int) -> str:
    batch = disclosure.batch
    if batch is None and not waiting:
        return "Nothing waits."
    if batch is None:
        return f"{waiting} events of today wait. Nothing leaves before the day is over."
    state = _STATES[disclosure.state].format(leaves_on=disclosure.leaves_on)
    lines = [
        f"Envelope {batch.seq} ({state}): events {batch.lo} to {batch.hi}",
        f"Box {batch.box_kid.hex()}, epoch {batch.epoch.hex()}, clock quality {batch.clock_quality}",
        f"After envelope {batch.previous_sha256.hex()}",
        "",
        "For the region, each as often as the number before it says:",
        *(f"{group.count:5} x  {_row_in_words(group.told)}" for group in disclosure.groups[:SHOWN_ROWS]),
    ]
    if len(disclosure.groups) > SHOWN_ROWS:
        more = len(disclosure.groups) - SHOWN_ROWS
        lines.append(f"... and {more} sorts of rows more: sandyq sync show --json prints them all")
    lines += ["", *_nation_in_words(disclosure)]
    lines += ["", "Nothing else leaves: no name, no text, no class, no time of day.", ""]
    lines += ["characters, duration_ms and answer_tokens are size classes: n means less than 2 to the n."]
    return "\n".join(lines)


def _nation_in_words(disclosure: Disclosure) -> list[str]:
    if not disclosure.nation_weeks:
        return ["For the nation: no week is due."]
    weeks = ", ".join(week.isoformat() for week in disclosure.nation_weeks)
    if disclosure.nation is None:
        return [f"For the nation: counts of the weeks {weeks}; their noise is drawn by the sealing, once."]
    lines = [f"For the nation, sealed so that the region cannot read it: weeks {weeks}, with noise"]
    cells = disclosure.nation.cells
    for week in disclosure.nation.weeks:
        for grade in range(len(week.counts) // len(cells)):
            numbers = week.counts[grade * len(cells) : (grade + 1) * len(cells)]
            told = ", ".join(f"{cell} {number}" for cell, number in zip(cells, numbers, strict=True))
            lines.append(f"  {week.monday} grade {grade if grade != NO_GRADE else 'none'}: {told}")
    return lines


def _row_in_words(record: dict[str, str | int]) -> str:
    if not record:
        return "something happened (fewer than ten learners)"
    return "  ".join(f"{name}={value}" for name, value in record.items())
