"""The tables of the desk: who signs, what is written and signed, and which box was told; owned by
`drafts` and `offers`."""

from __future__ import annotations

FORWARD = (
    "CREATE TABLE desk (number INTEGER PRIMARY KEY, document {bytes} NOT NULL) {strict}",
    """
    CREATE TABLE draft (
        id {id},
        kind TEXT NOT NULL,  -- order, desk
        body {bytes} NOT NULL,  -- the words that are signed; they never change
        version INTEGER NOT NULL,
        made_by TEXT NOT NULL,
        made_at TEXT NOT NULL,
        closed TEXT,  -- released, withdrawn
        closed_at TEXT
    ) {strict}
    """,
    """
    CREATE TABLE draft_signature (
        draft_id INTEGER NOT NULL REFERENCES draft (id),
        kid {bytes} NOT NULL,
        signature {bytes} NOT NULL,
        PRIMARY KEY (draft_id, kid)
    ) {strict}
    """,
    """
    CREATE TABLE desk_order (
        version INTEGER PRIMARY KEY,
        document {bytes} NOT NULL,
        share INTEGER NOT NULL,  -- percent of the boxes that are told
        halted TEXT,  -- why nobody else is told
        begun_at TEXT NOT NULL,
        looked_at TEXT NOT NULL,
        released_by TEXT NOT NULL
    ) {strict}
    """,
    """
    CREATE TABLE box_order (
        box_id INTEGER NOT NULL REFERENCES box (id),
        version INTEGER NOT NULL,
        offers INTEGER NOT NULL,
        offered_at TEXT,
        taken_at TEXT,
        PRIMARY KEY (box_id, version)
    ) {strict}
    """,
)

BACK = tuple(
    f"DROP TABLE {table}" for table in ("box_order", "desk_order", "draft_signature", "draft", "desk")
)
