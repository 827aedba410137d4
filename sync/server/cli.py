"""`sandyq region`: make a region, serve it, let boxes in, count.

A door: reads its settings from the door above and wires the parts. Prints one
line when the region listens; stops cleanly on SIGTERM.
"""

from __future__ import annotations

import signal
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, Protocol, cast

import click
from cheroot import wsgi

from sync.answer_words import as_json, say
from sync.budget import HOURS
from sync.region_errors import AddressInUse
from sync.server.app import create_app, now
from sync.server.arrivals import sticks
from sync.server.arrivals.quotas import DailyQuota
from sync.server.desk import orders
from sync.server.desk.desk_cli import POLICY_COMMANDS, desk_group, write_draft
from sync.server.enrolment import registry
from sync.server.enrolment.enrolment_cli import approve_command, codes_command, move_command
from sync.server.insight import pages
from sync.server.insight.insight_cli import tables_command
from sync.server.insight.rollup_worker import RollupWorker
from sync.server.nation import forward
from sync.server.nation.forward_cli import forward_command, join_command, nation_command
from sync.server.people import audit
from sync.server.people.people_cli import audit_group, operator_group, token_group
from sync.server.storage.database import shown_address
from sync.server.storage.identity import (
    NATION,
    REGION,
    make_region,
    name_nation_key,
    read_month_keys,
)
from sync.server.storage.opened import opened
from sync.server.supervision import show_life, tell_supervisor
from sync.server.upkeep import key_life
from sync.server.upkeep.backup_cli import BACKUP_COMMANDS
from sync.server.upkeep.store_cli import migrate_command, retain_command, schema_command
from sync.settings import RegionSettings

# Those who wait for the same commit form a group (`ingest`); on PostgreSQL each may hold a connection,
# and four workers stay below the hundred it has by default.
THREADS = 24
# Connections that wait for a thread; a balancer hears at once that it should ask another worker.
WAITING_CONNECTIONS = 500
# Kept open between requests: they cost no thread, and a balancer keeps many. The library's ten would
# cut off the eleventh box between two of its envelopes.
KEPT_CONNECTIONS = 500
# A box on a bad line may pause this long inside a request before its place is given away.
IDLE_SECONDS = 60

_DAYS = click.IntRange(1, 36_500)


