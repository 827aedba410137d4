"""Who may open which page: the teacher's PIN, logins, and the brake on guessing.

PINs are hashed with argon2id; a login is a random token whose hash alone is stored. The only
writer of the tables teacher, login and failed_try.
"""

import hashlib
import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlite_utils import Database

from appliance.database import saving
from appliance.errors import PinsDiffer, PinTooLong, PinTooShort, TooManyTries

# Six digits against MAX_TRIES a quarter of an hour: about nine years of guessing from one device.
LEAST_PIN_DIGITS = 6
MAX_TRIES = 5
# Longer is no safer against five tries, and argon2 should not be fed a book.
MAX_PIN_CHARACTERS = 64
# Twelve digits against the same brake; three groups of four are read aloud without a mistake.
RECOVERY_DIGITS = 12
# A mistyped class code is no attack: a row of small children shares one device.
MAX_CODE_TRIES = 20
TRIES_WINDOW = timedelta(minutes=15)
# A school day with a margin: a phone left on a desk is logged out by the next morning.
LOGIN_LIFETIME = timedelta(hours=12)
# RFC 9106's second choice asks 64 MiB, the whole budget of the web process; OWASP's 19 MiB with two
# passes costs a Pi about 60 ms and keeps the memory.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Forty threads that each hash would take 760 MiB: one after another is fast enough for a few teachers.
_one_hash = threading.Lock()


@dataclass(frozen=True)
class Login:
    """Whose browser this is: a teacher's or a learner's, never both."""

    teacher_id: str | None = None
    learner_id: str | None = None


def verify_new_pin(pin: str, repeated: str) -> None:
    """Raise PinTooShort or PinsDiffer unless this PIN may become the teacher's."""
    if len(pin) < LEAST_PIN_DIGITS:
        raise PinTooShort(least=LEAST_PIN_DIGITS)
    if len(pin) > MAX_PIN_CHARACTERS:
        raise PinTooLong(limit=MAX_PIN_CHARACTERS)
    if not secrets.compare_digest(pin.encode(), repeated.encode()):
        raise PinsDiffer


def hash_pin(pin: str) -> str:
    """Return the argon2id hash; slow on purpose, so it is made before a transaction begins."""
    with _one_hash:
        return _hasher.hash(pin)


def add_teacher(db: Database, school_class_id: str, pin_hash: str, *, now: datetime) -> str:
    """Save the teacher of a class and return the new id."""
    teacher_id = secrets.token_hex(8)
    db.table("teacher").insert(
        {
            "id": teacher_id,
            "school_class_id": school_class_id,
            "pin_hash": pin_hash,
            "created_at": now.isoformat(),
        }
    )
    return teacher_id


def is_set_up(db: Database) -> bool:
    return db.table("teacher").count > 0


def class_of_teacher(db: Database, teacher_id: str) -> str | None:
    rows = list(db.query("SELECT school_class_id FROM teacher WHERE id = ?", [teacher_id]))
    return rows[0]["school_class_id"] if rows else None


def find_teacher_by_pin(db: Database, pin: str, school_class_id: str) -> str | None:
    """Return the id of the teacher of this class with this PIN, or None. Slow on purpose.

    Only one class's teachers are tried: two teachers may choose one PIN and still get their own class.
    """
    return _find_teacher(db, "pin_hash", pin, school_class_id)


def new_recovery_code() -> str:
    """Return a code for the printed sheet; the box keeps its hash alone."""
    return "".join(secrets.choice("0123456789") for _ in range(RECOVERY_DIGITS))


def find_teacher_by_recovery(db: Database, code: str, school_class_id: str) -> str | None:
    """Return the id of the teacher who printed this code, or None. Slow on purpose."""
    digits = "".join(character for character in code if character.isdecimal())
    if len(digits) != RECOVERY_DIGITS:
        return None
    return _find_teacher(db, "recovery_hash", digits, school_class_id)


def set_recovery(db: Database, teacher_id: str, recovery_hash: str) -> None:
    """Save the new sheet's hash; the sheet printed before opens nothing any more."""
    db.execute("UPDATE teacher SET recovery_hash = ? WHERE id = ?", [recovery_hash, teacher_id])


def has_recovery(db: Database, teacher_id: str) -> bool:
    return bool(db.table("teacher").count_where("id = ? AND recovery_hash IS NOT NULL", [teacher_id]))


def recover(db: Database, teacher_id: str, pin_hash: str, used_hash: str) -> bool:
    """Set a new PIN, void the used code and end every log-in of this teacher.

    Return False when the code was used in the meantime: two phones with one sheet are one recovery.
    """
    changed = db.execute(
        "UPDATE teacher SET pin_hash = ?, recovery_hash = NULL WHERE id = ? AND recovery_hash = ?",
        [pin_hash, teacher_id, used_hash],
    )
    if changed.rowcount:
        db.execute("DELETE FROM login WHERE teacher_id = ?", [teacher_id])
    return bool(changed.rowcount)


