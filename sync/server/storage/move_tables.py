"""How far a move into this database has come: one row, changed in the transactions of the move."""

FORWARD = (
    """
    CREATE TABLE region_move (
        source TEXT PRIMARY KEY,  -- the address it comes from, without password
        number INTEGER NOT NULL,  -- of the last ledger row that is here with its events
        is_done INTEGER NOT NULL DEFAULT 0
    ) {strict}
    """,
)
BACK = ("DROP TABLE region_move",)
