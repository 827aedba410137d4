"""Everything the box keeps of one learner: to show, to hand over, and to delete without a trace.

The rows are found by walking the tables themselves: a column `learner_id`, and every reference to a row
already found. A table that somebody adds tomorrow is found as well. The only writer of `deletion`, which
counts rows and names nobody.

What was deleted is overwritten (`secure_delete`), leaves the write-ahead log with a checkpoint, and the
file is made anew by VACUUM, so that no free page remembers it. Keeps out: copies elsewhere, such as
backups, paper, and browsers.
"""

import hashlib
import json
import secrets
from collections import defaultdict
from datetime import datetime
from typing import Any

from sqlite_utils import Database

from appliance.database import saving
from appliance.errors import LessonOpen
from appliance.lesson import sessions
from appliance.people.roster import Learner
from sync import outbox
from sync.database import translated_faults
from sync.errors import DatabaseBusy, DiskFull

# Their own record would not help them, and might help somebody to come in under their name.
SECRET_COLUMNS = frozenset({"token_hash", "submission"})

Rows = dict[str, list[dict[str, Any]]]


def stored(db: Database, learner: Learner) -> Rows:
    """Return every row of a learner by table, without what only serves to log in."""
    found: Rows = {}
    for table, keys in sorted(_find_rows(db, learner.id).items()):
        key = _key_columns(db, table)
        where = " AND ".join(f'"{column}" IS ?' for column in key)
        rows = [
            next(iter(db.query(f'SELECT * FROM "{table}" WHERE {where}', list(values))))  # noqa: S608 - names come from the schema
            for values in sorted(keys, key=str)
        ]
        found[table] = [_readable(row) for row in rows]
    return found


def delete(db: Database, learner: Learner, *, now: datetime) -> dict[str, int]:
    """Delete every row of a learner and return how many by table; `clean` finishes the work.

    Raises:
        LessonOpen: an answer of theirs may be under way.
    """
    with saving(db):
        if sessions.find_open_session(db, learner.school_class_id):
            raise LessonOpen
        return _delete(db, learner.id, learner.school_class_id, now=now)


def delete_again(db: Database, known: set[str], *, now: datetime) -> int:
    """Delete whoever of these is here again, as after a restore; return how many there were."""
    with saving(db):
        back = [
            row for row in db.query("SELECT id, school_class_id FROM learner") if mark(row["id"]) in known
        ]
        for row in back:
            _delete(db, row["id"], row["school_class_id"], now=now)
    return len(back)


def mark(learner_id: str) -> str:
    """Return by what a deleted learner is recognised in an older backup: it says nothing about anybody."""
    return hashlib.sha256(b"sandyq deleted learner" + learner_id.encode()).hexdigest()


def marks(db: Database) -> set[str]:
    return {row["mark"] for row in db.query("SELECT mark FROM deleted_learner")}


def add_marks(db: Database, known: set[str], *, now: datetime) -> None:
    """Remember marks that another copy of this database, or a stick, has brought."""
    with saving(db):
        _add_marks(db, known, now=now)


def _delete(db: Database, learner_id: str, school_class_id: str, *, now: datetime) -> dict[str, int]:
    """Delete inside the caller's transaction."""
    # The order of deleting is the tables' own business until the end of the transaction.
    db.execute("PRAGMA defer_foreign_keys = ON")
    found = _find_rows(db, learner_id)
    # First the room whose tables these are: what it keeps of a learner in another way goes as well.
    outbox.forget_learner(db, learner_id)
    for table, keys in found.items():
        where = " AND ".join(f'"{column}" IS ?' for column in _key_columns(db, table))
        for values in keys:
            db.execute(f'DELETE FROM "{table}" WHERE {where}', list(values))  # noqa: S608
    counts = {table: len(keys) for table, keys in found.items()}
    db.table("deletion").insert(
        {
            "id": secrets.token_hex(8),
            "school_class_id": school_class_id,
            "at": now.isoformat(),
            "row_counts": json.dumps(counts, sort_keys=True),
        }
    )
    _add_marks(db, {mark(learner_id)}, now=now)
    return counts


def _add_marks(db: Database, known: set[str], *, now: datetime) -> None:
    for each in sorted(known):
        db.execute("INSERT OR IGNORE INTO deleted_learner VALUES (?, ?)", [each, now.isoformat()])


def needs_cleaning(db: Database) -> bool:
    return db.table("deletion").count_where("cleaned_at IS NULL") > 0


def clean(db: Database, *, now: datetime) -> bool:
    """Make the file anew without what was deleted, and empty its log.

    Returns False when the box is too busy or has no room for a second copy: the rows are gone all the
    same, their old places are overwritten, and the next start cleans the file.
    """
    done = [row["id"] for row in db.query("SELECT id FROM deletion WHERE cleaned_at IS NULL")]
    try:
        with translated_faults():
            db.execute("VACUUM")
            if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                return False
    except (DatabaseBusy, DiskFull):
        return False
    with saving(db):
        for deletion_id in done:
            db.execute("UPDATE deletion SET cleaned_at = ? WHERE id = ?", [now.isoformat(), deletion_id])
    return True


def _find_rows(db: Database, learner_id: str) -> dict[str, set[tuple[object, ...]]]:
    """Return the keys of every row that is this learner's, or belongs to such a row."""
    tables = [row["name"] for row in db.query("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    found["learner"] = {(learner_id,)}
    while True:
        before = sum(map(len, found.values()))
        for table in tables:
            for column, parent, parent_column in _references(db, table):
                for value in _values(db, parent, parent_column, found[parent]):
                    found[table] |= _keys(db, table, column, value)
        if sum(map(len, found.values())) == before:
            return {table: keys for table, keys in found.items() if keys}


def _references(db: Database, table: str) -> list[tuple[str, str, str]]:
    """Return (column, table referred to, its column); `learner_id` refers to the learner, declared or not."""
    declared = [
        (row["from"], row["table"], row["to"] or "id")
        for row in db.query(f'PRAGMA foreign_key_list("{table}")')
    ]
    columns = [row["name"] for row in db.query(f'PRAGMA table_info("{table}")')]
    implied = [("learner_id", "learner", "id")] if "learner_id" in columns else []
    return [reference for reference in {*declared, *implied} if reference[1] != table]


def _key_columns(db: Database, table: str) -> list[str]:
    """Return what names a row: its primary key, or SQLite's own number for it."""
    keys = [row["name"] for row in db.query(f'PRAGMA table_info("{table}")') if row["pk"]]
    return keys or ["rowid"]


def _keys(db: Database, table: str, column: str, value: object) -> set[tuple[object, ...]]:
    columns = ", ".join(f'"{name}"' for name in _key_columns(db, table))
    sql = f'SELECT {columns} FROM "{table}" WHERE "{column}" = ?'  # noqa: S608
    return set(db.execute(sql, [value]).fetchall())


def _values(db: Database, table: str, column: str, keys: set[tuple[object, ...]]) -> set[object]:
    key = _key_columns(db, table)
    if key == [column]:
        return {values[0] for values in keys}
    where = " AND ".join(f'"{name}" IS ?' for name in key)
    sql = f'SELECT "{column}" FROM "{table}" WHERE {where}'  # noqa: S608
    return {db.execute(sql, list(values)).fetchone()[0] for values in keys}


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as JSON can hold it; what was JSON in a column is JSON again."""
    readable = {}
    for name, value in row.items():
        if name in SECRET_COLUMNS or isinstance(value, bytes):
            continue
        is_json = isinstance(value, str) and value[:1] in ("{", "[")
        readable[name] = _parsed(value) if is_json else value
    return readable


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
