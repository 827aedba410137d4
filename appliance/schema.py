"""The tables of the classroom, in the order they came to be.

Each table has one module that writes it: `roster` (school_class, learner), `access` (teacher, login,
failed_try), `sessions` (session), `events` (event), `questions` (question). Times are ISO 8601 in UTC.
"""

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("appliance")


@migrations()
def first_tables(db: Database) -> None:
    for statement in FIRST_TABLES:
        db.execute(statement)


FIRST_TABLES = (
    """CREATE TABLE school_class (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        grade INTEGER,
        language TEXT NOT NULL,
        code TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE learner (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id),
        name TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX learner_by_class ON learner(school_class_id)",
    """CREATE TABLE teacher (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id),
        pin_hash TEXT NOT NULL,
        created_at TEXT NOT NULL
    ) STRICT""",
    # Only the hash of a login's token is kept: a stolen card opens no one's page.
    """CREATE TABLE login (
        token_hash BLOB PRIMARY KEY,
        teacher_id TEXT REFERENCES teacher(id),
        learner_id TEXT REFERENCES learner(id),
        expires_at TEXT NOT NULL,
        CHECK ((teacher_id IS NULL) <> (learner_id IS NULL))
    ) STRICT""",
    "CREATE TABLE failed_try (scope TEXT NOT NULL, address TEXT NOT NULL, at TEXT NOT NULL) STRICT",
    "CREATE INDEX failed_try_by_scope ON failed_try(scope, address, at)",
    """CREATE TABLE session (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id),
        opened_at TEXT NOT NULL,
        closed_at TEXT
    ) STRICT""",
    # A class sits in one lesson at a time; two teachers' taps on "open" must not make two.
    "CREATE UNIQUE INDEX one_open_session ON session(school_class_id) WHERE closed_at IS NULL",
    """CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        occurred_at TEXT NOT NULL,
        session_id TEXT NOT NULL,
        learner_id TEXT,
        fields TEXT NOT NULL
    ) STRICT""",
    # `submission` is made with the empty form: a form sent twice over bad Wi-Fi is one question.
    """CREATE TABLE question (
        id TEXT PRIMARY KEY,
        submission TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL REFERENCES session(id),
        learner_id TEXT NOT NULL REFERENCES learner(id),
        text TEXT NOT NULL,
        language TEXT NOT NULL,
        asked_at TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting'
            CHECK (state IN ('waiting', 'answering', 'answered', 'failed', 'stopped')),
        attempts INTEGER NOT NULL DEFAULT 0,
        answer TEXT,
        model TEXT,
        error TEXT,
        finished_at TEXT
    ) STRICT""",
    "CREATE INDEX question_by_state ON question(state, asked_at)",
    "CREATE INDEX question_by_learner ON question(learner_id, asked_at)",
)
