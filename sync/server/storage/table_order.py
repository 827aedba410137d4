"""In which order tables can be filled: what others refer to comes first. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter

# Of the databases' own and of old forms: never part of a region.
FOREIGN = ("sqlite_", "_sqlite_")


def in_order(tables: Iterable[str], references: Iterable[tuple[str, str]]) -> list[str]:
    """Return the tables sorted; `references` are pairs of a table and one it refers to."""
    graph: dict[str, set[str]] = {table: set() for table in sorted(tables) if not table.startswith(FOREIGN)}
    for table, referred in references:
        if table in graph and referred in graph and table != referred:
            graph[table].add(referred)
    return list(TopologicalSorter(graph).static_order())
