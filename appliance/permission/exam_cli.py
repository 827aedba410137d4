"""`sandyq exam verify FILE`: is a certificate whole, and which box sealed it? Needs no box and no network."""

import json
from pathlib import Path

import click

from appliance.errors import N_, CertificateBroken, CertificateForeign
from appliance.permission.exam_chain import Verdict, verify_certificate
from models.saying import json_option
from sync.keys import is_signed_by, key_id

# The longest exam with a try each second has 22,000 records of about 300 bytes.
MAX_BYTES = 64 << 20
WHOLE = N_("The certificate is whole: nothing in it was changed, moved or removed.")
SUMMARY = (
    (N_("Sealed by the box"), "device"),
    (N_("Exam"), "exam"),
    (N_("Began"), "began"),
    (N_("Minutes planned"), "planned_minutes"),
    (N_("Minutes held"), "minutes"),
    (N_("Ended by"), "ended_by"),
    (N_("Tries refused"), "refused"),
    (N_("Answers given"), "answers"),
    (N_("Restarts"), "restarts"),
    (N_("Times the clock was set"), "clock_set"),
    (N_("The engine at the start"), "engine"),
)


@click.group("exam")
def exam_group() -> None:
    """Exams held on a box."""


@exam_group.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--device", default="", help="The box's number; a certificate of another box is refused.")
@json_option
@click.pass_context
def verify(ctx: click.Context, file: Path, device: str, as_json: bool) -> None:
    """Check the certificate of an exam; exit code 0 only if it is whole."""
    with file.open("rb") as source:
        verdict = verify_certificate(source.read(MAX_BYTES), is_signed_by)
    facts = _summary(verdict) if verdict.is_whole else {}
    if as_json:
        flaw = {"flaw": verdict.flaw, "line": verdict.line} if verdict.flaw else {}
        click.echo(json.dumps({"whole": verdict.is_whole, **flaw, **facts}))
    if not verdict.is_whole:
        raise CertificateBroken(line=verdict.line)
    if device and facts["device"] != device.lower():
        raise CertificateForeign(device=facts["device"])
    if not as_json:
        say = ctx.meta["sandyq.say"]
        click.echo(say(WHOLE, {}))
        for label, name in SUMMARY:
            click.echo(f"  {say(label, {}):<28} {facts[name]}")


def _summary(verdict: Verdict) -> dict[str, str | int]:
    first, last = verdict.facts[0], verdict.facts[-1]
    return {
        "device": key_id(bytes.fromhex(verdict.device)).hex(),
        "exam": first["exam"],
        "began": first["at"],
        "planned_minutes": first["planned_minutes"],
        "minutes": int(last["second"]) // 60,
        "ended_by": last["by"],
        "refused": last["refused"],
        "answers": last["answers"],
        "restarts": last["restarts"],
        "clock_set": sum(fact["kind"] == "clock_set" for fact in verdict.facts),
        "engine": first["engine"],
        "records": len(verdict.facts),
    }
