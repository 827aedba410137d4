"""Printed cards: a learner shows a QR code to the camera instead of typing anything.

A card is a link with a random token; the box keeps the token's hash alone, so cards are printed in the
moment they are made and a lost one is replaced, not looked up. The only writer of the table card.
"""

import secrets
from datetime import datetime

from sqlite_utils import Database

from appliance.people.access import token_hash_of

# 128 random bits: nothing to guess, so no brake is needed; short enough for a coarse QR code.
TOKEN_BYTES = 16


def issue(db: Database, learner_id: str, *, now: datetime) -> str:
    """Make a card and return its token; the learner's older card stops working."""
    token = secrets.token_urlsafe(TOKEN_BYTES)
    db.execute(
        "INSERT INTO card (learner_id, token_hash, issued_at) VALUES (?, ?, ?) "
        "ON CONFLICT (learner_id) DO UPDATE SET token_hash = excluded.token_hash, "
        "issued_at = excluded.issued_at",
        [learner_id, token_hash_of(token), now.isoformat()],
    )
    return token


def void(db: Database, learner_id: str) -> None:
    """A lost card opens nothing any more."""
    db.execute("DELETE FROM card WHERE learner_id = ?", [learner_id])


def find_learner_id(db: Database, token: str) -> str | None:
    rows = db.query("SELECT learner_id FROM card WHERE token_hash = ?", [token_hash_of(token)])
    return next((str(row["learner_id"]) for row in rows), None)


def holders(db: Database, school_class_id: str) -> set[str]:
    """Return the learners of a class who have a card."""
    rows = db.query(
        "SELECT learner_id FROM card JOIN learner ON learner.id = learner_id WHERE school_class_id = ?",
        [school_class_id],
    )
    return {row["learner_id"] for row in rows}
