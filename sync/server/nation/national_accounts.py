"""What the nation knows: do it and its regions count the same, and the country's sums.

Reads the tables of `national` and writes nothing. Keeps out: HTTP, words.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sync.parcel import Statement, read_statement
from sync.server.nation.national import REMARK_STATEMENT
from sync.server.nation.national_counts import Place, Sum
from sync.server.storage.store import Store

EQUAL = "equal"
UNDER_WAY = "under_way"  # the region stated more letters than have come
DIFFERS = "differs"  # other letters came than were stated: somebody should ask
NOT_STATED = "not_stated"  # letters of a day of which no statement came


@dataclass(frozen=True)
class DayAccount:
    """One day of one region: what it stated and what the nation holds."""

    day: date
    stated: Statement | None
    letters_held: int
    state: str


@dataclass(frozen=True)
class RegionAccount:
    """One region as the nation knows it."""

    label: str
    name: str
    last_contact_at: datetime
    is_revoked: bool
    parcels: int
    letters: dict[str, int]  # by what became of them
    days: tuple[DayAccount, ...]  # the newest first
    remarks: tuple[str, ...]

    @property
    def newest(self) -> Statement | None:
        return next((day.stated for day in self.days if day.stated is not None), None)

    @property
    def state(self) -> str:
        """The worst of its days; a day that is not over is not stated yet."""
        if REMARK_STATEMENT in self.remarks:
            return DIFFERS
        if self.newest is None:
            return NOT_STATED
        states = {day.state for day in self.days}
        return next((state for state in (DIFFERS, UNDER_WAY) if state in states), EQUAL)


def accounts(store: Store) -> list[RegionAccount]:
    """Compare every region's statements with what the nation holds: the newest days, and any that differ."""
    letters: dict[int, dict[str, int]] = {}
    for box_id, state, count in store.db.rows(
        "SELECT box_id, state, sum(letters) FROM national_day GROUP BY box_id, state"
    ):
        letters.setdefault(box_id, {})[state] = int(count)
    remarks: dict[int, list[str]] = {}
    for box_id, remark in store.db.rows("SELECT DISTINCT box_id, remark FROM remark ORDER BY 2"):
        remarks.setdefault(box_id, []).append(remark)
    parcels: dict[int, int] = dict(store.db.rows("SELECT box_id, count(*) FROM ledger GROUP BY box_id"))
    days = _days(store)
    return [
        RegionAccount(
            *(label, name, datetime.fromisoformat(contact), revoked_at is not None),
            parcels=int(parcels.get(box_id, 0)),
            letters=letters.get(box_id, {}),
            days=tuple(days.get(box_id, ())),
            remarks=tuple(remarks.get(box_id, ())),
        )
        for box_id, label, name, contact, revoked_at in store.db.rows(
            "SELECT id, label, school, last_contact_at, revoked_at FROM box ORDER BY school, label"
        )
    ]


DAYS_COMPARED = 60  # as long as a region keeps its letters; older days only if they never agreed


def _days(store: Store) -> dict[int, list[DayAccount]]:
    """Return the days of each region, the newest first."""
    newest = store.db.rows(
        "SELECT coalesce((SELECT max(day) FROM national_statement), (SELECT max(day) FROM national_day), '')"
    )[0][0]
    since = (date.fromisoformat(newest) - timedelta(days=DAYS_COMPARED)).isoformat() if newest else ""
    held = {
        (box_id, day): int(count)
        for box_id, day, count in store.db.rows(
            "SELECT box_id, day, sum(letters) FROM national_day GROUP BY box_id, day"
        )
    }
    stated = {
        (box_id, day): (read_statement(document), agreed)
        for box_id, day, document, agreed in store.db.rows(
            "SELECT box_id, day, document, agreed FROM national_statement s WHERE day >= ? OR agreed IS NULL"
            " OR day = (SELECT max(day) FROM national_statement m WHERE m.box_id = s.box_id)",
            [since],
        )
    }
    found: dict[int, list[DayAccount]] = {}
    wanted = set(stated) | {place for place in held if place[1] >= since}
    for box_id, day in sorted(wanted, key=lambda place: place[1], reverse=True):
        statement, agreed = stated.get((box_id, day), (None, None))
        account = _day_account(date.fromisoformat(day), statement, held.get((box_id, day), 0), agreed)
        found.setdefault(box_id, []).append(account)
    return found


def _day_account(day: date, stated: Statement | None, held: int, agreed: int | None) -> DayAccount:
    if stated is None:
        return DayAccount(day, None, held, NOT_STATED)
    if agreed == held:
        return DayAccount(day, stated, held, EQUAL)
    return DayAccount(day, stated, held, UNDER_WAY if held < stated.letters else DIFFERS)


CellSums = dict[tuple[date, str], Sum]


EVERY_WEEK = 10_000  # two hundred years


def cell_sums(store: Store, weeks: int = EVERY_WEEK) -> CellSums:
    """Return the country's sum of each cell in each of the newest weeks, all grades and places together."""
    first = store.db.rows(
        "SELECT min(week) FROM"
        " (SELECT DISTINCT week FROM national_total ORDER BY week DESC LIMIT ?) AS newest",
        [weeks],
    )[0][0]
    return {
        (date.fromisoformat(week), cell): Sum(int(total), int(draws))
        for week, cell, total, draws in store.db.rows(
            "SELECT week, cell, total, draws FROM national_total WHERE week >= ? ORDER BY week, cell",
            [first or ""],
        )
    }


def sums(store: Store) -> dict[Place, Sum]:
    """Return the country's sums by stratum, size class, week, grade and cell."""
    return {
        (stratum, size, date.fromisoformat(week), grade, cell): Sum(int(total), int(draws))
        for stratum, size, week, grade, cell, total, draws in store.db.rows(
            "SELECT stratum, size_class, week, grade, cell, sum(total), sum(draws) FROM national_count"
            " GROUP BY stratum, size_class, week, grade, cell"
        )
    }
