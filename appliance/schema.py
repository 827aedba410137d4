"""The tables of the classroom, in the order they came to be.

Each table has one module that writes it: `roster` (school_class, learner), `access` (teacher, login,
failed_try), `pictures` (picture_code), `cards` (card), `accommodations` (accommodation), `sessions`
(session), `events` (event), `questions` (question), `tasks` (task, attempt), `hand_back` (hand_back),
`review` (contest), `deletion` (deletion, deleted_learner), `stops` (stop, stop_drill), `exam` (exam,
exam_record), `rules` (class_rule, class_limit, lesson_subject). Times are ISO 8601 in UTC.
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


@migrations()
def tasks_and_hand_backs(db: Database) -> None:
    for statement in TASKS_AND_HAND_BACKS:
        db.execute(statement)


TASKS_AND_HAND_BACKS = (
    # `answers` and `choices` are JSON lists. A retired task stays: attempts tell what happened in a lesson.
    """CREATE TABLE task (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id),
        kind TEXT NOT NULL CHECK (kind IN ('number', 'words', 'choice')),
        text TEXT NOT NULL,
        answers TEXT NOT NULL,
        choices TEXT NOT NULL DEFAULT '[]',
        nudge TEXT NOT NULL DEFAULT '',
        principle TEXT NOT NULL DEFAULT '',
        twin TEXT NOT NULL DEFAULT '',
        solution TEXT NOT NULL DEFAULT '',
        position INTEGER NOT NULL,
        created_at TEXT NOT NULL,
        retired_at TEXT
    ) STRICT""",
    "CREATE INDEX task_by_class ON task(school_class_id, position)",
    # A step is an answer the code has checked, or the learner's word that a hint did not help.
    """CREATE TABLE attempt (
        id TEXT PRIMARY KEY,
        submission TEXT NOT NULL UNIQUE,
        task_id TEXT NOT NULL REFERENCES task(id),
        learner_id TEXT NOT NULL REFERENCES learner(id),
        session_id TEXT NOT NULL REFERENCES session(id),
        kind TEXT NOT NULL CHECK (kind IN ('answer', 'no_help')),
        text TEXT NOT NULL DEFAULT '',
        is_right INTEGER NOT NULL DEFAULT 0,
        rung INTEGER NOT NULL,
        at TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX attempt_by_learner ON attempt(learner_id, task_id, at)",
    """CREATE TABLE hand_back (
        id TEXT PRIMARY KEY,
        learner_id TEXT NOT NULL REFERENCES learner(id),
        session_id TEXT NOT NULL REFERENCES session(id),
        question_id TEXT REFERENCES question(id),
        reason TEXT NOT NULL
            CHECK (reason IN ('asked_for_person', 'distress', 'third_hint', 'low_confidence')),
        at TEXT NOT NULL,
        released_at TEXT
    ) STRICT""",
    # Two reasons at once are still one child to go to.
    "CREATE UNIQUE INDEX one_open_hand_back ON hand_back(learner_id) WHERE released_at IS NULL",
    # What "Why?" shows: the request is the exact JSON that went to the engine, so the answer can be replayed.
    "ALTER TABLE question ADD COLUMN task_id TEXT REFERENCES task(id)",
    "ALTER TABLE question ADD COLUMN rung INTEGER",
    "ALTER TABLE question ADD COLUMN mode TEXT NOT NULL DEFAULT 'open'",
    "ALTER TABLE question ADD COLUMN prompt_version TEXT",
    "ALTER TABLE question ADD COLUMN request TEXT",
    "ALTER TABLE question ADD COLUMN decisions TEXT NOT NULL DEFAULT '[]'",
)


@migrations()
def stops(db: Database) -> None:
    for statement in STOPS:
        db.execute(statement)


STOPS = (
    # `set_by` is the authority a stop was set with, never a person. A learner who is deleted takes
    # the stop along.
    """CREATE TABLE stop (
        id TEXT PRIMARY KEY,
        level TEXT NOT NULL CHECK (level IN ('learner', 'school_class', 'school')),
        school_class_id TEXT REFERENCES school_class(id) ON DELETE CASCADE,
        learner_id TEXT REFERENCES learner(id) ON DELETE CASCADE,
        set_by TEXT NOT NULL CHECK (set_by IN ('school_class', 'school')),
        set_at TEXT NOT NULL,
        lifted_at TEXT,
        CHECK ((learner_id IS NOT NULL) = (level = 'learner')),
        CHECK ((school_class_id IS NULL) = (level = 'school'))
    ) STRICT""",
    # Two taps are one stop.
    """CREATE UNIQUE INDEX one_stop ON stop(level, coalesce(learner_id, school_class_id, ''))
        WHERE lifted_at IS NULL""",
)


@migrations()
def contests_and_deletions(db: Database) -> None:
    for statement in CONTESTS_AND_DELETIONS:
        db.execute(statement)


CONTESTS_AND_DELETIONS = (
    # An answer is contested once: a second opinion is talked about, not clicked.
    """CREATE TABLE contest (
        id TEXT PRIMARY KEY,
        question_id TEXT NOT NULL UNIQUE REFERENCES question(id),
        learner_id TEXT NOT NULL REFERENCES learner(id),
        reason TEXT NOT NULL
            CHECK (reason IN ('wrong', 'unclear', 'not_my_question', 'hurtful', 'other')),
        words TEXT NOT NULL DEFAULT '',
        at TEXT NOT NULL,
        decision TEXT CHECK (decision IN ('upheld', 'corrected')),
        decision_words TEXT NOT NULL DEFAULT '',
        decided_at TEXT,
        CHECK ((decision IS NULL) = (decided_at IS NULL))
    ) STRICT""",
    "CREATE INDEX contest_by_learner ON contest(learner_id, at)",
    # That something was deleted, and how many rows; never of whom.
    """CREATE TABLE deletion (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id),
        at TEXT NOT NULL,
        row_counts TEXT NOT NULL
    ) STRICT""",
)


