"""The region's orders: each changes what it names, keeps the rest and takes the next number.

The number and the signed bytes are stored before anybody is told. Keeps out: HTTP, SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sync.policy import Policy, sign_policy, verify_policy
from sync.region_errors import DeskThere
from sync.server.desk import drafts, offers
from sync.server.storage.identity import Region
from sync.server.storage.store import Store


def find_order(region: Region, store: Store) -> Policy | None:
    """Return the newest order, None before the first."""
    signed = store.find_policy()
    return verify_policy(signed, region.keys.policy.public, region.id) if signed else None


def publish(
    region: Region,
    store: Store,
    now: datetime,
    *,
    changes: Mapping[str, Any],
    limits: Mapping[str, int],
    valid_days: int | None = None,
) -> Policy:
    """Give an order; `changes` and `limits` are the fields that differ from the one before."""
    with store.transaction():
        if offers.find_desk(store.db) is not None:
            raise DeskThere
        last = find_order(region, store) or Policy(region.id, 0, now)
        expires_at = now + timedelta(days=valid_days) if valid_days else last.expires_at
        order = replace(
            last,
            version=drafts.next_version(store.db),
            # Whole seconds are what travels.
            issued_at=now.replace(microsecond=0),
            expires_at=expires_at.replace(microsecond=0) if expires_at else None,
            limits=replace(last.limits, **limits),
            **changes,
        )
        store.add_policy(order.version, sign_policy(order, region.keys.policy))
    return order


def describe(order: Policy | None) -> dict[str, Any]:
    """Return the order for people and programs; without one, what holds when nothing is ordered."""
    if order is None:
        return {"version": 0, "stop": False}
    record = {name: getattr(order, name) for name in ("version", "stop", "retention_days", "receipt_days")}
    return record | {
        "issued_at": order.issued_at.isoformat(),
        "expires_at": order.expires_at.isoformat() if order.expires_at else None,
        "limits": {name: getattr(order.limits, name) for name in vars(order.limits)},
    }
