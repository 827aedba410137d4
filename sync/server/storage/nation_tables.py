"""The tables of where boxes stand, and of the way from region to nation; `schema` applies them.

Owners: `store` (places, keys and what is held for an approval), `forward` (the region's way up), `national`
(the nation's side).
"""

PLACES_FORWARD: tuple[str, ...] = (
    # Where a box stands: what may be compared, and what operators call it. Empty: nobody said.
    "ALTER TABLE box ADD COLUMN school TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE box ADD COLUMN stratum TEXT NOT NULL DEFAULT ''",  # rural, urban
    "ALTER TABLE box ADD COLUMN size_class TEXT NOT NULL DEFAULT ''",  # small, large
    "ALTER TABLE box ADD COLUMN approved_at TEXT",  # NULL: what it sends waits for an operator
    "UPDATE box SET approved_at = enrolled_at",
    *(
        f"ALTER TABLE code ADD COLUMN {column}"
        for column in (
            "sheet TEXT NOT NULL DEFAULT ''",  # codes that were printed together
            "school TEXT NOT NULL DEFAULT ''",
            "stratum TEXT NOT NULL DEFAULT ''",
            "size_class TEXT NOT NULL DEFAULT ''",
            "needs_approval INTEGER NOT NULL DEFAULT 0",
            "renews TEXT NOT NULL DEFAULT ''",  # the label of the box that gets new keys with it
        )
    ),
    """
    CREATE TABLE box_place (
        box_id INTEGER NOT NULL REFERENCES box (id),
        since TEXT NOT NULL,
        school TEXT NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        PRIMARY KEY (box_id, since)
    ) {strict}
    """,
    """
    CREATE TABLE box_key (
        box_id INTEGER NOT NULL REFERENCES box (id),
        kid {bytes} NOT NULL,
        ended_at TEXT NOT NULL,  -- when the box got another key
        PRIMARY KEY (box_id, kid)
    ) {strict}
    """,
    """
    CREATE TABLE held_envelope (
        box_id INTEGER NOT NULL REFERENCES box (id),
        sha256 {bytes} NOT NULL,
        held_at TEXT NOT NULL,
        envelope {bytes} NOT NULL,
        PRIMARY KEY (box_id, sha256)
    ) {strict}
    """,
)

PLACES_BACK: tuple[str, ...] = (
    *(f"DROP TABLE {table}" for table in ("held_envelope", "box_key", "box_place")),
    *(
        f"ALTER TABLE code DROP COLUMN {column}"
        for column in ("renews", "needs_approval", "size_class", "stratum", "school", "sheet")
    ),
    *(
        f"ALTER TABLE box DROP COLUMN {column}"
        for column in ("approved_at", "size_class", "stratum", "school")
    ),
)