@migrations()
def people_come_in(db: Database) -> None:
    for statement in PEOPLE_COME_IN:
        db.execute(statement)


PEOPLE_COME_IN = (
    # "2 3 4": one teacher often has several grades in one room.
    "ALTER TABLE school_class ADD COLUMN grades TEXT NOT NULL DEFAULT ''",
    "UPDATE school_class SET grades = grade WHERE grade IS NOT NULL",
    "ALTER TABLE school_class ADD COLUMN uses_pictures INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE school_class ADD COLUMN own_rules TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE learner ADD COLUMN grade INTEGER",
    "UPDATE learner SET grade = (SELECT grade FROM school_class WHERE id = learner.school_class_id)",
    "ALTER TABLE learner ADD COLUMN rules_read_at TEXT",
    # Hashed like the PIN: whoever copies the card cannot take over a class.
    "ALTER TABLE teacher ADD COLUMN recovery_hash TEXT",
    # No secret and not hashed: the teacher helps a child who forgot (decision 0020).
    """CREATE TABLE picture_code (
        learner_id TEXT PRIMARY KEY REFERENCES learner(id) ON DELETE CASCADE,
        pictures TEXT NOT NULL,
        chosen_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE card (
        learner_id TEXT PRIMARY KEY REFERENCES learner(id) ON DELETE CASCADE,
        token_hash BLOB NOT NULL UNIQUE,
        issued_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TABLE accommodation (
        learner_id TEXT PRIMARY KEY REFERENCES learner(id) ON DELETE CASCADE,
        font TEXT NOT NULL,
        size INTEGER NOT NULL,
        spacing TEXT NOT NULL,
        contrast TEXT NOT NULL,
        read_aloud INTEGER NOT NULL,
        more_time INTEGER NOT NULL
    ) STRICT""",
)


@migrations()
def exams(db: Database) -> None:
    for statement in EXAMS:
        db.execute(statement)


EXAMS = (
    # The last look (boot, ticks, wall) and the seconds beyond doubt until then: a restart goes on from here.
    """CREATE TABLE exam (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id) ON DELETE CASCADE,
        planned_seconds INTEGER NOT NULL,
        elapsed_seconds REAL NOT NULL DEFAULT 0,
        boot TEXT NOT NULL,
        ticks REAL NOT NULL,
        wall TEXT NOT NULL,
        first_event INTEGER NOT NULL,
        started_at TEXT NOT NULL,
        ended_at TEXT,
        seal TEXT
    ) STRICT""",
    "CREATE UNIQUE INDEX one_exam ON exam(school_class_id) WHERE ended_at IS NULL",
    """CREATE TABLE exam_record (
        exam_id TEXT NOT NULL REFERENCES exam(id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        line TEXT NOT NULL,
        PRIMARY KEY (exam_id, number)
    ) STRICT, WITHOUT ROWID""",
)


@migrations()
def deletions_are_cleaned(db: Database) -> None:
    # NULL until the file was made anew: a box that lost power in between does it at its next start.
    db.execute("ALTER TABLE deletion ADD COLUMN cleaned_at TEXT")


@migrations()
def drills(db: Database) -> None:
    for statement in DRILLS:
        db.execute(statement)


DRILLS = (
    # From the tap until the last answer had been let go; NULL when somebody still wrote after the wait.
    "ALTER TABLE stop ADD COLUMN quiet_ms INTEGER",
    """CREATE TABLE stop_drill (
        id INTEGER PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id) ON DELETE CASCADE,
        at TEXT NOT NULL,
        questions INTEGER NOT NULL,
        quiet_ms INTEGER
    ) STRICT""",
)


@migrations()
def class_rules(db: Database) -> None:
    for statement in CLASS_RULES:
        db.execute(statement)


CLASS_RULES = (
    # Minutes of the day, by the wall clock: a rule is read beside the timetable.
    """CREATE TABLE class_rule (
        id TEXT PRIMARY KEY,
        school_class_id TEXT NOT NULL REFERENCES school_class(id) ON DELETE CASCADE,
        mode TEXT NOT NULL CHECK (mode IN ('open', 'hints', 'off')),
        subject TEXT NOT NULL DEFAULT '',
        weekday INTEGER CHECK (weekday BETWEEN 0 AND 6),
        begins INTEGER,
        ends INTEGER,
        CHECK ((begins IS NULL) = (ends IS NULL)),
        CHECK (begins IS NULL OR 0 <= begins AND begins < ends AND ends < 1440)
    ) STRICT""",
    "CREATE INDEX class_rule_by_class ON class_rule(school_class_id)",
    """CREATE TABLE class_limit (
        school_class_id TEXT PRIMARY KEY REFERENCES school_class(id) ON DELETE CASCADE,
        minutes INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE lesson_subject (
        session_id TEXT PRIMARY KEY REFERENCES session(id) ON DELETE CASCADE,
        subject TEXT NOT NULL
    ) STRICT""",
)


@migrations()
def exam_counts_at_the_engine(db: Database) -> None:
    # The engine's own count at the last look, so that a restart of the pages loses none; -1: not known yet.
    db.execute("ALTER TABLE exam ADD COLUMN engine_refusals INTEGER NOT NULL DEFAULT -1")


@migrations()
def deleted_learners_stay_deleted(db: Database) -> None:
    # A digest of the random id of whoever was deleted: an older backup is cleaned by it when it is restored.
    db.execute("CREATE TABLE deleted_learner (mark TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT")
