"""Which Debian packages belong to what, out of debian-packages.txt.

Pure: text in, names out. Keeps out: installing them.
"""

from collections.abc import Sequence

# What every box has, whatever its board: what the product needs to run, and the system around it.
BOX_GROUPS = ("run", "box")


def packages_of(text: str, groups: Sequence[str]) -> tuple[str, ...]:
    """Return the packages of these groups, sorted, each once."""
    chosen = set()
    for line in text.splitlines():
        name, *named = line.partition("#")[0].split() or [""]
        if set(named) & set(groups):
            chosen.add(name)
    return tuple(sorted(chosen))
