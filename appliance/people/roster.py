"""Who is in the room: school classes and learners. The only writer of their tables."""

import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from sqlite_utils import Database

from appliance.errors import (
    N_,
    FieldMissing,
    NameTooLong,
    RulesTooLong,
    TooManyClasses,
    TooManyGrades,
    TooManyLearners,
    UnknownClassCode,
    UnknownLearner,
)

# A long Kazakh full name has about 45 letters; longer texts in a name field are pasted by mistake.
MAX_NAME_CHARACTERS = 60
# Enough to see that a name is too long; a whole book in a cell is not walked through.
MAX_CELL_CHARACTERS = 500
# The box is measured with thirty learners; two multi-grade groups in one room still fit.
MAX_LEARNERS = 60
# A small school teaches eleven grades with a box in one room; each class costs a teacher's PIN check.
MAX_CLASSES = 12
# Kazakhstan is moving to twelve grades; one teacher in a small school has two to four of them at once.
GRADES = range(1, 13)
MAX_GRADES = 4
# What fits a phone's screen beside the box's own rules: children must read it.
MAX_RULES_CHARACTERS = 600
# Digits only: a learner types the code on a Kazakh, Russian or English keyboard alike.
CODE_DIGITS = 6
# The Kazakh alphabet, which holds the Russian one; the blank before it ends a shorter name first.
ALPHABET = " аәбвгғдеёжзийкқлмнңоөпрстуұүфхһцчшщъыіьэюя"


@dataclass(frozen=True)
class SchoolClass:
    id: str
    name: str
    grades: tuple[int, ...]
    language: str
    code: str
    uses_pictures: bool = False
    own_rules: str = ""

    @property
    def grade(self) -> int | None:
        """Return the class's one grade; None for a room with several, or when it is not known."""
        return self.grades[0] if len(self.grades) == 1 else None


@dataclass(frozen=True)
class Learner:
    id: str
    school_class_id: str
    name: str
    grade: int | None = None
    has_read_rules: bool = False


def add_school_class(
    db: Database,
    name: str,
    grades: int | Sequence[int] | None,
    language: str,
    *,
    now: datetime,
    uses_pictures: bool = False,
) -> SchoolClass:
    """Save a class with a fresh code and return it.

    Raises:
        FieldMissing, NameTooLong, TooManyGrades, TooManyClasses: nothing is saved then.
    """
    cleaned = _class_name(name)
    several = grades if isinstance(grades, Sequence) else [grades or 0]
    if db.table("school_class").count >= MAX_CLASSES:
        raise TooManyClasses(limit=MAX_CLASSES)
    school_class = SchoolClass(
        secrets.token_hex(8), cleaned, _tidy_grades(several), language, _free_code(db), uses_pictures
    )
    db.table("school_class").insert(
        {
            "id": school_class.id,
            "name": cleaned,
            "grade": school_class.grade,
            "grades": _grades_text(school_class.grades),
            "language": language,
            "code": school_class.code,
            "uses_pictures": int(uses_pictures),
            "created_at": now.isoformat(),
        }
    )
    return school_class


def change_school_class(
    db: Database,
    school_class: SchoolClass,
    *,
    name: str,
    grades: Sequence[int],
    language: str,
    uses_pictures: bool,
    own_rules: str,
) -> None:
    """Save what the teacher changed about the class.

    Raises:
        FieldMissing, NameTooLong, TooManyGrades, RulesTooLong: nothing is saved then.
    """
    cleaned = _class_name(name)
    tidy = _tidy_grades(grades)
    rules = own_rules.replace("\r\n", "\n").strip()
    if len(rules) > MAX_RULES_CHARACTERS:
        raise RulesTooLong(limit=MAX_RULES_CHARACTERS)
    grade = tidy[0] if len(tidy) == 1 else None
    db.execute(
        "UPDATE school_class SET name = ?, grade = ?, grades = ?, language = ?, uses_pictures = ?, "
        "own_rules = ? WHERE id = ?",
        [cleaned, grade, _grades_text(tidy), language, int(uses_pictures), rules, school_class.id],
    )


def add_learners(
    db: Database,
    school_class: SchoolClass,
    names: Iterable[str | tuple[str, int | None]],
    *,
    now: datetime,
) -> list[Learner]:
    """Save learners, each a name or a name with a grade; empty names do not count.

    Two learners may have one name: the second is shown as "Aigerim (2)" everywhere, and the teacher may
    write something better. Whoever comes without a grade is in the grade of a class that has only one.

    Raises:
        NameTooLong, TooManyLearners: nothing is saved then.
    """
    pairs = [(pair, None) if isinstance(pair, str) else pair for pair in names]
    cleaned = [(tidy_name(name), grade) for name, grade in pairs if tidy_name(name)]
    there = learners(db, school_class.id)
    if len(cleaned) + len(there) > MAX_LEARNERS:
        raise TooManyLearners(limit=MAX_LEARNERS)
    taken = {learner.name for learner in there}
    added = []
    for name, grade in cleaned:
        own = _free_name(name, taken)
        taken.add(own)
        added.append(Learner(secrets.token_hex(8), school_class.id, own, grade or school_class.grade))
    db.table("learner").insert_all(
        {
            "id": learner.id,
            "school_class_id": learner.school_class_id,
            "name": learner.name,
            "grade": learner.grade,
            "created_at": now.isoformat(),
        }
        for learner in added
    )
    return added