def end_all_logins(db: Database) -> None:
    """After a restore nobody is logged in by a state that is over."""
    with saving(db):
        db.execute("DELETE FROM login")


def recovery_hash(db: Database, teacher_id: str) -> str:
    return str(
        next(db.query("SELECT recovery_hash FROM teacher WHERE id = ?", [teacher_id]))["recovery_hash"]
    )


def _find_teacher(db: Database, column: str, secret: str, school_class_id: str) -> str | None:
    if len(secret) > MAX_PIN_CHARACTERS:
        return None
    rows = db.query(
        f"SELECT id, {column} AS hash FROM teacher WHERE school_class_id = ? AND {column} IS NOT NULL",  # noqa: S608
        [school_class_id],
    )
    for row in rows:
        try:
            with _one_hash:
                _hasher.verify(row["hash"], secret)
        except VerificationError:
            continue
        return str(row["id"])
    return None


def verify_tries_left(db: Database, scope: str, address: str, *, now: datetime, most: int = MAX_TRIES) -> int:
    """Return how many tries this address has left.

    Raises:
        TooManyTries: none, with the minutes until the oldest one is forgiven.
    """
    rows = list(
        db.query(
            "SELECT at FROM failed_try WHERE scope = ? AND address = ? AND at > ? ORDER BY at",
            [scope, address, (now - TRIES_WINDOW).isoformat()],
        )
    )
    if len(rows) >= most:
        waits = datetime.fromisoformat(rows[-most]["at"]) + TRIES_WINDOW - now
        raise TooManyTries(minutes=max(1, -(-int(waits.total_seconds()) // 60)))
    return most - len(rows)


def count_miss(db: Database, scope: str, address: str, *, now: datetime) -> None:
    """Remember a wrong try, and forget those that no longer count."""
    db.execute("DELETE FROM failed_try WHERE at <= ?", [(now - TRIES_WINDOW).isoformat()])
    db.table("failed_try").insert({"scope": scope, "address": address, "at": now.isoformat()})


def take_try(db: Database, scope: str, address: str, *, now: datetime) -> int:
    """Count this try before it is checked and return how many are left after it; `forgive` gives all back.

    The check is slow: counted afterwards, fifty guesses at once would all be checked.

    Raises:
        TooManyTries: none was left.
    """
    left = verify_tries_left(db, scope, address, now=now)
    count_miss(db, scope, address, now=now)
    return left - 1


def forgive(db: Database, scope: str, address: str) -> None:
    """Forget the wrong tries: it was the right person after all."""
    db.execute("DELETE FROM failed_try WHERE scope = ? AND address = ?", [scope, address])


def log_in(db: Database, login: Login, *, now: datetime, replaces: str = "") -> str:
    """Save a login and return its token, which exists nowhere else.

    `replaces` is the token this browser had before: whoever shared the device is out with the next log-in.
    """
    token = secrets.token_urlsafe(32)
    log_out(db, replaces)
    db.execute("DELETE FROM login WHERE expires_at <= ?", [now.isoformat()])
    db.table("login").insert(
        {
            "token_hash": token_hash_of(token),
            "teacher_id": login.teacher_id,
            "learner_id": login.learner_id,
            "expires_at": (now + LOGIN_LIFETIME).isoformat(),
        }
    )
    return token


def find_login(db: Database, token: str, *, now: datetime) -> Login | None:
    rows = db.query(
        "SELECT teacher_id, learner_id FROM login WHERE token_hash = ? AND expires_at > ?",
        [token_hash_of(token), now.isoformat()],
    )
    return next((Login(**row) for row in rows), None)


def log_out(db: Database, token: str) -> None:
    db.execute("DELETE FROM login WHERE token_hash = ?", [token_hash_of(token)])


def end_logins_of_learner(db: Database, learner_id: str) -> None:
    """The teacher ends this learner's log-ins on every device."""
    db.execute("DELETE FROM login WHERE learner_id = ?", [learner_id])


def joined_learners(db: Database, school_class_id: str, *, now: datetime) -> set[str]:
    """Return the learners of a class who have a browser open in this box's name."""
    rows = db.query(
        "SELECT DISTINCT learner.id FROM login JOIN learner ON learner.id = login.learner_id "
        "WHERE learner.school_class_id = ? AND login.expires_at > ?",
        [school_class_id, now.isoformat()],
    )
    return {row["id"] for row in rows}


def token_hash_of(token: str) -> bytes:
    # A fast hash is right here: tokens have at least 128 random bits, nothing to guess.
    return hashlib.sha256(token.encode()).digest()
