"""`sandyq region desk` and the desk's part of `sandyq region policy`: write, carry, sign, release.

`desk make-key` and `policy sign` run on the key holders' own machines, which need no region and no line.
"""

from __future__ import annotations

import base64
import binascii
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from sync.answer_words import as_json, say
from sync.desk import read_desk
from sync.errors import FileNotSaved, KeyDamaged
from sync.keys import SIGNING_PUBLIC_BYTES, make_desk_key, read_desk_key
from sync.policy import Policy, read_body
from sync.region_errors import SigningFileWrong
from sync.server.desk import drafts, offers, order_words
from sync.server.desk.rollout import STEPS, WHOLE
from sync.server.desk.signing_file import DESK, MAX_FILE_BYTES, SigningFile, read_signing_file
from sync.server.people import audit
from sync.server.storage.opened import opened
from sync.server.translation import LANGUAGES, load_speakers
from sync.settings import RegionSettings

_FILE = click.Path(path_type=Path, dir_okay=False)
_THERE = click.Path(path_type=Path, dir_okay=False, exists=True)
_SHARE = click.IntRange(1, WHOLE)


@click.group("desk")
def desk_group() -> None:
    """Whose keys sign the region's orders."""


@desk_group.command("make-key")
@click.argument("file", type=_FILE)
@as_json
def make_key_command(file: Path, is_json: bool) -> None:
    """Make a key in FILE, on a machine or stick of its holder that is kept away from any line."""
    key = make_desk_key(file)
    public = base64.b64encode(key.public).decode()
    said = f"{public}\nThis public half goes to the region. The file {file.name} never leaves its holder."
    say({"public": public, "key": key.kid.hex()}, is_json, said)


@desk_group.command("propose")
@click.option("--key", "keys", multiple=True, required=True, help="A holder's public half in base64.")
@click.option("--needed", type=click.IntRange(1, 9), default=drafts.NEEDED, help="Signatures for an order.")
@click.option(
    "--needed-to-stop", type=click.IntRange(1, 9), default=drafts.NEEDED_TO_STOP, help="For a stop alone."
)
@as_json
@click.pass_obj
def propose_command(
    settings: RegionSettings, keys: tuple[str, ...], needed: int, needed_to_stop: int, is_json: bool
) -> None:
    """Write down a desk; its keys sign the draft like an order, and boxes then believe nothing less."""
    publics = [_public(text) for text in keys]
    with opened(settings) as (region, store):
        draft = drafts.write_desk(
            *(store.db, region, publics, audit.CONSOLE, datetime.now(UTC), needed, needed_to_stop)
        )
    say({"draft": draft.id}, is_json, _next_step(draft.id))


def _public(text: str) -> bytes:
    try:
        public = base64.b64decode(text, validate=True)
    except binascii.Error as fault:
        raise KeyDamaged(name="--key") from fault
    if len(public) != SIGNING_PUBLIC_BYTES:
        raise KeyDamaged(name="--key")
    return public


def write_draft(
    settings: RegionSettings, changes: dict[str, Any], limits: dict[str, int], days: int | None, drill: bool
) -> tuple[int, list[str]]:
    """Write an order for the desk; return its number as a draft, and what it changes."""
    with opened(settings) as (region, store):
        last, now = drafts.in_force(store.db, region), datetime.now(UTC)
        draft = drafts.write_order(
            *(store.db, region, audit.CONSOLE, now),
            changes=changes,
            limits=limits,
            valid_days=days,
            is_drill=drill,
        )
        return draft.id, _in_words(last, draft.order)


def _in_words(before: Policy | None, order: Policy | None) -> list[str]:
    if order is None:
        return []
    speaker = load_speakers()[_language()]
    base = before or Policy(order.region_id, 0, order.issued_at)
    return [speaker.say(each.text, **each.params) for each in order_words.changes(base, order)]


