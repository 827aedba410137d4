"""The nation's page: its regions, the totals with what noise may have moved, and the daily comparison.

Kept small on purpose: no region beside another in any order but the alphabet's, no number of a school, no
number of a region's counts (insight's pages show those at the region itself). Keeps out: rules, SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import Blueprint, Response

from sync.errors import N_, NotFound
from sync.nation import GRADES
from sync.server.nation import national, national_accounts
from sync.server.nation.national_accounts import CellSums, DayAccount, RegionAccount
from sync.server.nation.national_counts import Sum
from sync.server.people import web_context
from sync.server.people.web_access import needs
from sync.server.storage.store import Store
from sync.server.translation import Speaker

nation = Blueprint("nation", __name__)

DAYS_SHOWN = 14
WEEKS_SHOWN = 6
QUIET_DAYS = 3  # yesterday is stated tonight; a weekend of a line that is down is nothing to call about

STATE_WORDS = {
    national_accounts.EQUAL: N_("both count the same"),
    national_accounts.UNDER_WAY: N_("letters are still under way"),
    national_accounts.DIFFERS: N_("both count differently: ask the region"),
    national_accounts.NOT_STATED: N_("not stated yet"),
}
LETTER_WORDS = {
    national.COUNTED: N_("Counted"),
    national.WAITS: N_("Waiting for their key"),
    national.AGAIN: N_("Told before, not counted again"),
    national.ALTERED: N_("Changed on the way, not counted"),
    national.FOREIGN: N_("Sealed for another region, not counted"),
}
REMARK_WORDS = {
    "statement": N_("two accounts of one day: perhaps restored from a backup"),
    "epoch": N_("a second history: restored from a backup, or a copied server"),
    "fork": N_("two parcels with one number: perhaps a copied server"),
    "gap": N_("a parcel came out of order"),
    "chain": N_("a parcel does not follow from the one before"),
}
CELL_WORDS = {
    "learner_joined": N_("Learners who joined"),
    "question_asked": N_("Learners who asked"),
    "answer_finished": N_("Learners who were answered"),
    "attempt_checked": N_("Learners who tried a task"),
    "hand_back": N_("Learners handed to a person"),
    "answered": N_("with an answer"),
    "failed": N_("without an answer"),
    "stopped": N_("stopped"),
    "right": N_("right"),
    "wrong": N_("wrong"),
    "kk": N_("Kazakh"),
    "ru": N_("Russian"),
    "en": N_("English"),
}


@nation.get("/nation")
@needs("viewer")
def overview() -> Response:
    if not web_context.door().region.is_nation:
        raise NotFound
    today = web_context.now().date()
    return web_context.show("nation.html", **page(web_context.store(), web_context.speaker(), today))


@dataclass(frozen=True)
class CellLine:
    """One number of the country for each of the last weeks."""

    name: str
    weeks: tuple[Sum | None, ...]


def page(store: Store, speaker: Speaker, today: date) -> dict[str, Any]:
    """Return what the template needs, already in the reader's language."""
    accounts, sums = national_accounts.accounts(store), national_accounts.cell_sums(store, WEEKS_SHOWN)
    mondays = sorted({monday for monday, _ in sums}, reverse=True)
    stated = [account.newest for account in accounts]
    return {
        "regions": [_region(account, speaker, today) for account in accounts],
        "events": sum(one.all_events for one in stated if one),
        "batches": sum(one.all_batches for one in stated if one),
        "letters": sum(account.letters.get(national.COUNTED, 0) for account in accounts),
        "weeks": [(monday, monday + timedelta(days=6)) for monday in mondays],
        "lines": _lines(sums, mondays, speaker),
        "boxes": [_boxes(sums, monday) for monday in mondays],
        "state_words": {state: speaker.say(words) for state, words in STATE_WORDS.items()},
    }


def _region(account: RegionAccount, speaker: Speaker, today: date) -> dict[str, Any]:
    return {
        "name": account.name or account.label,
        "account": account,
        "letters": [
            (speaker.say(words), account.letters[state])
            for state, words in LETTER_WORDS.items()
            if state in account.letters
        ],
        "remarks": _silence(account, speaker, today)
        + [speaker.say(REMARK_WORDS[remark]) for remark in account.remarks if remark in REMARK_WORDS],
        "days": _shown(account.days),
    }


def _silence(account: RegionAccount, speaker: Speaker, today: date) -> list[str]:
    """A region that states nothing is the first sign of one that does not run."""
    newest = account.newest
    days = (today - newest.day).days if newest else 0
    if days <= QUIET_DAYS:
        return []
    return [speaker.say("no statement for so many days: %(count)s", count=speaker.number(days))]


def _shown(days: Sequence[DayAccount]) -> list[DayAccount]:
    """The newest days, and before them every one that differs."""
    return [day for at, day in enumerate(days) if at < DAYS_SHOWN or day.state == national_accounts.DIFFERS]


def _lines(sums: CellSums, mondays: Sequence[date], speaker: Speaker) -> list[CellLine]:
    cells = sorted({cell for _, cell in sums})
    return [
        CellLine(cell_in_words(cell, speaker), tuple(sums.get((monday, cell)) for monday in mondays))
        for cell in cells
    ]


def _boxes(sums: CellSums, monday: date) -> int:
    """Return how many boxes told of a week; each tells every grade and cell once."""
    return max((told.draws for (week, _), told in sums.items() if week == monday), default=0) // GRADES


def cell_in_words(cell: str, speaker: Speaker) -> str:
    """Return what a cell counts; a kind that this program does not know keeps its name."""
    kind, _, word = cell.partition(":")
    told = speaker.say(CELL_WORDS.get(kind, kind))
    if not word:
        return told
    return f"{told}: {speaker.say(CELL_WORDS.get(word, word))}"
