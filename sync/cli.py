"""`sandyq sync`: what waits, what would leave, and send it.

A door: builds nothing but what one command needs. Errors pass through to the
outermost door, which translates them. The enrolment code is asked for, never
taken as an argument: other accounts can read argument lists.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, Protocol, cast

import click

from sync import client, outbox
from sync.batch import Batch, unpack_rows
from sync.envelope import MAGIC
from sync.keys import device_id, get_device_key
from sync.settings import SyncSettings

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
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
    _print(answer, is_json, f"Enrolled with {enrolment.region_name} as {enrolment.box_label}.")


@sync_group.command("run")
@as_json
@click.pass_obj
def run_command(settings: SyncSettings, is_json: bool) -> None:
    """Send everything that waits."""
    report = client.run(settings)
    said = f"The region confirmed {report.events} events in {report.batches} batches. Nothing waits."
    _print(asdict(report), is_json, said)


@sync_group.command("status")
@as_json
@click.pass_obj
def status_command(settings: SyncSettings, is_json: bool) -> None:
    """Say what waits and what the region has confirmed."""
    enrolment = client.find_enrolment(settings)
    db = client.open_outbox(settings)
    try:
        status = outbox.status(db)
    finally:
        db.close()
    last = status.last_receipt_at.isoformat() if status.last_receipt_at else None
    answer = asdict(status) | {
        "last_receipt_at": last,
        "region": enrolment.region_name if enrolment else None,
        "box": enrolment.box_label if enrolment else None,
    }
    lines = [
        f"Region:       {enrolment.region_name} ({enrolment.region_url})"
        if enrolment
        else "Region:       none",
        f"Waiting:      {status.waiting_events} events",
        f"On the way:   {status.sealed_events} events in {status.sealed_batches} sealed batches",
        f"Confirmed:    {status.receipted_events} events in {status.receipted_batches} batches",
        f"Last receipt: {last or 'none'}",
    ]
    if status.set_aside_events:
        lines.append(
            f"Set aside:    {status.set_aside_events} events, never sent: this card was copied or moved,"
            " and the machine before may send them"
        )
    _print(answer, is_json, "\n".join(lines))


@sync_group.command("show")
@as_json
@click.pass_obj
def show_command(settings: SyncSettings, is_json: bool) -> None:
    """Print in clear exactly what the next envelope holds."""
    device = get_device_key(settings.home)
    db = client.open_outbox(settings)
    try:
        batch = outbox.find_next_batch(db, device.kid)
        is_sealed = outbox.find_oldest_sealed(db) is not None
    finally:
        db.close()
    answer = {"is_sealed": is_sealed, "envelope": describe(batch) if batch else None}
    _print(answer, is_json, _envelope_in_words(batch, is_sealed) if batch else "Nothing waits.")


def describe(batch: Batch) -> dict[str, Any]:
    """Return everything a batch tells the region, ready to be read by people."""
    return {
        "format": MAGIC,
        "box_kid": batch.box_kid.hex(),
        "epoch": batch.epoch.hex(),
        "seq": batch.seq,
        "previous_sha256": batch.previous_sha256.hex(),
        "lo": batch.lo,
        "hi": batch.hi,
        "events": batch.events,
        "clock_quality": batch.clock_quality,
        "rows": [row.as_record() for row in unpack_rows(batch.payload)],
    }


def _envelope_in_words(batch: Batch, is_sealed: bool) -> str:
    rows = unpack_rows(batch.payload)
    state = "sealed, waiting for its receipt" if is_sealed else "not sealed yet"
    lines = [
        f"Envelope {batch.seq} ({state}): events {batch.lo} to {batch.hi}",
        f"Box {batch.box_kid.hex()}, epoch {batch.epoch.hex()}, clock quality {batch.clock_quality}",
        f"After envelope {batch.previous_sha256.hex()}",
        "",
        *(_row_in_words(row.as_record()) for row in rows[:SHOWN_ROWS]),
    ]
    if len(rows) > SHOWN_ROWS:
        lines.append(f"... and {len(rows) - SHOWN_ROWS} rows more: sandyq sync show --json prints them all")
    lines += ["", "Nothing else leaves: no name, no text, no class, no time of day.", ""]
    lines += ["characters, duration_ms and answer_tokens are size classes: n means less than 2 to the n."]
    return "\n".join(lines)


def _row_in_words(record: dict[str, str | int]) -> str:
    return "  ".join(f"{name}={value}" for name, value in record.items())


def _print(answer: dict[str, Any], is_json: bool, words: str) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if is_json else words)