def _language() -> str:
    """The holder reads what is signed in the language of the terminal."""
    wished = next(filter(None, (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return wished[:2] if wished[:2] in LANGUAGES else "en"


def _next_step(draft_id: int) -> str:
    return (
        f"Draft {draft_id}. Next: sandyq region policy export {draft_id} FILE, carry FILE to the key holders,"
        f"\nsandyq region policy import FILE, sandyq region policy release {draft_id}"
    )


@click.command("export")
@click.argument("draft_id", metavar="DRAFT", type=click.IntRange(1))
@click.argument("file", type=_FILE)
@as_json
@click.pass_obj
def export_command(settings: RegionSettings, draft_id: int, file: Path, is_json: bool) -> None:
    """Write a draft into FILE, for a stick to the key holders."""
    with opened(settings) as (region, store):
        draft = drafts.get_draft(store.db, draft_id)
        _save(file, drafts.export(store.db, region, draft))
        drafts.note_export(store.db, region, draft, audit.CONSOLE, datetime.now(UTC))
    say({"draft": draft_id, "file": str(file)}, is_json, f"{file} holds draft {draft_id}.")


@click.command("sign")
@click.argument("file", type=_THERE)
@click.option("--key", "key_file", type=_THERE, required=True, help="The holder's key file.")
@click.option("--yes", is_flag=True, help="Sign without being asked.")
@as_json
def sign_command(file: Path, key_file: Path, yes: bool, is_json: bool) -> None:
    """Say what FILE would change and put a signature into it. Needs no region and no line."""
    found = read_signing_file(_read(file))
    for line in _told(found):
        click.echo(line, err=True)
    if not yes:
        click.confirm("Sign this?", abort=True, err=True)
    key = read_desk_key(key_file)
    signed = found.signed_with(key)
    _save(file, signed)
    answer = {"key": key.kid.hex(), "signatures": len(signed.signatures)}
    say(answer, is_json, f"Signed with {key.kid.hex()}: {len(signed.signatures)} signatures are in {file}.")


def _told(found: SigningFile) -> list[str]:
    """Say what the signed words themselves mean."""
    if found.kind == DESK:
        return [f"{found.region}: another desk. Compare each key with its holder:", *_keys_in_words(found)]
    order = read_body(found.body)
    before = read_body(found.before) if found.before else None
    head = f"{found.region}: order {order.version}, written {order.issued_at:%Y-%m-%d %H:%M} UTC"
    return [head, *(f"  * {line}" for line in _in_words(before, order))]


def _keys_in_words(found: SigningFile) -> list[str]:
    desk = read_desk(found.body)
    return [
        f"  desk {desk.number}: {desk.needed} of {len(desk.keys)} keys change, {desk.needed_to_stop} stop",
        *(f"  {base64.b64encode(public).decode()}" for public in desk.keys),
    ]


@click.command("import")
@click.argument("file", type=_THERE)
@as_json
@click.pass_obj
def import_command(settings: RegionSettings, file: Path, is_json: bool) -> None:
    """Take the signatures out of a FILE that came back."""
    found = read_signing_file(_read(file))
    with opened(settings) as (region, store):
        draft = drafts.bring_back(store.db, region, found, audit.CONSOLE, datetime.now(UTC))
        have, needed = drafts.progress(store.db, region, draft)
    answer = {"draft": draft.id, "signatures": have, "needed": needed}
    say(answer, is_json, f"Draft {draft.id} has {have} of {needed} signatures.")


@click.command("release")
@click.argument("draft_id", metavar="DRAFT", type=click.IntRange(1))
@click.option("--share", type=_SHARE, default=STEPS[0], help="How many of a hundred boxes are told first.")
@as_json
@click.pass_obj
def release_command(settings: RegionSettings, draft_id: int, share: int, is_json: bool) -> None:
    """Let boxes be told of a signed draft, a few first; a stop goes to all at once."""
    with opened(settings) as (region, store):
        draft = drafts.get_draft(store.db, draft_id)
        drafts.release(store.db, region, draft, audit.CONSOLE, datetime.now(UTC), share)
    answer = {"draft": draft_id, "number": draft.version}
    say(answer, is_json, f"Draft {draft_id} is released as number {draft.version}.")


@click.command("widen")
@click.argument("number", type=click.IntRange(1))
@click.option("--share", type=_SHARE, required=True, help="How many of a hundred boxes are told.")
@as_json
@click.pass_obj
def widen_command(settings: RegionSettings, number: int, share: int, is_json: bool) -> None:
    """Tell more boxes of an order, also of one that halted."""
    with opened(settings) as (region, store):
        drafts.widen(store.db, region, number, share, audit.CONSOLE, datetime.now(UTC))
    say({"number": number, "share": share}, is_json, f"{share} % of the boxes are told of order {number}.")


@click.command("halt")
@click.argument("number", type=click.IntRange(1))
@as_json
@click.pass_obj
def halt_command(settings: RegionSettings, number: int, is_json: bool) -> None:
    """Tell nobody else of an order; who has it keeps it."""
    with opened(settings) as (region, store):
        offers.halt(store.db, region.keys.desk, number, audit.CONSOLE, datetime.now(UTC))
    say({"number": number}, is_json, f"Order {number} reaches no more boxes.")


POLICY_COMMANDS = (
    export_command,
    sign_command,
    import_command,
    release_command,
    widen_command,
    halt_command,
)


def _read(file: Path) -> bytes:
    if file.stat().st_size > MAX_FILE_BYTES:
        raise SigningFileWrong
    return file.read_bytes()


def _save(file: Path, content: SigningFile) -> None:
    try:
        file.write_bytes(content.to_bytes())
    except OSError as fault:
        raise FileNotSaved(name=file.name) from fault