NATION_FORWARD: tuple[str, ...] = (
    "CREATE INDEX ledger_by_day ON ledger (received_day)",
    # The region's way up: one history, its parcels, and a statement for each finished day.
    """
    CREATE TABLE forward_state (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        epoch {bytes} NOT NULL,
        next_seq INTEGER NOT NULL,
        next_number INTEGER NOT NULL,
        previous_sha256 {bytes} NOT NULL,
        taken_through INTEGER NOT NULL DEFAULT 0,  -- letters of the ledger up to this number were cut
        keys_number INTEGER NOT NULL DEFAULT 0,
        keys_document {bytes}
    ) {strict}
    """,
    """
    CREATE TABLE forward_parcel (
        epoch {bytes} NOT NULL,
        seq INTEGER NOT NULL,
        items INTEGER NOT NULL,
        letters INTEGER NOT NULL,
        statements INTEGER NOT NULL,
        taken_after INTEGER NOT NULL,  -- its letters begin behind this number of the ledger
        blob_id {bytes} NOT NULL,
        sha256 {bytes} NOT NULL,
        sealed {bytes},  -- the bytes that travel; never made again, dropped with the receipt
        receipt {bytes},
        receipted_at TEXT,
        PRIMARY KEY (epoch, seq),
        CHECK ((sealed IS NULL) = (receipt IS NOT NULL))
    ) {strict}
    """,
    """
    CREATE TABLE forward_statement (
        day TEXT PRIMARY KEY,
        document {bytes} NOT NULL,
        all_letters INTEGER NOT NULL,
        epoch {bytes},  -- of the parcel it went with
        seq INTEGER
    ) {strict}
    """,
    # The nation's side. A box there is a region; an alias is a box of that region.
    """
    CREATE TABLE national_region (
        box_id INTEGER PRIMARY KEY REFERENCES box (id),
        region_id {bytes} NOT NULL
    ) {strict}
    """,
    """
    CREATE TABLE national_letter (
        box_id INTEGER NOT NULL REFERENCES box (id),
        sha256 {bytes} NOT NULL,
        alias {bytes} NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        day TEXT NOT NULL,  -- on which the region received it
        received_at TEXT NOT NULL,
        letter {bytes},  -- sealed; dropped when it is counted
        state TEXT NOT NULL,
        PRIMARY KEY (box_id, sha256)
    ) {strict}
    """,
    "CREATE INDEX national_letter_waiting ON national_letter (box_id, sha256) WHERE state = 'waits'",
    """
    CREATE TABLE national_week (
        box_id INTEGER NOT NULL,
        alias {bytes} NOT NULL,
        week TEXT NOT NULL,
        PRIMARY KEY (box_id, alias, week)
    ) {strict}
    """,
    """
    CREATE TABLE national_count (
        box_id INTEGER NOT NULL,
        stratum TEXT NOT NULL,
        size_class TEXT NOT NULL,
        week TEXT NOT NULL,
        grade INTEGER NOT NULL,
        cell TEXT NOT NULL,
        total INTEGER NOT NULL,
        draws INTEGER NOT NULL,  -- of noise in the total
        PRIMARY KEY (box_id, stratum, size_class, week, grade, cell)
    ) {strict}
    """,
    """
    CREATE TABLE national_statement (
        box_id INTEGER NOT NULL REFERENCES box (id),
        day TEXT NOT NULL,
        signer {bytes} NOT NULL,  -- the region's key of that day
        document {bytes} NOT NULL,
        PRIMARY KEY (box_id, day)
    ) {strict}
    """,
)

NATION_BACK: tuple[str, ...] = (
    *(
        f"DROP TABLE {table}"
        for table in (
            "national_statement",
            "national_count",
            "national_week",
            "national_letter",
            "national_region",
            "forward_statement",
            "forward_parcel",
            "forward_state",
        )
    ),
    "DROP INDEX ledger_by_day",
)

# What a page shows of years must not be added up again each time.
DAYS_FORWARD: tuple[str, ...] = (
    # So many letters of the day were held when they were found to be exactly those stated.
    "ALTER TABLE national_statement ADD COLUMN agreed INTEGER",
    "CREATE INDEX national_letter_by_day ON national_letter (box_id, day)",
    "CREATE INDEX national_count_by_week ON national_count (week)",
)

DAYS_BACK: tuple[str, ...] = (
    "DROP INDEX national_count_by_week",
    "DROP INDEX national_letter_by_day",
    "ALTER TABLE national_statement DROP COLUMN agreed",
)

# Of two hundred thousand letters a year and half a million sums the page needs a few hundred numbers:
# they are kept beside, in the same transaction as what they sum up (`sync/server/nation/national`).
SUMS_FORWARD: tuple[str, ...] = (
    """
    CREATE TABLE national_day (
        box_id INTEGER NOT NULL,
        day TEXT NOT NULL,
        state TEXT NOT NULL,
        letters INTEGER NOT NULL,
        PRIMARY KEY (box_id, day, state)
    ) {strict}
    """,
    "INSERT INTO national_day (box_id, day, state, letters)"
    " SELECT box_id, day, state, count(*) FROM national_letter GROUP BY box_id, day, state",
    """
    CREATE TABLE national_total (
        week TEXT NOT NULL,
        cell TEXT NOT NULL,
        total INTEGER NOT NULL,
        draws INTEGER NOT NULL,
        PRIMARY KEY (week, cell)
    ) {strict}
    """,
    "INSERT INTO national_total (week, cell, total, draws)"
    " SELECT week, cell, sum(total), sum(draws) FROM national_count GROUP BY week, cell",
)

SUMS_BACK: tuple[str, ...] = ("DROP TABLE national_total", "DROP TABLE national_day")