def _two_hours(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    first, _, last = value.partition("-")
    if not (first.isdecimal() and last.isdecimal()) or max(int(first), int(last)) >= HOURS:
        raise click.BadParameter("give two hours from 0 to 23 with a dash, such as 20-6")
    return int(first), int(last)


class HasRegionSettings(Protocol):
    """What the door above hands down."""

    @property
    def region(self) -> RegionSettings: ...


@click.group("region")
@click.pass_context
def region_group(ctx: click.Context) -> None:
    """Receive what boxes send and count it."""
    ctx.obj = cast("HasRegionSettings", ctx.obj).region


region_group.add_command(tables_command)
for group in (operator_group, token_group, audit_group, desk_group):
    region_group.add_command(group)


@region_group.command("init")
@click.option("--name", default="Region", help="The name boxes and the page show.")
@click.option(
    "--database", default="", help="Where to store: sqlite:////srv/region.sqlite or postgresql://…."
)
@click.option(
    "--nation-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The nation's public key in base64; boxes that enrol from now on seal its counts to it.",
)
@click.option(
    "--role", type=click.Choice([REGION, NATION]), default=REGION, help="The nation receives from regions."
)
@as_json
@click.pass_obj
def init_command(
    settings: RegionSettings, name: str, database: str, nation_key: Path | None, role: str, is_json: bool
) -> None:
    """Make the region's keys and database; a second time changes nothing but the nation's key."""
    region = make_region(settings, name, database, role)
    if nation_key is not None:
        region = name_nation_key(settings, nation_key)
    answer = {"region": region.name, "region_id": region.id.hex(), "database": shown_address(region.database)}
    say(answer, is_json, f"The region {region.name} is ready. Next: sandyq region serve")


@region_group.command("code")
@as_json
@click.pass_obj
def code_command(settings: RegionSettings, is_json: bool) -> None:
    """Print a code that enrols one box."""
    with opened(settings) as (region, store):
        code, expires_at = registry.issue_code(store, region.keys, datetime.now(UTC))
    answer = {"code": str(code), "expires_at": expires_at.isoformat()}
    say(answer, is_json, f"{code}\nFor one box, until {expires_at:%Y-%m-%d %H:%M} UTC.")


@region_group.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@as_json
@click.pass_obj
def import_command(settings: RegionSettings, folder: Path, is_json: bool) -> None:
    """Store what the stick mounted at FOLDER brings; put receipts and the order on it."""
    with opened(settings) as (region, store):
        report = sticks.import_stick(store, region, folder, datetime.now(UTC))
    answer = asdict(report) | {"refused": dict(report.refused)}
    refused = ", ".join(f"{count} {key}" for key, count in sorted(report.refused.items())) or "none"
    said = f"{report.stored} envelopes stored, {report.known} known already, refused: {refused}."
    say(answer, is_json, f"{said} {report.replies} replies are on the stick.")


@region_group.command("report")
@as_json
@click.pass_obj
def report_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the boxes and the counts."""
    with opened(settings) as (region, store):
        answer = pages.report(region, store)
    say(answer, is_json, _report_in_words(answer))


@region_group.command("keys")
@click.option(
    "--nation-keys",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The nation's monthly keys: a line each with the month, such as 2026-12, and the key in base64.",
)
@as_json
@click.pass_obj
def keys_command(settings: RegionSettings, nation_keys: Path | None, is_json: bool) -> None:
    """Make and publish the keys of the next months; destroy those of long ago."""
    nation = read_month_keys(nation_keys) if nation_keys else None
    with opened(settings) as (region, store):
        # A region that joined its nation has heard of its keys on the way up.
        nation = nation or forward.months_of_nation(store, region) or None
        now = datetime.now(UTC)
        with store.transaction():
            keys = key_life.publish(region, store, now, nation)
            audit.append(store.db, region.keys.desk, now, audit.CONSOLE, "keys_published", str(keys.number))
    listed = [{"role": key.role, "since": key.since.date().isoformat()} for key in keys.keys]
    said = f"List {keys.number} with {len(keys.keys)} keys is published. Run this once a month."
    say({"number": keys.number, "keys": listed}, is_json, said)


@region_group.command("revoke")
@click.argument("label")
@as_json
@click.pass_obj
def revoke_command(settings: RegionSettings, label: str, is_json: bool) -> None:
    """Believe nothing more from the box LABEL, which was stolen or copied."""
    with opened(settings) as (region, store):
        now = datetime.now(UTC)
        with store.transaction():
            registry.revoke(store, label, now)
            audit.append(store.db, region.keys.desk, now, audit.CONSOLE, "box_revoked", label)
    say({"revoked": label}, is_json, f"{label} is revoked. What it sent before stays.")


@region_group.group("policy")
def policy_group() -> None:
    """What the region orders its boxes: stop, budgets, how long things are kept."""


for command in BACKUP_COMMANDS:
    region_group.add_command(command)
for command in POLICY_COMMANDS:
    policy_group.add_command(command)


@policy_group.command("show")
@as_json
@click.pass_obj
def policy_show_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the order in force."""
    with opened(settings) as (region, store):
        answer = orders.describe(orders.find_order(region, store))
    say(answer, is_json, _order_in_words(answer))


def _order_options(command: Any) -> Any:
    """What an order may say, for `publish` and for `draft`."""
    for option in reversed(_ORDER_OPTIONS):
        command = option(command)
    return command


_ORDER_OPTIONS = (
    click.option("--stop/--go", default=None, help="Stop all answers in every school, or let them go on."),
    click.option("--day-kilobytes", type=click.IntRange(0), help="What a box may send in a day."),
    click.option("--month-kilobytes", type=click.IntRange(0), help="What a box may send in a month."),
    click.option("--rate-kbit", type=click.IntRange(0), help="How fast it may send; 0: as fast as the line."),
    click.option("--hours", callback=_two_hours, help="When heavy things may travel, such as 20-6."),
    click.option("--metered/--not-metered", default=None, help="Whether a paid line may be used."),
    click.option("--retention-days", type=_DAYS, help="How long a box keeps raw events."),
    click.option("--receipt-days", type=_DAYS, help="How long a box keeps rows of confirmed batches."),
    click.option("--valid-days", type=_DAYS, help="After these days the ordinary limits hold again."),
)


def _asked_order(asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the fields and the limits that were named."""
    limits = {
        "day_up_bytes": _kilo(asked["day_kilobytes"]),
        "month_up_bytes": _kilo(asked["month_kilobytes"]),
        "rate_kbit": asked["rate_kbit"],
        "first_hour": asked["hours"][0] if asked["hours"] else None,
        "last_hour": asked["hours"][1] if asked["hours"] else None,
        "uses_metered": asked["metered"] if asked["metered"] is None else int(asked["metered"]),
    }
    changes = {name: asked[name] for name in ("stop", "retention_days", "receipt_days")}
    return (
        {name: value for name, value in changes.items() if value is not None},
        {name: value for name, value in limits.items() if value is not None},
    )


@policy_group.command("draft")
@_order_options
@click.option("--drill", is_flag=True, help="Change nothing: show how fast a stop would arrive.")
@as_json
@click.pass_obj
def policy_draft_command(settings: RegionSettings, /, drill: bool, is_json: bool, **asked: Any) -> None:
    """Write an order that the key holders sign; what is not named stays as it was."""
    changes, limits = _asked_order(asked)
    draft_id, words = write_draft(settings, changes, limits, asked["valid_days"], drill)
    say({"draft": draft_id, "changes": words}, is_json, "\n".join([f"Draft {draft_id}:", *words]))


@policy_group.command("publish")
@_order_options
@as_json
@click.pass_obj
def policy_publish_command(settings: RegionSettings, /, is_json: bool, **asked: Any) -> None:
    """Give a new order; what is not named stays as it was."""
    changes, limits = _asked_order(asked)
    with opened(settings) as (region, store):
        order = orders.publish(
            region,
            store,
            datetime.now(UTC),
            changes=changes,
            limits=limits,
            valid_days=asked["valid_days"],
        )
        number = str(order.version)
        audit.append(store.db, region.keys.desk, datetime.now(UTC), audit.CONSOLE, "order_given", number)
    answer = orders.describe(order)
    say(answer, is_json, _order_in_words(answer))


@region_group.command("serve")
@click.option("--share-port", is_flag=True, help="Let several of these answer on one port (PostgreSQL).")
@click.pass_obj
def serve_command(settings: RegionSettings, share_port: bool) -> None:
    """Receive batches until stopped."""
    with opened(settings) as (region, _store):
        pass  # a region made by an older version gets this one's tables before anybody asks it
    app = create_app(region, quota=DailyQuota())
    counting = RollupWorker(region.database, now)
    server = wsgi.Server(
        (settings.host, settings.port),
        app,
        numthreads=THREADS,
        timeout=IDLE_SECONDS,
        accepted_queue_size=WAITING_CONNECTIONS,
        reuse_port=share_port,
    )
    server.keep_alive_conn_limit = KEPT_CONNECTIONS

    def stop(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    try:
        server.prepare()
    except OSError as fault:
        raise AddressInUse(host=settings.host, port=settings.port) from fault
    try:
        host, port = server.bind_addr[:2]
        click.echo(f"The region listens on http://{host}:{port}")
        tell_supervisor("READY=1")
        show_life()
        counting.start()
        server.serve()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a person stops it
    finally:
        # Waits for requests under way, so that nothing stored goes without its receipt.
        server.stop()
        counting.stop()
        app.extensions["stores"].close()


def _report_in_words(answer: dict[str, Any]) -> str:
    lines = [f"{answer['region']}: {answer['events']} events in {answer['batches']} batches", ""]
    for box in answer["boxes"]:
        remarks = "; ".join(box["remarks"])
        lines.append(
            f"{box['label']}  last contact {box['last_contact_at'][:16]}  {box['batches']} batches"
            f"  {box['events']} events  {box['missing_batches']} missing  {remarks}".rstrip()
        )
    for title in ("by_kind", "by_language", "by_day"):
        lines += ["", *(f"{name:<16} {count}" for name, count in answer[title].items())]
    return "\n".join(lines)


def _order_in_words(answer: dict[str, Any]) -> str:
    if not answer["version"]:
        return "No order was ever given; boxes follow their ordinary limits."
    limits = answer["limits"]
    return "\n".join(
        [
            f"Order {answer['version']}, given {answer['issued_at'][:16]}",
            "STOP: no answers in any school" if answer["stop"] else "Answers: allowed",
            f"Sending: {limits['day_up_bytes']} bytes a day, {limits['month_up_bytes']} a month,"
            f" {limits['rate_kbit'] or 'any'} kbit/s",
            f"Heavy things: {limits['first_hour']} to {limits['last_hour']} o'clock; metered lines:"
            f" {'yes' if limits['uses_metered'] else 'no'}",
            f"Kept on a box: raw events {answer['retention_days']} days, rows of confirmed batches"
            f" {answer['receipt_days']} days",
            f"Limits valid until: {answer['expires_at'] or 'the next order'}",
        ]
    )


def _kilo(value: int | None) -> int | None:
    return None if value is None else value * 1000


for command in (approve_command, codes_command, forward_command, join_command, move_command, nation_command):
    region_group.add_command(command)
for command in (migrate_command, retain_command, schema_command):
    region_group.add_command(command)
