"""`sandyq doctor`: what whoever looks after the box types.

A door: reads settings and says results in the reader's language.
"""

import json
from pathlib import Path

import click

from appliance.care import doctor, support
from appliance.care.signs import BAD, GOOD, Finding
from appliance.errors import N_
from appliance.settings import Settings
from models.saying import json_option

MARKS = {GOOD: "✓"}
WELL = N_("All is well.")
BUNDLE = N_("The support bundle is in %(path)s. It holds no names, no texts and no keys.")
AREA_NAMES = {
    "machine": N_("Machine"),
    "disk": N_("Disk"),
    "model": N_("Model"),
    "network": N_("Network"),
    "clock": N_("Clock"),
    "keys": N_("Keys"),
    "sync": N_("Region"),
    "backup": N_("Backup"),
}


@click.command("doctor")
@click.option(
    "--bundle",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write what a technician elsewhere needs, without names, texts and keys, into this file.",
)
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, bundle: Path | None, as_json: bool) -> None:
    """Say what is wrong with this box and what to do next; exit code 0 only when all is well."""
    settings: Settings = ctx.obj
    say = ctx.meta["sandyq.say"]
    findings = doctor.examine(settings)
    if bundle is not None:
        support.save_bundle(bundle, settings, findings)
    if as_json:
        records = [
            _as_record(one, say(one.message, one.params), say(one.hint, one.params)) for one in findings
        ]
        click.echo(json.dumps({"well": doctor.is_well(findings), "findings": records}, ensure_ascii=False))
    else:
        for one in findings:
            mark = MARKS.get(one.mood, "✗" if one.mood == BAD else "!")
            click.echo(f"{mark} {say(AREA_NAMES[one.area], {})}: {say(one.message, one.params)}")
            if one.hint:
                click.echo(f"  → {say(one.hint, one.params)}")
        if doctor.is_well(findings):
            click.echo(say(WELL, {}))
        if bundle is not None:
            click.echo(say(BUNDLE, {"path": bundle}))
    if not doctor.is_well(findings):
        ctx.exit(1)


def _as_record(one: Finding, message: str, hint: str) -> dict[str, object]:
    return {"area": one.area, "key": one.key, "mood": one.mood, "message": message, "hint": hint}
