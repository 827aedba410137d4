"""The people of the region: accounts, passwords, second factors.

Accounts are made on the region's own machine, never through a page: an account that is stolen makes no
other. The person sets the password with a code that works once. The only writer of the tables
`operator` and `operator_recovery`. Keeps out: HTTP, what a password is (`passwords`).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.enrolment_code import ALPHABET
from sync.keys import SecretKey
from sync.region_errors import (
    LoginRefused,
    OperatorExists,
    OperatorNameWrong,
    SecondFactorWrong,
    SetupRefused,
    TooManyLogins,
    UnknownOperator,
)
from sync.server.people import audit, logins, passwords, second_factor
from sync.server.people.roles import TWO_FACTORS, Role
from sync.server.storage.database import RegionDatabase

NAME = re.compile(r"[a-z][a-z0-9._-]{1,31}")
SETUP_LETTERS = 16  # 80 bits
SETUP_LIFETIME = timedelta(days=3)  # handed over in person or read out by telephone
NOBODY = "?"  # no account may have this name
_SETUP = b"sandyq/region/setup/1"
_COLUMNS = (
    "id, name, role, password_hash, second_factor, pending_factor, last_step, needs_second_factor,"
    " created_at, disabled_at"
)


@dataclass(frozen=True)
class Operator:
    """One account."""

    id: int
    name: str
    role: Role
    password_hash: str | None
    second_factor: bytes | None  # sealed
    pending_factor: bytes | None  # sealed; shown, and not proven yet
    last_step: int
    needs_second_factor: bool
    created_at: datetime
    is_disabled: bool

    @property
    def must_add_factor(self) -> bool:
        """Say whether nothing else is open to this account until a telephone is added."""
        return self.needs_second_factor and self.second_factor is None

    def __repr__(self) -> str:
        return f"Operator({self.name}, {self.role})"


@dataclass(frozen=True)
class Typed:
    """What stands in the log-in form."""

    name: str
    password: str
    code: str = ""

    def __repr__(self) -> str:
        return "Typed()"


# On the region's own machine ---------------------------------------------------------------


def add(
    db: RegionDatabase,
    key: SecretKey,
    name: str,
    role: Role,
    now: datetime,
    *,
    by: str = audit.CONSOLE,
    needs_second_factor: bool | None = None,
) -> str:
    """Make an account without a password; return the code its owner sets one with."""
    if not NAME.fullmatch(name):
        raise OperatorNameWrong
    needs = role in TWO_FACTORS if needs_second_factor is None else needs_second_factor
    code = _new_code()
    with db.transaction():
        if find_by_name(db, name) is not None:
            raise OperatorExists(name=name)
        db.execute(
            "INSERT INTO operator (name, role, last_step, needs_second_factor, created_at, setup_proof,"
            " setup_expires_at) VALUES (?, ?, 0, ?, ?, ?, ?)",
            [
                *(name, role.value, int(needs), now.isoformat(), _setup_proof(key, name, code)),
                (now + SETUP_LIFETIME).isoformat(),
            ],
        )
        audit.append(db, key, now, by, "operator_added", name, role=role.value)
    return code


def reset(db: RegionDatabase, key: SecretKey, name: str, now: datetime, *, by: str = audit.CONSOLE) -> str:
    """Take password, second factor and log-ins away; return the code for a new start."""
    code = _new_code()
    with db.transaction():
        operator = get_by_name(db, name)
        db.execute(
            "UPDATE operator SET password_hash = NULL, second_factor = NULL, pending_factor = NULL,"
            " disabled_at = NULL, setup_proof = ?, setup_expires_at = ? WHERE id = ?",
            [_setup_proof(key, name, code), (now + SETUP_LIFETIME).isoformat(), operator.id],
        )
        db.execute("DELETE FROM operator_recovery WHERE operator_id = ?", [operator.id])
        logins.end_all(db, operator.id)
        audit.append(db, key, now, by, "operator_reset", name)
    return code


def disable(db: RegionDatabase, key: SecretKey, name: str, now: datetime, *, by: str = audit.CONSOLE) -> None:
    """Close an account and end its log-ins at once; its name stays in the record and is not given again."""
    with db.transaction():
        operator = get_by_name(db, name)
        db.execute(
            "UPDATE operator SET disabled_at = ?, setup_proof = NULL WHERE id = ?",
            [now.isoformat(), operator.id],
        )
        logins.end_all(db, operator.id)
        audit.append(db, key, now, by, "operator_disabled", name)


def all_of(db: RegionDatabase) -> list[Operator]:
    return [_operator(row) for row in db.rows(f"SELECT {_COLUMNS} FROM operator ORDER BY name")]  # noqa: S608 - our own words


def find(db: RegionDatabase, operator_id: int) -> Operator | None:
    row = db.row(f"SELECT {_COLUMNS} FROM operator WHERE id = ?", [operator_id])  # noqa: S608 - our own words
    return _operator(row) if row else None


def find_by_name(db: RegionDatabase, name: str) -> Operator | None:
    row = db.row(f"SELECT {_COLUMNS} FROM operator WHERE name = ?", [name])  # noqa: S608 - our own words
    return _operator(row) if row else None


def get_by_name(db: RegionDatabase, name: str) -> Operator:
    operator = find_by_name(db, name)
    if operator is None:
        raise UnknownOperator(name=name)
    return operator


# The first password, and later ones ----------------------------------------------------------


def set_up(
    db: RegionDatabase, key: SecretKey, name: str, code: str, password: str, again: str, now: datetime
) -> Operator:
    """Spend the one-time code and set the password.

    Raises:
        SetupRefused: the code is wrong, used or too old. TooManyLogins: too many wrong ones.
    """
    name = tidy_name(name)
    passwords.verify_new(name, password, again)
    who = logins.subject(key, name, "")
    logins.take_try(db, who, now)
    hashed = passwords.hashed(password)  # slow, so before the transaction
    with db.transaction():
        row = db.row(
            "SELECT setup_proof FROM operator WHERE name = ? AND setup_expires_at > ?",
            [name, now.isoformat()],
        )
        stored = row[0] if row and row[0] else bytes(32)
        if not hmac.compare_digest(stored, _setup_proof(key, name, code)):
            raise SetupRefused
        db.execute("UPDATE operator SET password_hash = ?, setup_proof = NULL WHERE name = ?", [hashed, name])
        logins.forget_tries(db, who)
        audit.append(db, key, now, name, "password_set", name)
        return get_by_name(db, name)


def change_password(
    db: RegionDatabase, key: SecretKey, operator: Operator, old: str, new: str, again: str, now: datetime
) -> None:
    """Set another password and end every log-in of the account."""
    passwords.verify_new(operator.name, new, again)
    who = logins.subject(key, operator.name, "")
    logins.take_try(db, who, now)
    if not passwords.is_password(operator.password_hash, old):
        raise LoginRefused
    hashed = passwords.hashed(new)
    with db.transaction():
        db.execute("UPDATE operator SET password_hash = ? WHERE id = ?", [hashed, operator.id])
        logins.end_all(db, operator.id)
        logins.forget_tries(db, who)
        audit.append(db, key, now, operator.name, "password_changed", operator.name)


# Coming in -----------------------------------------------------------------------------------


def log_in(
    db: RegionDatabase, key: SecretKey, typed: Typed, mark: str, now: datetime
) -> tuple[Operator, str]:
    """Return the account and the token of its new log-in. Nothing tells which of the three was wrong.

    Raises:
        LoginRefused, TooManyLogins, LoginsBusy: nobody came in.
    """
    name = tidy_name(typed.name)
    who = logins.subject(key, name, mark)
    logins.take_try(db, who, now)
    operator = find_by_name(db, name)
    is_right = passwords.is_password(operator.password_hash if operator else None, typed.password)
    if operator is None or operator.is_disabled or not is_right:
        _note_refusal(db, key, operator, now)
        raise LoginRefused
    with db.transaction():
        way = _take_second_factor(db, key, operator, typed.code, now)
        if way is not None:
            token = logins.begin(db, operator.id, now)
            logins.forget_tries(db, who)
            audit.append(db, key, now, operator.name, "log_in", operator.name, second_factor=way)
            return operator, token
    _note_refusal(db, key, operator, now)
    raise LoginRefused


def _note_refusal(db: RegionDatabase, key: SecretKey, operator: Operator | None, now: datetime) -> None:
    """Write down that somebody was kept out; names nobody has only now and then, for they cost nothing."""
    if operator is None:
        try:
            logins.take_try(db, logins.subject(key, NOBODY, ""), now)
        except TooManyLogins:
            return
    # What was typed for a name may be a password: only names of ours are written down.
    name = operator.name if operator else NOBODY
    audit.append(db, key, now, name, "log_in_refused", name)


def _take_second_factor(
    db: RegionDatabase, key: SecretKey, operator: Operator, code: str, now: datetime
) -> str | None:
    """Return how the account proved itself a second time, None when it did not. What was used is spent."""
    if operator.second_factor is None:
        return "none"
    typed = code.replace(" ", "")
    secret = second_factor.unseal(operator.second_factor, operator.name, key)
    step = second_factor.find_step(secret, typed, now, operator.last_step)
    if step is not None and _spend_step(db, operator, step):
        return "telephone"
    proof = second_factor.recovery_proof(typed, operator.name, key)
    if proof is not None and db.execute(
        "DELETE FROM operator_recovery WHERE operator_id = ? AND proof = ?", [operator.id, proof]
    ):
        return "recovery"
    return None


def _spend_step(db: RegionDatabase, operator: Operator, step: int) -> bool:
    """Note the half minute, unless another request was faster with the same code."""
    return bool(
        db.execute(
            "UPDATE operator SET last_step = ? WHERE id = ? AND last_step < ?", [step, operator.id, step]
        )
    )


# The telephone ---------------------------------------------------------------------------------


def propose_factor(db: RegionDatabase, key: SecretKey, operator: Operator) -> bytes:
    """Return the secret to scan; the same one until it is proven or the account is reset."""
    if operator.pending_factor is not None:
        return second_factor.unseal(operator.pending_factor, operator.name, key)
    secret = second_factor.new_secret()
    sealed = second_factor.seal(secret, operator.name, key)
    if db.execute(
        "UPDATE operator SET pending_factor = ? WHERE id = ? AND pending_factor IS NULL",
        [sealed, operator.id],
    ):
        return secret
    faster = find(db, operator.id)
    return propose_factor(db, key, faster) if faster else secret


def confirm_factor(
    db: RegionDatabase, key: SecretKey, operator: Operator, code: str, now: datetime
) -> list[str]:
    """Turn the proposed factor on; return the recovery codes, which are told this once. Ends every log-in."""
    who = logins.subject(key, f"{operator.name}/factor", "")
    logins.take_try(db, who, now)
    secret = propose_factor(db, key, operator)
    step = second_factor.find_step(secret, code.replace(" ", ""), now, 0)
    if step is None:
        raise SecondFactorWrong
    with db.transaction():
        db.execute(
            "UPDATE operator SET second_factor = ?, pending_factor = NULL, last_step = ? WHERE id = ?",
            [second_factor.seal(secret, operator.name, key), step, operator.id],
        )
        codes = _renew_recovery(db, key, operator)
        logins.end_all(db, operator.id)
        logins.forget_tries(db, who)
        audit.append(db, key, now, operator.name, "second_factor_added", operator.name)
    return codes


def prove_again(db: RegionDatabase, key: SecretKey, operator: Operator, code: str, now: datetime) -> bool:
    """Say whether whoever sits there has the second factor at this moment; what was used is spent."""
    who = logins.subject(key, f"{operator.name}/factor", "")
    logins.take_try(db, who, now)
    with db.transaction():
        is_proven = _take_second_factor(db, key, operator, code, now) in {"telephone", "recovery"}
        if is_proven:
            logins.forget_tries(db, who)
    return is_proven


def renew_recovery(db: RegionDatabase, key: SecretKey, operator: Operator, now: datetime) -> list[str]:
    """Return new recovery codes; the sheet printed before opens nothing any more."""
    with db.transaction():
        codes = _renew_recovery(db, key, operator)
        audit.append(db, key, now, operator.name, "recovery_renewed", operator.name)
    return codes


def count_recovery(db: RegionDatabase, operator: Operator) -> int:
    row = db.row("SELECT count(*) FROM operator_recovery WHERE operator_id = ?", [operator.id])
    return int(row[0]) if row else 0


def _renew_recovery(db: RegionDatabase, key: SecretKey, operator: Operator) -> list[str]:
    codes = second_factor.new_recovery_codes()
    db.execute("DELETE FROM operator_recovery WHERE operator_id = ?", [operator.id])
    db.execute_many(
        "INSERT INTO operator_recovery (operator_id, proof) VALUES (?, ?)",
        [[operator.id, second_factor.recovery_proof(code, operator.name, key)] for code in codes],
    )
    return codes


# Names and codes ----------------------------------------------------------------------------


def tidy_name(typed: str) -> str:
    return typed.strip().casefold()[:64]


def _new_code() -> str:
    code = "".join(secrets.choice(ALPHABET) for _ in range(SETUP_LETTERS))
    return "-".join(code[at : at + 4] for at in range(0, SETUP_LETTERS, 4))


def _setup_proof(key: SecretKey, name: str, typed: str) -> bytes:
    plain = "".join(letter for letter in typed.upper() if letter.isalnum())
    plain = plain.translate(str.maketrans("ILO", "110"))
    digest = hashlib.sha256(plain.encode()).digest()
    return key.mac(_SETUP, name.encode() + b"\0" + digest)


def _operator(row: tuple[object, ...]) -> Operator:
    (operator_id, name, role, password_hash, factor, pending, last_step, needs, created, disabled) = row
    return Operator(
        int(str(operator_id)),
        str(name),
        Role(str(role)),
        None if password_hash is None else str(password_hash),
        factor if isinstance(factor, bytes) else None,
        pending if isinstance(pending, bytes) else None,
        int(str(last_step)),
        bool(needs),
        datetime.fromisoformat(str(created)),
        disabled is not None,
    )
