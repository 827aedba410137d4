"""`sandyq region`: make a region, serve it, let boxes in, count.

A door: reads its settings from the door above and wires the parts. Prints one
line when the region listens; stops cleanly on SIGTERM.
"""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from types import FrameType
from typing import Any, NoReturn, Protocol, cast

import click
from cheroot import wsgi

from sync.errors import AddressInUse
from sync.server import pages, registry
from sync.server.app import create_app
from sync.server.identity import get_region, make_region
from sync.server.store import open_store
from sync.settings import RegionSettings

THREADS = 8  # each opens one envelope in a few milliseconds; SQLite writes one at a time anyway
# A box on a bad line may pause this long inside a request before its place is given away.
IDLE_SECONDS = 60

as_json = click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")


class HasRegionSettings(Protocol):
    """What the door above hands down."""

    @property
    def region(self) -> RegionSettings: ...


@click.group("region")
@click.pass_context
def region_group(ctx: click.Context) -> None:
    """Receive what boxes send and count it."""
    ctx.obj = cast("HasRegionSettings", ctx.obj).region


@region_group.command("init")
@click.option("--name", default="Region", help="The name boxes and the page show.")
@click.option("--database", default="", help="Where to store, such as sqlite:////srv/region.sqlite.")
@as_json
@click.pass_obj
def init_command(settings: RegionSettings, name: str, database: str, is_json: bool) -> None:
    """Make the region's keys and database; a second time changes nothing."""
    region = make_region(settings, name, database)
    answer = {"region": region.name, "region_id": region.id.hex(), "database": region.database}
    _print(answer, is_json, f"The region {region.name} is ready. Next: sandyq region serve")


@region_group.command("code")
@as_json
@click.pass_obj
def code_command(settings: RegionSettings, is_json: bool) -> None:
    """Print a code that enrols one box."""
    region = get_region(settings)
    store = open_store(region.database)
    try:
        code, expires_at = registry.issue_code(store, region.keys, datetime.now(UTC))
    finally:
        store.close()
    answer = {"code": str(code), "expires_at": expires_at.isoformat()}
    _print(answer, is_json, f"{code}\nFor one box, until {expires_at:%Y-%m-%d %H:%M} UTC.")


@region_group.command("report")
@as_json
@click.pass_obj
def report_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the boxes and the counts."""
    region = get_region(settings)
    store = open_store(region.database)
    try:
        answer = pages.report(region, store)
    finally:
        store.close()
    _print(answer, is_json, _report_in_words(answer))


@region_group.command("serve")
@click.pass_obj
def serve_command(settings: RegionSettings) -> None:
    """Receive batches until stopped."""
    app = create_app(get_region(settings))
    server = wsgi.Server((settings.host, settings.port), app, numthreads=THREADS, timeout=IDLE_SECONDS)

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
        server.serve()
    except KeyboardInterrupt:
        pass  # Ctrl-C is how a person stops it
    finally:
        # Waits for requests under way, so that nothing stored goes without its receipt.
        server.stop()


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


def _print(answer: dict[str, Any], is_json: bool, words: str) -> None:
    click.echo(json.dumps(answer, ensure_ascii=False) if is_json else words)
