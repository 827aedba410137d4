"""Pages that show the region: where help is needed, the boxes, how alike groups are treated, the tables.

Every number of lessons comes from what was told (`telling`), never from events. Keeps out: rules, SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from flask import Blueprint, Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from sync.errors import N_, NotFound
from sync.server.insight import box_states, charts, equity, telling
from sync.server.insight.equity import LONG, TIMED, Difference, Panel, Share, Told
from sync.server.insight.needs import (
    NEEDS,
    BoxState,
    Need,
    in_touch,
    needs_of,
    newest_version,
    ranked,
    school_days,
)
from sync.server.people.web_access import needs
from sync.server.people.web_context import db, door, now, show, speaker
from sync.server.translation import Speaker

insight = Blueprint("insight", __name__)

NEEDS_SHOWN = 25  # what somebody can look after in a week; the list of boxes has all
BOXES_A_PAGE = 50
DAYS_DRAWN = 30
MOST_SEARCH_LETTERS = 80
# A scale of one per cent would make nothing look like much.
NARROWEST_SCALE = 0.1

LEVEL_WORDS = {"now": N_("Today"), "soon": N_("This week"), "later": N_("When there is time")}
AXIS_WORDS = {
    "language": N_("By language of the learner"),
    "stratum": N_("Rural and urban schools"),
    "size_class": N_("Small and large schools"),
}
GROUP_WORDS = {
    "kk": N_("Kazakh"),
    "ru": N_("Russian"),
    "en": N_("English"),
    "rural": N_("Rural schools"),
    "urban": N_("Urban schools"),
    "small": N_("Small schools"),
    "large": N_("Large schools"),
}
PLACE_WORDS = {"rural": N_("rural"), "urban": N_("urban"), "small": N_("small"), "large": N_("large")}
WAIT_WORDS = {
    "s8": N_("up to 8 seconds"),
    "s16": N_("8 to 16 seconds"),
    "s33": N_("16 to 33 seconds"),
    "long": N_("longer"),
}
SHOWN_WORDS = {"all": N_("All boxes"), "needs": N_("Boxes that need somebody"), "away": N_("Sent away")}
MOOD_WORDS = {"good": N_("good"), "watch": N_("to be watched"), "bad": N_("bad")}


# Where help is needed ------------------------------------------------------------------------


@dataclass(frozen=True)
class NeedyBox:
    """A box on the list of needs: what is wrong, in the reader's words."""

    box: BoxState
    level: str
    said: tuple[tuple[str, str], ...]  # what, and what to do


@insight.get("/")
@needs("viewer")
def overview() -> AnyResponse:
    if door().region.is_nation:
        return redirect("/nation")
    boxes, today = box_states.box_states(db()), now().date()
    order = ranked(boxes, today)
    drawing, days = _days(today)
    listed = [_needy(*one) for one in order[:NEEDS_SHOWN]]
    return show(
        "overview.html",
        boxes=len(boxes),
        in_touch=in_touch(boxes, today),
        needing=len(order),
        most_shown=NEEDS_SHOWN,
        levels=[
            (level, speaker().say(word), [one for one in listed if one.level == level])
            for level, word in LEVEL_WORDS.items()
        ],
        drawing=drawing,
        drawn=f"{days[-1][0]} – {days[0][0]}",
        days=days,
    )


def _needy(box: BoxState, found: Sequence[Need]) -> NeedyBox:
    return NeedyBox(box, found[0].level, tuple(_said(need) for need in found))


def _said(need: Need) -> tuple[str, str]:
    wording = NEEDS[need.name]
    said = speaker().say(wording.said)
    return said % {"count": speaker().number(need.count)} if need.count else said, speaker().say(wording.step)


def _days(today: date) -> tuple[Markup | None, list[tuple[str, int | None]]]:
    """Return the questions of the last days that are told, for the drawing and its table."""
    last = today - telling.DAY_SETTLES
    days = [last - timedelta(days=back) for back in reversed(range(DAYS_DRAWN))]
    told = telling.asked_by_day(db(), days[0], last)
    label = speaker().say("Questions by day")
    drawing = charts.columns([told.get(day) for day in days], label) if told else None
    return drawing, [(speaker().day(day), told.get(day)) for day in reversed(days)]


# Boxes -----------------------------------------------------------------------------------------


