"""Three pictures instead of a password: what a child of seven can remember and nobody must type.

A picture code is no secret: it tells classmates apart, nothing more. It is kept in clear, so that a
teacher can help a child who forgot, and checking it costs nothing. A row without pictures is the
teacher's leave to choose some. Decision 0020 says what protects a
learner's page instead. The only writer of the table picture_code.
"""

from datetime import datetime, timedelta

from sqlite_utils import Database

from appliance.errors import N_, TooManyPictureTries, TooManyTries, WrongPictures
from appliance.people import access

# Each is a symbol of static/pictures.svg, told apart by its outline; the names are for screen readers.
PICTURES = {
    "sun": N_("sun"),
    "moon": N_("moon"),
    "star": N_("star"),
    "tree": N_("tree"),
    "apple": N_("apple"),
    "fish": N_("fish"),
    "yurt": N_("yurt"),
    "key": N_("key"),
    "book": N_("book"),
    "cup": N_("cup"),
    "boat": N_("boat"),
    "dombra": N_("dombra"),
}
# Three different ones in their order: 1,320 codes against MAX_TRIES in a quarter of an hour.
LENGTH = 3
MAX_TRIES = 5
SCOPE = "pictures"
# From the first lesson in the morning to the last one of the same day.
FIRST_DAY = timedelta(hours=12)


def picked(text: str) -> tuple[str, ...]:
    """Return the known pictures in a form's text, each once, at most LENGTH of them."""
    known = dict.fromkeys(word for word in text.split() if word in PICTURES)
    return tuple(known)[:LENGTH]


def find(db: Database, learner_id: str) -> tuple[str, ...] | None:
    """Return the learner's pictures, or None before the first log-in and after the teacher cleared them."""
    rows = db.query("SELECT pictures FROM picture_code WHERE learner_id = ? AND pictures <> ''", [learner_id])
    return next((tuple(row["pictures"].split()) for row in rows), None)


def may_choose(db: Database, learner_id: str, school_class_id: str, *, now: datetime) -> bool:
    """Return whether a name without pictures may get some now, or a classmate could be claiming it.

    On the first day everybody chooses under the teacher's eyes. Once most of the class has its pictures,
    a name that was never used belongs to somebody who was away: only the teacher's tap opens it, for a day.
    """
    since = (now - FIRST_DAY).isoformat()
    row = db.execute(
        "SELECT count(*), coalesce(sum(pictures <> '' AND chosen_at < :since), 0), "
        "coalesce(sum(learner.id = :learner AND pictures = '' AND chosen_at >= :since), 0) "
        "FROM learner LEFT JOIN picture_code ON learner_id = learner.id "
        "WHERE school_class_id = :school_class",
        {"since": since, "learner": learner_id, "school_class": school_class_id},
    ).fetchone()
    everybody, chosen_before, invited = row
    return bool(invited) or 2 * chosen_before <= everybody


def of_class(db: Database, school_class_id: str) -> dict[str, tuple[str, ...]]:
    """Return the pictures of those who have some, by learner, for the teacher."""
    rows = db.query(
        "SELECT learner_id, pictures FROM picture_code JOIN learner ON learner.id = learner_id "
        "WHERE school_class_id = ? AND pictures <> ''",
        [school_class_id],
    )
    return {row["learner_id"]: tuple(row["pictures"].split()) for row in rows}


def choose(db: Database, learner_id: str, chosen: tuple[str, ...], *, now: datetime) -> None:
    """Save what the learner chose at the first log-in; a code that is there already stays."""
    db.execute(
        "INSERT INTO picture_code (learner_id, pictures, chosen_at) VALUES (?, ?, ?) "
        "ON CONFLICT (learner_id) DO UPDATE SET pictures = excluded.pictures, chosen_at = excluded.chosen_at "
        "WHERE pictures = ''",
        [learner_id, " ".join(chosen), now.isoformat()],
    )


def invite(db: Database, learner_id: str, *, now: datetime) -> None:
    """Forget the pictures and the wrong tries: the learner chooses anew, today."""
    db.execute(
        "INSERT INTO picture_code (learner_id, pictures, chosen_at) VALUES (?, '', ?) "
        "ON CONFLICT (learner_id) DO UPDATE SET pictures = '', chosen_at = excluded.chosen_at",
        [learner_id, now.isoformat()],
    )
    access.forgive(db, SCOPE, learner_id)


def find_refusal(
    db: Database, learner_id: str, tried: tuple[str, ...], *, now: datetime
) -> WrongPictures | TooManyPictureTries | None:
    """Return why these pictures do not open the page, or None; a miss is counted for this learner alone.

    Called inside the transaction that logs in: thirty guesses at once are braked like thirty in a row.
    A refusal is returned, not raised, because the counted miss must be committed.
    """
    try:
        left = access.verify_tries_left(db, SCOPE, learner_id, now=now, most=MAX_TRIES)
    except TooManyTries as error:
        return TooManyPictureTries(**error.params)
    if tried == find(db, learner_id):
        access.forgive(db, SCOPE, learner_id)
        return None
    access.count_miss(db, SCOPE, learner_id, now=now)
    return WrongPictures(left=left - 1)
