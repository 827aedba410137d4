"""Who is in the room: school classes and learners. The only writer of their tables."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.errors import N_, FieldMissing, NameTooLong, TooManyLearners, UnknownClassCode

# A long Kazakh full name has about 45 letters; longer texts in a name field are pasted by mistake.
MAX_NAME_CHARACTERS = 60
# The box is measured with thirty learners; two multi-grade groups in one room still fit.
MAX_LEARNERS = 60
# Digits only: a learner types the code on a Kazakh, Russian or English keyboard alike.
CODE_DIGITS = 6


@dataclass(frozen=True)
class SchoolClass:
    id: str
    name: str
    grade: int | None
    language: str
    code: str


@dataclass(frozen=True)
class Learner:
    id: str
    school_class_id: str
    name: str


def add_school_class(
    db: Database, name: str, grade: int | None, language: str, *, now: datetime
) -> SchoolClass:
    """Save a class with a fresh code and return it.

    Raises:
        FieldMissing, NameTooLong: the name is no name.
    """
    cleaned = tidy_name(name)
    if not cleaned:
        raise FieldMissing(field=N_("Class"))
    school_class = SchoolClass(secrets.token_hex(8), cleaned, grade, language, _free_code(db))
    db.table("school_class").insert({**vars(school_class), "created_at": now.isoformat()})
    return school_class


def add_learners(
    db: Database, school_class: SchoolClass, names: Iterable[str], *, now: datetime
) -> list[Learner]:
    """Save the learners a teacher typed, one name a line; empty lines do not count.

    Raises:
        NameTooLong, TooManyLearners: nothing is saved then.
    """
    cleaned = [name for name in map(tidy_name, names) if name]
    if len(cleaned) + len(learners(db, school_class.id)) > MAX_LEARNERS:
        raise TooManyLearners(limit=MAX_LEARNERS)
    added = [Learner(secrets.token_hex(8), school_class.id, name) for name in cleaned]
    db.table("learner").insert_all({**vars(learner), "created_at": now.isoformat()} for learner in added)
    return added


def tidy_name(name: str) -> str:
    """Return the name with single spaces.

    Raises:
        NameTooLong: it has more than MAX_NAME_CHARACTERS.
    """
    cleaned = " ".join(name.split())
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise NameTooLong(name=cleaned[:MAX_NAME_CHARACTERS] + "…", limit=MAX_NAME_CHARACTERS)
    return cleaned


def get_school_class(db: Database, school_class_id: str) -> SchoolClass:
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class WHERE id = ?", [school_class_id]))  # noqa: S608
    return SchoolClass(**rows[0])


def find_first_class(db: Database) -> SchoolClass | None:
    """Return the class this box was set up for, or None on a new box."""
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class ORDER BY created_at LIMIT 1"))  # noqa: S608
    return SchoolClass(**rows[0]) if rows else None


def get_class_by_code(db: Database, code: str) -> SchoolClass:
    """Return the class with this code; spaces and dashes between the digits do not matter.

    Raises:
        UnknownClassCode: no class has it.
    """
    digits = "".join(character for character in code if character.isdecimal())
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class WHERE code = ?", [digits]))  # noqa: S608
    if not rows:
        raise UnknownClassCode
    return SchoolClass(**rows[0])


def learners(db: Database, school_class_id: str) -> list[Learner]:
    """Return the learners of a class by name."""
    rows = db.query(
        "SELECT id, school_class_id, name FROM learner WHERE school_class_id = ? ORDER BY name, id",
        [school_class_id],
    )
    return [Learner(**row) for row in rows]


def find_learner(db: Database, learner_id: str) -> Learner | None:
    rows = list(db.query("SELECT id, school_class_id, name FROM learner WHERE id = ?", [learner_id]))
    return Learner(**rows[0]) if rows else None


_CLASS = "id, name, grade, language, code"


def _free_code(db: Database) -> str:
    while True:
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        if not db.table("school_class").count_where("code = ?", [code]):
            return code
