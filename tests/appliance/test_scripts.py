"""The scripts of a page share one room for names: two of one name would keep the second from running."""

import re
from itertools import combinations
from pathlib import Path

SCRIPTS = sorted(Path("appliance/static").glob("*.js"))
DECLARED = re.compile(r"^(?:const|let|class|(?:async )?function)\s+(\w+)", re.MULTILINE)
MOST_BYTES = 12_000


def test_no_two_scripts_declare_the_same_name() -> None:
    names = {path.name: set(DECLARED.findall(path.read_text(encoding="utf-8"))) for path in SCRIPTS}
    assert all(names.values())
    for one, other in combinations(names, 2):
        both = names[one] & names[other]
        assert not both, f"{one} and {other}: {both}"


def test_all_scripts_together_are_small() -> None:
    assert sum(path.stat().st_size for path in SCRIPTS) <= MOST_BYTES
