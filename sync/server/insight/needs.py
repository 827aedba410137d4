"""Which box needs a person's help, why, and what to do first.

Ranked by what a person can mend: a copied card, a silent box, a full disk. A school's results rank nothing:
where many are stuck is the last of the reasons, a word without a figure, so that help is offered and
nothing compared. Pure: today is passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from sync.errors import N_
from sync.nation import is_school_week

# A stick takes about a week; two weeks without a word in school time are not the ordinary case.
QUIET_DAYS = 7
SILENT_DAYS = 14
# A new box should have sent something by then.
FIRST_BATCH_DAYS = 5
# The calendar of school days is laid out once a page, so far back.
CALENDAR_DAYS = 400


class BoxState(NamedTuple):
    """A box as the region knows it. No figure of its lessons, and nobody's name, is in here.

    A tuple, because a page makes one for each of thousands of boxes.
    """

    id: int
    label: str
    school: str
    stratum: str
    size_class: str
    software: str
    enrolled_at: datetime
    last_contact_at: datetime
    is_revoked: bool
    is_approved: bool
    batches: int
    missing: int
    remarks: tuple[str, ...]
    flags: tuple[str, ...]
    disk: str
    heat: str


@dataclass(frozen=True)
class Need:
    """One reason why somebody should look after a box."""

    name: str
    count: int = 0  # days or envelopes, where the sentence has a place for it

    @property
    def urgency(self) -> int:
        return _URGENCY[self.name]

    @property
    def level(self) -> str:
        return NEEDS[self.name].level


@dataclass(frozen=True)
class Wording:
    """How urgent a need is, what is wrong, and what to do first."""

    level: str  # now, soon or later
    said: str
    step: str


# In the order of the page.
NEEDS: dict[str, Wording] = {
    "waiting": Wording(
        "now",
        N_("Waits to be let in"),
        N_("Ask the school whether this is its box, then approve it. What it sends is kept until then."),
    ),
    "copied": Wording(
        "now",
        N_("Perhaps a copied card: two histories under one name"),
        N_("Call the school. One of the two boxes needs new keys and a new code."),
    ),
    "disk": Wording(
        "now",
        N_("The disk is nearly full"),
        N_("Send a larger card, or have old lesson packs removed."),
    ),
    "silent": Wording(
        "now",
        N_("No word for %(count)s school days"),
        N_("Call the school: is the box on, is there a link? A USB stick works without one."),
    ),
    "never": Wording(
        "now",
        N_("Nothing was ever sent"),
        N_("Call the school: perhaps the box was never started, or has no link."),
    ),
    "heat": Wording(
        "now",
        N_("The box is too hot"),
        N_("Have it put into the open, with nothing on it, and its fan cleaned."),
    ),
    "failing": Wording(
        "now",
        N_("Many questions end without an answer"),
        N_("Ask for the box's report (sandyq doctor) and look at the machine."),
    ),
    "missing": Wording(
        "soon",
        N_("Envelopes missing between others: %(count)s"),
        N_("Ask whether a USB stick still lies in the school."),
    ),
    "order": Wording(
        "later",
        N_("Envelopes came out of order"),
        N_("Nothing to do if it was a stick. If it repeats, look at the box's card."),
    ),
    "slow": Wording(
        "soon",
        N_("Many answers take longer than half a minute"),
        N_("A smaller model or a stronger machine would help."),
    ),
    "quiet": Wording(
        "soon",
        N_("No word for %(count)s school days"),
        N_("Wait for the stick, or call the school."),
    ),
    "warm": Wording("later", N_("The box runs warm"), N_("Have its fan cleaned.")),
    "handing": Wording(
        "soon",
        N_("Many learners asked for a person"),
        N_("Ask the school whether somebody should come and help."),
    ),
    "stuck": Wording(
        "soon",
        N_("Many tries at tasks do not succeed"),
        N_("Offer help with the tasks: they may be too hard. This says nothing of the school's work."),
    ),
    "old": Wording(
        "later",
        N_("An older version of the program"),
        N_("Bring the update by link or stick."),
    ),
}


_URGENCY = {name: place for place, name in enumerate(NEEDS)}


class SchoolDays:
    """Counts school days: in the holidays silence is no news."""

    def __init__(self, today: date) -> None:
        self._today = today.toordinal()
        self._until = [0]
        for back in range(CALENDAR_DAYS):
            day = today - timedelta(days=back)
            is_school_day = day.weekday() < 5 and is_school_week(day - timedelta(days=day.weekday()))
            self._until.append(self._until[-1] + is_school_day)

    def since(self, day: date) -> int:
        """Return how many school days came after a day, today among them."""
        back = self._today - day.toordinal()
        return self._until[0 if back < 0 else min(back, CALENDAR_DAYS)]


@lru_cache(maxsize=4)
def school_days(today: date) -> SchoolDays:
    """Return the calendar as it looks from a day: laid out once a day, not once a page."""
    return SchoolDays(today)


def needs_of(box: BoxState, days: SchoolDays, newest: tuple[int, ...]) -> tuple[Need, ...]:
    """Return what a box needs, the most urgent first."""
    if box.is_revoked:
        return ()
    found = [*_of_line(box, days), *_of_machine(box, newest), *map(Need, box.flags)]
    return tuple(sorted(found, key=_urgency)) if len(found) > 1 else tuple(found)


def _urgency(need: Need) -> int:
    return _URGENCY[need.name]


_COPIED = frozenset(("epoch", "foreign", "fork"))


def _of_line(box: BoxState, days: SchoolDays) -> Iterable[Need]:
    silent = days.since(box.last_contact_at)
    remarks = box.remarks  # nearly always none
    if not box.is_approved:
        yield Need("waiting")
    if remarks and not _COPIED.isdisjoint(remarks):
        yield Need("copied")
    if not box.batches and days.since(box.enrolled_at) >= FIRST_BATCH_DAYS:
        yield Need("never")
    elif silent >= SILENT_DAYS:
        yield Need("silent", silent)
    elif silent >= QUIET_DAYS:
        yield Need("quiet", silent)
    if box.missing:
        yield Need("missing", box.missing)
    elif remarks and ("gap" in remarks or "chain" in remarks):
        yield Need("order")


def _of_machine(box: BoxState, newest: tuple[int, ...]) -> Iterable[Need]:
    if box.disk == "bad":
        yield Need("disk")
    if box.heat == "bad":
        yield Need("heat")
    elif box.heat == "watch":
        yield Need("warm")
    if version_of(box.software) < newest:
        yield Need("old")


@lru_cache(maxsize=256)  # thousands of boxes have a handful of versions
def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers of a version, so that 0.10 comes after 0.9."""
    return tuple(int(part) if part.isdigit() else 0 for part in text.split(".")[:3])


def newest_version(boxes: Iterable[BoxState]) -> tuple[int, ...]:
    return max((version_of(box.software) for box in boxes), default=())


def ranked(boxes: Sequence[BoxState], today: date) -> list[tuple[BoxState, tuple[Need, ...]]]:
    """Return the boxes that need somebody, in the order in which to go. Boxes alike in need stand in the
    order of their names: nothing about their lessons decides."""
    days, newest = school_days(today), newest_version(boxes)
    needing = [(box, needs) for box in boxes if (needs := needs_of(box, days, newest))]
    return sorted(needing, key=lambda one: (one[1][0].urgency, -one[1][0].count, one[0].label))


def in_touch(boxes: Iterable[BoxState], today: date) -> int:
    """Count the boxes that said something in the last week."""
    return sum(not box.is_revoked and (today - box.last_contact_at.date()).days < 7 for box in boxes)