@insight.get("/boxes")
@needs("viewer")
def boxes() -> Response:
    wanted, search = request.args.get("show", "all"), _search()
    every, days = box_states.box_states(db()), school_days(now().date())
    newest = newest_version(every)

    def is_wanted(box: BoxState) -> bool:
        if wanted == "needs":
            return bool(needs_of(box, days, newest))
        return box.is_revoked == (wanted == "away")

    chosen = [box for box in every if _is_called(box, search) and is_wanted(box)]
    page = _page(len(chosen))
    shown = chosen[page * BOXES_A_PAGE : (page + 1) * BOXES_A_PAGE]
    return show(
        "boxes.html",
        boxes=[(box, [_said(need) for need in needs_of(box, days, newest)]) for box in shown],
        total=len(chosen),
        page=page,
        pages=max(1, -(-len(chosen) // BOXES_A_PAGE)),
        search=search,
        wanted=wanted,
        choices=SHOWN_WORDS,
        newest=".".join(map(str, newest)),
        moods=MOOD_WORDS,
        places=PLACE_WORDS,
    )


def _is_called(box: BoxState, search: str) -> bool:
    return not search or search.casefold() in f"{box.label} {box.school}".casefold()


def _search() -> str:
    text = request.args.get("q", "")[:MOST_SEARCH_LETTERS]
    return "".join(letter for letter in text if letter.isprintable()).strip()


def _page(total: int) -> int:
    text = request.args.get("page", "0")
    asked = int(text) if text.isdecimal() and len(text) < 6 else 0
    return min(asked, max(0, (total - 1) // BOXES_A_PAGE))


# Equity --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Group:
    """One line of a panel."""

    name: str
    share: str  # empty: too few to tell
    between: str
    rows: int
    drawing: Markup | None


@dataclass(frozen=True)
class View:
    """A panel, in the reader's words."""

    title: str
    groups: tuple[Group, ...]
    said: tuple[str, ...]
    is_certain: bool


@insight.get("/equity")
@needs("viewer")
def equity_page() -> Response:
    months = telling.settled_months(db())
    month = request.args.get("month", months[0] if months else "")
    if months and month not in months:
        raise NotFound
    told = telling.told_in(db(), month) if months else []
    panels = equity.panels(told)
    return show(
        "equity.html",
        months=[(name, _month(speaker(), name)) for name in months],
        month=month,
        measures=[
            (measure, [_view(panel, told) for panel in panels if panel.measure is measure])
            for measure in equity.MEASURES.values()
        ],
        certain=[(panel.measure, one) for panel in panels for one in _differences(panel, only_certain=True)],
        waits=[(part, speaker().say(word)) for part, word in WAIT_WORDS.items()],
    )


def _month(who: Speaker, month: str) -> str:
    return who.month(date.fromisoformat(month + "-01"))


def _view(panel: Panel, told: Sequence[Told]) -> View:
    most = max((share.between()[1] for _, share in panel.shares if share), default=1.0)
    most = max(most, NARROWEST_SCALE)
    groups = tuple(_group(panel, name, share, told, most) for name, share in panel.shares)
    return View(
        speaker().say(AXIS_WORDS[panel.axis]),
        groups,
        tuple(_differences(panel, only_certain=False)),
        bool(panel.certain),
    )


def _group(panel: Panel, name: str, share: Share | None, told: Sequence[Told], most: float) -> Group:
    word = speaker().say(GROUP_WORDS[name])
    if share is None:
        return Group(word, "", "", 0, None)
    low, high = share.between()
    between = speaker().say("%(low)s to %(high)s", low=speaker().share(low), high=speaker().share(high))
    label = f"{word}: {speaker().share(share.value)} ({between})"
    if panel.measure.counted == (LONG,):
        parts = equity.parts_of([one for one in told if one.vector == "answers"], panel.axis, name)
        drawing = charts.stack([(part, parts.get(part, 0)) for part in TIMED], label)
    else:
        drawing = charts.share_range(share.value, low, high, most, label)
    return Group(word, speaker().share(share.value), between, share.total, drawing)


def _differences(panel: Panel, *, only_certain: bool) -> Iterator[str]:
    """Say in a sentence what differs, or that nothing does, or that nobody can tell."""
    shares = dict(panel.shares)
    if panel.certain:
        for one in panel.certain:
            yield _difference(one, shares)
    elif panel.differences and not only_certain:
        yield speaker().say("No difference that is more than chance.")
    elif not only_certain:
        yield speaker().say("Too few schools or learners to compare.")


def _difference(one: Difference, shares: dict[str, Share | None]) -> str:
    first, second = shares[one.first], shares[one.second]
    return speaker().say(
        "%(first)s %(one)s, %(second)s %(other)s. Chance and differences between schools do not explain it.",
        first=speaker().say(GROUP_WORDS[one.first]),
        one=speaker().share(first.value) if first else "",
        second=speaker().say(GROUP_WORDS[one.second]),
        other=speaker().share(second.value) if second else "",
    )


# Tables to take away ------------------------------------------------------------------------------


@insight.get("/tables")
@needs("viewer")
def tables() -> Response:
    return show("tables.html", months=[(name, _month(speaker(), name)) for name in telling.told_months(db())])
