"""The tables of the people of a region, their log-ins and the record; modules of like names own them."""

from __future__ import annotations

FORWARD = (
    """
    CREATE TABLE operator (
        id {id},
        name TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        password_hash TEXT,
        second_factor {bytes},  -- sealed with a key that is not in the database
        pending_factor {bytes},
        last_step INTEGER NOT NULL,  -- the half minute whose code was taken last
        needs_second_factor INTEGER NOT NULL,
        setup_proof {bytes},
        setup_expires_at TEXT NOT NULL,
        created_at TEXT NOT NULL,
        disabled_at TEXT
    ) {strict}
    """,
    """
    CREATE TABLE operator_recovery (
        operator_id INTEGER NOT NULL REFERENCES operator (id),
        proof {bytes} NOT NULL,
        PRIMARY KEY (operator_id, proof)
    ) {strict}
    """,
    """
    CREATE TABLE operator_login (
        token_sha256 {bytes} PRIMARY KEY,
        operator_id INTEGER NOT NULL REFERENCES operator (id),
        begun_at TEXT NOT NULL,
        seen_at TEXT NOT NULL
    ) {strict}
    """,
    """
    CREATE TABLE operator_try (
        subject {bytes} NOT NULL,
        mark {bytes} NOT NULL,
        tried_at TEXT NOT NULL,
        PRIMARY KEY (subject, mark)
    ) {strict}
    """,
    """
    CREATE TABLE api_token (
        token_sha256 {bytes} PRIMARY KEY,
        label TEXT NOT NULL UNIQUE,
        created_at TEXT NOT NULL,
        expires_at TEXT NOT NULL,
        revoked_at TEXT
    ) {strict}
    """,
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        details TEXT NOT NULL,
        proof {bytes} NOT NULL
    ) {strict}
    """,
    "{define_refusal}",
    "CREATE TRIGGER audit_keeps_words BEFORE UPDATE ON audit {refusal}",
    "CREATE TRIGGER audit_keeps_rows BEFORE DELETE ON audit {refusal}",
    "{refuse_truncate}",
)

BACK = tuple(
    f"DROP TABLE {table}"
    for table in (
        "audit",
        "api_token",
        "operator_try",
        "operator_login",
        "operator_recovery",
        "operator",
    )
)

# Up to where the record was found to hold: so that a page need not follow years of it at each visit.
CHECKPOINT_FORWARD: tuple[str, ...] = (
    """
    CREATE TABLE audit_checkpoint (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        count INTEGER NOT NULL,
        head {bytes} NOT NULL,
        looked_at TEXT NOT NULL,  -- when all of it was last looked through
        proof {bytes} NOT NULL
    ) {strict}
    """,
)

CHECKPOINT_BACK: tuple[str, ...] = ("DROP TABLE audit_checkpoint",)
