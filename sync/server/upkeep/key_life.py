"""The region's monthly keys: made and published ahead, destroyed when no box can need them.

A secret half is on the disk before its public half is told to anybody, and is destroyed so long after
its month that a box which was off the net for a year has been heard. Keeps out: HTTP, SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sync.envelope import NATION_ROLE, REGION_ROLE
from sync.key_list import KeyList, ListedKey, sign_list, verify_list
from sync.server.storage.identity import Region
from sync.server.storage.store import Store

MONTHS_AHEAD = 6
# A key is used for its month, and then opens what was under way: sticks, boxes off the net for a year.
KEPT_AFTER = timedelta(days=400)
LONGEST_MONTH = timedelta(days=31)


def publish(
    region: Region, store: Store, now: datetime, nation: Mapping[str, bytes] | None = None
) -> KeyList:
    """Make the keys of this month and the next, list them with the nation's, destroy what is too old."""
    months = [_month(now, ahead) for ahead in range(MONTHS_AHEAD)]
    own = [ListedKey(REGION_ROLE, _begins(name), region.keys.months.ensure(name).public) for name in months]
    named = nation or ({months[0]: region.nation_public} if region.nation_public else {})
    others = [ListedKey(NATION_ROLE, _begins(name), public) for name, public in named.items()]
    with store.transaction():
        before = store.find_key_list()
        number = verify_list(before, region.keys.policy.public, region.id).number + 1 if before else 1
        keys = KeyList(region.id, number, (*own, *others))
        store.add_key_list(number, sign_list(keys, region.keys.policy))
    for name in region.keys.months.names():
        if _begins(name) + LONGEST_MONTH + KEPT_AFTER < now:
            region.keys.months.destroy(name)
    return keys


def _month(now: datetime, ahead: int) -> str:
    years, month = divmod(now.month - 1 + ahead, 12)
    return f"{now.year + years:04}-{month + 1:02}"


def _begins(name: str) -> datetime:
    year, month = name.split("-")
    return datetime(int(year), int(month), 1, tzinfo=UTC)
