"""`sandyq region join`, `forward`, `nation`: the way up, and what the nation counts.

A door: `forward` is what a timer starts once an hour; the nation's own commands run where its keys are.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click

from sync import client
from sync.answer_words import as_json, say
from sync.nation import GRADES
from sync.region_errors import RegionNotReady
from sync.server.nation import forward, national, national_accounts
from sync.server.nation.national_accounts import DIFFERS, CellSums, RegionAccount
from sync.server.storage.identity import get_region
from sync.server.storage.opened import opened
from sync.settings import RegionSettings
from sync.transport import HttpTransport


@click.command("join")
@click.argument("nation_url")
@as_json
@click.pass_obj
def join_command(settings: RegionSettings, nation_url: str, is_json: bool) -> None:
    """Enrol this region with the nation at NATION_URL; the code is typed in or piped in."""
    region = get_region(settings)
    enrolment = forward.join(region, nation_url, click.prompt("Code", err=True))
    answer = {"nation": enrolment.region_name, "nation_url": enrolment.region_url, "as": enrolment.box_label}
    words = f"Enrolled with {enrolment.region_name} as {enrolment.box_label}. Next: sandyq region forward"
    say(answer, is_json, words)


@click.command("forward")
@as_json
@click.pass_obj
def forward_command(settings: RegionSettings, is_json: bool) -> None:
    """Send the nation its letters, unopened, and the statements of finished days."""
    with opened(settings) as (region, store):
        enrolment = client.get_enrolment(forward.settings_of(region))
        with HttpTransport(enrolment.region_url, enrolment.token) as line:
            report = forward.run(store, region, line, datetime.now(UTC))
        status = forward.status(store)
    words = f"The nation confirmed {report.letters} letters and {report.statements} statements."
    say(asdict(report) | {"status": asdict(status)}, is_json, f"{words} {status.waiting_letters} wait.")


@click.command("nation")
@as_json
@click.pass_obj
def nation_command(settings: RegionSettings, is_json: bool) -> None:
    """At the nation: open what waits, compare every region's statements, print totals."""
    with opened(settings) as (region, store):
        if not region.is_nation:
            raise RegionNotReady
        counted = national.count_waiting(store, region.keys)
        accounts, sums = national_accounts.accounts(store), national_accounts.cell_sums(store)
    answer = national_report(region.name, accounts, sums) | {"letters_now": asdict(counted)}
    say(answer, is_json, _in_words(answer))


def national_report(name: str, accounts: list[RegionAccount], sums: CellSums) -> dict[str, Any]:
    """Return regions, totals and every sum over all grades with how far noise may have moved it."""
    stated = [account.newest for account in accounts]
    return {
        "nation": name,
        "events": sum(one.all_events for one in stated if one),
        "batches": sum(one.all_batches for one in stated if one),
        "regions": [_region(account) for account in accounts],
        "weeks": [
            {
                "week": monday.isoformat(),
                "cell": cell,
                "total": told.total,
                "plus_minus": round(told.uncertainty),
                "boxes": told.draws // GRADES,
            }
            for (monday, cell), told in sorted(sums.items())
        ],
    }


def _region(account: RegionAccount) -> dict[str, Any]:
    newest = account.newest
    return {
        "label": account.label,
        "name": account.name,
        "state": account.state,
        "last_contact_at": account.last_contact_at.isoformat(),
        "parcels": account.parcels,
        "letters": account.letters,
        "events": newest.all_events if newest else 0,
        "batches": newest.all_batches if newest else 0,
        "missing_batches": newest.missing if newest else 0,
        "stated_until": newest.day.isoformat() if newest else None,
        "days_that_differ": [day.day.isoformat() for day in account.days if day.state == DIFFERS],
        "remarks": list(account.remarks),
    }


def _in_words(answer: dict[str, Any]) -> str:
    lines = [f"{answer['nation']}: {answer['events']} events in {answer['batches']} batches", ""]
    for region in answer["regions"]:
        letters = (
            ", ".join(f"{count} {state}" for state, count in sorted(region["letters"].items())) or "none"
        )
        remarks = "; ".join(region["remarks"])
        lines.append(
            f"{region['name'] or region['label']}  {region['state']}  stated until"
            f" {region['stated_until'] or 'never'}  letters: {letters}  {remarks}".rstrip()
        )
    lines += ["", *(_week_in_words(told) for told in answer["weeks"])]
    return "\n".join(lines)


def _week_in_words(told: dict[str, Any]) -> str:
    number = f"{told['total']:>9} ± {told['plus_minus']}"
    return f"{told['week']}  {told['cell']:<28} {number}  {told['boxes']} boxes"
