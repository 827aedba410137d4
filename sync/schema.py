"""Every table of the box that belongs to this room; whoever opens the box's database brings them up."""

from __future__ import annotations

from sync import boots, key_list, line_book, outbox, policy, stick_book

MIGRATIONS = (
    boots.migrations,
    key_list.migrations,
    outbox.migrations,
    policy.migrations,
    stick_book.migrations,
    line_book.migrations,
)
