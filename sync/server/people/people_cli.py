"""`sandyq region operator`, `token`, `audit`: what only whoever keeps the region's machine may do.

No secret is ever an argument: a list of running programs shows those. New ones are printed once.
"""

from __future__ import annotations

from datetime import UTC, datetime

import click

from sync.answer_words import as_json, say
from sync.keys import SecretKey
from sync.region_errors import AuditBroken, AuditShortened
from sync.server.people import api_tokens, audit, operators
from sync.server.people.roles import Role
from sync.server.storage.database import RegionDatabase
from sync.server.storage.opened import opened
from sync.settings import RegionSettings

MAX_TOKEN_DAYS = 3650


@click.group("operator")
def operator_group() -> None:
    """Accounts of the people who read the region's pages."""


@operator_group.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice([role.value for role in Role]), required=True, help="What it may do."
)
@click.option("--prompt", is_flag=True, help="Ask for the password here instead of printing a one-time code.")
@click.option("--no-second-factor", is_flag=True, help="For demonstrations: a password alone is enough.")
@as_json
@click.pass_obj
def add_command(
    settings: RegionSettings, name: str, role: str, prompt: bool, no_second_factor: bool, is_json: bool
) -> None:
    """Make an account; its owner sets the password with the printed code, once, within three days."""
    needs = False if no_second_factor else None
    with opened(settings) as (region, store):
        code = operators.add(
            store.db, region.keys.desk, name, Role(role), datetime.now(UTC), needs_second_factor=needs
        )
        if prompt:
            _set_password(store.db, region.keys.desk, name, code)
    answer = {"name": name, "role": role} | ({} if prompt else {"setup_code": code})
    said = f"{name} may log in." if prompt else _told(code)
    say(answer, is_json, said)


@operator_group.command("list")
@as_json
@click.pass_obj
def list_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the accounts."""
    with opened(settings) as (_region, store):
        people = operators.all_of(store.db)
    rows = [
        {
            "name": person.name,
            "role": person.role.value,
            "telephone": person.second_factor is not None,
            "set_up": person.password_hash is not None,
            "disabled": person.is_disabled,
        }
        for person in people
    ]
    words = "\n".join(
        f"{row['name']:<32} {row['role']:<9}"
        f" {'telephone' if row['telephone'] else '-':<10}"
        f" {'closed' if row['disabled'] else 'open' if row['set_up'] else 'waits for its first password'}"
        for row in rows
    )
    say(
        {"operators": rows},
        is_json,
        words or "No account yet: sandyq region operator add NAME --role operator",
    )


@operator_group.command("disable")
@click.argument("name")
@as_json
@click.pass_obj
def disable_command(settings: RegionSettings, name: str, is_json: bool) -> None:
    """Close an account and end its log-ins at once."""
    with opened(settings) as (region, store):
        operators.disable(store.db, region.keys.desk, name, datetime.now(UTC))
    say({"disabled": name}, is_json, f"{name} is closed; its log-ins have ended.")


@operator_group.command("reset")
@click.argument("name")
@as_json
@click.pass_obj
def reset_command(settings: RegionSettings, name: str, is_json: bool) -> None:
    """Take password and telephone away and print a new one-time code."""
    with opened(settings) as (region, store):
        code = operators.reset(store.db, region.keys.desk, name, datetime.now(UTC))
    say({"name": name, "setup_code": code}, is_json, _told(code))


def _told(code: str) -> str:
    return (
        f"{code}\nFor the page /welcome of the region: opens once, within three days. It is not shown again."
    )


def _set_password(db: RegionDatabase, key: SecretKey, name: str, code: str) -> None:
    password = click.prompt("Password", hide_input=True, err=True)
    operators.set_up(db, key, name, code, password, password, datetime.now(UTC))


@click.group("token")
def token_group() -> None:
    """Tokens for programs that read the region's counts."""


@token_group.command("add")
@click.argument("label")
@click.option(
    "--days",
    type=click.IntRange(1, MAX_TOKEN_DAYS),
    default=api_tokens.DEFAULT_DAYS,
    help="How long it holds.",
)
@as_json
@click.pass_obj
def add_token_command(settings: RegionSettings, label: str, days: int, is_json: bool) -> None:
    """Print a token that reads what a viewer reads and changes nothing."""
    with opened(settings) as (region, store):
        token, expires_at = api_tokens.add(store.db, region.keys.desk, label, datetime.now(UTC), days)
    answer = {"label": label, "token": token, "expires_at": expires_at.isoformat()}
    say(answer, is_json, f"{token}\nUntil {expires_at:%Y-%m-%d}. It is not shown again.")


@token_group.command("list")
@as_json
@click.pass_obj
def list_tokens_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the labels."""
    with opened(settings) as (_region, store):
        tokens = api_tokens.all_of(store.db)
    rows = [
        {"label": token.label, "expires_at": token.expires_at.isoformat(), "revoked": token.is_revoked}
        for token in tokens
    ]
    words = "\n".join(
        f"{token.label:<32} until {token.expires_at:%Y-%m-%d}{'  revoked' if token.is_revoked else ''}"
        for token in tokens
    )
    say({"tokens": rows}, is_json, words or "No token yet.")


@token_group.command("revoke")
@click.argument("label")
@as_json
@click.pass_obj
def revoke_token_command(settings: RegionSettings, label: str, is_json: bool) -> None:
    """Let a token open nothing any more."""
    with opened(settings) as (region, store):
        api_tokens.revoke(store.db, region.keys.desk, label, datetime.now(UTC))
    say({"revoked": label}, is_json, f"{label} opens nothing any more.")


@click.group("audit")
def audit_group() -> None:
    """The record of who did what."""


@audit_group.command("show")
@as_json
@click.pass_obj
def show_audit_command(settings: RegionSettings, is_json: bool) -> None:
    """Print the newest entries."""
    with opened(settings) as (_region, store):
        entries = [link.entry for link in audit.newest(store.db)]
    rows = [
        {
            "number": entry.number,
            "at": entry.at.isoformat(),
            "actor": entry.actor,
            "action": entry.action,
            "target": entry.target,
            "details": dict(entry.details),
        }
        for entry in entries
    ]
    words = "\n".join(
        f"{entry.number:>6}  {entry.at:%Y-%m-%d %H:%M}  {entry.actor:<16} {entry.action:<20} {entry.target}"
        for entry in entries
    )
    say({"entries": rows}, is_json, words)


@audit_group.command("verify")
@click.option(
    "--head", "marked", default="", help="A mark that was written down earlier, such as 120:9f86d081884c7d65."
)
@as_json
@click.pass_obj
def verify_audit_command(settings: RegionSettings, marked: str, is_json: bool) -> None:
    """Follow the whole record; fail where an entry was changed, taken out, moved or cut off."""
    with opened(settings) as (region, store):
        verdict = audit.verify_record(store.db, region.keys.desk)
        head = audit.head(store.db)
        if verdict.broken_at is not None:
            raise AuditBroken(number=verdict.broken_at)
        if marked and not audit.still_holds(store.db, marked):
            raise AuditShortened(mark=marked)
    say({"entries": verdict.count, "head": head}, is_json, f"All {verdict.count} entries hold. Mark: {head}")