def change_learner(db: Database, learner: Learner, *, name: str, grade: int | None) -> None:
    """Save a learner's name and grade as the teacher wrote them.

    Raises:
        FieldMissing, NameTooLong: nothing is saved then.
    """
    cleaned = tidy_name(name)
    if not cleaned:
        raise FieldMissing(field=N_("Name"))
    taken = {other.name for other in learners(db, learner.school_class_id) if other.id != learner.id}
    db.execute(
        "UPDATE learner SET name = ?, grade = ? WHERE id = ?", [_free_name(cleaned, taken), grade, learner.id]
    )


def note_rules_read(db: Database, learner_id: str, *, now: datetime) -> None:
    """Remember that this learner has read the rules; the first time counts."""
    db.execute(
        "UPDATE learner SET rules_read_at = ? WHERE id = ? AND rules_read_at IS NULL",
        [now.isoformat(), learner_id],
    )


def tidy_name(name: str) -> str:
    """Return the name with single spaces.

    Raises:
        NameTooLong: it has more than MAX_NAME_CHARACTERS.
    """
    cleaned = clean_name(name)
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise NameTooLong(name=cleaned[:MAX_NAME_CHARACTERS] + "…", limit=MAX_NAME_CHARACTERS)
    return cleaned


def clean_name(name: str) -> str:
    """Return the name in one spelling: single spaces, composed letters, no invisible signs.

    The joiner inside an emoji stays; signs that turn the writing direction would let a name pose as another.
    """
    composed = unicodedata.normalize("NFC", name[:MAX_CELL_CHARACTERS])
    seen = (
        c for c in composed if c == "\u200d" or c.isspace() or unicodedata.category(c) not in ("Cc", "Cf")
    )
    return " ".join("".join(seen).split())


def get_school_class(db: Database, school_class_id: str) -> SchoolClass:
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class WHERE id = ?", [school_class_id]))  # noqa: S608
    return _school_class(rows[0])


def school_classes(db: Database) -> list[SchoolClass]:
    """Return every class of this box by name."""
    return [_school_class(row) for row in db.query(f"SELECT {_CLASS} FROM school_class ORDER BY name, id")]  # noqa: S608


def find_first_class(db: Database) -> SchoolClass | None:
    """Return the class this box was set up for, or None on a new box."""
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class ORDER BY created_at LIMIT 1"))  # noqa: S608
    return _school_class(rows[0]) if rows else None


def get_class_by_code(db: Database, code: str) -> SchoolClass:
    """Return the class with this code; spaces and dashes between the digits do not matter.

    Raises:
        UnknownClassCode: no class has it.
    """
    digits = "".join(character for character in code if character.isdecimal())
    rows = list(db.query(f"SELECT {_CLASS} FROM school_class WHERE code = ?", [digits]))  # noqa: S608
    if not rows:
        raise UnknownClassCode
    return _school_class(rows[0])


def learners(db: Database, school_class_id: str) -> list[Learner]:
    """Return the learners of a class in the order of the alphabet."""
    rows = db.query(f"SELECT {_LEARNER} FROM learner WHERE school_class_id = ?", [school_class_id])  # noqa: S608
    return sorted(map(_learner, rows), key=lambda learner: (alphabetical(learner.name), learner.id))


def alphabetical(name: str) -> list[int]:
    """Return a key that puts names in the order of a Kazakh register: Ә stands after А, not after Я."""
    return [ALPHABET.find(letter) if letter in ALPHABET else ord(letter) + 100 for letter in name.casefold()]


def find_learner(db: Database, learner_id: str) -> Learner | None:
    rows = db.query(f"SELECT {_LEARNER} FROM learner WHERE id = ?", [learner_id])  # noqa: S608
    return next(map(_learner, rows), None)


def get_learner(db: Database, school_class_id: str, learner_id: str) -> Learner:
    """Return the learner of this class.

    Raises:
        UnknownLearner: nobody has this id, or somebody of another class.
    """
    found = find_learner(db, learner_id)
    if found is None or found.school_class_id != school_class_id:
        raise UnknownLearner
    return found


_CLASS = "id, name, grades, language, code, uses_pictures, own_rules"
_LEARNER = "id, school_class_id, name, grade, rules_read_at"


def _school_class(row: dict[str, object]) -> SchoolClass:
    grades = tuple(int(word) for word in str(row.pop("grades")).split())
    uses_pictures = bool(row.pop("uses_pictures"))
    return SchoolClass(grades=grades, uses_pictures=uses_pictures, **row)  # type: ignore[arg-type]


def _learner(row: dict[str, object]) -> Learner:
    has_read_rules = row.pop("rules_read_at") is not None
    return Learner(has_read_rules=has_read_rules, **row)  # type: ignore[arg-type]


def _class_name(name: str) -> str:
    cleaned = tidy_name(name)
    if not cleaned:
        raise FieldMissing(field=N_("Class"))
    return cleaned


def _tidy_grades(grades: Sequence[int]) -> tuple[int, ...]:
    tidy = tuple(sorted({grade for grade in grades if grade in GRADES}))
    if len(tidy) > MAX_GRADES:
        raise TooManyGrades(limit=MAX_GRADES)
    return tidy


def _grades_text(grades: Sequence[int]) -> str:
    return " ".join(map(str, grades))


def _free_name(name: str, taken: set[str]) -> str:
    """Return the name, or the name with the first number that makes it another one."""
    if name not in taken:
        return name
    return next(own for number in count(2) if (own := f"{name} ({number})") not in taken)


def _free_code(db: Database) -> str:
    while True:
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        if not db.table("school_class").count_where("code = ?", [code]):
            return code
