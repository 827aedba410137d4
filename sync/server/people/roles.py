"""Who may do what at the region: three roles and one table of rules.

A viewer reads the counts. An operator also acts: codes, boxes, drafts of orders. An auditor reads
everything, the record of what was done as well, and changes nothing. Nobody here can give an order
alone: that takes keys which are on no server (decision 0037). Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

Need = Literal["self", "viewer", "operator", "auditor"]


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    AUDITOR = "auditor"


# Who can change something, or reads who did what, needs more than a password.
TWO_FACTORS = frozenset({Role.OPERATOR, Role.AUDITOR})


def may(role: Role, need: Need, *, is_change: bool) -> bool:
    """Say whether a role may open a route that needs this. `self` is a person's own account."""
    match need:
        case "self":
            return True
        case "viewer":
            return role is Role.OPERATOR or not is_change
        case "operator":
            return role is Role.OPERATOR or (role is Role.AUDITOR and not is_change)
        case "auditor":
            return role is Role.AUDITOR and not is_change
