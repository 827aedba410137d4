"""The tables of `sync/server/insight/rollups`, `telling` and `box_flags`, in the words of `schema`.

`rollup_...` is what the region knows and never shows; `told...` is what everybody may see. A page or an
export reads the second kind alone (and flags of a box, `rollup_state`).
"""

from __future__ import annotations

FORWARD = (
    # How far the ledger has been counted; the day on which blocks were last told.
    """
    CREATE TABLE rollup_mark (
        id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL, settled_on TEXT
    ) {strict}
    """,
    "INSERT INTO rollup_mark VALUES (1, 0, NULL)",
    # Rows that wait until enough schools stand behind them. A period is a day or a month.
    """
    CREATE TABLE rollup_waiting (
        period TEXT NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        language TEXT NOT NULL,
        vector TEXT NOT NULL,
        part TEXT NOT NULL,
        box_id INTEGER NOT NULL,
        amount INTEGER NOT NULL,
        learners INTEGER NOT NULL,
        PRIMARY KEY (period, stratum, size_class, language, vector, part, box_id)
    ) {strict}
    """,
    # All that was counted of a box: how far schools are apart, and whether one needs help.
    """
    CREATE TABLE rollup_box (
        month TEXT NOT NULL,
        box_id INTEGER NOT NULL,
        language TEXT NOT NULL,
        vector TEXT NOT NULL,
        part TEXT NOT NULL,
        amount INTEGER NOT NULL,
        learners INTEGER NOT NULL,
        PRIMARY KEY (month, box_id, language, vector, part)
    ) {strict}
    """,
    """
    CREATE TABLE rollup_epoch (
        box_id INTEGER NOT NULL,
        epoch {bytes} NOT NULL,
        batches INTEGER NOT NULL,
        high INTEGER NOT NULL,
        PRIMARY KEY (box_id, epoch)
    ) {strict}
    """,
    """
    CREATE TABLE rollup_state (
        box_id INTEGER NOT NULL PRIMARY KEY,
        batches INTEGER NOT NULL DEFAULT 0,
        missing INTEGER NOT NULL DEFAULT 0,
        remarks TEXT NOT NULL DEFAULT '',  -- words with spaces between
        flags TEXT NOT NULL DEFAULT '',
        software INTEGER,
        disk TEXT,
        heat TEXT
    ) {strict}
    """,
    # What was told, block by block: never changed, never taken back.
    """
    CREATE TABLE told (
        block INTEGER NOT NULL,
        told_on TEXT NOT NULL,
        period TEXT NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        language TEXT NOT NULL,
        vector TEXT NOT NULL,
        part TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (block, part)
    ) {strict}
    """,
    "CREATE INDEX told_by_period ON told (period)",
    """
    CREATE TABLE told_month (
        month TEXT NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        language TEXT NOT NULL,
        vector TEXT NOT NULL,
        part TEXT NOT NULL,
        amount INTEGER NOT NULL,
        PRIMARY KEY (month, stratum, size_class, language, vector, part)
    ) {strict}
    """,
    "CREATE TABLE told_settled (month TEXT PRIMARY KEY, settled_on TEXT NOT NULL) {strict}",
)

BACK = tuple(
    f"DROP TABLE {name}"
    for name in (
        "told_settled",
        "told_month",
        "told",
        "rollup_state",
        "rollup_epoch",
        "rollup_box",
        "rollup_waiting",
        "rollup_mark",
    )
)
